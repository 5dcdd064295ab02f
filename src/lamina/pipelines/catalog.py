"""The tasks that `pipeline` knows: what runs each, what loads its model, and which model is usual."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import PipelineError
from .base import Pipeline
from .feature_extraction import FeatureExtractionPipeline
from .fill_mask import FillMaskPipeline
from .languages import task_languages
from .question_answering import QuestionAnsweringPipeline
from .sentence_similarity import SentenceSimilarityPipeline
from .text_classification import TextClassificationPipeline
from .text_generation import TextGenerationPipeline
from .text_to_text import SummarizationPipeline, Text2TextGenerationPipeline
from .token_classification import TokenClassificationPipeline
from .translation import TranslationPipeline
from .zero_shot_classification import ZeroShotClassificationPipeline


@dataclass(frozen=True)
class CatalogEntry:
    """One task."""

    pipeline: type[Pipeline[Any]]
    model: str  # the usual one, where the caller names none
    revision: str | None = None  # the commit that answers have been checked with
    languages: tuple[tuple[str, str], ...] = ()  # what the usual one translates, source and target


TASKS: Mapping[str, CatalogEntry] = {
    "text-classification": CatalogEntry(
        TextClassificationPipeline, "distilbert/distilbert-base-uncased-finetuned-sst-2-english", "714eb0f"
    ),
    "token-classification": CatalogEntry(
        TokenClassificationPipeline, "dbmdz/bert-large-cased-finetuned-conll03-english", "4c53496"
    ),
    "fill-mask": CatalogEntry(FillMaskPipeline, "distilbert/distilroberta-base", "fb53ab8"),
    "question-answering": CatalogEntry(
        QuestionAnsweringPipeline, "distilbert/distilbert-base-cased-distilled-squad", "564e9b5"
    ),
    "zero-shot-classification": CatalogEntry(ZeroShotClassificationPipeline, "facebook/bart-large-mnli", "d7645e1"),
    "feature-extraction": CatalogEntry(FeatureExtractionPipeline, "distilbert/distilbert-base-cased", "6ea8117"),
    "sentence-similarity": CatalogEntry(SentenceSimilarityPipeline, "sentence-transformers/all-MiniLM-L6-v2"),
    "text-generation": CatalogEntry(TextGenerationPipeline, "openai-community/gpt2", "607a30d"),
    "text2text-generation": CatalogEntry(Text2TextGenerationPipeline, "google-t5/t5-base", "a9723ea"),
    "summarization": CatalogEntry(SummarizationPipeline, "sshleifer/distilbart-cnn-12-6", "a4f8f3e"),
    "translation": CatalogEntry(
        TranslationPipeline, "google-t5/t5-base", "a9723ea", (("en", "fr"), ("en", "de"), ("en", "ro"))
    ),
}
ALIASES: Mapping[str, str] = {"sentiment-analysis": "text-classification", "ner": "token-classification"}
USUAL_TASKS: Mapping[str, str] = {  # by what a model was made for
    "sequence-classification": "text-classification",
    "token-classification": "token-classification",
    "masked-lm": "fill-mask",
    "question-answering": "question-answering",
    "causal-lm": "text-generation",
    "aligned-lm": "text-generation",
    "seq2seq-lm": "text2text-generation",
    "body": "feature-extraction",
    "encoder-body": "feature-extraction",
    "pooled-body": "feature-extraction",
}


def find_task(name: str) -> CatalogEntry:
    """The task called `name`, or by one of its other names; translation may name its languages."""
    found = TASKS.get("translation" if all(task_languages(name)) else ALIASES.get(name, name))
    if found is None:
        known = ", ".join(sorted([*TASKS, *ALIASES, "translation_xx_to_yy"]))
        raise PipelineError(f"there is no task {name!r}; known are {known}")
    return found


def infer_task(kind: str, architecture: str) -> str:
    """The task that a model of this kind is usually for."""
    if kind not in USUAL_TASKS:
        raise PipelineError(f"{architecture} does not say what it is for; pass task=, one of {', '.join(TASKS)}")
    return USUAL_TASKS[kind]
