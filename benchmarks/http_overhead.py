"""CPU time that a request costs beyond the model: the server's for a text over HTTP, less the pipeline's for that text.

python -m benchmarks.http_overhead
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import time
from typing import Any

from .cold_start import SENTENCE, checkpoint
from .harness import RESULTS, alone, machine, parse
from .load import Server, in_turns
from .peers.served import first_answer, free_port, start
from .worker import group_seconds

MOST = 1e-3  # seconds


def over_http(case: dict[str, Any], count: int, rounds: int) -> list[float]:
    """CPU seconds that the server needs for a request, one by one on an open connection."""
    server = Server("127.0.0.1", free_port())
    process = start(
        case, [sys.executable, "-m", "lamina", "serve", "{folder}", "--port", "{port}"], server, own_group=True
    )
    request, found = server.post("/", {"inputs": SENTENCE}), []
    try:
        asyncio.run(first_answer(server, request))
        for _ in range(rounds + 1):
            before = group_seconds(process.pid)
            answers = asyncio.run(in_turns(server, [request] * count, 1))
            assert all(answer.status == 200 for answer in answers)
            found.append((group_seconds(process.pid) - before) / count)
    finally:
        process.kill()
        process.wait()
    return found[1:]


def in_process(case: dict[str, Any], count: int, rounds: int) -> list[float]:
    """The same for a call of the pipeline."""
    import torch

    from lamina import pipeline

    torch.set_num_threads(case["threads"])
    classify, found = pipeline("text-classification", model=case["folder"]), []
    for _ in range(rounds + 1):
        before = time.process_time()
        for _ in range(count):
            classify(SENTENCE, top_k=None)
        found.append((time.process_time() - before) / count)
    return found[1:]


def main() -> None:
    options: argparse.Namespace = parse("http_overhead")
    # One thread: threads that wait for each other spin, and the share of it differs from run to run.
    case, count = {"folder": checkpoint(), "threads": 1}, 20 if options.smoke else 500
    with alone():
        served = over_http(case, count, options.rounds)
        called = in_process(case, count, options.rounds)
    beyond = statistics.median(served) - statistics.median(called)
    result = {
        "machine": machine(case["threads"]),
        "over_http_s": served,
        "pipeline_s": called,
        "beyond_s": beyond,
        "most_s": MOST,
        "met": beyond <= MOST,
    }
    text = json.dumps(result, indent=1) + "\n"
    print(text, end="")
    if options.output:
        RESULTS.mkdir(parents=True, exist_ok=True)
        options.output.write_text(text, encoding="utf-8")
    sys.exit(int(options.check and not result["met"]))


if __name__ == "__main__":
    main()
