"""A command started from nothing, again and again: what a user waits for at a prompt."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from ..worker import Work

PIPELINE = """
import json, sys
from transformers import pipeline
answer = pipeline("text-classification", model=sys.argv[1], device="cpu")(sys.argv[2])
print(json.dumps({"output": answer[0]}))
"""


def start(case: dict[str, Any], python: str, arguments: list[str]) -> Work:
    """`arguments` to the interpreter; "{folder}" and "{text}" are the case's, "{pipeline}" is the reference's code."""
    if not Path(python).exists():
        raise ImportError(f"{python} is not there: run `make bench`")
    filled = {"{folder}": case["folder"], "{text}": case["text"], "{pipeline}": PIPELINE}
    command = [python, *(filled.get(argument, argument) for argument in arguments)]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}

    def run() -> str:
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        if done.returncode:
            raise RuntimeError(f"{command[:3]} failed: {done.stderr.strip().splitlines()[-1:]}")
        return done.stdout

    def answer(text: str) -> dict[str, Any]:
        if not text.strip():
            return {}
        found = json.loads(text.splitlines()[-1])["output"]
        found = found[0] if isinstance(found, list) else found
        return {"ids": [[found["label"]]], "scores": [found["score"]]}

    return Work(run, answer)
