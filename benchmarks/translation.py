"""Marian's shape (opus-mt) translates 64 sources of skewed lengths into 64 tokens each, greedily and with 4 beams.

python -m benchmarks.translation
"""

from __future__ import annotations

import argparse

from .compare import Bound
from .harness import Contender, Row, main
from .inputs import random_ids, skewed_ids
from .models import model

HIDDEN, INNER, VOCABULARY = 512, 2048, 58101
ENCODER = 6 * (4 * HIDDEN**2 + 2 * HIDDEN * INNER)
DECODER = 6 * (6 * HIDDEN**2 + 2 * HIDDEN * INNER) + HIDDEN * VOCABULARY  # keys and values of sources left out
WANTED = {1: {"fp32-packed": 1.35, "int8": 3.7}, 4: {"fp32-packed": 1.85, "int8": 2.6}}


def contenders(beams: int) -> list[Contender]:
    ours = [
        Contender(
            f"lamina {name}",
            "lamina:generate",
            {"kind": "AutoModelForSeq2SeqLM", "precision": name},
            name.split("-")[0],
            WANTED[beams].get(name),
        )
        for name in ("fp32", "fp32-packed", "int8")
    ]
    return [
        Contender("transformers, batches of 32", "transformers:generate", {"kind": "MarianMTModel"}),
        Contender("ctranslate2 fp32", "ctranslate2:generate"),
        Contender("ctranslate2 int8", "ctranslate2:generate", {"precision": "int8"}, "int8"),
        *ours,
    ]


def rows(options: argparse.Namespace) -> list[Row]:
    count, new = (4, 6) if options.smoke else (64, 64)
    sources = skewed_ids(count, VOCABULARY, last=0)
    found = []
    for beams in (1, 4):
        case = {
            **model("marian", options),
            "ids": sources,
            "forced": [[58100, *random_ids(1, 127, VOCABULARY, seed=1)[0]]],
            "new": new,
            "beams": beams,
            "pad": 58100,
            "start": 58100,
        }
        work = ENCODER * sum(map(len, sources)) + DECODER * count * beams * new
        bound = Bound(work, DECODER, new)
        name = f"marian, {'greedy' if beams == 1 else f'{beams} beams'}"
        found.append(Row(name, case, contenders(beams), count * new, "new tokens", bound))
    return found


if __name__ == "__main__":
    main("translation", rows)
