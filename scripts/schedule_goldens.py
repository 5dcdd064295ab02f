"""Learning rates step by step for tests/training/golden/schedules.json, from the reference's own schedules.

`python scripts/schedule_goldens.py` in an environment with transformers 4.57.6.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import torch
import transformers

OUTPUT = Path(__file__).resolve().parent.parent / "tests" / "training" / "golden" / "schedules.json"
RATE, WARMUP, STEPS = 10.0, 3, 12
CASES: dict[str, tuple[str, dict[str, Any]]] = {
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


def rates(kind: str, options: dict[str, Any]) -> list[float]:
    """The rate at which each step is taken, and what it would be after the last."""
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


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    cases = {
        name: {"kind": kind, "options": options, "rates": rates(kind, options)}
        for name, (kind, options) in CASES.items()
    }
    found = {"transformers": transformers.__version__, "rate": RATE, "warmup": WARMUP, "steps": STEPS, "cases": cases}
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    OUTPUT.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
