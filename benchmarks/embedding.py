"""2,000 texts of skewed lengths to vectors with MiniLM's real weights, through the calls that users make: `encode`.

python -m benchmarks.embedding
"""

from __future__ import annotations

import argparse

from .harness import Contender, Row, main
from .inputs import skewed_prose
from .models import minilm

COSINE = {"int8": 0.994}  # mean cosine that goes with the promise
WANTED = {"fp32-packed": 4.5, "int8": 11.0}  # the ratios of the pipeline's row, on a processor with VNNI


def contenders() -> list[Contender]:
    ours = [
        Contender(
            f"lamina encode {precision}",
            "lamina:embed",
            {"precision": precision},
            precision.split("-")[0],
            WANTED.get(precision),
            cosine=COSINE.get(precision, 0.9999),
        )
        for precision in ("fp32", "fp32-packed", "int8")
    ]
    return [
        Contender("transformers, batches of 32 as they come", "sentences:pooled"),
        Contender("sentence-transformers", "sentences:encode"),
        Contender("fastembed (ONNX)", "sentences:fast"),
        *ours,
        Contender("lamina pipeline fp32-packed", "lamina:pool", {"precision": "fp32-packed"}),
        Contender("lamina pipeline int8", "lamina:pool", {"precision": "int8"}, "int8"),
    ]


def rows(options: argparse.Namespace) -> list[Row]:
    texts = skewed_prose(12 if options.smoke else 2000)
    return [Row(f"minilm encode, {len(texts)} texts", {**minilm(), "texts": texts}, contenders(), len(texts), "texts")]


if __name__ == "__main__":
    main("embedding", rows)
