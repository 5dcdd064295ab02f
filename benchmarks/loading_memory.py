"""Memory at its peak from nothing to the first answer: the checkpoint in float32, and narrowed while it is read.

python -m benchmarks.loading_memory
"""

from __future__ import annotations

import argparse

from .harness import Contender, Row, main
from .inputs import random_ids
from .models import model

MB = 1 << 20
LARGEST = {"bert-base": 768 * 3072, "gpt2": 768 * 50257}  # weights of the largest linear layer
TABLES = {"bert-base": (30522 + 512 + 2) * 768, "gpt2": (50257 + 1024) * 768}  # embeddings stay in float32
LINEAR = {"bert-base": 85e6, "gpt2": 124e6}
SLACK = 40  # MB: operators that wake up, scales, pages of the file that was just read


def rows(options: argparse.Namespace) -> list[Row]:
    found = []
    for name in ("bert-base", "gpt2"):
        kind = {"kind": "AutoModel" if name == "bert-base" else "AutoModelForCausalLM"}
        most = (LINEAR[name] + 4 * TABLES[name] + 4 * LARGEST[name]) / MB + SLACK
        who = [
            Contender("transformers", "transformers:read_weights", kind),
            Contender("lamina fp32", "lamina:read_weights", kind),
            Contender("lamina int8", "lamina:read_weights", {**kind, "precision": "int8"}, "int8", most=most),
        ]
        case = {**model(name, options), "ids": random_ids(1, 16, 30522)}
        found.append(Row(f"{name}, loading", case, who, memory=True))
    return found


if __name__ == "__main__":
    main("loading_memory", rows)
