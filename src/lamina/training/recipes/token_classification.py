"""Token classification: a tag for each word, such as the names of people and places."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..alignment import align_labels, inner_labels
from ..collators import DataCollatorForTokenClassification
from ..entities import OUTSIDE, EntityMetric
from ..readers import read_conll
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
    """And: which columns hold words and tags, counted from 0 or from the end, and what pieces of a word learn.

    Scores count words by their first pieces. `label_all_tokens` trains the other pieces too, with I-X for the B-X of
    their word unless `b_to_i_label` is off; `piece_level_scores` counts every piece, as the course's notebook does.
    """

    token_column: int = 0
    label_column: int = -1
    label_all_tokens: bool = False
    b_to_i_label: bool = True
    piece_level_scores: bool = False


def train(settings: Settings) -> dict[str, float]:
    """Fine-tune a model to tag words."""
    tables = [read_conll(source, settings.token_column, settings.label_column) for source in settings.sources]
    names = tag_names(tables[0])
    numbers = [numbered(table, names) for table in tables]

    tokenizer = load_tokenizer(settings)
    if "add_prefix_space" in tokenizer.recipe.options:
        # Byte-level pieces carry the space before a word, which words alone have lost.
        tokenizer = load_tokenizer(settings, add_prefix_space=True)
    model = load_model(settings, "AutoModelForTokenClassification", id2label=dict(enumerate(names)))
    give_padding(tokenizer, model)
    length = longest(settings, tokenizer, 512, model)
    inner = inner_labels(names) if settings.b_to_i_label else {}
    every = (settings.label_all_tokens, settings.piece_level_scores)
    rows = [
        list(encode(tokenizer, table, labels, length, pieces, inner))
        for table, labels, pieces in zip(tables, numbers, every, strict=False)
    ]

    trainer = Trainer(
        model=model,
        args=training_arguments(settings, group_by_length=True),
        **datasets_of(rows),
        data_collator=DataCollatorForTokenClassification(tokenizer),
        processing_class=tokenizer,
        compute_metrics=EntityMetric(dict(enumerate(names))),
    )
    return fit(trainer, settings, "token-classification", tables_of(tables))


def tag_names(table: Table) -> list[str]:
    """The set of tags in the training sentences: O first, then each type's B and I."""
    found = {str(tag) for row in table for tag in row["labels"]}
    return sorted(found, key=lambda tag: (tag != OUTSIDE, tag.partition("-")[2], tag))


def numbered(table: Table, names: Sequence[str]) -> list[list[int]]:
    """The number of each word's tag; refuses a tag outside the set."""
    index = {name: number for number, name in enumerate(names)}
    out = []
    for place, row in enumerate(table):
        pairs = zip(row["tokens"], row["labels"], strict=True)
        word, unknown = next(((word, tag) for word, tag in pairs if str(tag) not in index), (None, None))
        if unknown is not None:
            known = ", ".join(map(repr, names[:30]))
            table.refuse(place, f"the label {unknown!r:.60} of {word!r:.60} is outside the set {known}")
        out.append([index[str(tag)] for tag in row["labels"]])
    return out


def encode(
    tokenizer: Any, table: Table, labels: Sequence[list[int]], length: int, every_piece: bool, inner: dict[int, int]
) -> Iterator[dict[str, Any]]:
    """Rows with a label for each piece; a sentence that is too long goes on in another row, so no word is lost."""
    for first in range(0, len(table), BATCH):
        sentences = [table[index]["tokens"] for index in range(first, min(first + BATCH, len(table)))]
        encoded = tokenizer(
            sentences, is_split_into_words=True, truncation=True, max_length=length, return_overflowing_tokens=True
        )
        owners = encoded.pop("overflow_to_sample_mapping")
        owner_before = -1
        word_before: int | None = None
        for number, owner in enumerate(owners):
            words = encoded.word_ids(number)
            before = word_before if owner == owner_before else None
            row = {name: values[number] for name, values in encoded.items()}
            yield {**row, "labels": align_labels(words, labels[first + owner], every_piece, inner, before)}
            owner_before = owner
            word_before = next((word for word in reversed(words) if word is not None), None)
