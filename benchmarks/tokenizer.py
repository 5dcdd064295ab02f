"""Tokenizing through AutoTokenizer: short sentences one by one, and 2 MB of lines as one batch.

python -m benchmarks.tokenizer
"""

from __future__ import annotations

import argparse

from .harness import Contender, Row, main
from .inputs import prose
from .models import minilm


def contenders(one_by_one: bool, wanted: float) -> list[Contender]:
    how = {"one_by_one": one_by_one}
    return [
        Contender("transformers AutoTokenizer", "transformers:tokenize", how),
        Contender("tokenizers alone", "tokenizers:tokenize", how),
        Contender("lamina AutoTokenizer", "lamina:tokenize", how, wanted=wanted),
    ]


def rows(options: argparse.Namespace) -> list[Row]:
    lines = [line for line in prose().splitlines() if line.strip()]
    short = [line for line in lines if 20 < len(line) < 80][: 20 if options.smoke else 2000]
    many = lines[:50] if options.smoke else lines * 7
    megabytes = sum(len(line.encode()) for line in many) / 1e6
    folder = minilm()
    return [
        Row("short sentences", {**folder, "texts": short}, contenders(True, 1.7), len(short), "texts"),
        Row("a batch of lines", {**folder, "texts": many}, contenders(False, 1.4), megabytes, "MB"),
    ]


if __name__ == "__main__":
    main("tokenizer", rows)
