"""Text classification: one label, several labels or a number for a text or a pair of texts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...errors import DataError
from ..collators import DataCollatorWithPadding
from ..glue import glue_task, read_glue
from ..metrics import SCORES, ClassificationMetric
from ..tables import Table, open_table
from ..trainer import Trainer
from .settings import (
    RecipeSettings,
    datasets_of,
    encoded_rows,
    fit,
    give_padding,
    load_model,
    load_tokenizer,
    longest,
    tables_of,
    training_arguments,
)

SINGLE, MULTI, NUMBER = "single_label_classification", "multi_label_classification", "regression"
PROBLEMS = {"single-label": SINGLE, "multi-label": MULTI, "regression": NUMBER}
SEPARATOR = "|"  # between the labels of one text in a table file


@dataclass(frozen=True)
class Settings(RecipeSettings):
    """And: a GLUE task by name, or the columns, the kind of problem and the metrics.

    `problem` is single-label, multi-label (labels in a list, or with | between them) or regression.
    """

    task: str | None = None
    text_column: str = "text"
    text_pair_column: str | None = None
    label_column: str = "label"
    problem: str | None = None
    metrics: Sequence[str] = ()


def train(settings: Settings) -> dict[str, float]:
    """Fine-tune a model to classify texts."""
    tables = [read(source, settings) for source in settings.sources]
    columns = text_columns(settings)
    problem = problem_of(settings)
    metric = ClassificationMetric(scores_of(settings, problem), problem)
    names = [] if problem == NUMBER else label_names(settings, tables[0], problem)
    targets = [numbered(table, settings, problem, names) for table in tables]

    tokenizer = load_tokenizer(settings)
    counted = names == [str(number) for number in range(len(names))]  # the model's own names, if any, say more
    labels = {"num_labels": len(names) or 1} if counted else {"id2label": dict(enumerate(names))}
    model = load_model(settings, "AutoModelForSequenceClassification", problem_type=problem, **labels)
    give_padding(tokenizer, model)
    length = longest(settings, tokenizer, 512, model)
    rows = [
        [
            {**row, "labels": label}
            for row, label in zip(
                encoded_rows(tokenizer, *map(table.texts, columns), truncation=True, max_length=length),
                wanted,
                strict=True,
            )
        ]
        for table, wanted in zip(tables, targets, strict=True)
    ]

    trainer = Trainer(
        model=model,
        args=training_arguments(settings, group_by_length=True),
        **datasets_of(rows),
        data_collator=DataCollatorWithPadding(tokenizer),
        processing_class=tokenizer,
        compute_metrics=metric,
    )
    return fit(trainer, settings, "text-classification", tables_of(tables))


def read(source: Any, settings: Settings) -> Table:
    """The rows of a GLUE file or of any table."""
    return read_glue(source, settings.task) if settings.task else open_table(source)


def text_columns(settings: Settings) -> list[str]:
    """The one or two columns that hold the texts."""
    if settings.task:
        return list(glue_task(settings.task).columns)
    return [settings.text_column, *([settings.text_pair_column] if settings.text_pair_column else [])]


def problem_of(settings: Settings) -> str:
    """What is to be predicted, under the name that the model's config has for it."""
    if settings.problem is not None and settings.problem not in PROBLEMS:
        raise DataError(f"problem={settings.problem!r} is unknown: one of {', '.join(PROBLEMS)}")
    if settings.task and not glue_task(settings.task).labels:
        return NUMBER
    return PROBLEMS[settings.problem or "single-label"]


def scores_of(settings: Settings, problem: str) -> Sequence[str]:
    """The metrics asked for, else GLUE's, else what suits the problem."""
    for name in settings.metrics:
        if name not in SCORES:
            raise DataError(f"no metric {name!r}; there are {', '.join(SCORES)}")
    if settings.metrics and problem == MULTI:
        raise DataError("metrics cannot be chosen for several labels a text: these are scored by accuracy and F1")
    usual = ("pearson", "spearman") if problem == NUMBER else ("accuracy",)
    return settings.metrics or (glue_task(settings.task).metrics if settings.task else usual)


def label_names(settings: Settings, table: Table, problem: str) -> list[str]:
    """The set of labels: GLUE's, else those of the training rows, numbers by size and names by the alphabet."""
    if settings.task:
        return list(glue_task(settings.task).labels)
    values = table.column(settings.label_column)
    found = {str(one) for value in values for one in (split_labels(value) if problem == MULTI else [value])}
    found = {name for name in found if name.strip()}  # a row without a label is refused where it is numbered
    names = sorted(found, key=lambda name: (0, int(name), name) if name.lstrip("-").isdecimal() else (1, 0, name))
    if len(names) < 2:
        raise DataError(f"{table.name}: the column {settings.label_column!r} holds only {names}; two labels at least")
    if len(names) > len(table) // 2 and len(names) > 100:
        raise DataError(
            f"{table.name}: the column {settings.label_column!r} holds {len(names)} different labels in {len(table)} "
            "rows; for numbers say problem='regression'"
        )
    return names


def split_labels(value: Any) -> list[Any]:
    if isinstance(value, list | tuple):
        return list(value)
    return [part.strip() for part in str(value).split(SEPARATOR) if part.strip()]


def numbered(table: Table, settings: Settings, problem: str, names: Sequence[str]) -> list[Any]:
    """The label of each row as the model wants it; refuses one that is outside the set, or not a number."""
    index = {name: number for number, name in enumerate(names)}
    column = "label" if settings.task else settings.label_column

    def one(place: int, value: Any) -> int:
        if not str(value).strip():
            table.refuse(place, f"no label in the column {column!r}")
        if str(value) not in index:
            known = ", ".join(map(repr, names[:20]))
            table.refuse(place, f"the label {value!r:.60} is outside the set {known}")
        return index[str(value)]

    def changed(place: int, value: Any) -> Any:
        if problem == NUMBER:
            number = float(value) if is_number(value) else math.nan
            if not math.isfinite(number):
                table.refuse(place, f"the label {value!r:.60} is not a number")
            return number
        if problem == MULTI:
            chosen = {one(place, each) for each in split_labels(value)}
            return [float(number in chosen) for number in range(len(names))]
        return one(place, value)

    return [changed(place, value) for place, value in enumerate(table.column(column))]


def is_number(value: Any) -> bool:
    """Whether a label can be read as a number."""
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True
