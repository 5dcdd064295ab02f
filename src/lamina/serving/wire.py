"""How each task looks on the wire: from a request's JSON to a pipeline's inputs and options, and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from .errors import Invalid
from .schemas import PARAMETERS, Parameters

FORMS = {  # as pydantic calls what a field may be
    "str": "a text", "list[str]": "a list of texts", "list[list[str]]": "a list of lists of texts",
    "list[constrained-int]": "a list of token ids", "list[list[constrained-int]]": "lists of token ids",
}  # fmt: skip
Split = tuple[list[Any], bool]  # the inputs one by one, and whether the request had only one


@dataclass(frozen=True)
class Wire:
    """One task. `split` takes `inputs` apart; `options` are the pipeline's; `join` makes what is sent."""

    split: Callable[[Any], Split]
    options: Callable[[Any], dict[str, Any]]
    join: Callable[[list[Any], bool], Any]


def read_parameters(task: str, given: Mapping[str, Any] | None) -> Parameters:
    """The parameters of a request, checked; raises Invalid that names each one that is wrong."""
    known = PARAMETERS[task]
    try:
        return known.model_validate(dict(given or {}))
    except ValidationError as error:
        raise Invalid(f"{task}: {explain(error, known)}") from None


def explain(error: ValidationError, known: type[BaseModel] | None = None) -> str:
    """What is wrong with a request, in one line. What the client sent is not repeated."""
    return explain_errors(error.errors(include_url=False, include_context=False, include_input=False), known)


def explain_errors(errors: Sequence[Any], known: type[BaseModel] | None = None) -> str:
    """The first few of pydantic's errors in words."""
    found = []
    for one in errors:
        if len(one["loc"]) > 1 and one["loc"][1] in FORMS:
            tried = dict.fromkeys(str(other["loc"][1]) for other in errors if other["loc"][:1] == one["loc"][:1])
            found.append(f"{one['loc'][0]} must be {' or '.join(FORMS.get(form, form) for form in tried)}")
            continue
        place = ".".join(str(part)[:100] for part in one["loc"] if part != "body")
        if one["type"] == "extra_forbidden" and known is not None:
            found.append(f"there is no parameter {place!r}; there are {', '.join(known.model_fields) or 'none'}")
        elif one["type"] == "missing":
            found.append(f"{place or 'the body'} is missing")
        elif one["type"] in ("model_type", "model_attributes_type") and not place:
            found.append("the body must be a JSON object, sent as application/json")
        elif one["type"] == "json_invalid":
            found.append("no JSON could be read from the body")
        else:
            words = one["msg"].removeprefix("Value error, ")[:200]
            found.append(f"{place}: {words}" if place else words)
    return "; ".join(dict.fromkeys(found[:3]))


def texts(inputs: Any) -> Split:
    """A text or a list of texts."""
    if isinstance(inputs, str):
        return [inputs], True
    if isinstance(inputs, list) and all(isinstance(item, str) for item in inputs):
        return inputs, False
    raise Invalid("inputs must be a text, or a list of texts")


def texts_or_pairs(inputs: Any) -> Split:
    """A text, {"text", "text_pair"}, or a list of either."""
    single = not isinstance(inputs, list)
    items = [inputs] if single else inputs
    if not all(isinstance(item, str | dict) for item in items):
        raise Invalid('inputs must be a text, {"text": ..., "text_pair": ...}, or a list of these')
    return items, single


def questions(inputs: Any) -> Split:
    """{"question", "context"}, or a list of them."""
    single = not isinstance(inputs, list)
    items = [inputs] if single else inputs
    for item in items:
        if not isinstance(item, dict) or {"question", "context"} != item.keys():
            raise Invalid('inputs must be {"question": ..., "context": ...}, or a list of these')
    return items, single


def comparisons(inputs: Any) -> Split:
    """{"source_sentence", "sentences"}, or a list of them."""
    single = not isinstance(inputs, list)
    items = [inputs] if single else inputs
    for item in items:
        if not isinstance(item, dict) or {"source_sentence", "sentences"} != item.keys():
            raise Invalid('inputs must be {"source_sentence": ..., "sentences": [...]}, or texts to have their vectors')
    return items, single


def _plain(parameters: Parameters) -> dict[str, Any]:
    return parameters.given()


def _classification(parameters: Parameters) -> dict[str, Any]:
    given = parameters.given()
    return {**_truncating(given), "top_k": given.get("top_k")}


def _zero_shot(parameters: Parameters) -> dict[str, Any]:
    given = parameters.given()
    if given.get("multi_label", given.get("multi_class")) != given.get("multi_class", given.get("multi_label")):
        raise Invalid("multi_class is the older name of multi_label, and they say different things")
    return given


def _questions(parameters: Parameters) -> dict[str, Any]:
    given = parameters.given()
    half = given.get("max_seq_len", 384) // 2
    if given.get("doc_stride", 0) > half:
        raise Invalid(f"doc_stride is {given['doc_stride']}; windows may overlap by half, {half} tokens")
    return {name: value for name, value in given.items() if name != "padding"}


def _features(parameters: Parameters) -> dict[str, Any]:
    truncate = parameters.given().get("truncate")
    return {"return_tensors": True, **({} if truncate is None else {"truncation": truncate})}


def _truncating(given: dict[str, Any]) -> dict[str, Any]:
    """`truncation` as a tokenizer says it."""
    if given.get("truncation") == "do_not_truncate":
        return {**given, "truncation": False}
    return given


def _one_or_all(answers: list[Any], single: bool) -> Any:
    return answers[0] if single else answers


def _nested(answers: list[Any], single: bool) -> Any:
    """Labels of a single text stand in a list in a list: clients take a flat one apart."""
    return answers


def _named(answers: list[Any], single: bool) -> Any:
    """Every element says `entity_group`, also where tokens were not grouped: clients insist on it."""
    for entities in answers:
        for entity in entities:
            if "entity" in entity:
                entity["entity_group"] = entity["entity"]
            entity["score"] = float(entity["score"])
    return _one_or_all(answers, single)


def _flat(answers: list[Any], single: bool) -> Any:
    """A list of records for one text; for several, a list of records too where each has one."""
    if single:
        return answers[0]
    return [records[0] for records in answers] if all(len(records) == 1 for records in answers) else answers


def as_pairs(answers: list[Any], single: bool) -> Any:
    """Zero-shot labels as newer clients read them: [{"label", "score"}], best first."""
    pairs = [
        [{"label": label, "score": score} for label, score in zip(one["labels"], one["scores"], strict=True)]
        for one in answers
    ]
    return _one_or_all(pairs, single)


def as_writing(parameters: Parameters) -> dict[str, Any]:
    """Options of a task that writes one text for another."""
    given = parameters.given()
    for name in ("generate_parameters", "generation_parameters"):
        inner = given.pop(name, None)
        if inner:
            given |= read_parameters("text2text-generation", inner).given()
    given.pop("seed", None)
    if given.get("temperature") == 0:
        given |= {"do_sample": False}
        del given["temperature"]
    return _truncating(given)


WIRES: Mapping[str, Wire] = {
    "text-classification": Wire(texts_or_pairs, _classification, _nested),
    "token-classification": Wire(texts, _plain, _named),
    "question-answering": Wire(questions, _questions, _one_or_all),
    "fill-mask": Wire(texts, _plain, _one_or_all),
    "zero-shot-classification": Wire(texts, _zero_shot, _one_or_all),
    "feature-extraction": Wire(texts, _features, _one_or_all),
    "sentence-similarity": Wire(comparisons, _plain, _one_or_all),
    "text2text-generation": Wire(texts, as_writing, _flat),
    "summarization": Wire(texts, as_writing, _flat),
    "translation": Wire(texts, as_writing, _flat),
}
