"""Every option that the reference knows by name has its effect here, or is told to have none."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from lamina.errors import LaminaError, PipelineError
from lamina.pipelines import pipeline
from lamina.pipelines.base import Pipeline
from lamina.pipelines.create import TASKS
from lamina.pipelines.options import OPTIONS
from tests.pipelines.checkpoints import GOLDEN, MOODS

KNOWN: dict[str, list[str]] = json.loads((GOLDEN / "options.json").read_text(encoding="utf-8"))
INTERNAL = {"fill-mask": ("return_tensors", "target_ids")}  # of single steps of the reference, no options of a call
LONG = "word , and . " * 30
NAMES = "My name is Wolfgang and I live in unaffable Berlin, near Alexanderplatz."
ASKED = {"question": "Who walked first?", "context": "Neil Armstrong walked first, in 1969. " * 9}
SHORT = {"do_sample": False, "max_new_tokens": 4}
INPUTS: dict[str, tuple[str, Any, dict[str, Any]]] = {
    "text-classification": ("bert-moods", "fine", {}),
    "token-classification": ("bert-tags", NAMES, {"ignore_labels": []}),
    "fill-mask": ("bert-mask", "a [MASK]", {}),
    "question-answering": ("bert-qa", ASKED, {}),
    "zero-shot-classification": ("bert-nli", "fine", {"candidate_labels": ["good", "bad"]}),
    "feature-extraction": ("bert-body", LONG, {}),
    "text-generation": ("gpt2", "The film was", SHORT),
    "text2text-generation": ("t5", LONG, SHORT),
    "summarization": ("bart", "A film, and more.", SHORT),
    "translation": ("mbart", "The film was", {**SHORT, "src_lang": "en_XX", "tgt_lang": "fr_XX"}),
}
GROUPED = {"aggregation_strategy": "simple"}
WRITTEN = {
    "return_tensors": [True],
    "return_type": ["tensors", "TENSORS", 0, "pictures"],
    "truncation": [True],
    "clean_up_tokenization_spaces": [True],
}
VALUES: dict[str, dict[str, list[Any]]] = {  # values that change the answer, or that are refused aloud
    "text-classification": {
        "return_all_scores": [True],
        "function_to_apply": ["none", "sigmoid", "NONE"],
        "top_k": [None, 2],
    },
    "token-classification": {
        "ignore_labels": [["I-PER", "B-PER", "O", "MISC", "B-LOC", "I-LOC"]],
        "grouped_entities": [True],
        "ignore_subwords": [True],
        "aggregation_strategy": ["first", "simple", "average", "max"],
        "offset_mapping": [[(0, 1)] * 30],
        "is_split_into_words": [True],
        "stride": [62],
        "delimiter": ["_"],
    },
    "fill-mask": {
        "top_k": [1],
        "targets": [["good", "bad"]],
        "tokenizer_kwargs": [{"add_special_tokens": False}],
    },
    "question-answering": {
        "padding": ["max_length"],
        "topk": [3],
        "top_k": [3],
        "doc_stride": [3],
        "max_answer_len": [1],
        "max_seq_len": [16],
        "max_question_len": [2],
        "handle_impossible_answer": [True],
        "align_to_words": [False],
    },
    "zero-shot-classification": {
        "candidate_labels": [["one"], "one, two"],
        "hypothesis_template": ["All of this is {}!"],
        "multi_label": [True],
    },
    "feature-extraction": {
        "truncation": [True, "longest_first", "only_first"],
        "tokenize_kwargs": [{"truncation": True}, {"truncation": True, "max_length": 5}],
        "return_tensors": [True],
    },
    "text-generation": {
        **WRITTEN,
        "return_full_text": [False],
        "return_text": [True],
        "return_type": ["tensors", "new_text", 0, 1],
        "clean_up_tokenization_spaces": [False],
        "prefix": ["In 1969 "],
        "handle_long_generation": ["cut"],
        "stop_sequence": ["a"],
        "max_length": [3],
        "continue_final_message": [True],
        "skip_special_tokens": [False],
        "tokenizer_encode_kwargs": [{"truncation": True, "max_length": 2}],
        "add_special_tokens": [True],
        "padding": ["max_length"],
        "truncation": [True],
    },
    "text2text-generation": {**WRITTEN, "return_text": [True], "stop_sequence": [""]},
    "summarization": {**WRITTEN, "return_text": [True], "stop_sequence": [""]},
    "translation": {**WRITTEN, "src_lang": ["de_DE"], "tgt_lang": ["ko_KR"]},
}
ALIKE = {  # options that change no answer by what they mean, or none on these inputs; goldens hold the others' meaning
    *((task, "return_text") for task in INPUTS),
    *((task, "clean_up_tokenization_spaces") for task in INPUTS),
    *((task, "truncation") for task in ("text-generation", "text2text-generation", "summarization", "translation")),
    ("feature-extraction", "return_tensors"),
    ("translation", "src_lang"),
    ("question-answering", "padding"),
    ("question-answering", "max_question_len"),
    ("question-answering", "handle_impossible_answer"),
    ("token-classification", "delimiter"),
    ("token-classification", "ignore_subwords"),
    *(("text-generation", name) for name in ("skip_special_tokens", "add_special_tokens", "padding", "stop_sequence")),
}
CASES = [
    pytest.param(task, name, value, id=f"{task}-{name}-{value}")
    for task, names in VALUES.items()
    for name, values in names.items()
    for value in values
]


@pytest.fixture
def made(loaded: Callable[[str, str], Pipeline]) -> Callable[[str], Pipeline]:
    return lambda task: loaded(task, INPUTS[task][0])


def told(pipe: Pipeline, task: str, options: dict[str, Any]) -> str:
    """An answer in words, or that it was refused."""
    _, inputs, usual = INPUTS[task]
    try:
        return repr(pipe(inputs, **{**usual, **options}))
    except LaminaError as error:
        return f"refused: {error}"


def test_every_option_of_the_reference_is_tried() -> None:
    for task, names in KNOWN.items():
        assert set(names) - set(INTERNAL.get(task, ())) <= set(VALUES[task]), task


@pytest.mark.parametrize(("task", "name", "value"), CASES)
def test_an_option_is_known_and_has_an_effect(
    made: Callable[[str], Pipeline], task: str, name: str, value: Any
) -> None:
    pipe = made(task)
    found = told(pipe, task, {name: value})
    assert f"knows no argument {name!r}" not in found
    if (task, name) not in ALIKE:
        assert found != told(pipe, task, {})


@pytest.mark.parametrize("task", INPUTS)
def test_an_option_that_nobody_knows_is_refused(made: Callable[[str], Pipeline], task: str) -> None:
    assert "knows no argument 'nonsense'" in told(made(task), task, {"nonsense": 1})
    near = sorted(VALUES[task])[0]
    assert f"did you mean {near}?" in told(made(task), task, {f"{near}x": 1})


def test_what_cannot_act_on_a_loaded_model_is_told(
    made: Callable[[str], Pipeline], caplog: pytest.LogCaptureFixture
) -> None:
    loaded = made("text-classification")
    with caplog.at_level(logging.WARNING):
        for options in ({"dtype": "bfloat16"}, {"torch_dtype": "bfloat16"}):
            caplog.clear()
            pipeline("text-classification", model=loaded.model, tokenizer=loaded.tokenizer, **options)
            assert "no effect on a model that is loaded already" in caplog.text
    with pytest.raises(PipelineError, match="loaded already"):
        pipeline("text-classification", loaded.model, tokenizer=loaded.tokenizer, model_kwargs={"variant": "fp16"})


CUT = {"truncation": True}
ODD = [  # an option given in a form of NumPy, pandas or an enumeration, and the plain form of the same
    ("text-classification", {"top_k": np.int64(2)}, {"top_k": 2}),
    ("text-classification", {"top_k": None}, {"top_k": len(MOODS)}),
    ("fill-mask", {"top_k": torch.tensor(2)}, {"top_k": 2}),
    ("fill-mask", {"targets": pd.Series(["good", "bad"])}, {"targets": ["good", "bad"]}),
    ("fill-mask", {"targets": ["good", ""]}, {"targets": "good"}),
    ("question-answering", {"top_k": np.int32(3), "align_to_words": np.False_}, {"top_k": 3, "align_to_words": False}),
    ("question-answering", {"align_to_words": 0}, {"align_to_words": False}),
    ("zero-shot-classification", {"candidate_labels": np.array(["a", "b"])}, {"candidate_labels": ["a", "b"]}),
    ("zero-shot-classification", {"candidate_labels": pd.Series(["a", "b"])}, {"candidate_labels": "a, b"}),
    ("token-classification", {"ignore_labels": "I-PER"}, {"ignore_labels": ["I-PER"]}),
    ("token-classification", {"ignore_labels": np.array(["O", "MISC"])}, {"ignore_labels": ("O", "MISC")}),
    ("feature-extraction", {**CUT, "return_tensors": "pt"}, {**CUT, "return_tensors": True}),
    ("text-generation", {"return_full_text": np.False_}, {"return_full_text": False}),
    ("text-generation", {"return_type": 0}, {"return_type": "tensors"}),
    ("text-generation", {"return_type": 1}, {"return_type": "NEW_TEXT"}),
    ("summarization", {"return_type": 0}, {"return_tensors": True}),
]


@pytest.mark.parametrize(("task", "odd", "plain"), ODD)
def test_what_means_the_same_is_taken_alike(
    made: Callable[[str], Pipeline], task: str, odd: dict[str, Any], plain: dict[str, Any]
) -> None:
    found = told(made(task), task, odd)
    assert not found.startswith("refused")
    assert found == told(made(task), task, plain)


WRONG_VALUES: dict[str, tuple[Any, ...]] = {  # by kind; "no" would be taken for yes
    "flag": ("no", "False", 2, []),
    "count": ("2", 1.5, True, -1, 10**400, [2]),
    "choice": ("nonsense", 7, []),
    "text": (5, ["a"], b"a"),
    "texts": (5, [None], [3]),
    "labels": (5, [None], [3], [], "", ["a", ""]),
    "arguments": (5, "truncation", {"nonsense": 1}),
}
DECLARED = [
    pytest.param(task, name, value, id=f"{task}-{name}-{number}")
    for task, table in OPTIONS.items()
    if task in INPUTS
    for name, option in table.items()
    for number, value in enumerate(WRONG_VALUES.get(option.kind, ()))
]


@pytest.mark.parametrize(("task", "name", "value"), DECLARED)
def test_a_value_of_another_kind_is_refused_by_name(
    made: Callable[[str], Pipeline], task: str, name: str, value: Any
) -> None:
    found = told(made(task), task, {name: value})
    assert found.startswith("refused: ")
    assert len(found) < 400
    if "knows no argument" not in found:
        assert name.removesuffix("s").replace("_", " ") in found.replace("_", " ")


def test_tables_hold_the_options_of_the_pipelines() -> None:
    assert {task: entry.pipeline.options for task, entry in TASKS.items()} == OPTIONS
    assert all(option.help for table in OPTIONS.values() for option in table.values())


@pytest.mark.parametrize(
    ("task", "options", "alike"),
    [
        ("text-generation", {"do_sample": False, "max_new_tokens": 4}, True),
        ("text-generation", {"do_sample": True, "num_beams": 2}, False),  # a draw for one row depends on the others
        ("text-generation", {**SHORT, "max_time": 1.0}, False),
        ("fill-mask", {"top_k": 3}, True),
    ],
)
def test_rows_share_a_batch_where_that_changes_nothing(
    made: Callable[[str], Pipeline], task: str, options: dict[str, Any], alike: bool
) -> None:
    pipe = made(task).shareable()
    settings = pipe.resolve_options(options)
    rows = pipe.prepare([INPUTS[task][1]] * 2, settings).rows
    assert (pipe.shared_key(rows[0], settings) == pipe.shared_key(rows[1], settings)) is alike
    assert pipe.shared_key(rows[0], settings) != pipe.shared_key(rows[0], pipe.settings)
