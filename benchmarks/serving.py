"""Texts of skewed lengths through MiniLM over HTTP, one a request, by 1, 8 and 64 clients that each wait for an answer.

python -m benchmarks.serving
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from .harness import ROOT, Contender, Row, main
from .inputs import skewed_prose
from .models import minilm

TEXTS = {1: 64, 8: 256, 64: 768}  # by how many clients share them
WANTED = {"transformers": 5.0, "LitServe": 1.2, "Infinity": 1.2}  # from as many clients on as fill a batch
FULL = 8
INFINITY = ROOT / ".cache" / "bench-infinity" / "bin" / "python"  # wants older versions of what the others use
NEAR = {"fp32": 0.9999, "bf16": 0.999, "int8": 0.994}


def contender(name: str, python: object, command: list[str], clients: int, **options: Any) -> Contender:
    return Contender(name, "served:embed", {"python": str(python), "command": command, "clients": clients, **options})


def theirs(clients: int, options: argparse.Namespace) -> list[Contender]:
    """The reference without batching, and two servers that batch; all with the reference's own kernels."""
    arguments = ["{folder}", "{port}", "{threads}"]
    infinity = [
        str(INFINITY.with_name("infinity_emb")),
        "v2",
        "--model-id",
        "{folder}",
        "--port",
        "{port}",
        "--host",
        "127.0.0.1",
    ]
    infinity += ["--engine", "torch", "--device", "cpu", "--served-model-name", "served", "--no-bettertransformer"]
    batched = ["-m", "benchmarks.servers.litserve_batched", *arguments]
    return [
        contender("transformers", options.peers, ["-m", "benchmarks.servers.reference", *arguments], clients),
        contender("LitServe", options.peers, batched, clients, path="/predict"),
        contender("Infinity", INFINITY, infinity, clients, path="/embeddings", body="input"),
    ]


def ours(precision: str, clients: int) -> Contender:
    command = ["-m", "lamina", "serve", "{folder}", "--port", "{port}", "--precision", precision]
    one = contender(f"lamina {precision}", sys.executable, command, clients, path="/embed")
    promise: dict[str, Any] = {}
    if clients >= FULL and precision == "fp32-packed":
        rivals = {name: ratio for name, ratio in WANTED.items() if name != "transformers"}
        promise = {"wanted": WANTED["transformers"], "beside": rivals}
    kind = precision.split("-")[0]
    return Contender(**{**vars(one), "precision": kind, "cosine": NEAR[kind], **promise})


def rows(options: argparse.Namespace) -> list[Row]:
    # Server and clients share the cores: in the real-time class whoever computes would keep the others waiting.
    options.no_realtime = True
    found = []
    for clients, count in TEXTS.items():
        texts = skewed_prose(max(16, clients) if options.smoke else count)
        case = {**minilm(), "texts": texts}
        who = [*theirs(clients, options), *(ours(each, clients) for each in ("fp32", "fp32-packed", "bf16", "int8"))]
        name = f"MiniLM over HTTP, {clients} client{'s' * (clients > 1)}"
        found.append(Row(name, case, who, len(texts), "requests"))
    return found


if __name__ == "__main__":
    main("serving", rows)
