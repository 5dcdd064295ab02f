"""Near relatives in their published shapes: XLM-R-base and DeBERTa-v3-base read, NLLB-600M translates with 4 beams.

python -m benchmarks.relatives
"""

from __future__ import annotations

import argparse
from typing import Any

from .encoders import NEAR, bound
from .harness import Contender, Row, main
from .inputs import random_ids, skewed_ids
from .models import model

VOCABULARY = {"xlm-roberta-base": 250002, "deberta-v3-base": 128100, "nllb-600m": 256206}
WANTED = {"fp32-packed": 2.5, "int8": 6.0}


def ours(setup: str, wanted: dict[str, float], **more: Any) -> list[Contender]:
    return [
        Contender(
            f"lamina {precision}",
            setup,
            {"precision": precision, **more},
            precision.split("-")[0],
            wanted.get(precision),
            cosine=NEAR.get(precision, 0.9999),
        )
        for precision in ("fp32", "fp32-packed", "int8")
    ]


def rows(options: argparse.Namespace) -> list[Row]:
    count, found = 6 if options.smoke else 96, []
    for name in ("xlm-roberta-base", "deberta-v3-base"):
        texts = skewed_ids(count, VOCABULARY[name], last=2)
        contenders = [
            Contender("transformers, batches of 32 as they come", "transformers:encode", {"filler": 1}),
            Contender("transformers, sorted", "transformers:encode", {"policy": "sorted", "filler": 1}),
            *ours("lamina:encode", WANTED),
        ]
        case = {**model(name, options), "ids": texts}
        found.append(Row(f"{name}, {count} texts", case, contenders, count, "texts", bound(texts, 12, 768, 3072)))
    count, new = (2, 4) if options.smoke else (16, 24)
    case = {
        **model("nllb-600m", options),
        "ids": skewed_ids(count, VOCABULARY["nllb-600m"], last=2),
        "forced": [[2, *random_ids(1, 31, VOCABULARY["nllb-600m"], seed=1)[0]]],
        "new": new,
        "beams": 4,
        "pad": 1,
        "start": 2,
    }
    writers = [
        Contender("transformers, batches of 32", "transformers:generate", {"kind": "M2M100ForConditionalGeneration"}),
        *ours("lamina:generate", {"fp32-packed": 2.5}, kind="AutoModelForSeq2SeqLM"),
    ]
    found.append(Row("nllb-600m, 4 beams", case, writers, count * new, "new tokens"))
    return found


if __name__ == "__main__":
    main("relatives", rows)
