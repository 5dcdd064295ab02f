"""Every keyword of the reference's from_pretrained works, is harmless for what it says, or is refused by its name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import lamina
from lamina.errors import CheckpointError, ConfigError, LaminaError, PipelineError
from lamina.families.keywords import EVERY, HARMLESS, LOADING, REFUSED
from tests.assets import asset
from tests.pipelines.checkpoints import FIXTURES, write_checkpoint

BERT = {"vocab_size": 61, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 24}
T5 = {"vocab_size": 61, "d_model": 16, "d_kv": 4, "d_ff": 24, "num_layers": 2, "num_heads": 4}
# 4.57.6: the signature of PreTrainedModel.from_pretrained, what it pops of its keywords, and what its auto classes do.
REFERENCE = (
    *("config", "cache_dir", "ignore_mismatched_sizes", "force_download", "local_files_only", "token", "revision"),
    *("use_safetensors", "weights_only", "state_dict", "from_tf", "from_flax", "proxies", "output_loading_info"),
    *("use_auth_token", "_from_pipeline", "_from_auto", "dtype", "torch_dtype", "device_map", "max_memory"),
    *("offload_folder", "offload_buffers", "load_in_8bit", "load_in_4bit", "quantization_config", "subfolder"),
    *("_commit_hash", "variant", "adapter_kwargs", "adapter_name", "generation_config", "gguf_file", "tp_plan"),
    *("tp_size", "distributed_config", "device_mesh", "trust_remote_code", "use_kernels", "key_mapping"),
    *("resume_download", "mirror", "_fast_init", "low_cpu_mem_usage", "offload_state_dict", "attn_implementation"),
    "code_revision",
)
WORDS: dict[str, Any] = {  # a value that asks for something, for each keyword that may be refused
    "quantization_config": {"load_in_4bit": True},
    "key_mapping": {"a": "b"},
    "adapter_kwargs": {"a": 1},
    "proxies": {"https": "elsewhere"},
    "max_memory": {0: "1GB"},
    "attn_implementation": "paged|eager",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bert")
    torch.manual_seed(0)
    lamina.BertForMaskedLM(lamina.BertConfig(**BERT)).save_pretrained(path)
    return path


def test_no_keyword_of_the_reference_is_unknown() -> None:
    assert set(REFERENCE) - {"config"} <= set(EVERY)
    assert len(set(EVERY)) == len(EVERY)


DOORS = {
    "auto model": lambda folder, **options: lamina.AutoModel.from_pretrained(folder, **options),
    "named model": lambda folder, **options: lamina.BertForMaskedLM.from_pretrained(folder, **options),
    "auto config": lambda folder, **options: lamina.AutoConfig.from_pretrained(folder, **options),
    "named config": lambda folder, **options: lamina.BertConfig.from_pretrained(folder, **options),
}
every_door = pytest.mark.parametrize("door", DOORS)


@every_door
@pytest.mark.parametrize("name", REFUSED)
def test_what_asks_for_what_is_not_there_is_refused(door: str, name: str, folder: Path) -> None:
    with pytest.raises(ConfigError, match=f"{name}="):
        DOORS[door](folder, **{name: WORDS.get(name, True)})


@every_door
@pytest.mark.parametrize("name", [*HARMLESS, *REFUSED])
def test_what_asks_for_nothing_is_taken(door: str, name: str, folder: Path) -> None:
    for value in REFUSED[name][0] if name in REFUSED else (True, False, None):
        assert DOORS[door](folder, **{name: value}) is not None


@every_door
@pytest.mark.parametrize(
    ("typo", "meant"), [("ignore_mismatched_size", "ignore_mismatched_sizes"), ("hiden_size", "hidden_size")]
)
def test_a_keyword_that_nobody_reads_is_an_error_with_the_nearest(
    door: str, typo: str, meant: str, folder: Path
) -> None:
    with pytest.raises(ConfigError, match=f"unknown keyword '{typo}'.*did you mean '{meant}'"):
        DOORS[door](folder, **{typo: 1})


@pytest.mark.parametrize("name", [name for name in LOADING if "dtype" not in name])
def test_a_config_refuses_what_is_for_weights_or_gives_it_back(name: str, folder: Path) -> None:
    with pytest.raises(ConfigError, match=f"{name}= is for loading weights"):
        lamina.AutoConfig.from_pretrained(folder, **{name: None})
    _, unused = lamina.AutoConfig.from_pretrained(folder, return_unused_kwargs=True, own=1, **{name: None})
    assert unused == {name: None, "own": 1}


@pytest.mark.parametrize(
    ("key", "value"),
    [("num_labels", 3), ("output_attentions", True), ("num_beams", 3), ("hidden_dropout_prob", 0.5), ("dtype", "auto")],
)
def test_keys_of_the_config_override_it(key: str, value: Any, folder: Path) -> None:
    config = lamina.BertModel.from_pretrained(folder, **{key: value}).config
    assert key == "dtype" or getattr(config, key) == value


def test_a_pipeline_hands_its_model_kwargs_on(tmp_path: Path) -> None:
    folder = write_checkpoint("bert-moods", tmp_path, asset("minilm") / "vocab.txt")
    pipe = lamina.pipeline("text-classification", model=str(folder), model_kwargs={"device_map": "cpu"})
    assert pipe("good")
    for wrong, words in (({"from_tf": True}, "from_tf="), ({"lowcpu": 1}, "unknown keyword 'lowcpu'")):
        with pytest.raises(ConfigError, match=words):
            lamina.pipeline("text-classification", model=str(folder), model_kwargs=wrong)
    with pytest.raises(PipelineError, match="model_kwargs"):
        lamina.pipeline("text-classification", model=pipe.model, tokenizer=pipe.tokenizer, model_kwargs={"variant": 1})


@pytest.mark.parametrize("place", ["cpu", torch.device("cpu"), {"": "cpu"}, {"bert": "cpu", "cls": "cpu"}, "cpu:0"])
def test_one_device(place: Any, folder: Path) -> None:
    assert lamina.BertModel.from_pretrained(folder, device_map=place).device.type == "cpu"


def test_device_map_auto_is_the_accelerator_where_there_is_one(folder: Path) -> None:
    wanted = "cuda" if torch.cuda.is_available() else "cpu"
    assert lamina.BertModel.from_pretrained(folder, device_map="auto").device.type == wanted


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ({"a": "cpu", "b": "cuda:0"}, "spreads a model"),
        ({}, "spreads a model"),
        *((place, "names no device") for place in ("disk", "meta", "nowhere", True, -1, [1])),
    ],
)
def test_no_device(place: Any, words: str, folder: Path) -> None:
    with pytest.raises(ConfigError, match=words):
        lamina.BertModel.from_pretrained(folder, device_map=place)


def test_weights_that_the_caller_holds(folder: Path) -> None:
    held = load_file(folder / "model.safetensors")
    config = lamina.BertConfig.from_pretrained(folder)
    wanted = lamina.BertForMaskedLM.from_pretrained(folder).state_dict()
    ways = {
        "alone": lamina.BertForMaskedLM.from_pretrained(None, config=config, state_dict=held),
        "auto": lamina.AutoModelForMaskedLM.from_pretrained(None, config=str(folder), state_dict=held),
        "in the place of the file's": lamina.BertForMaskedLM.from_pretrained(folder, state_dict=held),
    }
    for way, model in ways.items():
        for name, tensor in model.state_dict().items():
            assert torch.equal(tensor, wanted[name]), f"{way}: {name}"
        torch.nn.init.zeros_(model.get_input_embeddings().weight)
    assert held["bert.embeddings.word_embeddings.weight"].any()
    changed = {**held, "bert.embeddings.word_embeddings.weight": torch.ones(61, 16)}
    assert lamina.BertModel.from_pretrained(folder, state_dict=changed).get_input_embeddings().weight.eq(1).all()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        *((wrong, "state_dict must map names to tensors") for wrong in ({}, {"a": 1}, 3, {1: torch.ones(1)})),
        ({"a": torch.empty(2, device="meta")}, "'a' has no plain data"),
        ({"a": torch.eye(2).to_sparse()}, "'a' has no plain data"),
    ],
)
def test_a_state_dict_that_is_none(wrong: Any, words: str, folder: Path) -> None:
    with pytest.raises(CheckpointError, match=words):
        lamina.BertModel.from_pretrained(folder, state_dict=wrong)


@every_door
@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("revision", value) for value in (5, ["main"])),
        *(("cache_dir", 5), ("token", {}), ("local_files_only", "no"), ("force_download", 1), ("subfolder", 5)),
        *(("variant", 5), ("use_safetensors", "false"), ("ignore_mismatched_sizes", "no"), ("output_loading_info", 1)),
    ],
)
def test_an_option_of_another_kind_is_refused(door: str, name: str, value: Any, folder: Path) -> None:
    with pytest.raises(LaminaError, match=f"{name}="):
        DOORS[door](folder, **{name: value})
    if name not in LOADING:
        with pytest.raises(LaminaError, match=f"{name}="):
            lamina.AutoTokenizer.from_pretrained(folder, **{name: value})
        assert DOORS[door](folder, **{name: None}) is not None


@pytest.mark.parametrize("door", ["auto model", "named model"])
def test_what_only_the_building_refuses_names_the_config(door: str, tmp_path: Path) -> None:
    lamina.BertForMaskedLM(lamina.BertConfig(**BERT)).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "add_cross_attention": True}))
    with pytest.raises(ConfigError, match=f"the config of {tmp_path}: add_cross_attention"):
        DOORS[door](tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({**config, "vocab_size": 900_000, "hidden_size": 256}))
    with pytest.raises(CheckpointError, match=f"the config of {tmp_path}: .* do not belong together"):
        DOORS[door](tmp_path)


def test_saving_takes_the_reference_s_keywords(folder: Path, tmp_path: Path) -> None:
    model = lamina.BertForMaskedLM.from_pretrained(folder)
    own = model.state_dict()
    model.save_pretrained(tmp_path / "half", state_dict={name: t.half() for name, t in own.items()}, token="x")
    model.save_pretrained(tmp_path / "plain", save_function=torch.save, push_to_hub=False, save_peft_format=False)
    for name, tensor in load_file(tmp_path / "plain" / "model.safetensors").items():
        assert torch.equal(tensor.half(), load_file(tmp_path / "half" / "model.safetensors")[name]), name
    name = next(iter(own))
    for wrong in ({}, {**own, "other": own[name]}, {**own, name: torch.zeros(1)}, {**own, name: 1}):
        with pytest.raises(CheckpointError, match="state_dict"):
            model.save_pretrained(tmp_path / "wrong", state_dict=wrong)
    with pytest.raises(ConfigError, match="push_to_hub=True"):
        model.save_pretrained(tmp_path / "wrong", push_to_hub=True)
    for variant in ("../x", 5, ""):
        with pytest.raises(CheckpointError, match="is not a variant"):
            model.save_pretrained(tmp_path / "wrong", variant=variant)
    for place in (None, 5, b"x", "a\0b"):
        for kept in (model, model.config):
            with pytest.raises(LaminaError, match=r"pass text or a path|null character|looked up"):
                kept.save_pretrained(place)
    assert not (tmp_path / "wrong").exists()


def test_generation_settings_and_positional_arguments(folder: Path, tmp_path: Path) -> None:
    lamina.T5ForConditionalGeneration(lamina.T5Config(**T5)).save_pretrained(tmp_path)
    settings = lamina.GenerationConfig(num_beams=4)
    model = lamina.T5ForConditionalGeneration.from_pretrained(tmp_path, generation_config=settings)
    assert model.generation_config.num_beams == 4 and model.generation_config is not settings
    with pytest.raises(ConfigError, match="generation_config must be"):
        lamina.T5ForConditionalGeneration.from_pretrained(tmp_path, generation_config={"num_beams": 4})
    assert lamina.BertModel.from_pretrained(folder, False).pooler is None
    with pytest.raises(ConfigError, match="no further positional"):
        lamina.BertModel.from_pretrained(folder, False, 3)
    with pytest.raises(ConfigError, match="with config= given"):
        lamina.BertModel.from_pretrained(folder, config=lamina.BertConfig(**BERT), num_labels=3)


@pytest.mark.parametrize("name", ["BertModel", "RobertaModel", "AlbertModel"])
def test_a_body_without_its_pooler(name: str, tmp_path: Path) -> None:
    kind, ids = getattr(lamina, name), torch.tensor([[5, 6, 7]])
    config = kind.config_class(**BERT)
    whole, bare = kind(config), kind(config, add_pooling_layer=False)
    assert whole(ids).pooler_output is not None and bare(ids).pooler_output is None
    bare.save_pretrained(tmp_path)
    assert not any("pooler" in key for key in load_file(tmp_path / "model.safetensors"))
    for loaded in (kind, lamina.AutoModel):
        again = loaded.from_pretrained(tmp_path, add_pooling_layer=False)
        assert again.pooler is None and again.untrained == ()
    drawn = loaded.from_pretrained(tmp_path)
    assert drawn(ids).pooler_output is not None
    assert drawn.untrained and all("pooler" in key for key in drawn.untrained)
    assert kind.from_config(config, add_pooling_layer=False).pooler is None


@pytest.mark.parametrize("name", ["BertForMaskedLM", "T5Model"])
def test_a_head_has_no_pooler_to_leave_out(name: str) -> None:
    kind = getattr(lamina, name)
    with pytest.raises(ConfigError, match="add_pooling_layer=False"):
        kind.from_config(kind.config_class(), add_pooling_layer=False)


def test_part_of_a_body_is_taken_as_the_file_says(tmp_path: Path) -> None:
    lamina.T5EncoderModel(lamina.T5Config(**T5 | {"vocab_size": 600})).save_pretrained(tmp_path)
    for name in ("AutoModel", "AutoModelForTextEncoding"):
        assert type(getattr(lamina, name).from_pretrained(tmp_path)).__name__ == "T5EncoderModel"
    shutil.copy(FIXTURES / "t5" / "spiece.model", tmp_path / "spiece.model")
    for task in ("feature-extraction", None):
        assert len(lamina.pipeline(task, model=str(tmp_path))("a")[0][0]) == 16


def test_what_no_file_held_is_named(folder: Path, tmp_path: Path) -> None:
    whole = lamina.BertForMaskedLM.from_pretrained(folder)
    assert whole.untrained == () and lamina.BertForMaskedLM(lamina.BertConfig(**BERT)).untrained == ()
    model = lamina.BertForSequenceClassification.from_pretrained(folder)
    head = ("classifier.bias", "classifier.weight")
    assert set(head) <= set(model.untrained)
    assert all(name.startswith(("classifier", "bert.pooler")) for name in model.untrained)
    model.save_pretrained(tmp_path)
    again = lamina.BertForSequenceClassification.from_pretrained(tmp_path)
    assert again.untrained == model.untrained and "lamina_untrained" not in again.config.to_dict()
    again.load_state_dict(model.state_dict())
    assert again.untrained == ()
    model.train()
    assert model.untrained == ()
    narrow = lamina.BertForMaskedLM.from_pretrained(folder, vocab_size=50, ignore_mismatched_sizes=True)
    assert "bert.embeddings.word_embeddings.weight" in narrow.untrained


def test_a_config_of_another_family_is_refused() -> None:
    with pytest.raises(ConfigError, match="wants a BertConfig, got GPT2Config"):
        lamina.BertModel(lamina.GPT2Config())
