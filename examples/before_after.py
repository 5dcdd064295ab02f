"""What a run has learned: the scores of step 0, before anything was, beside those of the end."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from lamina import pipeline

SCRATCH = Path(__file__).resolve().parent.parent / ".cache" / "examples"


def train_and_tell(recipe: ModuleType, settings: Any, wanted: tuple[str, ...], task: str, probes: list[str]) -> None:
    """Run a recipe, print its scores before and after, and what the model in its folder says to the probes."""
    began = time.monotonic()
    results = recipe.train(settings)
    minutes = (time.monotonic() - began) / 60
    print(f"{len(settings.train):,} rows to learn from, {len(settings.eval):,} held out, {minutes:.1f} minutes")
    before = first_scores(settings.output / "log.jsonl")
    for name in wanted:
        print(f"{name:14} {before[f'eval_{name}']:8.3f} -> {results[f'eval_{name}']:8.3f}")
    loaded = pipeline(task, str(settings.output))
    for probe in probes:
        print(f"{probe}\n    {told(loaded(probe))}")


def first_scores(log: Path) -> Mapping[str, float]:
    """The first evaluation in a run's log."""
    entries = map(json.loads, log.read_text(encoding="utf-8").splitlines())
    return next(entry for entry in entries if "eval_loss" in entry)


def told(answer: Any) -> str:
    """An answer of a pipeline on one line."""
    rows = answer if isinstance(answer, list) else [answer]
    return ", ".join(map(told_row, rows)) or "(nothing)"


def told_row(row: Mapping[str, Any]) -> str:
    """One text, or one label with its score."""
    written = row.get("translation_text") or row.get("summary_text")
    if written is not None:
        return str(written)
    words = (row.get("word"), row.get("label"), row.get("entity_group", row.get("entity")))
    return " ".join(str(word) for word in words if word) + f" {row['score']:.2f}"
