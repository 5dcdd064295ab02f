"""T5-small's and BART-base's shapes read 512 tokens and write 64 with 4 beams, four documents at once.

python -m benchmarks.summarization
"""

from __future__ import annotations

import argparse

from .compare import Bound
from .harness import Contender, Row, main
from .inputs import random_ids
from .models import model

SHAPES = {  # hidden, feed-forward, vocabulary, first token of the decoder, padding, the reference's class
    "t5-small": (512, 2048, 32128, 0, 0, "T5ForConditionalGeneration"),
    "bart-base": (768, 3072, 50265, 2, 1, "BartForConditionalGeneration"),
}
WANTED = 1.15  # times CTranslate2 in the same precision


def contenders(kind: str) -> list[Contender]:
    ours = [
        Contender(
            f"lamina {name}",
            "lamina:generate",
            {"kind": "AutoModelForSeq2SeqLM", "precision": name},
            name.split("-")[0],
            wanted,
            against,
        )
        for name, wanted, against in (
            ("fp32", None, None),
            ("fp32-packed", WANTED, "ctranslate2 fp32"),
            ("int8", WANTED, "ctranslate2 int8"),
        )
    ]
    return [
        Contender("transformers", "transformers:generate", {"kind": kind}),
        Contender("ctranslate2 fp32", "ctranslate2:generate"),
        Contender("ctranslate2 int8", "ctranslate2:generate", {"precision": "int8"}, "int8"),
        *ours,
    ]


def rows(options: argparse.Namespace) -> list[Row]:
    count, length, new, beams = (2, 24, 6, 4) if options.smoke else (4, 512, 64, 4)
    found = []
    for name, (hidden, inner, vocabulary, start, pad, kind) in SHAPES.items():
        case = {
            **model(name, options),
            "ids": random_ids(count, length, vocabulary),
            "forced": [[start, *random_ids(1, 63, vocabulary, seed=1)[0]]],
            "new": new,
            "beams": beams,
            "pad": pad,
            "start": start,
        }
        encoder = 6 * (4 * hidden**2 + 2 * hidden * inner)
        decoder = 6 * (6 * hidden**2 + 2 * hidden * inner) + hidden * vocabulary
        reading = encoder * count * length + 6 * 2 * hidden * count * length**2
        bound = Bound(reading + decoder * count * beams * new, decoder, new)
        found.append(Row(f"{name}, {beams} beams", case, contenders(kind), count * new, "new tokens", bound))
    return found


if __name__ == "__main__":
    main("summarization", rows)
