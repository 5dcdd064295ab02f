"""Options of a tokenizer: honoured, kept as the reference keeps them, or refused by name; none is silently ignored."""

from __future__ import annotations

import json
import logging
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken

import lamina
from lamina import AutoTokenizer
from lamina.errors import LaminaError
from lamina.tokenizers import Tokenizer
from tests.assets import asset
from tests.tokenizers.kinds import FIXTURES
from tests.tokenizers.layouts import BERT_JSON, LAYOUTS, Layout, json_tokenizer, write


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"do_lowercase": False}, "Did you mean do_lower_case"),
        ({"pad_side": "left"}, "Did you mean padding_side"),
        ({"extra_id": 3}, "Did you mean extra_ids"),
        ({"never_split": ["x"]}, "never_split"),
        ({"do_basic_tokenize": False}, "do_basic_tokenize=False"),
        ({"errors": "strict"}, "errors='strict'"),
        ({"sp_model_kwargs": {"enable_sampling": True}}, "sp_model_kwargs"),
        ({"vocab_file": "vocab.txt"}, "vocab_file"),
        ({"added_tokens_decoder": {}}, "added_tokens_decoder"),
        ({"model_input_names": "input_ids"}, "model_input_names"),
        ({"proxies": {"https": "http://proxy"}}, "HTTPS_PROXY"),
        ({"trust_remote_code": True}, "never runs code"),
        ({"config": 3}, "config=3"),
        ({"tokenizer_type": "berta"}, "tokenizer_type='berta'"),
        ({"padding_side": "up"}, "padding_side"),
    ],
)
def test_refused_options(options: dict[str, Any], says: str) -> None:
    with pytest.raises(LaminaError, match=says):
        AutoTokenizer.from_pretrained(asset("minilm"), **options)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"add_prefix_space": True}, "add_prefix_space of a BertTokenizer has no effect"),
        ({"max_length": 9, "truncation": True}, "max_length of a BertTokenizer belongs to the calls"),
        ({"add_eos_token": True}, "add_eos_token of a BertTokenizer has no effect"),
        ({"tokenizer_color": "red"}, "tokenizer_color of a BertTokenizer has no effect"),
    ],
)
def test_options_of_others_are_kept(options: dict[str, Any], says: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        ours = AutoTokenizer.from_pretrained(asset("minilm"), **options)
    assert says in caplog.text
    assert options.items() <= ours.init_kwargs.items()
    assert ours("some words") == AutoTokenizer.from_pretrained(asset("minilm"))("some words")


@pytest.mark.parametrize(
    "options",
    [
        {"trust_remote_code": False},
        {"resume_download": True},
        {"proxies": None},
        {"tokenizer_type": None},
        {"config": None},
        {"use_fast": True},
        {"from_slow": False},
        {"never_split": None},
        {"errors": "replace"},
    ],
)
def test_options_that_ask_for_what_is(options: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        ours = AutoTokenizer.from_pretrained(asset("minilm"), **options)
    assert not caplog.text
    assert ours.recipe.name == "bert"


# A caller's option that a tokenizer.json holds fixed: read from the original files, or refused without them.
FIXED = [
    ("albert", "AlbertTokenizer", {"do_lower_case": False}, "Hello THERE"),
    ("albert", "AlbertTokenizer", {"keep_accents": True}, "naïve café"),
    ("t5", "T5Tokenizer", {"legacy": False}, "was<extra_id_0>here"),
    ("t5", "T5Tokenizer", {"add_prefix_space": False}, "school"),
    ("roberta", "GPT2Tokenizer", {"add_bos_token": True, "bos_token": "<s>"}, "school"),
]


@pytest.mark.parametrize(("kind", "named", "options", "text"), FIXED)
def test_options_that_a_tokenizer_json_holds_fixed(
    kind: str, named: str, options: dict[str, Any], text: str, tmp_path: Path
) -> None:
    plain = getattr(lamina, named).from_pretrained(FIXTURES / kind)
    plain.save_pretrained(tmp_path)
    wanted = getattr(lamina, named).from_pretrained(FIXTURES / kind, **options)(text)
    assert wanted != plain(text)
    for options_too in (options, {**options, "use_fast": False}):
        assert AutoTokenizer.from_pretrained(tmp_path, **options_too)(text) == wanted
    for name in ("spiece.model", "vocab.json"):
        (tmp_path / name).unlink(missing_ok=True)
    with pytest.raises(LaminaError, match=r"needs more than tokenizer\.json: No "):
        AutoTokenizer.from_pretrained(tmp_path, **options)


def test_python_only_settings_of_files_count_for_the_python_class(tmp_path: Path) -> None:
    folder = write(tmp_path, LAYOUTS["bert-python-only"], asset)
    with pytest.raises(LaminaError, match="Leave do_basic_tokenize and use_fast=False"):
        AutoTokenizer.from_pretrained(folder, use_fast=False)


def test_config_stands_for_config_json(tmp_path: Path) -> None:
    folder = write(tmp_path, Layout("distilbert", files=BERT_JSON), asset)
    assert AutoTokenizer.from_pretrained(folder).recipe.name == "distilbert"
    assert AutoTokenizer.from_pretrained(folder, config=lamina.ElectraConfig()).recipe.name == "electra"
    named = lamina.ElectraConfig(tokenizer_class="BertTokenizer")
    assert AutoTokenizer.from_pretrained(folder, config=named).recipe.name == "bert"


@pytest.mark.parametrize("model_type", ["roberta", "gpt2", "albert"])
def test_a_vocab_txt_alone_is_read_as_what_it_is(model_type: str, tmp_path: Path) -> None:
    folder = write(tmp_path, Layout(model_type, files={"vocab.txt": "asset:minilm/vocab.txt"}), asset)
    assert AutoTokenizer.from_pretrained(folder)("hello world")["input_ids"] == [101, 7592, 2088, 102]
    write(
        tmp_path,
        Layout(model_type, {"roberta": "Roberta", "gpt2": "GPT2", "albert": "Albert"}[model_type] + "Tokenizer"),
        asset,
    )
    with pytest.raises(LaminaError, match="It holds: "):
        AutoTokenizer.from_pretrained(folder)


def test_a_token_of_the_template_that_is_missing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        AutoTokenizer.from_pretrained(write(tmp_path, LAYOUTS["kobert"], asset))
    assert "no '<sep>' to put beside texts: '[UNK]' stands there" in caplog.text


def test_the_caller_goes_before_the_files(tmp_path: Path) -> None:
    folder = write(tmp_path, LAYOUTS["roberta-bert-json"], asset)
    named = lamina.DistilBertTokenizerFast.from_pretrained(folder)
    assert list(named("a")) == ["input_ids", "attention_mask"]
    as_it_stands = lamina.PreTrainedTokenizerFast.from_pretrained(folder)
    assert as_it_stands.recipe.class_name == "PreTrainedTokenizerFast"
    assert as_it_stands.special_tokens_map == {"pad_token": "[PAD]"}  # the one that the file itself pads with
    assert AutoTokenizer.from_pretrained(folder, model_input_names=["input_ids"])("a").keys() == {"input_ids"}


def test_own_code_without_a_known_class(tmp_path: Path) -> None:
    auto_map = {"AutoTokenizer": ["tokenization_x.XTokenizer", None]}
    write(tmp_path, Layout(files=BERT_JSON, config={"auto_map": auto_map}), asset)
    with pytest.raises(LaminaError, match="auto_map"):
        AutoTokenizer.from_pretrained(tmp_path)
    write(tmp_path, Layout(stated="XTokenizer", files=BERT_JSON, config={"auto_map": auto_map}), asset)
    with pytest.raises(LaminaError, match=r"XTokenizer'.*comes as code"):
        AutoTokenizer.from_pretrained(tmp_path)
    write(tmp_path, Layout(stated="BertTokenizer", files=BERT_JSON, config={"auto_map": auto_map}), asset)
    assert AutoTokenizer.from_pretrained(tmp_path).recipe.name == "bert"


def test_files_of_version_5(tmp_path: Path) -> None:
    config = {
        "extra_special_tokens": ["<user>", "<bot>"],
        "model_specific_special_tokens": {"image_token": "<image>"},
        "pad_token": "<pad>",
        "backend": "tokenizers",
    }
    write(tmp_path, Layout("gpt2", "TokenizersBackend", {"tokenizer.json": "made:ko"}, config), asset)
    ours = AutoTokenizer.from_pretrained(tmp_path)
    for tokenizer in (ours, pickle.loads(pickle.dumps(ours))):
        assert list(tokenizer("a")) == ["input_ids", "attention_mask"]
        assert tokenizer.additional_special_tokens == ["<user>", "<bot>"]
        assert (tokenizer.image_token, tokenizer.image_token_id) == ("<image>", len(tokenizer) - 1)
        assert tokenizer.decode(tokenizer("a<image><bot>").input_ids, skip_special_tokens=True) == "a"
        with pytest.raises(AttributeError, match="video_token"):
            assert tokenizer.video_token
    ours.save_pretrained(tmp_path / "to")
    again = AutoTokenizer.from_pretrained(tmp_path / "to")
    assert again.special_tokens_map == ours.special_tokens_map
    assert list(again("a")) == ["input_ids", "attention_mask"]


def test_chat_templates_are_kept(tmp_path: Path) -> None:
    write(tmp_path, Layout("gpt2", "PreTrainedTokenizerFast", {"tokenizer.json": "made:ko"}), asset)
    (tmp_path / "chat_template.jinja").write_text("{{ messages }}")
    AutoTokenizer.from_pretrained(tmp_path).save_pretrained(tmp_path / "to")
    saved = json.loads((tmp_path / "to" / "tokenizer_config.json").read_text())
    assert saved["chat_template"] == "{{ messages }}"


def test_a_listed_version_that_is_not_there(tmp_path: Path) -> None:
    listed = {"fast_tokenizer_files": ["tokenizer.json", "tokenizer.4.1.0.json"]}
    write(tmp_path, Layout("bert", "BertTokenizer", BERT_JSON, listed), asset)
    with pytest.raises(LaminaError, match=r"No tokenizer\.4\.1\.0\.json"):
        AutoTokenizer.from_pretrained(tmp_path)


def test_added_tokens_keep_their_text(bert: Tokenizer) -> None:
    bert.add_tokens(["Deniz", AddedToken("[Turn]", normalized=True, special=True)], special_tokens=False)
    name, turn = bert.convert_tokens_to_ids(["Deniz", "[Turn]"])
    ids = [bert.convert_tokens_to_ids("so"), name, turn]
    assert bert("so Deniz", add_special_tokens=False).input_ids == ids[:2]
    assert bert.convert_ids_to_tokens(ids) == ["so", "Deniz", "[Turn]"]
    assert bert.convert_tokens_to_ids(bert.convert_ids_to_tokens(ids)) == ids
    assert bert.decode(ids) == "so Deniz [Turn]"
    assert bert.batch_decode([ids, ids[:1]], skip_special_tokens=True) == ["so Deniz", "so"]


def test_a_mask_that_the_class_brings_is_not_given_to_a_whole_tokenizer_json(tmp_path: Path) -> None:
    json_tokenizer("ko").save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "config.json").write_text('{"model_type": "t5"}')
    ours = AutoTokenizer.from_pretrained(tmp_path)
    assert ours.special_tokens_map == {"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
    assert len(ours) == len(ours.get_vocab()) == json_tokenizer("ko").get_vocab_size()


def test_older_special_tokens_map_is_added_to(tmp_path: Path) -> None:
    shutil.copy(asset("minilm") / "vocab.txt", tmp_path)
    (tmp_path / "tokenizer_config.json").write_text('{"additional_special_tokens": ["[unused1]"]}')
    tokens = {"additional_special_tokens": ["[unused1]", {"content": "[unused2]", "lstrip": True}]}
    (tmp_path / "special_tokens_map.json").write_text(json.dumps(tokens))
    assert Tokenizer.from_folder(tmp_path).additional_special_tokens == ["[unused1]", "[unused2]"]
