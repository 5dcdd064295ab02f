"""GPT-2 124M goes on from 32 tokens for 128 more, alone and in a batch of 8.

python -m benchmarks.decoding [--device cuda]
"""

from __future__ import annotations

import argparse

from .compare import Bound
from .harness import Contender, Row, main
from .inputs import random_ids
from .models import model

KIND = "GPT2LMHeadModel"
WEIGHTS = 12 * 12 * 768 * 768 + 768 * 50257
WANTED = {1: {"fp32-packed": 1.3, "int8": 3.6}, 8: {"fp32-packed": 1.8, "int8": 3.8}}


def contenders(batch: int) -> list[Contender]:
    ours = [
        Contender(
            f"lamina {name}",
            "lamina:generate",
            {"kind": "AutoModelForCausalLM", "precision": name},
            name.split("-")[0],
            WANTED[batch].get(name),
        )
        for name in ("fp32", "fp32-packed", "int8", "int8-weights")
    ]
    return [
        Contender("transformers", "transformers:generate", {"kind": KIND}),
        Contender("ctranslate2 fp32", "ctranslate2:generate"),
        Contender("ctranslate2 int8", "ctranslate2:generate", {"precision": "int8"}, "int8"),
        *ours,
    ]


def on_accelerator() -> list[Contender]:
    narrow = {"kind": "AutoModelForCausalLM", "dtype": "bfloat16"}
    return [
        Contender("transformers bf16", "transformers:generate", narrow, "bf16"),
        Contender("lamina bf16", "lamina:generate", narrow, "bf16"),
    ]


def rows(options: argparse.Namespace) -> list[Row]:
    new = 8 if options.smoke else 128
    found = []
    for batch in (1, 8):
        case = {
            **model("gpt2", options),
            "ids": random_ids(batch, 32, 50257),
            "forced": random_ids(1, 256, 50257, seed=1),
            "new": new,
            "beams": 1,
            "pad": 50256,
            "device": options.device,
        }
        who = contenders(batch) if options.device == "cpu" else on_accelerator()
        bound = Bound(WEIGHTS * batch * new, WEIGHTS, new)
        found.append(Row(f"gpt2, batch {batch}", case, who, batch * new, "new tokens", bound))
    return found


if __name__ == "__main__":
    main("decoding", rows)
