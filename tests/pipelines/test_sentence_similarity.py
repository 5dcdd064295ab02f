"""Similar sentences: pooling as the model's folder says, cosines as the reference computes them."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from lamina.errors import LaminaError, PipelineError
from lamina.pipelines import pipeline
from lamina.sentences.folder import read_folder
from tests.assets import asset
from tests.pipelines.checkpoints import GOLDEN
from tests.sentences.folders import write_sentence_folder
from tests.sentences.pairs import write_pair_folder

SOURCE, OTHERS = "a happy dog", ["a joyful puppy 🐶", "stock markets fell sharply today", "a happy dog"]
PREFIX = "sentence_transformers.models."


def test_a_published_sentence_model_answers_as_the_reference_does() -> None:
    recorded = json.loads((GOLDEN / "sentence-similarity.json").read_text(encoding="utf-8"))
    pipe = pipeline("sentence-similarity", model=asset("minilm"), device="cpu")
    for case in recorded:
        found = pipe(source_sentence=case["source_sentence"], sentences=case["sentences"])
        assert all(type(score) is float for score in found)
        assert found == pytest.approx(case["output"], abs=1e-5)


def test_one_a_list_or_a_stream(checkpoint: Callable[[str], Path]) -> None:
    pipe = pipeline("sentence-similarity", model=checkpoint("bert-body"), device="cpu")
    asked = {"source_sentence": SOURCE, "sentences": OTHERS}
    expected = pipe(**asked)
    assert expected[2] == pytest.approx(1, abs=1e-6)
    assert pipe(asked) == pipe(SOURCE, sentences=OTHERS) == expected
    assert pipe([asked, asked]) == [pytest.approx(expected)] * 2
    assert list(pipe(item for item in [asked])) == [pytest.approx(expected)]


def test_vectors_can_be_trained_on(checkpoint: Callable[[str], Path]) -> None:
    vectors = pipeline("sentence-similarity", model=checkpoint("bert-body"), device="cpu").embed(OTHERS)
    scale = torch.ones(1, requires_grad=True)
    (vectors * scale).sum().backward()
    assert scale.grad is not None


MODULES = [{"type": PREFIX + "Transformer", "path": ""}, {"type": PREFIX + "Pooling", "path": "1_Pooling"}]
MEAN = {"1_Pooling/config.json": {"pooling_mode": "mean"}}
DENSE = [*MODULES, {"type": PREFIX + "Dense", "path": "2_Dense"}]
SIZES = {"in_features": 4, "out_features": 2}
READING, COMPARING = "sentence_bert_config.json", "config_sentence_transformers.json"


def listed(*kinds: str) -> dict[str, Any]:
    return {"modules.json": [MODULES[0], *({"type": kind, "path": "1_Pooling"} for kind in kinds)], **MEAN}


REFUSED: list[tuple[dict[str, Any], str]] = [
    *(
        (listed(PREFIX + kind), f"asks for a module 'sentence_transformers.models.{kind}'")
        for kind in ("CNN", "LSTM", "BoW", "WordWeights", "WordEmbeddings", "CLIPModel", "Asym")
    ),
    (listed("mine.Pooling"), "asks for a module 'mine.Pooling'"),
    (listed("custom_st.Transformer"), "asks for a module 'custom_st.Transformer'"),
    (listed(PREFIX + "Transformer"), "a Transformer that is not the first"),
    (listed(PREFIX + "Normalize"), "Normalize comes before the pooling"),
    (listed(PREFIX + "Pooling", PREFIX + "Pooling"), "Pooling comes after the pooling"),
    ({"modules.json": MODULES}, "config.json cannot be opened"),
    ({"modules.json": "{"}, "not valid JSON"),
    ({"modules.json": {"a": 1}}, "list of modules"),
    ({"modules.json": [{"type": PREFIX + "Pooling", "path": "../other"}]}, "outside"),
    ({"modules.json": [{"type": PREFIX + "Pooling", "path": "/etc"}]}, "outside"),
    *(
        ({"modules.json": MODULES, "1_Pooling/config.json": config}, message)
        for config, message in (
            ({"pooling_mode": "vote"}, "names no pooling"),
            ({"pooling_mode": [5]}, "names no pooling"),
            ({}, "names no pooling"),
            ({"pooling_mode": "mean", "pooling_mode_median_tokens": True}, "'pooling_mode_median_tokens' is True"),
        )
    ),
    *(
        ({"modules.json": DENSE, **MEAN, "2_Dense/config.json": config}, message)
        for config, message in (
            ({**SIZES, "activation_function": "mine.Tanh"}, "activation function 'mine.Tanh'"),
            ({**SIZES, "activation_function": "torch.nn.modules.activation.Softmax"}, "Softmax"),
            ({**SIZES, "activation_function": "torch.hub.load"}, "'torch.hub.load'"),
            ({**SIZES, "module_output_name": "other"}, "from 'sentence_embedding' to 'other'"),
            ({"in_features": "x"}, "whole numbers"),
            ({**SIZES, "residual": True}, "'residual' is True"),
            (SIZES, "holds no weights"),
        )
    ),
    *(
        ({**listed(PREFIX + "Pooling"), READING: config}, message)
        for config, message in (
            ({"max_seq_length": -3}, "max_seq_length is -3"),
            ({"max_seq_length": "many"}, "max_seq_length is 'many'"),
            ({"transformer_task": "fill-mask"}, "by feature-extraction"),
            ({"modality_config": {"image": {}}}, "by feature-extraction"),
            ({"processing_kwargs": {"text": {"max_length": 5}}}, "'processing_kwargs' is"),
            ({"tokenizer_name_or_path": "another"}, "'tokenizer_name_or_path' is 'another'"),
            ({"model_args": 5}, "must be an object"),
        )
    ),
    *(
        ({**listed(PREFIX + "Pooling"), COMPARING: config}, message)
        for config, message in (
            ({"prompts": ["a"]}, "must map names to texts"),
            ({"prompts": {"a": 5}}, "must map names to texts"),
            ({"prompts": {"a": "b"}, "default_prompt_name": "c"}, "default_prompt_name is 'c'"),
            ({"prompts": {"a": "b"}, "default_prompt_name": ["a"]}, "default_prompt_name is "),
            ({"similarity_fn_name": "chebyshev"}, "similarity_fn_name is 'chebyshev'"),
            ({"similarity_fn_name": ["dot"]}, "similarity_fn_name is "),
            ({"truncate_dim": 0}, "truncate_dim is 0"),
            ({"model_type": "SparseEncoder"}, "this is a 'SparseEncoder'"),
            ({"model_type": "CrossEncoder"}, "this is a 'CrossEncoder'"),
        )
    ),
]


@pytest.mark.parametrize(("files", "message"), REFUSED)
def test_a_folder_that_is_not_understood_is_refused(tmp_path: Path, files: dict[str, Any], message: str) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(LaminaError, match=re.escape(message)):
        read_folder(tmp_path)


def test_a_module_with_weights_of_another_shape_is_refused(tmp_path: Path) -> None:
    (tmp_path / "modules.json").write_text(json.dumps(DENSE))
    for name, config in {"1_Pooling": {"pooling_mode": "mean"}, "2_Dense": SIZES}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps(config))
    save_file(
        {"linear.weight": torch.zeros(2, 5), "linear.bias": torch.zeros(2)}, tmp_path / "2_Dense/model.safetensors"
    )
    with pytest.raises(PipelineError, match=r"holds no linear\.weight of the shape"):
        read_folder(tmp_path)


def test_arguments_of_loading_are_honoured(checkpoint: Callable[[str], Path], tmp_path: Path) -> None:
    folder = shutil.copytree(checkpoint("bert-cased-body"), tmp_path / "model")
    said = {"model_args": {"torch_dtype": "bfloat16"}, "tokenizer_args": {"do_lower_case": True}}
    (folder / "modules.json").write_text(json.dumps(MODULES[:1]))
    (folder / READING).write_text(json.dumps(said))
    pipe = pipeline(model=folder, device="cpu")
    assert pipe.dtype is torch.bfloat16
    assert pipe.tokenizer.tokenize("HELLO") == pipe.tokenizer.tokenize("hello")


def test_special_tokens_stay_what_they_are_in_lower_case(checkpoint: Callable[[str], Path], tmp_path: Path) -> None:
    folder = write_sentence_folder("lower case", tmp_path / "model", checkpoint)
    pipe = pipeline(model=folder, device="cpu")
    torch.testing.assert_close(pipe.embed("A [MASK] B [SEP] C"), pipe.embed("a [MASK] b [SEP] c"))
    assert float((pipe.embed("a [MASK] b") - pipe.embed("a [mask] b")).abs().max()) > 1e-3


@pytest.mark.parametrize("name", ["nothing said", "identity", "saved now"])
def test_a_classifier_answers_as_transformers_whatever_its_cross_encoder_makes(
    checkpoint: Callable[[str], Path], tmp_path: Path, name: str
) -> None:
    pipe = pipeline(model=write_pair_folder(name, tmp_path / "model", checkpoint), device="cpu")
    assert pipe.task == "text-classification"
    plain = pipeline("text-classification", model=checkpoint("bert-spam"), device="cpu")
    pair = {"text": "who?", "text_pair": "nobody"}
    assert pipe(pair)["score"] == pytest.approx(plain(pair)["score"], abs=1e-6)
