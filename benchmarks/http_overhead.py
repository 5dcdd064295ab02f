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

MOST = 1e-3  # seconds
TURNS = 10  # of both sides in a round: the model needs ten times as long as what is looked for


class OverHttp:
    """The server, asked one by one on an open connection."""

    def __init__(self, case: dict[str, Any]):
        self.server = Server("127.0.0.1", free_port())
        command = [sys.executable, "-m", "lamina", "serve", "{folder}", "--port", "{port}"]
        self.process = start(case, command, self.server)
        self.request = self.server.post("/", {"inputs": SENTENCE})
        asyncio.run(first_answer(self.process, self.server, self.request))

    def seconds(self, count: int) -> float:
        """CPU seconds that the server needs for one of `count` requests."""
        before = cpu_seconds(self.process.pid)
        answers = asyncio.run(in_turns(self.server, [self.request] * count, 1))
        assert all(answer.status == 200 for answer in answers)
        return (cpu_seconds(self.process.pid) - before) / count

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


class InProcess:
    """The pipeline alone, called by this process."""

    def __init__(self, case: dict[str, Any]):
        import torch

        from lamina import pipeline

        torch.set_num_threads(case["threads"])
        self.classify = pipeline("text-classification", model=case["folder"])

    def seconds(self, count: int) -> float:
        """CPU seconds of one of `count` calls."""
        before = time.process_time()
        for _ in range(count):
            self.classify(SENTENCE, top_k=None)
        return (time.process_time() - before) / count


def cpu_seconds(pid: int) -> float:
    """CPU time of all threads of another process, to the nanosecond; Linux makes a clock's number of a process's."""
    return time.clock_gettime((~pid << 3) | 2)


def measure(case: dict[str, Any], count: int, turns: int) -> tuple[list[float], list[float]]:
    """CPU seconds of a request and of a call, in turns; the first ones warm up."""
    over, within = OverHttp(case), InProcess(case)
    try:
        pairs = [(over.seconds(count), within.seconds(count)) for _ in range(turns + 2)][2:]
    finally:
        over.close()
    return [served for served, _ in pairs], [called for _, called in pairs]


def main() -> None:
    options: argparse.Namespace = parse("http_overhead")
    # One thread: threads that wait for each other spin, and the share of it differs from run to run.
    case = {"folder": checkpoint(), "threads": 1}
    with alone():
        served, called = measure(case, 10 if options.smoke else 50, TURNS * options.rounds)
    # Of each turn by itself: what disturbs the machine for a while disturbs both sides of it.
    beyond = [over - alone for over, alone in zip(served, called, strict=True)]
    quartiles = statistics.quantiles(beyond, n=4)
    result = {
        "machine": machine(case["threads"]),
        "over_http_s": served,
        "pipeline_s": called,
        "beyond_s": quartiles[1],
        "beyond_quartiles_s": quartiles,
        "most_s": MOST,
        "met": quartiles[1] <= MOST,
    }
    text = json.dumps(result, indent=1) + "\n"
    print(text, end="")
    if options.output:
        RESULTS.mkdir(parents=True, exist_ok=True)
        options.output.write_text(text, encoding="utf-8")
    sys.exit(int(options.check and not result["met"]))


if __name__ == "__main__":
    main()
