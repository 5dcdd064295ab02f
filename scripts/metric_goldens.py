"""Official scores for tests/training/golden/metrics.json: entities by seqeval, answers by Transformers' SQuAD metrics.

`python scripts/metric_goldens.py` in an environment with transformers 4.57.6 and seqeval 1.2.2.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

from seqeval.metrics import accuracy_score, f1_score, precision_score, recall_score
from transformers.data.metrics.squad_metrics import compute_exact, compute_f1

OUTPUT = Path(__file__).resolve().parent.parent / "tests" / "training" / "golden" / "metrics.json"
TAGS = ("O", "O", "B-PER", "I-PER", "B-LOC", "I-LOC", "I-ORG", "B-ORG")
WORDS = ("the", "The", "a", "an", "cat", "cat's", "Paris,", "in", "1990", "U.S.", "-", "château", "")


def tag_cases(draw: random.Random) -> list[dict[str, object]]:
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
    cases = []
    for _ in range(40):
        wanted, found = (" ".join(draw.choice(WORDS) for _ in range(draw.randint(0, 4))) for _ in range(2))
        found = found if draw.random() < 0.6 else wanted.upper()
        cases.append(
            {
                "wanted": wanted,
                "found": found,
                "exact": float(compute_exact(wanted, found)),
                "f1": float(compute_f1(wanted, found)),
            }
        )
    return cases


def main() -> None:
    draw = random.Random(0)
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    OUTPUT.write_text(json.dumps({"tags": tag_cases(draw), "answers": answer_cases(draw)}, indent=0) + "\n")


if __name__ == "__main__":
    main()
