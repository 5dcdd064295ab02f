"""Texts in, answers out: one pipeline for each task, made by `pipeline(task, model)`."""

from .base import Pipeline
from .create import pipeline
from .fill_mask import FillMaskPipeline
from .inputs import KeyDataset, KeyPairDataset
from .question_answering import QuestionAnsweringPipeline
from .sentence_similarity import FeatureExtractionPipeline, SentenceSimilarityPipeline
from .text_classification import TextClassificationPipeline, ZeroShotClassificationPipeline
from .text_generation import TextGenerationPipeline
from .text_to_text import SummarizationPipeline, Text2TextGenerationPipeline
from .token_classification import TokenClassificationPipeline
from .translation import TranslationPipeline

NerPipeline = TokenClassificationPipeline

__all__ = [
    "FeatureExtractionPipeline",
    "FillMaskPipeline",
    "KeyDataset",
    "KeyPairDataset",
    "NerPipeline",
    "Pipeline",
    "QuestionAnsweringPipeline",
    "SentenceSimilarityPipeline",
    "SummarizationPipeline",
    "Text2TextGenerationPipeline",
    "TextClassificationPipeline",
    "TextGenerationPipeline",
    "TokenClassificationPipeline",
    "TranslationPipeline",
    "ZeroShotClassificationPipeline",
    "pipeline",
]
