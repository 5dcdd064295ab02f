"""What goes in: collections of every kind, options that make no sense, and what is refused before anything is read."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lamina.errors import LaminaError, PipelineError
from lamina.sentences import CrossEncoder, Dense, LayerNorm, Normalize, Pooling, SentenceTransformer, Transformer, util
from tests.sentences.folders import TEXTS, WIDTH

Named = Callable[[str], Path]


@pytest.fixture(scope="module")
def model(folder: Named) -> SentenceTransformer:
    return SentenceTransformer(folder("prompts"), device="cpu")


@pytest.fixture(scope="module")
def scorer(checkpoint: Named) -> CrossEncoder:
    return CrossEncoder(checkpoint("bert-spam"), device="cpu")


@pytest.mark.parametrize("form", [list, tuple, np.array, iter, lambda texts: np.array(texts, dtype=object)])
def test_any_collection_of_texts_is_encoded(model: SentenceTransformer, form: Callable[[list[str]], Any]) -> None:
    np.testing.assert_allclose(model.encode(form(TEXTS)), model.encode(TEXTS), atol=1e-6)


def test_texts_have_the_same_vectors_whatever_is_read_beside_them(model: SentenceTransformer) -> None:
    many = [f"{'word ' * (number % 40)}{number}" for number in range(300)]
    expected = model.encode(many)
    np.testing.assert_allclose(np.stack([model.encode(text) for text in many[::37]]), expected[::37], atol=1e-6)
    np.testing.assert_allclose(model.encode(many, batch_size=7), expected, atol=1e-6)
    features = model.forward(model.preprocess(TEXTS))
    np.testing.assert_allclose(features["sentence_embedding"].detach(), model.encode(TEXTS), atol=1e-6)


@pytest.mark.parametrize("precision", ["float32", "int8", "uint8", "binary", "ubinary"])
def test_no_texts_give_no_rows_of_the_right_width(model: SentenceTransformer, precision: str) -> None:
    none, some = model.encode([], precision=precision), model.encode(TEXTS, precision=precision)
    assert (none.shape, none.dtype) == ((0, some.shape[1]), some.dtype)
    assert model.encode([], truncate_dim=5, convert_to_tensor=True).shape == (0, 5)
    assert model.encode([], convert_to_numpy=False) == []


def test_no_pairs_give_no_scores(scorer: CrossEncoder) -> None:
    assert scorer.predict([]).shape == (0,)
    assert scorer.rank("a", []) == []


ENCODE: list[tuple[Any, dict[str, Any], str]] = [
    (None, {}, "the input is None"),
    (5, {}, "the input must be a string, not int"),
    (["a", 5], {}, "input 1 must be a string, not int"),
    (["a", None], {}, "input 1 is None"),
    ({"text": "a"}, {}, "the input must be a string, not dict"),
    ("a", {"prompt_name": "other"}, "stores no prompt called 'other'; it stores 'query'"),
    ("a", {"prompt": 5}, "prompt must be a string"),
    ("a", {"precision": "int4"}, "precision is 'int4'; it must be one of float32, int8"),
    ("a", {"output_value": "all"}, "output_value is 'all'"),
    ("a", {"batch_size": 0}, "batch_size is 0"),
    ("a", {"batch_size": True}, "batch_size is True"),
    ("a", {"device": ["cpu", "cpu"]}, "name one device"),
    ("a", {"device": "gpu"}, "device='gpu'"),
    ("a", {"pool": {}}, "pool= is not offered"),
    ("a", {"normalise": True}, "encode knows no argument 'normalise'"),
]


@pytest.mark.parametrize(("inputs", "options", "message"), ENCODE)
def test_what_encode_cannot_do_is_refused(
    model: SentenceTransformer, inputs: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(LaminaError) as refused:
        model.encode(inputs, **options)
    assert message in str(refused.value)


PREDICT: list[tuple[Any, str]] = [
    ([("a", "b"), ("a",)], "input 1: a pair is two texts"),
    ([("a", "b"), "c"], "input 1: a pair is two texts"),
    (["a", "b", "c"], "input 0: a pair is two texts"),
    ([("a", 5)], "input 0, text 1 must be a string"),
    ("a", "the input must be"),
]


@pytest.mark.parametrize(("inputs", "message"), PREDICT)
def test_what_predict_cannot_do_is_refused(scorer: CrossEncoder, inputs: Any, message: str) -> None:
    with pytest.raises(LaminaError, match="input"):
        scorer.predict(inputs)
    if message.startswith("input"):
        with pytest.raises(LaminaError) as refused:
            scorer.predict(inputs)
        assert message in str(refused.value)


def test_several_labels_rank_nothing(checkpoint: Named) -> None:
    with pytest.raises(PipelineError, match="this one has 3"):
        CrossEncoder(checkpoint("bert-moods"), device="cpu").rank("a", ["b"])


def test_modules_must_fit_each_other(checkpoint: Named) -> None:
    body = cache(lambda: Transformer(str(checkpoint("bert-body"))))
    for modules, message in (
        ([], "a Transformer and modules"),
        ([Pooling(WIDTH)], "a Transformer and modules"),
        ([body(), torch.nn.Linear(2, 2)], "a Transformer and modules"),
        ([body()], "there is no Pooling"),
        ([body(), Normalize(), Pooling(WIDTH)], "Normalize comes before the pooling"),
        ([body(), Pooling(WIDTH), Dense(5, 2)], "a Dense reads 5 numbers, and gets 32"),
        ([body(), Pooling(WIDTH, ("mean", "max")), LayerNorm(WIDTH)], "a LayerNorm reads 32 numbers, and gets 64"),
    ):
        with pytest.raises(PipelineError, match=message):
            SentenceTransformer(modules=modules)
    with pytest.raises(PipelineError, match="is not one of cls, max"):
        Pooling(WIDTH, "median")
    assert Pooling(WIDTH, pooling_mode_cls_token=True, pooling_mode_mean_tokens=False).pooling_mode == "cls"


def test_keywords_of_the_constructor_are_read_or_refused(folder: Named, checkpoint: Named) -> None:
    made = SentenceTransformer(
        str(folder("prompts")),
        device="cpu",
        prompts={"query": "ask: "},
        default_prompt_name="query",
        similarity_fn_name="dot",
        truncate_dim=5,
        tokenizer_kwargs={"model_max_length": 9},
        model_kwargs={"torch_dtype": torch.bfloat16},
    )
    assert (made.prompts["query"], made.similarity_fn_name, made.max_seq_length) == ("ask: ", "dot", 9)
    assert (made.dtype, made.encode("a").shape, made.encode("a").dtype) == (torch.bfloat16, (5,), np.float32)
    assert made.encode("a", convert_to_tensor=True).dtype is torch.bfloat16
    with made.truncate_embeddings(3):
        assert made.encode(["a"]).shape == (1, 3)
    for options, message in (
        ({"backend": "onnx"}, "backend='onnx' is not offered"),
        ({"trust_remote_code": True}, "trust_remote_code=True is not offered"),
        ({"similarity_fn_name": "hamming"}, "similarity_fn_name is 'hamming'"),
        ({"default_prompt_name": "none"}, "stores no prompt called 'none'"),
        ({"prefix": "a"}, "knows no argument 'prefix'"),
    ):
        with pytest.raises(LaminaError, match=message):
            SentenceTransformer(str(folder("prompts")), **options)
    assert CrossEncoder(str(checkpoint("bert-body")), device="cpu").num_labels == 1
    assert CrossEncoder(str(checkpoint("bert-body")), num_labels=3, device="cpu").predict(("a", "b")).shape == (3,)


def test_precision_computes_in_smaller_numbers(folder: Named) -> None:
    plain, small = (SentenceTransformer(folder("dense"), device="cpu", precision=name) for name in (None, "int8"))
    assert small.first.auto_model.precision == "int8"
    assert float(util.pairwise_cos_sim(plain.encode(TEXTS), small.encode(TEXTS)).min()) > 0.95


def test_a_cross_encoder_of_other_modules_is_refused(checkpoint: Named, tmp_path: Path) -> None:
    target = shutil.copytree(checkpoint("bert-spam"), tmp_path / "model")
    kinds = ["Transformer", "LogitScore"]
    listing = [{"type": f"sentence_transformers.models.{kind}", "path": ""} for kind in kinds]
    (target / "modules.json").write_text(json.dumps(listing))
    with pytest.raises(PipelineError, match=r"asks for a module 'sentence_transformers\.models\.LogitScore'"):
        CrossEncoder(target)
    (target / "modules.json").write_text(json.dumps(listing[:1]))
    (target / "sentence_bert_config.json").write_text('{"transformer_task": "text-generation"}')
    with pytest.raises(PipelineError, match="only texts to scores by sequence-classification"):
        CrossEncoder(target)


def test_vectors_of_other_widths_are_not_compared() -> None:
    with pytest.raises(PipelineError, match="of 3 and of 4 numbers"):
        util.cos_sim(np.ones((2, 3)), np.ones((2, 4)))
    with pytest.raises(PipelineError, match="must be floating-point"):
        util.quantize_embeddings(np.ones((2, 3), np.int8), "int8")
