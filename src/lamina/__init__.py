"""Lamina: the classic Transformer stack, complete and small.

Public names are imported on first use (PEP 562), so that `import lamina` needs no torch.
"""

from __future__ import annotations

import gc
from importlib import import_module
from typing import Any

__version__ = "0.1.0"

PIPELINES = (
    "FeatureExtractionPipeline",
    "FillMaskPipeline",
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
)
TRAINING = (
    "DataCollatorForLanguageModeling",
    "DataCollatorForMultipleChoice",
    "DataCollatorForSeq2Seq",
    "DataCollatorForTokenClassification",
    "DataCollatorForWholeWordMask",
    "DataCollatorWithPadding",
    "DefaultDataCollator",
    "EarlyStoppingCallback",
    "EvalPrediction",
    "Seq2SeqTrainer",
    "Seq2SeqTrainingArguments",
    "Trainer",
    "TrainerCallback",
    "TrainingArguments",
    "default_data_collator",
    "get_linear_schedule_with_warmup",
    "load_metric",
)
HOMES = {
    **dict.fromkeys(PIPELINES, "pipelines"),
    **dict.fromkeys(TRAINING, "training"),
    **dict.fromkeys(("TextStreamer", "TextIteratorStreamer", "AsyncTextIteratorStreamer"), "generation.streaming"),
    "BatchEncoding": "tokenizers.encoding",
    "GenerationConfig": "generation.config",
    "CrossEncoder": "sentences.cross_encoder",
    "LaminaError": "errors",
    "PretrainedConfig": "families.config",
    "SentenceTransformer": "sentences.transformer",
    "Tokenizer": "tokenizers.tokenizer",
    "WatermarkingConfig": "generation.config",
    "compile": "inference.compile",
    "set_seed": "generation.generate",
}


def __getattr__(name: str) -> Any:
    if name.startswith("_") and name != "__all__":
        raise AttributeError(f"lamina has no {name!r}")
    # Imports make a million objects and no garbage: looking for it meanwhile costs torch a third of its start.
    collecting = gc.isenabled()
    gc.disable()
    try:
        return _found(name)
    finally:
        if collecting:
            gc.enable()


def _found(name: str) -> Any:
    if name == "__all__":
        return sorted([*HOMES, *import_module(".auto", __name__).names(), "__version__"])
    if name in HOMES:
        return getattr(import_module(f".{HOMES[name]}", __name__), name)
    return import_module(".auto", __name__).find(name)


def __dir__() -> list[str]:
    return list(__getattr__("__all__"))
