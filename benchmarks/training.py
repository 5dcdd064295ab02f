"""Fine-tuning bert-base's shape: texts of skewed lengths up to 128, batches of 16; beside the reference's Trainer.

    python -m benchmarks.training [--device cuda]

Both take the same rows in the same order. The loss curve is compared where nothing is random, in the last row.
"""

from __future__ import annotations

import argparse
from typing import Any

from .compare import Bound
from .harness import Contender, Row, main
from .inputs import random_ids, skewed_texts
from .models import model

SIZE, STEPS, SEED = 16, 6, 0
LONGEST = 128
ARTICLE = 1996  # the token "the": whether a text has it is what is learned
DROPOUTS: dict[str, dict[str, float]] = {
    "dropout as published": {},
    "attention dropout off": {"attention_probs_dropout_prob": 0.0},
    "no dropout": {"attention_probs_dropout_prob": 0.0, "hidden_dropout_prob": 0.0},
}
WANTED = {"dropout as published": 1.9, "attention dropout off": 2.7}


def bound(rows: list[list[int]], layers: int, hidden: int, inner: int, vocabulary: int = 0) -> Bound:
    """Multiplications of the real tokens alone, forward and twice as many backward."""
    weights = layers * (4 * hidden * hidden + 2 * hidden * inner) + vocabulary * hidden
    attention = layers * 2 * hidden * sum(len(row) ** 2 for row in rows)
    return Bound(3 * (weights * sum(map(len, rows)) + attention), weights)


def order(count: int) -> list[int]:
    """The rows as our first epoch has them."""
    from lamina.training.sampling import epoch_batches

    return [row for batch in epoch_batches(count, SIZE, SEED, 0) for row in batch]


def narrow_is_fast() -> bool:
    """Whether this processor computes in bfloat16 faster than in float32."""
    from lamina.inference.capabilities import multiplies_faster_in_bf16

    return multiplies_faster_in_bf16()


def contenders(dropout: str) -> list[Contender]:
    packed = {"padding_free": True}
    grouped = {"train_sampling_strategy": "group_by_length"}
    found = [Contender("transformers Trainer", "transformers:train")]
    if dropout in WANTED:
        found += [
            Contender("transformers Trainer, grouped by length", "transformers:train", grouped),
            Contender("lamina, grouped by length", "lamina:train", grouped),
        ]
    found.append(Contender("lamina, packed", "lamina:train", packed, wanted=WANTED.get(dropout)))
    if narrow_is_fast():
        narrow = {**packed, "bf16": True}
        found.append(Contender("lamina, packed, bf16", "lamina:train", narrow, "bf16"))
    return found


def on_accelerator(options: argparse.Namespace) -> list[Row]:
    """In bfloat16, packed and compiled; "of limit" is the MFU against the measured rate of large products."""
    found = []
    for name, kind, size, length in (
        ("bert-base-classifier", "AutoModelForSequenceClassification", 128, LONGEST),
        ("gpt2", "AutoModelForCausalLM", 32, 1024),
    ):
        written = name == "gpt2"
        count = 20 * size
        ids = random_ids(count, length, 50257 if written else 30522)
        quiet = dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), 0.0) if written else DROPOUTS["no dropout"]
        case: dict[str, Any] = {
            **model(name, options), "ids": ids, "steps": 20, "size": size, "seed": SEED, "device": "cuda",
            "order": list(range(count)), "config": quiet,
        }  # fmt: skip
        case["labels"] = None if written else [number % 2 for number in range(count)]
        ways = {"kind": kind, "bf16": True}
        who = [
            Contender("transformers Trainer", "transformers:train", ways, "bf16"),
            Contender("lamina, packed", "lamina:train", {**ways, "padding_free": True}, "bf16"),
            Contender("lamina, compiled", "lamina:train", {**ways, "torch_compile": True}, "bf16"),
        ]
        most = bound(ids, 12, 768, 3072, 50257 if written else 0)
        found.append(Row(f"{name}, 20 steps of {size} x {length}", case, who, count, "texts", most))
    return found


def rows(options: argparse.Namespace) -> list[Row]:
    if options.device != "cpu":
        return on_accelerator(options)
    count = 2 * SIZE if options.smoke else STEPS * SIZE
    texts = [text[: LONGEST - 1] + text[-1:] if len(text) > LONGEST else text for text in skewed_texts(count)]
    case: dict[str, Any] = {
        **model("bert-base-classifier", options), "ids": texts, "labels": [int(ARTICLE in text) for text in texts],
        "steps": count // SIZE, "size": SIZE, "seed": SEED, "order": order(count),
    }  # fmt: skip
    least = bound(texts, 12, 768, 3072)
    return [
        Row(f"bert-base, {dropout}", {**case, "config": config}, contenders(dropout), count, "texts", least)
        for dropout, config in DROPOUTS.items()
    ]


if __name__ == "__main__":
    main("training", rows)
