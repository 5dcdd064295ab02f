"""Configs answer in both spellings, keep what they do not know, and refuse what no model can be."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from lamina.errors import ConfigError
from lamina.families import family
from lamina.families.config import PretrainedConfig


class BertConfig(PretrainedConfig):
    family = family("bert")


class GPT2Config(PretrainedConfig):
    family = family("gpt2")


class T5Config(PretrainedConfig):
    family = family("t5")


class MT5Config(PretrainedConfig):
    family = family("mt5")


class BartConfig(PretrainedConfig):
    family = family("bart")


def write(folder: Path, values: Any) -> Path:
    (folder / "config.json").write_text(json.dumps(values))
    return folder


def test_defaults_are_the_family_s() -> None:
    config = BertConfig()
    assert (config.vocab_size, config.hidden_size, config.num_labels) == (30522, 768, 2)
    assert config.id2label == {0: "LABEL_0", 1: "LABEL_1"} and config.label2id == {"LABEL_0": 0, "LABEL_1": 1}
    assert config.problem_type is None and config.return_dict and config.use_return_dict
    assert BartConfig().num_labels == 3
    assert config.values()["num_labels"] == 2


def test_both_spellings_read_and_write() -> None:
    config = GPT2Config(hidden_size=64, n_head=4)
    assert (config.hidden_size, config.n_embd, config.num_attention_heads, config.n_head) == (64, 64, 4, 4)
    config.num_hidden_layers = 3
    assert config.n_layer == 3 and config.to_dict()["n_layer"] == 3
    assert "num_hidden_layers" not in config.to_dict() and "hidden_size" not in config.to_dict()
    assert {"hidden_size", "n_embd"} <= set(dir(config))
    with pytest.raises(AttributeError, match="no 'hiden_size'"):
        _ = config.hiden_size


def test_names_of_classes_go_before_their_number_in_a_file(caplog: pytest.LogCaptureFixture) -> None:
    """As in the reference; a number of its own would take the stated names away."""
    config = BertConfig.from_dict({"id2label": {"0": "a", "1": "b", "2": "c"}, "num_labels": 2})
    assert config.num_labels == 3 and config.id2label == {0: "a", 1: "b", 2: "c"}
    assert "num_labels is 2, id2label names 3" in caplog.text
    for wrong in (0, "2", True):
        with pytest.raises(ConfigError, match="num_labels must be"):
            BertConfig.from_dict({"id2label": {"0": "a"}, "num_labels": wrong})


@pytest.mark.parametrize("name", ["bart", "mbart", "marian"])
def test_encoder_layers_go_before_a_number_of_layers_stated_beside_them(name: str) -> None:
    config = PretrainedConfig.from_dict({"model_type": name, "encoder_layers": 2, "num_hidden_layers": 12})
    assert config.encoder_layers == 2


def test_labels_follow_their_number_and_names() -> None:
    config = BertConfig(num_labels=3)
    assert config.id2label == {0: "LABEL_0", 1: "LABEL_1", 2: "LABEL_2"}
    config.id2label = {"0": "bad", "1": "good"}
    assert config.num_labels == 2 and config.id2label == {0: "bad", 1: "good"}
    assert config.label2id == {"bad": 0, "good": 1}
    config.num_labels = 2
    assert config.id2label[1] == "good", "an equal number keeps the names"
    config.num_labels = 4
    assert config.id2label[3] == "LABEL_3" and len(config.label2id) == 4
    assert BertConfig(label2id={"x": 0, "y": 1}).id2label == {0: "x", 1: "y"}


@pytest.mark.parametrize(
    "values",
    [
        {"num_labels": 0},
        {"num_labels": "2"},
        {"num_labels": 10**9},
        {"id2label": {"zero": "a"}},
        {"id2label": {}},
        {"id2label": ["a", "b"]},
        {"id2label": {"0": ["a"]}},
        {"label2id": {"a": "0"}},
    ],
)
def test_labels_that_make_no_sense_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(values))):
        BertConfig(**values)


def test_overrides_may_not_contradict_each_other(tmp_path: Path) -> None:
    write(tmp_path, {"model_type": "bert"})
    loaded = BertConfig.from_pretrained(tmp_path, num_labels=3, id2label={0: "a", 1: "b", 2: "c"})
    assert loaded.id2label == {0: "a", 1: "b", 2: "c"}
    with pytest.raises(ConfigError, match="contradicts id2label"):
        BertConfig.from_pretrained(tmp_path, num_labels=3, id2label={0: "a", 1: "b"})


def test_a_file_comes_back_with_its_unknown_keys(tmp_path: Path) -> None:
    values = {
        "model_type": "bert",
        "architectures": ["BertForMaskedLM"],
        "hidden_size": 64,
        "num_attention_heads": 4,
        "gradient_checkpointing": False,
        "task_specific_params": {"summarization": {"prefix": "summarize: "}},
        "transformers_version": "4.57.6",
        "bos_token_id": None,
        "max_length": 20,
        "id2label": {"0": "no", "1": "yes"},
        "label2id": {"no": 0, "yes": 1},
        "torch_dtype": "float16",
    }
    config = BertConfig.from_pretrained(write(tmp_path, values))
    assert config.task_specific_params == values["task_specific_params"] and config.max_length == 20
    assert config.id2label == {0: "no", 1: "yes"}
    config.save_pretrained(tmp_path / "again")
    written = json.loads((tmp_path / "again" / "config.json").read_text())
    for key, value in values.items():
        if key not in ("torch_dtype", "bos_token_id"):
            assert written[key] == value
    assert written["dtype"] == "float16" and "torch_dtype" not in written
    assert BertConfig.from_pretrained(tmp_path / "again") == config


def test_both_spellings_of_the_type_are_read_as_types() -> None:
    for key in ("dtype", "torch_dtype"):
        for value in ("bfloat16", torch.bfloat16, "torch.bfloat16"):
            config = BertConfig(**{key: value})
            assert config.dtype is config.torch_dtype is torch.bfloat16
            assert config.to_dict()["dtype"] == "bfloat16"
    assert BertConfig(dtype="float16", torch_dtype="float32").dtype is torch.float16
    assert BertConfig(torch_dtype="float32", dtype=None).dtype is torch.float32
    assert BertConfig().dtype is None
    with pytest.raises(ConfigError, match="dtype"):
        BertConfig(dtype="float31")


def test_nulls_stand_for_defaults_save_for_token_ids() -> None:
    config = GPT2Config(n_inner=None, resid_pdrop=None, eos_token_id=None)
    assert config.resid_pdrop == 0.1 and config.n_inner is None and config.eos_token_id is None
    with pytest.raises(ConfigError, match="vocab_size"):
        GPT2Config(vocab_size=None)


def test_names_of_labels_go_before_their_number() -> None:
    config = BertConfig.from_dict({"num_labels": 3, "id2label": {"0": "no", "1": "yes"}})
    assert (config.num_labels, config.id2label) == (2, {0: "no", 1: "yes"})


def test_a_null_switch_is_off_and_a_null_alias_says_nothing() -> None:
    assert GPT2Config(tie_word_embeddings=None).tie_word_embeddings is False
    assert GPT2Config(scale_attn_weights=None).scale_attn_weights is False
    config = GPT2Config(n_embd=24, hidden_size=None, num_attention_heads=None, n_head=3)
    assert (config.hidden_size, config.n_head) == (24, 3)
    with pytest.raises(ConfigError, match="n_embd"):
        GPT2Config(hidden_size=None)


def test_an_untied_head_of_t5_is_said_in_words_all_versions_read() -> None:
    assert json.loads(T5Config(tie_word_embeddings=False).to_json_string())["tie_word_embeddings"] is False
    newer = T5Config.from_dict({"model_type": "t5", "tie_word_embeddings": True, "scale_decoder_outputs": False})
    assert newer.tie_word_embeddings is False
    written = json.loads(newer.to_json_string())
    assert written["tie_word_embeddings"] is False and written["scale_decoder_outputs"] is False
    assert json.loads(T5Config().to_json_string())["tie_word_embeddings"] is True


@pytest.mark.parametrize(("version", "tied"), [("4.57.6", True), ("5.23.0", False), (None, True), ("unknown", True)])
def test_version_5_says_of_every_mt5_that_its_head_is_tied(version: str | None, tied: bool) -> None:
    """It never scales what the head reads there, and reads a head of its own where the file has one."""
    said = {"model_type": "mt5", "tie_word_embeddings": True, "transformers_version": version}
    assert MT5Config.from_dict(said).tie_word_embeddings is tied


def test_written_files_have_all_of_the_family_s_keys_and_few_others() -> None:
    written = json.loads(BertConfig(hidden_size=64, num_attention_heads=4).to_json_string())
    assert {"model_type", "hidden_size", "vocab_size", "hidden_dropout_prob"} <= written.keys()
    assert not {"num_labels", "output_attentions", "task_specific_params", "label2id", "_name_or_path"} & written.keys()
    assert list(written) == sorted(written)


def test_the_base_class_finds_the_family_by_model_type(tmp_path: Path) -> None:
    config = PretrainedConfig.from_pretrained(write(tmp_path, {"model_type": "gpt2", "n_embd": 24}))
    assert config.hidden_size == 24 and config.family.model_type == "gpt2"
    assert PretrainedConfig.model_type_of(tmp_path) == "gpt2"
    assert config.name_or_path == str(tmp_path)
    with pytest.raises(ConfigError, match="'gpt2', which is not what BertConfig is for"):
        BertConfig.from_pretrained(tmp_path)


def test_old_files_without_model_type_load_with_a_named_class(tmp_path: Path) -> None:
    write(tmp_path, {"hidden_size": 64, "num_attention_heads": 4})
    assert BertConfig.from_pretrained(tmp_path).hidden_size == 64
    with pytest.raises(ConfigError, match='has no "model_type"'):
        PretrainedConfig.from_pretrained(tmp_path)


def test_unknown_families_are_told_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"unknown model_type 'llama'.*albert.*bert"):
        PretrainedConfig.from_pretrained(write(tmp_path, {"model_type": "llama"}))
    with pytest.raises(ConfigError, match="model_type"):
        PretrainedConfig.from_pretrained(write(tmp_path, {"model_type": ["bert"]}))


def test_a_folder_without_config_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"has no config\.json"):
        PretrainedConfig.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"vocab_size": 10**7}, "vocab_size"),
        ({"vocab_size": "30522"}, "vocab_size"),
        ({"vocab_size": 0}, "vocab_size"),
        ({"hidden_size": 768.0}, "hidden_size"),
        ({"hidden_size": 10**6}, "hidden_size"),
        ({"hidden_size": True}, "hidden_size"),
        ({"hidden_size": 100, "num_attention_heads": 12}, "num_attention_heads"),
        ({"num_hidden_layers": 257}, "num_hidden_layers"),
        ({"num_hidden_layers": -1}, "num_hidden_layers"),
        ({"max_position_embeddings": 10**9}, "max_position_embeddings"),
        ({"intermediate_size": 10**9}, "intermediate_size"),
        ({"hidden_dropout_prob": "0.1"}, "hidden_dropout_prob"),
        ({"hidden_dropout_prob": 7}, "hidden_dropout_prob"),
        ({"layer_norm_eps": 1e300}, "layer_norm_eps"),
        ({"layer_norm_eps": 0.0}, "layer_norm_eps"),
        ({"layer_norm_eps": 2.0}, "layer_norm_eps"),
        ({"initializer_range": -0.02}, "initializer_range"),
        ({"hidden_act": "gelu_slow"}, "hidden_act"),
        ({"hidden_act": 5}, "hidden_act"),
        ({"is_decoder": "yes"}, "is_decoder"),
        ({"pad_token_id": "0"}, "pad_token_id"),
        ({"pad_token_id": 2**70}, "pad_token_id"),
        ({"problem_type": "guess"}, "problem_type"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type"),
        ({"architectures": "BertModel"}, "architectures"),
    ],
)
def test_values_out_of_reason_are_refused_with_file_and_key(tmp_path: Path, values: dict[str, Any], key: str) -> None:
    write(tmp_path, {"model_type": "bert", **values})
    with pytest.raises(ConfigError, match=key) as caught:
        BertConfig.from_pretrained(tmp_path)
    assert str(tmp_path / "config.json") in str(caught.value)
    with pytest.raises(ConfigError, match=key):
        BertConfig(**values)
    config = BertConfig()
    with pytest.raises(ConfigError, match=key):
        config.update(values)
    assert config == BertConfig(), "a refused change changes nothing"


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"relative_attention_num_buckets": 3}, "relative_attention_num_buckets"),
        ({"relative_attention_max_distance": 0}, "relative_attention_max_distance"),
        ({"relative_attention_num_buckets": 64, "relative_attention_max_distance": 32}, "half of the 64 buckets"),
    ],
)
def test_distances_that_no_bucket_can_hold_are_refused(values: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError, match=key):
        T5Config(**values)


@pytest.mark.parametrize(
    ("family", "values", "told"),
    [
        ("gpt2", {"n_embd": 100, "n_head": 12}, "n_embd 100 cannot be cut into n_head 12"),
        ("distilbert", {"dim": 100, "n_heads": 12}, "dim 100 cannot be cut into n_heads 12"),
        ("bart", {"d_model": 96, "decoder_attention_heads": 9}, "cannot be cut into decoder_attention_heads 9"),
        ("t5", {"d_model": 100, "num_heads": 12}, None),  # d_kv says how wide a head is
        ("bert", {"ffn_dim": 10**9}, "ffn_dim is 1000000000"),
        ("bert", {"num_key_value_heads": 0}, "num_key_value_heads is 0"),
        ("bert", {"layer_norm_eps": 1e-7, "encoder_layerdrop": 0.5}, None),
    ],
)  # fmt: skip
def test_sizes_are_known_by_the_words_of_their_keys(family: str, values: dict[str, Any], told: str | None) -> None:
    if told is None:
        PretrainedConfig.from_dict({"model_type": family, **values})
        return
    with pytest.raises(ConfigError, match=told):
        PretrainedConfig.from_dict({"model_type": family, **values})


def test_copies_are_equal_and_apart() -> None:
    config = BertConfig(num_labels=3, extra={"a": [1]})
    other = copy.deepcopy(config)
    assert other == config and other != BertConfig()
    other.extra["a"].append(2)
    config.to_dict()["extra"]["a"].append(3)
    assert config.extra == {"a": [1]}


def test_what_json_cannot_hold_is_an_error_of_ours(tmp_path: Path) -> None:
    config = BertConfig(extra=object())
    with pytest.raises(ConfigError, match="JSON cannot"):
        config.save_pretrained(tmp_path)
    assert not (tmp_path / "config.json").exists()


def test_keys_of_a_file_are_never_ours_to_run(tmp_path: Path) -> None:
    write(tmp_path, {"model_type": "bert", "to_dict": "evil", "_values": {}, "family": "gpt2", "_source": 1})
    config = BertConfig.from_pretrained(tmp_path)
    assert config.to_dict()["model_type"] == "bert" and config.family.model_type == "bert"
    assert config.to_dict()["to_dict"] == "evil"


def test_reprs_show_the_class_and_its_values() -> None:
    assert repr(BertConfig(hidden_size=48)).startswith("BertConfig {") and '"hidden_size": 48' in repr(
        BertConfig(hidden_size=48)
    )


def test_configs_need_no_torch() -> None:
    code = (
        "import sys; from lamina.families.config import PretrainedConfig as P;"
        "c = P(model_type='bert', dtype='float16'); c.to_json_string(); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
