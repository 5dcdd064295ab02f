"""Cold start: one sentence classified by a process started from nothing, from the same float32 checkpoint.

python -m benchmarks.cold_start
"""

from __future__ import annotations

import argparse
import sys

from .harness import Contender, Row, main
from .models import MODELS

SENTENCE = "Not bad at all."
WANTED = 2.7


def checkpoint() -> str:
    """The model that Lamina ships, in the float32 form that the reference reads."""
    folder = MODELS / "sentiment-fp32"
    if not folder.is_dir():
        from lamina import AutoModelForSequenceClassification, AutoTokenizer
        from lamina.pipelines.create import EMBEDDED

        partial = folder.with_suffix(".partial")
        AutoModelForSequenceClassification.from_pretrained(EMBEDDED["text-classification"]).save_pretrained(partial)
        AutoTokenizer.from_pretrained(EMBEDDED["text-classification"]).save_pretrained(partial)
        partial.rename(folder)
    return str(folder)


def rows(options: argparse.Namespace) -> list[Row]:
    def ours(name: str, *arguments: str, wanted: float | None = None) -> Contender:
        command = {"python": sys.executable, "arguments": list(arguments)}
        return Contender(name, "process:start", command, wanted=wanted)

    theirs = {"python": str(options.peers), "arguments": ["-c", "{pipeline}", "{folder}", "{text}"]}
    run = ("-m", "lamina", "run", "text-classification", "{text}", "--model", "{folder}", "--json")
    who = [
        Contender("transformers pipeline", "process:start", theirs),
        ours("lamina run", *run, wanted=WANTED),
        ours("import lamina", "-c", "import lamina"),
        ours("import torch", "-c", "import torch"),
        ours("python", "-c", "pass"),
    ]
    return [Row("one sentence from nothing", {"folder": checkpoint(), "text": SENTENCE}, who, 1, "starts")]


if __name__ == "__main__":
    main("cold_start", rows)
