"""Official scores and learning rates: entities by seqeval, answers and schedules by Transformers."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .forms import TESTS, indented

GOLDEN = TESTS / "training" / "golden"
TAGS = ("O", "O", "B-PER", "I-PER", "B-LOC", "I-LOC", "I-ORG", "B-ORG")
WORDS = ("the", "The", "a", "an", "cat", "cat's", "Paris,", "in", "1990", "U.S.", "-", "château", "")
RATE, WARMUP, STEPS = 10.0, 3, 12
SCHEDULES: dict[str, tuple[str, dict[str, Any]]] = {
    "linear": ("linear", {}),
    "cosine": ("cosine", {}),
    "two waves of a cosine": ("cosine", {"num_cycles": 2}),
    "cosine_with_restarts": ("cosine_with_restarts", {"num_cycles": 2}),
    "polynomial": ("polynomial", {}),
    "square": ("polynomial", {"power": 2.0, "lr_end": 1.0}),
    "constant": ("constant", {}),
    "constant_with_warmup": ("constant_with_warmup", {}),
    "inverse_sqrt": ("inverse_sqrt", {}),
    "inverse_sqrt, slower": ("inverse_sqrt", {"timescale": 20}),
    "warmup_stable_decay": ("warmup_stable_decay", {"num_decay_steps": 4}),
    "a straight decay to a tenth": (
        "warmup_stable_decay",
        {"num_decay_steps": 4, "decay_type": "linear", "min_lr_ratio": 0.1},
    ),
    "a steep decay": ("warmup_stable_decay", {"num_decay_steps": 5, "decay_type": "1-sqrt"}),
}


def names() -> list[str]:
    return ["metrics", "schedules"]


def make(name: str) -> Iterator[tuple[Path, bytes]]:
    if name == "schedules":
        yield GOLDEN / "schedules.json", indented(schedules())
        return
    draw = random.Random(0)
    yield GOLDEN / "metrics.json", indented({"tags": tag_cases(draw), "answers": answer_cases(draw)}, indent=0)


def tag_cases(draw: random.Random) -> list[dict[str, object]]:
    from seqeval.metrics import accuracy_score, f1_score, precision_score, recall_score

    cases = []
    for _ in range(12):
        wanted = [[draw.choice(TAGS) for _ in range(draw.randint(1, 9))] for _ in range(4)]
        found = [[tag if draw.random() < 0.7 else draw.choice(TAGS) for tag in row] for row in wanted]
        scores = {
            "precision": precision_score(wanted, found, zero_division=0),
            "recall": recall_score(wanted, found, zero_division=0),
            "f1": f1_score(wanted, found, zero_division=0),
            "accuracy": accuracy_score(wanted, found),
        }
        cases.append({"wanted": wanted, "found": found, "scores": {name: float(v) for name, v in scores.items()}})
    return cases


def answer_cases(draw: random.Random) -> list[dict[str, object]]:
    from transformers.data.metrics.squad_metrics import compute_exact, compute_f1

    cases = []
    for _ in range(40):
        wanted, found = (" ".join(draw.choice(WORDS) for _ in range(draw.randint(0, 4))) for _ in range(2))
        found = found if draw.random() < 0.6 else wanted.upper()
        scores = {"exact": float(compute_exact(wanted, found)), "f1": float(compute_f1(wanted, found))}
        cases.append({"wanted": wanted, "found": found, **scores})
    return cases


def schedules() -> dict[str, Any]:
    import transformers

    cases = {
        name: {"kind": kind, "options": options, "rates": rates(kind, options)}
        for name, (kind, options) in SCHEDULES.items()
    }
    return {"transformers": transformers.__version__, "rate": RATE, "warmup": WARMUP, "steps": STEPS, "cases": cases}


def rates(kind: str, options: dict[str, Any]) -> list[float]:
    """The rate at which each step is taken, and what it would be after the last."""
    import torch
    import transformers

    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=RATE)
    if kind == "inverse_sqrt":  # get_scheduler would not hand its options on
        scheduler = transformers.optimization.get_inverse_sqrt_schedule(optimizer, WARMUP, **options)
    else:
        scheduler = transformers.get_scheduler(kind, optimizer, WARMUP, STEPS, scheduler_specific_kwargs=options)
    found = []
    for _ in range(STEPS + 1):
        found.append(float(scheduler.get_last_lr()[0]))
        optimizer.step()
        scheduler.step()
    return found
