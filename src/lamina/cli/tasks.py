"""The tasks of `lamina run`: the options each takes, how its inputs are put together, how its answers are shown."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple

import typer
from rich.console import RenderableType

from ..errors import InputError
from . import answers
from .inputs import Read, missing

TEXT, PAIR, QUESTION, CONTEXT = "--text-column", "--text-pair-column", "--question-column", "--context-column"


@dataclass(frozen=True)
class Given:
    """What an input may be made of besides a text, each under the name of its option; names of columns too."""

    question: str | None = None
    context: str | None = None
    source: str | None = None
    text_column: str | None = None
    text_pair_column: str | None = None
    question_column: str | None = None
    context_column: str | None = None


class Asked(NamedTuple):
    """One row of the output to be: where its input stands and what it was, and what the pipeline gets of it."""

    place: str
    row: Any
    item: Any = None
    error: str | None = None


Columns = list[tuple[str, str]]  # that files must have, and the options that choose them


def text_columns(given: Given) -> Columns:
    """The column of texts, and that of second texts where it was named."""
    pair = [(given.text_pair_column, PAIR)] if given.text_pair_column else []
    return [(given.text_column or "text", TEXT), *pair]


def question_columns(given: Given) -> Columns:
    """The column of questions, and that of passages where --context does not say one for all."""
    passage = [(given.context_column or "context", CONTEXT)] if given.context_column or given.context is None else []
    return [(given.question_column or "question", QUESTION), *passage]


def each_row(rows: Iterable[Read], item: Callable[[Any], Any]) -> Iterator[Asked]:
    """What `item` makes of every row; a row that cannot be read, or made something of, is asked as its error."""
    for place, row, wrong in rows:
        if wrong is None:
            try:
                yield Asked(place, row, item(row))
                continue
            except InputError as error:
                wrong = str(error)
        yield Asked(place, row, error=wrong)


def texts_alone(rows: Iterable[Read], given: Given) -> Iterator[Asked]:
    """Each text."""
    name = given.text_column or "text"
    return each_row(rows, lambda row: column(row, name, TEXT) if isinstance(row, dict) else row)


def texts_or_pairs(rows: Iterable[Read], given: Given) -> Iterator[Asked]:
    """Each text, or text and second text where rows have such a column."""
    name, second = given.text_column or "text", given.text_pair_column or "text_pair"

    def item(row: Any) -> Any:
        if not isinstance(row, dict):
            return row
        text = column(row, name, TEXT)
        pair = column(row, second, PAIR) if given.text_pair_column else row.get(second)
        return {"text": text, "text_pair": pair} if pair else text

    return each_row(rows, item)


def questions_with_context(rows: Iterable[Read], given: Given) -> Iterator[Asked]:
    """--question and every text, asked of --context; rows may bring a context of their own."""
    name, place = given.question_column or "question", given.context_column or "context"

    def item(row: Any) -> Any:
        columns = row if isinstance(row, dict) else {name: row}
        own = place in columns or given.context is None or given.context_column
        if own and not isinstance(row, dict):
            raise InputError("a question needs a passage: give --context")
        passage = column(columns, place, CONTEXT) if own else given.context
        return {"question": column(columns, name, QUESTION), "context": passage}

    asked = [Read("--question", given.question)] if given.question is not None else []
    return each_row(chain(asked, rows), item)


def compared_with_source(rows: Iterable[Read], given: Given) -> Iterator[Asked]:
    """All texts as one input, compared with --source or else with the first of them."""
    asked = list(texts_alone(rows, given))
    texts = [each.item for each in asked]
    source, *sentences = [*([given.source] if given.source is not None else []), *texts] or [None]
    if not sentences:
        raise typer.BadParameter("nothing to compare: give --source and at least one text", param_hint="--source")
    both = {"source_sentence": source, "sentences": sentences}
    wrong = next((each for each in asked if each.error or not isinstance(each.item, str)), None)
    if wrong is None:
        yield Asked(asked[0].place, both, both)
    else:
        yield Asked(wrong.place, wrong.row, error=wrong.error or "is not text")


def column(row: dict[str, Any], name: str, option: str) -> Any:
    """One column of a row; says which there are where it is missing."""
    if name not in row:
        raise InputError(missing(name, option, list(row)))
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
    inputs: Callable[[Iterable[Read], Given], Iterator[Asked]] = texts_alone
    columns: Callable[[Given], Columns] = text_columns


LANGUAGE_PAIR = re.compile(r"translation_\w+_to_\w+")
TEXTS = ("text_column",)
WRITING = ("max_new_tokens", *TEXTS)
TASKS = (
    CommandTask(
        "text-classification",
        "a label for each text, such as its sentiment",
        answers.show_labels,
        ("top_k", "truncation", "text_pair_column", *TEXTS),
        alias="sentiment-analysis",
        inputs=texts_or_pairs,
    ),
    CommandTask(
        "token-classification",
        "the names of people, places and the like in a text",
        answers.show_entities,
        ("aggregation_strategy", *TEXTS),
        alias="ner",
    ),
    CommandTask("fill-mask", "the likeliest words for a gap", answers.show_fillings, ("top_k", "targets", *TEXTS)),
    CommandTask(
        "question-answering",
        "the passage of --context that answers a question",
        answers.show_passages,
        ("top_k", "question", "context", "question_column", "context_column"),
        inputs=questions_with_context,
        columns=question_columns,
    ),
    CommandTask(
        "zero-shot-classification",
        "which of your own --labels fit a text",
        answers.show_choices,
        ("candidate_labels", "hypothesis_template", "multi_label", *TEXTS),
        required=("candidate_labels",),
    ),
    CommandTask("feature-extraction", "the vector of every token", answers.show_vectors, ("truncation", *TEXTS)),
    CommandTask(
        "sentence-similarity",
        "how close texts are in meaning to --source",
        answers.show_similarities,
        ("source", *TEXTS),
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
