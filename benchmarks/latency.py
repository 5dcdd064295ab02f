"""One text at a time through bert-base's shape, 16 and 128 tokens.

python -m benchmarks.latency
"""

from __future__ import annotations

import argparse

from .compare import Bound
from .harness import Contender, Row, main
from .inputs import skewed_texts
from .models import model

WANTED = {16: {"fp32-packed": 1.7, "int8": 4.6}, 128: {"fp32-packed": 1.3, "int8": 3.0}}
WEIGHTS = 12 * (4 * 768 * 768 + 2 * 768 * 3072)


def contenders(length: int) -> list[Contender]:
    peers = [
        Contender("transformers", "transformers:encode"),
        Contender("ctranslate2 fp32", "ctranslate2:encode"),
        Contender("ctranslate2 int8", "ctranslate2:encode", {"precision": "int8"}, "int8"),
        Contender("onnxruntime fp32", "onnxruntime:encode"),
        Contender("onnxruntime int8", "onnxruntime:encode", {"precision": "int8"}, "int8"),
        Contender("openvino fp32", "openvino:encode"),
    ]
    ours = [
        Contender(
            f"lamina {name}", "lamina:read_one", {"precision": name}, name.split("-")[0], WANTED[length].get(name)
        )
        for name in ("fp32", "fp32-packed", "int8")
    ]
    return peers + ours


def rows(options: argparse.Namespace) -> list[Row]:
    sizes = {"heads": 4, "hidden": 64} if options.smoke else {"heads": 12, "hidden": 768}
    text = max(skewed_texts(256), key=len)
    found = []
    for length in (16, 128):
        case = {**model("bert-base", options), **sizes, "ids": [[*text[: length - 1], text[-1]]]}
        bound = Bound(WEIGHTS * length + 12 * 2 * 768 * length**2, WEIGHTS)
        found.append(Row(f"bert-base, one text of {length} tokens", case, contenders(length), 1, "texts", bound))
    return found


if __name__ == "__main__":
    main("latency", rows)
