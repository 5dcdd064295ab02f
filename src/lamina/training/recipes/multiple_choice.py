"""Multiple choice: which of several endings goes best with a beginning."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..collators import DataCollatorForMultipleChoice
from ..metrics import ClassificationMetric
from ..readers import read_swag
from ..tables import Table
from ..trainer import Trainer
from .settings import (
    BATCH,
    RecipeSettings,
    datasets_of,
    fit,
    give_padding,
    load_model,
    load_tokenizer,
    longest,
    tables_of,
    training_arguments,
)


@dataclass(frozen=True)
class Settings(RecipeSettings):
    """And: the column with the number of the right ending. The texts are in SWAG's columns."""

    label_column: str = "label"


def train(settings: Settings) -> dict[str, float]:
    """Fine-tune a model to choose."""
    tables = [read_swag(source, settings.label_column) for source in settings.sources]
    tokenizer = load_tokenizer(settings)
    model = load_model(settings, "AutoModelForMultipleChoice")
    give_padding(tokenizer, model)
    length = longest(settings, tokenizer, 512, model)
    rows = [list(encode(tokenizer, table, length)) for table in tables]

    trainer = Trainer(
        model=model,
        args=training_arguments(settings),
        **datasets_of(rows),
        data_collator=DataCollatorForMultipleChoice(tokenizer),
        processing_class=tokenizer,
        compute_metrics=ClassificationMetric(),
    )
    return fit(trainer, settings, "multiple-choice", tables_of(tables))


def encode(tokenizer: Any, table: Table, length: int) -> Iterator[dict[str, Any]]:
    """Rows of lists, one entry a choice: the beginning is repeated before each ending."""
    choices = len(table[0]["seconds"])
    for start in range(0, len(table), BATCH):
        part = [table[index] for index in range(start, min(start + BATCH, len(table)))]
        firsts = [row["first"] for row in part for _ in range(choices)]
        seconds = [second for row in part for second in row["seconds"]]
        encoded = tokenizer(firsts, seconds, truncation=True, max_length=length)
        for number, row in enumerate(part):
            own = slice(number * choices, (number + 1) * choices)
            yield {**{name: values[own] for name, values in encoded.items()}, "labels": row["label"]}
