"""Fine-tuning: Trainer and its arguments, collators, metrics, callbacks and LoRA. Names are imported on first use."""

from __future__ import annotations

from importlib import import_module
from typing import Any

HOMES = {
    **dict.fromkeys(("TrainingArguments", "Seq2SeqTrainingArguments"), "arguments"),
    "Trainer": "trainer",
    "Seq2SeqTrainer": "seq2seq",
    **dict.fromkeys(("EvalPrediction", "PredictionOutput", "TrainOutput", "TrainerState", "BestRun"), "state"),
    **dict.fromkeys(("EarlyStoppingCallback", "TrainerCallback", "TrainerControl"), "callbacks"),
    **dict.fromkeys(("add_lora", "load_adapter", "merge_lora", "save_adapter"), "lora"),
    "get_last_checkpoint": "folders",
    "load_metric": "named",
    "get_linear_schedule_with_warmup": "optimization",
    **dict.fromkeys(
        (
            "DataCollatorForMultipleChoice",
            "DataCollatorForSeq2Seq",
            "DataCollatorForTokenClassification",
            "DataCollatorWithPadding",
            "DefaultDataCollator",
            "default_data_collator",
        ),
        "collators",
    ),
    **dict.fromkeys(("DataCollatorForLanguageModeling", "DataCollatorForWholeWordMask"), "masking"),
}


def __getattr__(name: str) -> Any:
    if name not in HOMES:
        raise AttributeError(f"lamina.training has no {name!r}")
    return getattr(import_module(f".{HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted(HOMES)
