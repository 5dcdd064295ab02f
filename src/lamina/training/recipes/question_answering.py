"""Extractive question answering: the span of a context that answers a question, or that there is none."""

from __future__ import annotations

from dataclasses import dataclass

from ..collators import DataCollatorWithPadding
from ..readers import read_squad
from ..trainer import Trainer
from ..windows import AnswerMetric, cut_windows
from .settings import RecipeSettings, fit, load_model, load_tokenizer, longest, training_arguments

USUAL_LENGTH = 384


@dataclass(frozen=True)
class Settings(RecipeSettings):
    """And: how windows overlap, and how answers are chosen from the model's scores.

    `stride` is the number of tokens two windows share; left out, 128 or a third of a window. With `no_answer` the empty
    answer wins where its score exceeds the best span's by more than `no_answer_threshold`.
    """

    stride: int | None = None
    n_best: int = 20
    max_answer_length: int = 30
    no_answer: bool = False
    no_answer_threshold: float = 0.0


def train(settings: Settings) -> dict[str, float]:
    """Fine-tune a model to find answers."""
    tables = [read_squad(source) for source in (settings.train, settings.eval) if source is not None]
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
    return fit(trainer, settings, "question-answering", dict(zip(("train", "eval"), tables, strict=False)))
