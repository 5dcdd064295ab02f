"""Rows to learn from, as both Trainers take them: ids with a label, padded batch by batch."""

from __future__ import annotations

from typing import Any

import torch


def dataset(case: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows of ids, with the case's labels or, for language models, their own ids."""
    labels = case.get("labels") or case["ids"]
    return [{"input_ids": ids, "labels": label} for ids, label in zip(case["ids"], labels, strict=True)]


def collate(rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    width = max(len(row["input_ids"]) for row in rows)
    short = [width - len(row["input_ids"]) for row in rows]
    batch = {
        "input_ids": [[*row["input_ids"], *[0] * gap] for row, gap in zip(rows, short, strict=True)],
        "attention_mask": [[1] * (width - gap) + [0] * gap for gap in short],
        "labels": [row["labels"] for row in rows],
    }
    return {name: torch.tensor(values) for name, values in batch.items()}


def arguments(case: dict[str, Any], folder: str) -> dict[str, Any]:
    """What both Trainers are told."""
    return {
        "output_dir": folder,
        "max_steps": case["steps"],
        "per_device_train_batch_size": case["size"],
        "learning_rate": 2e-5,
        "weight_decay": 0.01,
        "logging_steps": 1,
        "save_strategy": "no",
        "disable_tqdm": True,
        "seed": case["seed"],
        "use_cpu": case.get("device", "cpu") == "cpu",
    }


def losses(history: list[dict[str, Any]]) -> dict[str, Any]:
    """The curve, for the comparison."""
    return {"scores": [entry["loss"] for entry in history if "loss" in entry]}
