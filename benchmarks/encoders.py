"""Many texts of skewed lengths through an encoder: 256 through MiniLM's real weights, 96 through bert-base's shape.

python -m benchmarks.encoders [--device cuda]
"""

from __future__ import annotations

import argparse
from typing import Any

from .compare import Bound
from .harness import Contender, Row, main
from .inputs import skewed_texts
from .models import minilm, model

SIZES = {"minilm": (6, 384, 1536), "bert-base": (12, 768, 3072)}  # layers, hidden, feed-forward
WANTED = {
    "minilm": {"fp32-packed": 4.65, "int8": 8.2, "int8-accurate": 6.6},
    "bert-base": {"fp32-packed": 3.3, "int8": 8.7},
}
NEAR = {"int8": 0.994, "int8-accurate": 0.997, "bf16": 0.999}  # mean cosine that goes with the promise


def bound(rows: list[list[int]], layers: int, hidden: int, inner: int) -> Bound:
    """Multiplications of the real tokens alone, padding left out."""
    weights = layers * (4 * hidden * hidden + 2 * hidden * inner)
    attention = layers * 2 * hidden * sum(len(row) ** 2 for row in rows)
    return Bound(weights * sum(map(len, rows)) + attention, weights)


def contenders(name: str) -> list[Contender]:
    wanted = WANTED[name]
    peers = [
        Contender("transformers, batches of 32 as they come", "transformers:encode"),
        Contender("transformers, sorted", "transformers:encode", {"policy": "sorted"}),
        Contender("transformers, token budget", "transformers:encode", {"policy": "budget"}),
        Contender("ctranslate2 fp32", "ctranslate2:encode"),
        Contender("ctranslate2 int8", "ctranslate2:encode", {"precision": "int8"}, "int8"),
        Contender("onnxruntime fp32", "onnxruntime:encode"),
        Contender("onnxruntime int8", "onnxruntime:encode", {"precision": "int8", "fuse": False}, "int8"),
        Contender("openvino fp32", "openvino:encode"),
    ]
    peers += [
        Contender(
            f"{engine} {precision}, passes side by side", f"{engine}:encode", {**options, "apart": True}, precision
        )
        for engine, precision, options in (
            ("ctranslate2", "fp32", {}),
            ("ctranslate2", "int8", {"precision": "int8"}),
            ("onnxruntime", "fp32", {}),
            ("onnxruntime", "int8", {"precision": "int8", "fuse": False}),
        )
    ]
    ours = [
        Contender(
            f"lamina {precision}",
            "lamina:encode",
            {"precision": precision},
            precision.split("-")[0],
            wanted.get(precision),
            cosine=NEAR.get(precision, 0.9999),
        )
        for precision in ("fp32", "fp32-packed", "bf16", "int8", "int8-accurate")
    ]
    return peers + ours


def on_accelerator() -> list[Contender]:
    narrow = {"dtype": "bfloat16"}
    return [
        Contender("transformers bf16, batches of 32 as they come", "transformers:encode", narrow, "bf16"),
        Contender("transformers bf16, sorted", "transformers:encode", {**narrow, "policy": "sorted"}, "bf16"),
        Contender("lamina bf16", "lamina:encode", narrow, "bf16", 3.0),
    ]


def rows(options: argparse.Namespace) -> list[Row]:
    found = []
    cpu = options.device == "cpu"
    for name, count in (("minilm", 256 if cpu else 8192), ("bert-base", 96 if cpu else 8192)):
        texts = skewed_texts(12 if options.smoke else count)
        small: dict[str, Any] = {"heads": 4, "hidden": 64} if options.smoke else {"heads": 12, "hidden": 768}
        where = minilm() if name == "minilm" else {**model(name, options), **small}
        case = {**where, "ids": texts, "device": options.device}
        who = contenders(name) if cpu else on_accelerator()
        found.append(Row(f"{name}, {len(texts)} texts", case, who, len(texts), "texts", bound(texts, *SIZES[name])))
    return found


if __name__ == "__main__":
    main("encoders", rows)
