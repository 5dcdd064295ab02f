"""What translation and summarization share: texts to texts with an encoder and a decoder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...errors import DataError
from ...inference.rows import UNLIMITED, longest_row
from ..arguments import Seq2SeqTrainingArguments
from ..collators import DataCollatorForSeq2Seq
from ..seq2seq import Seq2SeqTrainer
from ..tables import Table
from ..written import WrittenMetric
from .settings import BATCH, RecipeSettings, datasets_of, fit, longest, tables_of, training_arguments

USUAL_TARGET = 128
Score = Callable[[Sequence[str], Sequence[str]], dict[str, float]]


@dataclass(frozen=True)
class SequenceSettings(RecipeSettings):
    """And: the columns, how long sources (`max_length`) and targets (128 tokens) may be, and how evaluation writes.

    `source_prefix` goes before every source; left out, what the model's config says of the task. `num_beams` and the
    target length hold for the evaluation and are kept in the model's generation_config.
    """

    source_column: str = "source"
    target_column: str = "target"
    source_prefix: str | None = None
    max_target_length: int | None = None
    num_beams: int = 1


def learn(
    settings: SequenceSettings,
    task: str,
    model: Any,
    tokenizer: Any,
    tables: Sequence[Table],
    usual_length: int,
    score: Score,
) -> dict[str, float]:
    """Fine-tune a model on pairs of texts and score what it writes."""
    prefix = prefix_of(settings, task, model)
    source_length, target_length = longest(settings, tokenizer, usual_length, model), longest_target(settings, model)
    rows = [list(encode(tokenizer, table, prefix, source_length, target_length)) for table in tables]
    model.generation_config.max_length = target_length
    model.generation_config.num_beams = settings.num_beams

    trainer = Seq2SeqTrainer(
        model=model,
        args=training_arguments(
            settings,
            Seq2SeqTrainingArguments,
            group_by_length=True,
            predict_with_generate=True,
            generation_max_length=target_length,
            generation_num_beams=settings.num_beams,
        ),
        **datasets_of(rows),
        data_collator=DataCollatorForSeq2Seq(tokenizer, model=model),
        processing_class=tokenizer,
        compute_metrics=WrittenMetric(tokenizer, score),
    )
    return fit(trainer, settings, task, tables_of(tables))


def longest_target(settings: SequenceSettings, model: Any) -> int:
    """How many tokens of a target are read and written: as asked, else the usual number where the model can."""
    room = longest_row(model) or UNLIMITED
    asked = settings.max_target_length
    if asked is not None and not 1 < asked <= room:
        raise DataError(f"max_target_length is {asked}, but the model writes 2 to {room} tokens")
    return min(USUAL_TARGET, room) if asked is None else asked


def prefix_of(settings: SequenceSettings, task: str, model: Any) -> str:
    """What goes before every source; one that was asked for is kept in the config, where pipelines look for it."""
    known: Mapping[str, Any] = getattr(model.config, "task_specific_params", None) or {}
    own = known.get(task) or {}
    if settings.source_prefix is None:
        return str(own.get("prefix") or getattr(model.config, "prefix", None) or "")
    # Prefixes for other pairs of languages would go before this one.
    others = {name: params for name, params in known.items() if not name.startswith(f"{task}_")}
    model.config.update({"task_specific_params": {**others, task: {**own, "prefix": settings.source_prefix}}})
    return settings.source_prefix


def encode(
    tokenizer: Any, table: Table, prefix: str, source_length: int, target_length: int
) -> Iterator[dict[str, Any]]:
    """Sources with their prefix as ids, targets as labels."""
    for start in range(0, len(table), BATCH):
        part = [table[index] for index in range(start, min(start + BATCH, len(table)))]
        sources = [prefix + row["source"] for row in part]
        encoded = tokenizer(sources, truncation=True, max_length=source_length)
        targets = tokenizer(text_target=[row["target"] for row in part], truncation=True, max_length=target_length)
        for index in range(len(part)):
            labels = targets["labels" if "labels" in targets else "input_ids"][index]
            row = {name: values[index] for name, values in encoded.items() if name != "token_type_ids"}
            yield {**row, "labels": labels}
