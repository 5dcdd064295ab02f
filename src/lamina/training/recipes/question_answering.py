"""Extractive question answering: the span of a context that answers a question, or that there is none."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from ...errors import TrainingError
from ...files.atomic import staged
from ..collators import DataCollatorWithPadding
from ..readers import read_squad
from ..trainer import Trainer
from ..windows import AnswerMetric, cut_windows
from .settings import RecipeSettings, fit, load_model, load_tokenizer, longest, tables_of, training_arguments

USUAL_LENGTH = 384


@dataclass(frozen=True)
class Settings(RecipeSettings):
    """And: how windows overlap, and how answers are chosen from the model's scores.

    `stride` is the number of tokens two windows share; left out, 128 or a third of a window. With `no_answer` the empty
    answer wins where its score exceeds the best span's by more than `no_answer_threshold`; `null_score` says which of
    its scores over the windows counts: the lowest, or the notebook's, the highest.
    """

    stride: int | None = None
    n_best: int = 20
    max_answer_length: int = 30
    no_answer: bool = False
    no_answer_threshold: float = 0.0
    null_score: str = "lowest"


def train(settings: Settings) -> dict[str, float]:
    """Fine-tune a model to find answers; those to `eval` are left in predictions.json and nbest_predictions.json."""
    tables = [read_squad(source) for source in settings.sources]
    tokenizer = load_tokenizer(settings)
    model = load_model(settings, "AutoModelForQuestionAnswering")
    length = longest(settings, tokenizer, USUAL_LENGTH, model)
    stride = min(128, length // 3) if settings.stride is None else settings.stride
    learned = [row for row, _ in cut_windows(tokenizer, tables[0], length, stride)]

    scored = list(cut_windows(tokenizer, tables[1], length, stride)) if len(tables) > 1 else []
    metric = AnswerMetric(
        tables[-1],
        [window for _, window in scored],
        settings.n_best,
        settings.max_answer_length,
        settings.no_answer,
        settings.no_answer_threshold,
        settings.null_score,
    )
    trainer = Trainer(
        model=model,
        args=training_arguments(settings, group_by_length=True, label_names=["start_positions", "end_positions"]),
        train_dataset=learned,
        eval_dataset=[row for row, _ in scored] or None,
        data_collator=DataCollatorWithPadding(tokenizer),
        processing_class=tokenizer,
        compute_metrics=metric if scored else None,
    )
    results = fit(trainer, settings, "question-answering", tables_of(tables))
    if scored and trainer.args.process_index == 0:
        write_answers(settings.output, metric)
    return results


def write_answers(folder: Path, metric: AnswerMetric) -> None:
    """The best answer to each question by its id, as the official evaluation reads it, and the best few with scores."""
    best = {name: ranked[0]["text"] for name, ranked in metric.ranked.items()}
    with staged(folder, TrainingError) as new:
        for name, content in (("predictions.json", best), ("nbest_predictions.json", metric.ranked)):
            new(name).write_text(
                json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8", newline="\n"
            )
