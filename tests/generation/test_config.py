"""Options of generation: where they come from, which goes before which, and that they survive being saved."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from lamina.errors import ConfigError, GenerationError
from lamina.generation import GenerationConfig, GenerationMode, WatermarkingConfig
from lamina.generation.generate import generate

from .standin import Standin

IDS = torch.tensor([[5, 9, 14]])


def length(model: Standin, **options: object) -> int:
    return generate(model, IDS, eos_token_id=None, **options).shape[1]


def test_defaults_are_those_of_the_reference() -> None:
    config = GenerationConfig()
    assert (config.max_length, config.num_beams, config.top_k, config.do_sample) == (20, 1, 50, False)
    assert config.set_options == {}


def test_unknown_keys_are_kept_and_written_back(tmp_path: Path) -> None:
    config = GenerationConfig(num_beams=3, house_style="dry", watermarking_config={"bias": 3.0})
    assert config.house_style == "dry"
    config.save_pretrained(tmp_path)
    written = json.loads((tmp_path / "generation_config.json").read_text())
    assert written["num_beams"] == 3 and written["house_style"] == "dry" and "top_k" not in written
    again = GenerationConfig.from_pretrained(tmp_path)
    assert again == config
    assert again.watermarking_config == WatermarkingConfig(bias=3.0)
    assert [path.name for path in tmp_path.iterdir()] == ["generation_config.json"]


def test_update_returns_what_it_does_not_know() -> None:
    config = GenerationConfig(own=1)
    assert config.update(top_k=3, own=2, foreign=4) == {"foreign": 4}
    assert (config.top_k, config.own) == (3, 2)


def test_overrides_go_before_the_file(tmp_path: Path) -> None:
    GenerationConfig(num_beams=3, top_k=7).save_pretrained(tmp_path)
    config = GenerationConfig.from_pretrained(tmp_path, num_beams=2)
    assert (config.num_beams, config.top_k) == (2, 7)


@pytest.mark.parametrize("how", ["constructor", "attribute", "mapping"])
def test_names_that_are_no_options_are_told(how: str, caplog: pytest.LogCaptureFixture) -> None:
    if how == "attribute":
        config = GenerationConfig()
        config.max_new_token = 5
        config.max_new_tokens = 5
    else:
        make = GenerationConfig if how == "constructor" else lambda **given: GenerationConfig.from_dict(given)
        config = make(max_new_token=5, max_new_tokens=5)
    assert caplog.text.count("'max_new_token' (did you mean max_new_tokens?)") == 1
    assert config.max_new_token == 5


def test_keywords_of_from_pretrained_are_read_or_refused(tmp_path: Path) -> None:
    GenerationConfig(num_beams=3).save_pretrained(tmp_path)
    GenerationConfig(num_beams=5).save_pretrained(tmp_path / "inner")
    read = GenerationConfig.from_pretrained
    assert read(tmp_path, subfolder="inner", local_files_only=True, revision="main").num_beams == 5
    assert read(tmp_path / "inner", cache_dir=tmp_path, token=None).set_options.keys() == {
        "num_beams", "transformers_version"
    }  # fmt: skip
    config, unused = read(tmp_path, return_unused_kwargs=True, top_k=4, odd=3)
    assert (config.num_beams, config.top_k, unused) == (3, 4, {"odd": 3})
    assert GenerationConfig.from_dict({"top_k": 4}, return_unused_kwargs=True, odd=3)[1] == {"odd": 3}
    with pytest.raises(ConfigError, match=r"'num_beam'.*num_beams"):
        read(tmp_path, num_beam=3)
    with pytest.raises(ConfigError, match="trust_remote_code"):
        read(tmp_path, trust_remote_code=True)


MODES: list[tuple[dict[str, object], str]] = [  # as the reference's answers
    ({}, "greedy_search"),
    ({"do_sample": True}, "sample"),
    ({"penalty_alpha": 0.6, "top_k": 4}, "contrastive_search"),
    ({"penalty_alpha": 0.6, "top_k": 1}, "greedy_search"),
    ({"penalty_alpha": 0.6, "top_k": 4, "do_sample": True}, "sample"),
    ({"num_beams": 2, "penalty_alpha": 0.6}, "beam_search"),
    ({"num_beams": 2, "do_sample": True}, "beam_sample"),
    ({"num_beams": 4, "num_beam_groups": 2}, "group_beam_search"),
    ({"num_beams": 2, "force_words_ids": [[3]]}, "constrained_beam_search"),
    ({"prompt_lookup_num_tokens": 3}, "assisted_generation"),
    ({"prompt_lookup_num_tokens": 3, "do_sample": True}, "assisted_generation"),
    ({"prompt_lookup_num_tokens": 3, "num_beams": 2}, "beam_search"),
    ({"assistant_model": Standin()}, "assisted_generation"),
]


@pytest.mark.parametrize(("options", "mode"), MODES)
def test_the_search_asked_for_has_the_references_name(options: dict[str, object], mode: str) -> None:
    assistant = options.get("assistant_model")
    config = GenerationConfig(**{name: value for name, value in options.items() if name != "assistant_model"})
    assert config.get_generation_mode(assistant) == GenerationMode(mode) == mode


def test_validation_warns_or_raises(caplog: pytest.LogCaptureFixture) -> None:
    config = GenerationConfig(temperature=0.5, length_penalty=2.0)
    assert not caplog.text
    config.validate()
    assert "no effect: temperature, length_penalty" in caplog.text
    with pytest.raises(GenerationError, match="no effect: temperature, length_penalty"):
        config.validate(strict=True)
    GenerationConfig(temperature=0.5, do_sample=True, num_beams=2, length_penalty=2.0).validate(strict=True)
    config.num_beams = 0
    with pytest.raises(GenerationError, match="num_beams must be"):
        config.validate()


def test_options_are_written_to_any_file(tmp_path: Path) -> None:
    config = GenerationConfig(num_beams=3)
    config.to_json_file(tmp_path / "own.json")
    assert GenerationConfig.from_pretrained(tmp_path, "own.json") == config
    config.to_json_file(tmp_path / "own.json", use_diff=False)
    assert json.loads((tmp_path / "own.json").read_text()) == config.to_dict()


def test_none_in_a_call_is_as_if_it_were_not_given() -> None:
    model = Standin(max_length=9, num_beams=2)
    assert length(model, max_length=None) == length(model) == 9
    before = model.rows
    length(model, num_beams=None)
    assert model.rows - before > 9


def test_older_checkpoints_keep_options_in_config_json() -> None:
    legacy = {
        "d_model": 16,
        "max_length": 142,
        "num_beams": 4,
        "early_stopping": True,
        "no_repeat_ngram_size": None,
        "bos_token_id": 0,
        "force_bos_token_to_be_generated": True,
        "task_specific_params": {"summarization": {"max_length": 60, "prefix": "summarize: "}},
    }
    config = GenerationConfig.from_model_config(SimpleNamespace(to_dict=lambda: legacy))
    assert (config.max_length, config.num_beams, config.early_stopping) == (142, 4, True)
    assert (config.forced_bos_token_id, config.no_repeat_ngram_size) == (0, 0)
    assert not hasattr(config, "d_model")


def test_the_call_goes_before_the_argument_and_that_before_the_model() -> None:
    model = Standin(max_new_tokens=9, num_beams=2)
    assert length(model) == 12
    assert length(model, generation_config=GenerationConfig(max_new_tokens=7)) == 10
    assert length(model, generation_config=GenerationConfig(max_new_tokens=7), max_new_tokens=4) == 7
    before = model.rows
    length(model, generation_config=GenerationConfig(num_beams=1), max_new_tokens=4)
    assert model.rows - before == 4  # what was set is not overridden, though it equals the default


def test_old_files_lend_their_special_tokens_only() -> None:
    model = Standin(max_new_tokens=9, transformers_version="4.20.1")
    assert length(model, generation_config=GenerationConfig()) == 23
    assert length(model, generation_config=GenerationConfig(), use_model_defaults=True) == 12
    lent = GenerationConfig().with_defaults_of(model.generation_config)
    assert lent.pad_token_id == model.generation_config.pad_token_id


def test_the_models_own_options_are_never_changed() -> None:
    model = Standin(num_beams=2)
    before = model.generation_config.to_dict()
    generate(model, IDS, num_beams=3, max_new_tokens=3, min_new_tokens=1)
    assert model.generation_config.to_dict() == before


def test_lengths_follow_one_rule(caplog: pytest.LogCaptureFixture) -> None:
    model = Standin()
    assert length(model) == 23  # twenty new ones
    assert length(model, max_length=20) == 20
    assert length(model, max_length=8) == 8
    assert length(model, max_length=50, max_new_tokens=4) == 7
    assert not [record for record in caplog.records if record.levelname not in ("DEBUG", "INFO")]


def test_sequences_end_where_positions_do() -> None:
    model = Standin()
    model.writing_room = 8
    assert length(model) == 8
    assert length(model, max_new_tokens=30) == 8
    padded = torch.tensor([[0, 0, 0, 0, 0, 5, 9, 14]])
    assert generate(model, padded, eos_token_id=None, max_new_tokens=30).shape[1] == 13


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_new_tokens": 0}, "max_new_tokens must be"),
        ({"max_new_tokens": 2.5}, "max_new_tokens must be"),
        ({"num_beams": True}, "num_beams must be"),
        ({"early_stopping": "soon"}, "never"),
        ({"temperature": -1.0}, "temperature"),
        ({"temperature": 0.0, "do_sample": True}, "do_sample=False"),
        ({"top_p": 1.5}, "top_p"),
        ({"typical_p": 0}, "typical_p"),
        ({"repetition_penalty": 0.0}, "repetition_penalty"),
        ({"num_return_sequences": 2}, "num_return_sequences"),
        ({"num_beams": 2, "num_return_sequences": 3}, "num_return_sequences"),
        ({"num_beams": 3, "num_beam_groups": 2}, "divisible"),
        ({"num_beams": 2, "num_beam_groups": 2, "do_sample": True}, "num_beam_groups"),
        ({"diversity_penalty": 1.0}, "num_beam_groups"),
        ({"force_words_ids": [[3]]}, "num_beams"),
        ({"force_words_ids": [[3]], "num_beams": 2, "do_sample": True}, "do_sample"),
        ({"bad_words_ids": []}, "bad_words_ids"),
        ({"bad_words_ids": [[]]}, "bad_words_ids"),
        ({"bad_words_ids": [[-1]]}, "bad_words_ids"),
        ({"suppress_tokens": ["a"]}, "suppress_tokens"),
        ({"exponential_decay_length_penalty": 3}, "exponential_decay"),
        ({"stop_strings": ""}, "stop_strings"),
        ({"stop_strings": ["a", ""]}, "stop_strings"),
        ({"token_healing": True}, "token_healing"),
        ({"assistant_early_exit": 3}, "assistant_model"),
        ({"watermarking_config": {"tint": 1}}, "tint"),
        ({"watermarking_config": {"greenlist_ratio": 1.0}}, "greenlist_ratio"),
        ({"watermarking_config": {"seeding_scheme": "x"}}, "seeding_scheme"),
        ({"watermarking_config": 3}, "watermarking_config"),
        ({"streamer": 1}, "argument of generate"),
        ({"update": 1}, "method"),
    ],
)
def test_options_that_make_no_sense(options: dict[str, object], message: str) -> None:
    with pytest.raises(GenerationError, match=message):
        GenerationConfig(**options)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "JSON"),
        (b"[1]", "object"),
        (b"\xff\xfe", "JSON"),
        (b'{"max_length": -1}', "max_length"),
        (b"[" * 99999, "nested"),
    ],
)
def test_files_that_make_no_sense(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "generation_config.json"
    path.write_bytes(content)
    with pytest.raises((ConfigError, GenerationError), match=message) as caught:
        GenerationConfig.from_pretrained(tmp_path)
    assert "generation_config.json" in str(caught.value)


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot be (opened|read)"):
        GenerationConfig.from_pretrained(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="is a file"):
        GenerationConfig().save_pretrained(tmp_path / "file")


def test_what_cannot_be_written_is_said() -> None:
    with pytest.raises(GenerationError, match="JSON"):
        GenerationConfig(own=object()).to_json_string()
