"""Summarization: long texts and what is to be said of them."""

from __future__ import annotations

from dataclasses import dataclass

from ..metrics import installed
from ..readers import read_parallel
from ..written import rouge
from .sequences import SequenceSettings, learn
from .settings import load_model, load_tokenizer

USUAL_LENGTH = 1024


@dataclass(frozen=True)
class Settings(SequenceSettings):
    """As for any pair of texts; the columns are `text` and `summary` unless told otherwise."""

    source_column: str = "text"
    target_column: str = "summary"


def train(settings: Settings) -> dict[str, float]:
    """Fine-tune a model to summarize; scored with ROUGE."""
    installed("rouge")
    columns = settings.source_column, settings.target_column
    tables = [read_parallel(source, *columns) for source in settings.sources]
    tokenizer = load_tokenizer(settings)
    model = load_model(settings, "AutoModelForSeq2SeqLM")
    return learn(settings, "summarization", model, tokenizer, tables, USUAL_LENGTH, rouge)
