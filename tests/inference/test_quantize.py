"""Models in every precision: near float32, saved and loaded as they were, never trained, and plain where not asked."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import lamina
from lamina import AutoModel, AutoTokenizer, pipeline
from lamina.checkpoint.files import open_file
from lamina.errors import InputError, PipelineError
from lamina.inference import capabilities, quantize
from lamina.inference.linears import FrozenLinear, Int4Linear, PackedLinear
from lamina.inference.quantize import PRECISIONS, find_linears, settle_precision, swap_linears, worth_swapping
from lamina.nn.model import read_packed
from tests.assets import asset

from .conftest import KINDS

SWAPPED = [name for name in PRECISIONS if name not in ("fp32", "auto")]
NEAR = {"fp32-packed": 1e-5, "bf16": 0.03, "int8": 0.05, "int8-accurate": 0.05, "int8-weights": 0.03, "int4": 0.3}
BERT = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 96}
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "BertForMaskedLM": ("BertConfig", BERT),
    "AlbertForMaskedLM": ("AlbertConfig", {**BERT, "embedding_size": 32}),
    "GPT2LMHeadModel": ("GPT2Config", {"n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 64}),
    "T5ForConditionalGeneration": (
        "T5Config",
        {"d_model": 64, "d_kv": 16, "d_ff": 96, "num_layers": 2, "num_heads": 4, "feed_forward_proj": "gated-gelu"},
    ),
    "BartForConditionalGeneration": (
        "BartConfig",
        {"d_model": 64, "encoder_layers": 1, "decoder_layers": 2, "encoder_attention_heads": 4}
        | {"decoder_attention_heads": 4, "encoder_ffn_dim": 96, "decoder_ffn_dim": 96, "max_position_embeddings": 64},
    ),
}


def make(name: str, **changes: Any) -> Any:
    torch.manual_seed(0)
    config, sizes = MODELS[name]
    return getattr(lamina, name)(getattr(lamina, config)(vocab_size=200, **sizes, **changes)).eval()


def answer(model: Any) -> Tensor:
    ids = torch.randint(5, 190, (3, 11), generator=torch.Generator().manual_seed(1))
    more = {"decoder_input_ids": ids} if model.config.is_encoder_decoder else {}
    with torch.inference_mode():
        logits: Tensor = model(input_ids=ids, **more).logits.float()
    return logits


def error(found: Tensor, wanted: Tensor) -> float:
    return float((found - wanted).norm() / wanted.norm())


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    folder = tmp_path_factory.mktemp("models")

    def write(name: str) -> Path:
        if not (folder / name).is_dir():
            make(name).save_pretrained(folder / name)
        return folder / name

    return write


@pytest.mark.parametrize("precision", SWAPPED)
@pytest.mark.parametrize("name", MODELS)
def test_loaded_saved_and_loaded_again(name: str, precision: str, saved: Callable[[str], Path], tmp_path: Path) -> None:
    plain = make(name)
    model = type(plain).from_pretrained(saved(name), precision=precision)
    wanted = answer(model)
    assert error(wanted, answer(plain)) < NEAR[precision]
    assert model.precision == precision and not model.training
    assert model.num_parameters() == plain.num_parameters()
    assert error(answer(copy.deepcopy(plain).quantize(precision)), wanted) < (0.02 if precision == "bf16" else 1e-6)
    model.save_pretrained(tmp_path)
    again = type(plain).from_pretrained(tmp_path)
    kept = None if precision == "fp32-packed" else precision
    assert again.precision == kept
    assert json.loads((tmp_path / "config.json").read_text()).get("lamina_precision") == kept
    assert torch.allclose(answer(again), wanted, atol=1e-6)
    unpacked = type(plain).from_pretrained(tmp_path, precision="fp32")
    assert unpacked.precision is None and "lamina_precision" not in unpacked.config.to_dict()
    assert unpacked.dtype == torch.float32
    assert error(answer(unpacked), answer(plain)) < NEAR[precision]


@pytest.mark.parametrize("precision", SWAPPED)
def test_decoding_in_every_precision(precision: str) -> None:
    model = make("GPT2LMHeadModel").quantize(precision)
    ids = torch.randint(5, 190, (2, 6), generator=torch.Generator().manual_seed(2))
    written = model.generate(ids, max_new_tokens=5, do_sample=False)
    with torch.inference_mode():
        state = model.start({"input_ids": ids}, 11)
        first = model.step(ids, state).logits
        whole = model(input_ids=ids).logits[:, -1]
    assert written.shape == (2, 11)
    assert error(first.float(), whole.float()) < 0.05


def test_nothing_asked_nothing_changed(saved: Callable[[str], Path]) -> None:
    plain, asked = (lamina.BertForMaskedLM.from_pretrained(saved("BertForMaskedLM"), **options)
                    for options in ({}, {"precision": "fp32"}))  # fmt: skip
    assert torch.equal(answer(plain), answer(asked))
    assert torch.equal(answer(plain), answer(make("BertForMaskedLM")))
    assert plain.precision is None and plain.train().training
    assert not any(isinstance(module, FrozenLinear) for module in plain.modules())


def test_what_only_reads_is_not_trained_resized_or_quantized_again() -> None:
    model = make("BertForMaskedLM").quantize("int8")
    with pytest.raises(InputError, match="load it with precision='fp32'"):
        model.train()
    with pytest.raises(InputError, match="before"):
        model.resize_token_embeddings(300)
    with pytest.raises(InputError, match="load it anew"):
        model.quantize("int4")
    assert not model.eval().training


def test_a_precision_must_be_one() -> None:
    with pytest.raises(InputError, match="fp32-packed"):
        make("BertForMaskedLM").quantize("int3")
    with pytest.raises(PipelineError, match=r"model\.quantize"):
        pipeline("fill-mask", model=make("BertForMaskedLM"), precision="int8")


def test_classifiers_and_poolers_keep_their_precision() -> None:
    config = lamina.BertConfig(vocab_size=200, num_labels=3, **BERT)
    model = lamina.BertForSequenceClassification(config).quantize("int8")
    kept = [path for path, module in model.named_modules() if isinstance(module, nn.Linear)]
    assert kept == ["pooler.dense", "head.project"]


def test_four_bits_are_not_for_the_vocabulary_or_odd_widths() -> None:
    model = make("GPT2LMHeadModel", n_inner=80).quantize("int4")
    kinds = {path.split(".", 3)[-1]: type(module).__name__ for path, module in model.named_modules()
             if isinstance(module, FrozenLinear)}  # fmt: skip
    assert kinds["project"] == kinds["ffn.down"] == "Int8Linear"
    assert kinds["ffn.up"] == kinds["attn.qkv"] == Int4Linear.__name__


def test_the_activation_moves_into_the_layer() -> None:
    model = make("BertForMaskedLM").quantize("fp32-packed")
    block = model.encoder.layers[0].ffn
    assert block.up.activation is not None and block.down.activation is None
    x = torch.randn(3)
    assert torch.equal(block.activation(x), x)


def test_a_tied_projection_leaves_the_table_alone(tmp_path: Path) -> None:
    plain = make("GPT2LMHeadModel")
    model = copy.deepcopy(plain).quantize("int8")
    assert torch.equal(model.get_input_embeddings().weight, plain.get_input_embeddings().weight)
    model.save_pretrained(tmp_path)
    with open_file(tmp_path / "model.safetensors") as weights:
        assert weights.dtype("transformer.wte.weight") == torch.float32
        assert "lm_head.weight" not in weights
        assert weights.dtype("transformer.h.0.mlp.c_fc.weight") == torch.int8
        assert weights.shape("transformer.h.0.mlp.c_fc.weight") == (64, 256)  # transposed, as the family stores it
        assert weights.shape("transformer.h.0.mlp.c_fc.weight.scale") == (1, 256)


def test_loading_lets_each_layer_go_before_the_next(
    saved: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    alive: list[int] = []
    swap = quantize.Place.swap

    def spy(place: quantize.Place, new: nn.Module) -> None:
        linears = [module for module in loading[0].modules() if isinstance(module, nn.Linear)]
        held = [m for m in linears if worth_swapping(loading[0], quantize.Place("encoder", m)) and m.weight is not None]
        alive.append(sum(not m.weight.is_meta for m in held))
        swap(place, new)
        assert all(tensor is None for tensor in place.linear._parameters.values())

    loading: list[Any] = []
    start = quantize.Freezer.__init__

    def remember(self: Any, model: Any, precision: str) -> None:
        loading.append(model)
        start(self, model, precision)

    monkeypatch.setattr(quantize.Freezer, "__init__", remember)
    monkeypatch.setattr(quantize.Place, "swap", spy)
    lamina.BertForMaskedLM.from_pretrained(saved("BertForMaskedLM"), precision="int8")
    assert len(alive) == 10
    assert max(alive) <= 2  # the layer itself, and the projection that shares the table's memory


def test_fresh_heads_are_drawn_before_they_are_swapped(saved: Callable[[str], Path]) -> None:
    model = lamina.BertForQuestionAnswering.from_pretrained(saved("BertForMaskedLM"), precision="int8")
    assert model.head.project.weight.abs().sum() > 0
    assert isinstance(model.encoder.layers[0].attn.qkv, FrozenLinear)


def test_any_layer_may_be_swapped_by_the_same_walk() -> None:
    class Doubled(nn.Module):
        def __init__(self, inner: nn.Linear, activation: Any):
            super().__init__()
            self.inner, self.activation = inner, activation or (lambda x: x)

        def forward(self, x: Tensor) -> Tensor:
            doubled: Tensor = self.activation(2 * self.inner(x))
            return doubled

    model = make("BertForMaskedLM")
    paths = [place.path for place in find_linears(model)]
    swap_linears(model, lambda place: Doubled(copy.deepcopy(place.linear), place.activation))
    assert [
        path.removesuffix(".inner") for path, module in model.named_modules() if isinstance(module, nn.Linear)
    ] == paths
    assert answer(model).isfinite().all()


def test_the_fastest_precision_is_chosen_by_what_the_machine_can(monkeypatch: pytest.MonkeyPatch) -> None:
    for able, chosen in (({"bf16_compute"}, "bf16"), ({"int8_compute", "int8_many"}, "int8"), (set(), "fp32-packed")):
        monkeypatch.setattr(quantize, "has", able.__contains__)
        assert settle_precision("auto") == chosen
    assert settle_precision(None) is settle_precision("float32") is None


@pytest.mark.parametrize("precision", SWAPPED)
def test_models_answer_without_the_kernels(precision: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    make("GPT2LMHeadModel").quantize(precision).save_pretrained(tmp_path)
    wanted = answer(lamina.GPT2LMHeadModel.from_pretrained(tmp_path, precision=precision))
    monkeypatch.setattr(capabilities, "has", lambda feature: False)
    monkeypatch.setattr(capabilities, "fuses", lambda feature, function: False)
    bare = lamina.GPT2LMHeadModel.from_pretrained(tmp_path, precision=precision)
    assert all(module.plain is not None for module in bare.modules() if isinstance(module, PackedLinear))
    assert error(answer(bare), wanted) < NEAR[precision]


@pytest.fixture(scope="module")
def sentences() -> list[list[int]]:
    """Ids of prose of many lengths."""
    tokenizer = AutoTokenizer.from_pretrained(asset("minilm"))
    text = asset("botchan").read_text(encoding="utf-8")
    found = [part.strip() for part in re.split(r"(?<=[.!?])\s+", text) if 4 < len(part.split()) < 90]
    return [tokenizer(sentence)["input_ids"] for sentence in sorted(found[40:200:5], key=len)]


def vectors(model: Any, rows: list[list[int]]) -> Tensor:
    """The first token's vector of each row."""
    lengths = [len(row) for row in rows]
    with torch.inference_mode():
        states = read_packed(model, torch.tensor([token for row in rows for token in row]), lengths)[0][0]
    starts = torch.tensor([0, *lengths[:-1]]).cumsum(0)
    return states[starts]


@pytest.fixture(scope="module")
def exact(sentences: list[list[int]]) -> Tensor:
    """Their vectors by the weights as published."""
    assert len(sentences) == 32
    return vectors(AutoModel.from_pretrained(asset("minilm")), sentences)


MEANS = {"fp32-packed": 0.999999, "bf16": 0.999, "int8": 0.994, "int8-accurate": 0.998, "int4": 0.97}
BYTES = ("int8", "int8-accurate")  # the precisions that have products of bytes


@pytest.mark.parametrize(
    ("either", "precision"),
    [(kind, name) for kind in KINDS for name in (BYTES if kind == "exact products" else MEANS)],
    indirect=["either"],
)
def test_published_weights_keep_their_meaning(
    precision: str, sentences: list[list[int]], exact: Tensor, either: str
) -> None:
    swapped = vectors(AutoModel.from_pretrained(asset("minilm"), precision=precision), sentences)
    assert torch.cosine_similarity(exact, swapped.float()).mean() >= MEANS[precision]


def test_an_accurate_answer_does_not_depend_on_its_batch(sentences: list[list[int]], either: str) -> None:
    rows = sentences[::4]
    nearest = {}
    for precision in ("int8", "int8-accurate"):
        model = AutoModel.from_pretrained(asset("minilm"), precision=precision)
        alone = torch.cat([vectors(model, [row]) for row in rows])
        nearest[precision] = torch.cosine_similarity(alone, vectors(model, rows)).min()
    assert nearest["int8-accurate"] > 0.9999
    if either == "exact products":
        assert nearest["int8"] < 0.999  # as docs/speed.md says of it


def test_precision_auto_never_lets_texts_that_share_a_batch_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantize, "has", {"int8_compute", "int8_many"}.__contains__)
    assert settle_precision("auto", shared=True) == "int8-accurate"
    assert settle_precision("int8", shared=True) == "int8"


TEXTS = [
    "I've been waiting for a HuggingFace course my whole life.",
    "I hate this so much!",
    "This course is amazing!",
    "We are very happy to introduce pipeline to the transformers repository.",
    "The plot is thin, and the ending is worse.",
    "A warm, funny film that I would watch again.",
]


@pytest.fixture(scope="module")
def labels() -> list[str]:
    return [found["label"] for found in pipeline("sentiment-analysis", device="cpu")(TEXTS)]


@pytest.mark.parametrize("precision", ["int8", "int8-accurate", "bf16", "fp32-packed"])
def test_the_built_in_model_changes_no_label(precision: str, labels: list[str]) -> None:
    swapped = pipeline("sentiment-analysis", device="cpu", precision=precision)
    assert swapped.model.precision == precision
    assert [found["label"] for found in swapped(TEXTS)] == labels
