"""Sentence embeddings: texts that belong together come close, others apart; or pairs as close as their scores say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ...errors import DataError
from ...files.shown import shown
from ...sentences.folder import find_folder
from ..collators import DataCollatorForMultipleChoice
from ..retrieval import PairMetric, RetrievalMetric, TrainedSentences
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
from .text_classification import is_number

LOSSES = ("negatives", "margin", "cosine")


@dataclass(frozen=True)
class Settings(RecipeSettings):
    """And: the columns, the loss, and the prompts that texts come after.

    A row is an anchor with a positive that belongs to it, and perhaps a negative that does not; or with `label_column`
    two texts and how alike they are, from -1 to 1. `loss` is "negatives" (each anchor is to find its positive among
    all texts of the batch, by cosines times `scale`), "margin" (the positive is to be nearer than the negative by
    `margin`) or "cosine" (the cosine is to be the label); left out, the last where there are labels, else the first.
    `query_prompt` stands before anchors, `document_prompt` before all others; the model stores them.
    """

    text_column: str = "anchor"
    text_pair_column: str = "positive"
    negative_column: str | None = None
    label_column: str | None = None
    loss: str | None = None
    scale: float = 20.0
    margin: float = 0.3
    query_prompt: str | None = None
    document_prompt: str | None = None


def train(settings: Settings) -> dict[str, float]:
    """Fine-tune a model to make vectors of texts."""
    loss = loss_of(settings)
    tables = [open_table(source) for source in settings.sources]
    known: list[dict[str, int]] = [{}, {}]
    targets: list[list[Any]] = [
        scores(table, settings) if settings.label_column else numbers(table, settings, known) for table in tables
    ]

    said = find_folder(settings.model, {})
    where, options = said.loading({}, {"dtype": "float32"})
    tokenizer = load_tokenizer(settings, **where, **said.tokenizer_options)
    body = load_model(settings, "AutoModelForTextEncoding", **where, **({} if settings.from_scratch else options))
    give_padding(tokenizer, body)
    model = TrainedSentences.around(body, tokenizer, said)
    model.loss, model.scale, model.margin = loss, settings.scale, settings.margin
    model.related = set() if settings.label_column else {(row[0], row[1]) for rows in targets for row in rows}
    for name, prompt in (("query", settings.query_prompt), ("document", settings.document_prompt)):
        if prompt is not None:
            model.prompts[name] = prompt
    length = longest(settings, tokenizer, model.max_seq_length or 512, body)
    rows = [list(encode(model, table, wanted, settings, length)) for table, wanted in zip(tables, targets, strict=True)]

    trainer = Trainer(
        model=model,
        args=training_arguments(settings),
        **datasets_of(rows),
        data_collator=DataCollatorForMultipleChoice(tokenizer),
        processing_class=tokenizer,
        compute_metrics=PairMetric() if settings.label_column else RetrievalMetric(),
    )
    return fit(trainer, settings, "sentence-similarity", tables_of(tables))


def loss_of(settings: Settings) -> str:
    """The loss that is asked for, or that suits the columns; DataError where the columns lack what it needs."""
    loss = settings.loss or ("cosine" if settings.label_column else "negatives")
    if loss not in LOSSES:
        raise DataError(f"loss={shown(loss)} is unknown: one of {', '.join(LOSSES)}")
    if (loss == "cosine") != (settings.label_column is not None):
        raise DataError("the loss 'cosine' is for pairs with scores: give label_column, and only for it")
    if loss == "margin" and settings.negative_column is None:
        raise DataError("the loss 'margin' compares a positive with a negative: give negative_column")
    if loss == "cosine" and settings.negative_column is not None:
        raise DataError("pairs with scores have no negatives: give either label_column or negative_column")
    return loss


def text_columns(settings: Settings) -> list[str]:
    negative = [settings.negative_column] if settings.negative_column else []
    return [settings.text_column, settings.text_pair_column, *negative]


def scores(table: Table, settings: Settings) -> list[float]:
    """How alike the texts of each row are: DataError for numbers that cannot be a cosine."""
    assert settings.label_column is not None
    found = []
    for place, value in enumerate(table.column(settings.label_column)):
        number = float(value) if is_number(value) else 2.0
        if not -1 <= number <= 1:
            table.refuse(
                place, f"the label {shown(value, 60)} is not a number from -1 to 1: divide scores by the largest"
            )
        found.append(number)
    return found


def numbers(table: Table, settings: Settings, known: Sequence[dict[str, int]]) -> list[list[int]]:
    """The texts of each row by their numbers: equal anchors have one, and so have equal texts of all others."""
    columns = [table.texts(name) for name in text_columns(settings)]
    return [
        [known[place > 0].setdefault(text, len(known[place > 0])) for place, text in enumerate(row)]
        for row in zip(*columns, strict=True)
    ]


def encode(
    model: TrainedSentences, table: Table, targets: Sequence[Any], settings: Settings, length: int
) -> Iterator[dict[str, Any]]:
    """Rows of lists, one entry a text, each after its prompt."""
    prompts = [settings.query_prompt or "", *[settings.document_prompt or ""] * 2]
    columns = [
        encoded_rows(
            model.tokenizer,
            [model.first.prompted(text, prompt) for text in table.texts(name)],
            truncation=True,
            max_length=length,
        )
        for name, prompt in zip(text_columns(settings), prompts, strict=False)
    ]
    for texts, target in zip(zip(*columns, strict=True), targets, strict=True):
        yield {**{name: [text[name] for text in texts] for name in texts[0]}, "labels": target}
