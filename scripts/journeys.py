"""How many of our files a reader opens to follow one journey: those whose functions run, once everything is warm.

python scripts/journeys.py     a text to a label, a text to its continuation, an HTTP request to its answer
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
SOURCE = str(ROOT / "src" / "lamina")


CALLS: dict[str, int] = {}  # of every file of ours, by all threads that were started since `watch`


def watch() -> None:
    def note(frame: FrameType, event: str, _: Any) -> None:
        name = frame.f_code.co_filename
        if event == "call" and name.startswith(SOURCE):
            CALLS[name[len(SOURCE) + 1 :]] = CALLS.get(name[len(SOURCE) + 1 :], 0) + 1

    threading.setprofile(note)
    sys.setprofile(note)


def counted(run: Callable[[], Any]) -> dict[str, int]:
    for _ in range(3):
        run()
    CALLS.clear()
    run()
    return dict(CALLS)


def label() -> dict[str, int]:
    """A text to a label, with the embedded model."""
    from lamina import pipeline

    classify = pipeline("text-classification", model=f"{SOURCE}/assets/sentiment")
    return counted(lambda: classify("Not bad at all."))


def continuation() -> dict[str, int]:
    """Six tokens of greedy generation by three layers."""
    import torch

    from lamina import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(vocab_size=50, n_embd=16, n_layer=3, n_head=2, bos_token_id=0, eos_token_id=0)
    model, ids = GPT2LMHeadModel(config).eval(), torch.tensor([[5, 6, 7]])
    return counted(lambda: model.generate(ids, max_new_tokens=6, min_new_tokens=6, do_sample=False))


def request() -> dict[str, int]:
    """An HTTP POST to its label."""
    from fastapi.testclient import TestClient

    from lamina.serving import create_app
    from lamina.serving.settings import ServeSettings

    with TestClient(create_app(ServeSettings(models=(f"{SOURCE}/assets/sentiment",)))) as client:
        return counted(lambda: client.post("/models/sentiment", json={"inputs": "Not bad at all."}).raise_for_status())


JOURNEYS = {
    "a text to a label": label,
    "a text to six more tokens": continuation,
    "an HTTP request to a label": request,
}

if __name__ == "__main__":
    watch()
    for name, journey in JOURNEYS.items():
        found = journey()
        rooms = {file.partition("/")[0] for file in found}
        print(f"{name}: {len(found)} files in {len(rooms)} rooms, {sum(found.values())} calls")
        if "--files" in sys.argv:
            print("  " + "\n  ".join(sorted(found)))
    sys.setprofile(None)
