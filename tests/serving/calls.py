"""What every client is made to ask, and what our own pipeline says to the same: one table, four clients."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

TEXT = "Berlin is a fine city, said Anna."
KOREAN = "안녕하세요 👋🏽 Anna lives in Berlin 😀."
QUESTION = {"question": "Where does Anna live?", "context": "😀 Anna lives in Berlin. 그리고 Ben lives in Bern."}
SENTENCES = {"source_sentence": "A cat sat.", "sentences": ["A dog sat.", "Prices rose.", "고양이가 앉았다."]}
LABELS = ["travel", "cooking", "dancing"]


def same(answer: Any) -> Any:
    return answer


def first(answer: Any) -> Any:
    return answer[0]


def pairs(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Zero-shot's three lists as the clients have them: a label with its score."""
    return [{"label": label, "score": score} for label, score in zip(answer["labels"], answer["scores"], strict=True)]


def grouped(answer: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Tokens without groups as the clients have them: a group's name on each."""
    return [{**{key: token[key] for key in ("word", "score", "start", "end")}, "entity_group": token["entity"]}
            for token in answer]  # fmt: skip


@dataclass(frozen=True)
class Call:
    """One request as it goes over the wire, and how the pipeline is asked for the same."""

    task: str
    model: str  # a checkpoint of tests/pipelines, or "minilm"
    inputs: Any
    parameters: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] | None = None  # of the pipeline, where they are not the parameters
    shape: Callable[[Any], Any] = same  # the pipeline's answer as clients hand it out

    @property
    def name(self) -> str:
        return " ".join([self.task, *self.parameters])

    @property
    def request(self) -> dict[str, Any]:
        return {"task": self.task, "model": self.model, "inputs": self.inputs, "parameters": dict(self.parameters)}

    def expected(self, pipe: Callable[..., Any]) -> Any:
        """What our own pipeline answers."""
        options = self.parameters if self.options is None else self.options
        return self.shape(pipe(self.task, self.model)(self.inputs, **options))


GREEDY = {"do_sample": False, "max_new_tokens": 8, "return_full_text": False}
SHORT = {"max_new_tokens": 8}
CALLS = [
    Call("text-classification", "bert-moods", TEXT, options={"top_k": None}),
    Call("text-classification", "bert-moods", KOREAN, {"top_k": 2}),
    Call("text-classification", "bert-moods", TEXT, {"function_to_apply": "sigmoid", "top_k": 3}),
    Call("token-classification", "bert-tags", KOREAN, options={"aggregation_strategy": "simple"}),
    Call("token-classification", "bert-tags", KOREAN, {"aggregation_strategy": "none"}, shape=grouped),
    Call("token-classification", "bert-tags", TEXT, {"aggregation_strategy": "max", "ignore_labels": ["MISC"]}),
    Call("question-answering", "bert-qa", QUESTION),
    Call("question-answering", "bert-qa", QUESTION, {"top_k": 3, "max_answer_len": 4}),
    Call("fill-mask", "bert-mask", "Berlin is a [MASK] city."),
    Call("fill-mask", "bert-mask", "Berlin is a [MASK] city.", {"top_k": 2, "targets": ["fine", "big", "cold"]}),
    Call("zero-shot-classification", "bert-nli", TEXT, {"candidate_labels": LABELS}, shape=pairs),
    Call(
        "zero-shot-classification",
        "bert-nli",
        TEXT,
        {"candidate_labels": LABELS, "multi_label": True, "hypothesis_template": "About {}."},
        shape=pairs,
    ),
    Call("sentence-similarity", "minilm", SENTENCES),
    Call("feature-extraction", "bert-body", TEXT),
    Call("summarization", "bart", TEXT, shape=first),
    Call("summarization", "bart", TEXT, {"generate_parameters": SHORT}, SHORT, first),
    Call("translation", "marian", "A fine city.", shape=first),
    Call("translation", "marian", "A fine city.", {"generate_parameters": SHORT}, SHORT, first),
]
GENERATION = [
    Call("text-generation", "gpt2", "Berlin is", GREEDY, shape=lambda answer: answer[0]["generated_text"]),
    Call(
        "text-generation",
        "gpt2",
        "Berlin is",
        {**GREEDY, "return_full_text": True, "repetition_penalty": 1.5},
        shape=lambda answer: answer[0]["generated_text"],
    ),
]


def by_name(calls: list[Call]) -> list[Any]:
    """The calls as parameters of a test, numbered where names repeat."""
    return [pytest.param(number, id=f"{number} {call.name}") for number, call in enumerate(calls)]


def assert_near(found: Any, expected: Any, where: str = "answer") -> None:
    """`found` holds what `expected` does: scores within 1e-5, lists of one length, and perhaps more keys."""
    if isinstance(expected, Mapping):
        for key, value in expected.items():
            assert key in found, f"{where} has no {key}: {found}"
            assert_near(found[key], value, f"{where}.{key}")
    elif isinstance(expected, list | tuple):
        assert len(found) == len(expected), f"{where}: {found} has not {len(expected)} entries"
        for number, (one, other) in enumerate(zip(found, expected, strict=True)):
            assert_near(one, other, f"{where}[{number}]")
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, abs=1e-5), where
    else:
        assert found == expected, where
