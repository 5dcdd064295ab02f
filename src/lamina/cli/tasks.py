"""The tasks of `lamina run`: the options each takes, how its inputs are put together, how its answers are shown."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

import typer
from rich.console import RenderableType

from ..errors import InputError
from . import answers


@dataclass(frozen=True)
class Given:
    """What an input may be made of besides a text, each under the name of its option."""

    question: str | None = None
    context: str | None = None
    source: str | None = None


Inputs = Iterator[tuple[Any, Any]]  # a row as it was read, and what the pipeline gets of it


def texts_alone(rows: Iterable[Any], given: Given) -> Inputs:
    """Each text, or text and second text where rows have such a column."""
    for row in rows:
        if isinstance(row, dict):
            text = column(row, "text")
            yield row, {"text": text, "text_pair": row["text_pair"]} if row.get("text_pair") else text
        else:
            yield row, row


def questions_with_context(rows: Iterable[Any], given: Given) -> Inputs:
    """--question and every text, asked of --context; rows may bring a context of their own."""
    for row in chain([given.question] if given.question is not None else [], rows):
        columns = row if isinstance(row, dict) else {"question": row}
        passage = columns.get("context", given.context)
        if passage is None:
            raise typer.BadParameter("a question needs a passage: TEXT or @FILE", param_hint="--context")
        yield row, {"question": column(columns, "question"), "context": passage}


def compared_with_source(rows: Iterable[Any], given: Given) -> Inputs:
    """All texts as one input, compared with --source or else with the first of them."""
    texts = [column(row, "text") if isinstance(row, dict) else row for row in rows]
    source, *sentences = [*([given.source] if given.source is not None else []), *texts] or [None]
    if not sentences:
        raise typer.BadParameter("nothing to compare: give --source and at least one text", param_hint="--source")
    both = {"source_sentence": source, "sentences": sentences}
    yield both, both


def column(row: dict[str, Any], name: str) -> Any:
    """One column of a row; says which there are where it is missing."""
    if name not in row:
        raise InputError(f"a row has no {name!r}, only {', '.join(map(repr, row)) or 'nothing'}")
    return row[name]


@dataclass(frozen=True)
class CommandTask:
    """One task as the command line sees it."""

    name: str
    summary: str
    show: Callable[[Any, Any], RenderableType]  # an input and its answer, for people
    options: tuple[str, ...] = ()  # parameters of `lamina run` that this task takes
    required: tuple[str, ...] = ()
    alias: str | None = None
    inputs: Callable[[Iterable[Any], Given], Inputs] = texts_alone


LANGUAGE_PAIR = re.compile(r"translation_\w+_to_\w+")
WRITING = ("max_new_tokens",)
TASKS = (
    CommandTask(
        "text-classification",
        "a label for each text, such as its sentiment",
        answers.show_labels,
        ("top_k", "truncation"),
        alias="sentiment-analysis",
    ),
    CommandTask(
        "token-classification",
        "the names of people, places and the like in a text",
        answers.show_entities,
        ("aggregation_strategy",),
        alias="ner",
    ),
    CommandTask("fill-mask", "the likeliest words for a gap", answers.show_fillings, ("top_k", "targets")),
    CommandTask(
        "question-answering",
        "the passage of --context that answers a question",
        answers.show_passages,
        ("top_k", "question", "context"),
        inputs=questions_with_context,
    ),
    CommandTask(
        "zero-shot-classification",
        "which of your own --labels fit a text",
        answers.show_choices,
        ("candidate_labels", "hypothesis_template", "multi_label"),
        required=("candidate_labels",),
    ),
    CommandTask("feature-extraction", "the vector of every token", answers.show_vectors, ("truncation",)),
    CommandTask(
        "sentence-similarity",
        "how close texts are in meaning to --source",
        answers.show_similarities,
        ("source",),
        inputs=compared_with_source,
    ),
    CommandTask("text-generation", "what may follow a text", answers.show_written, WRITING),
    CommandTask("summarization", "the gist of a text", answers.show_written, (*WRITING, "truncation", "chunk")),
    CommandTask(
        "translation",
        "a text in another language",
        answers.show_written,
        (*WRITING, "truncation", "chunk", "src_lang", "tgt_lang"),
    ),
    CommandTask("text2text-generation", "a text made from a text", answers.show_written, (*WRITING, "truncation")),
)


def find_task(name: str) -> CommandTask | None:
    """The row called `name`, by its own name or its alias; None where the command line has no row for it."""
    plain = "translation" if LANGUAGE_PAIR.fullmatch(name) else name
    return next((task for task in TASKS if plain in (task.name, task.alias)), None)
