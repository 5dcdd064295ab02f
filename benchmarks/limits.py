"""What this machine can do at best: matrix products by precision, and reading memory. Results state their share of it.

    python -m benchmarks.limits [--device cuda]

writes benchmarks/results/limits.json, which the harness reads where processor and threads are the same.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from typing import Any

from .harness import RESULTS, alone, machine, parse
from .worker import realtime

SHAPE = (1024, 768, 3072)  # rows, inputs, outputs: a feed-forward layer of bert-base on a full batch


def rate(call: Callable[[], Any], amount: float, seconds: float) -> float:
    """The best of many calls: a limit is what is possible, not what is usual."""
    for _ in range(3):
        call()
    best, until = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < until:
        began = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - began)
    return amount / best / 1e9


def on_cpu(seconds: float, scale: int) -> dict[str, float]:
    import torch
    import torch.nn.functional as F

    from lamina.inference.linears import Int8Linear, PackedLinear

    rows, inputs, outputs = SHAPE
    x, weight = torch.randn(rows, inputs), torch.randn(outputs, inputs)
    short, short_weight = x.bfloat16(), weight.bfloat16()
    operations = 2 * rows * inputs * outputs
    big, small = torch.ones(scale << 18), torch.ones(4 << 18)  # floats: 1 GiB, and 4 MiB that stay in a shared cache
    packed, narrow = PackedLinear(weight, None, None), Int8Linear(weight, None, None)
    product = getattr(torch, "_int_mm", None)
    a, b = torch.randint(-9, 9, (rows, inputs)).to(torch.int8), torch.randint(-9, 9, (inputs, outputs)).to(torch.int8)
    calls = {
        "fp32_gflops": [lambda: F.linear(x, weight), lambda: packed(x)],
        "bf16_gflops": [lambda: F.linear(short, short_weight)],
        "int8_gflops": [lambda: narrow(x), *([lambda: product(a, b)] if product else [])],
    }
    found = {name: max(rate(call, operations, seconds) for call in each) for name, each in calls.items()}
    found["memory_gbs"] = rate(big.sum, big.nbytes, seconds)
    found["cache_gbs"] = rate(small.sum, small.nbytes, seconds)
    return found


def on_cuda(seconds: float) -> dict[str, float]:
    import torch

    size = 8192
    a = torch.randn(size, size, device="cuda", dtype=torch.bfloat16)
    source = torch.empty(1 << 30, device="cuda", dtype=torch.uint8)
    target = torch.empty_like(source)

    def waiting(call: Callable[[], Any]) -> Callable[[], None]:
        return lambda: (call(), torch.cuda.synchronize())[1]

    return {
        "bf16_gflops": rate(waiting(lambda: a @ a), 2 * size**3, seconds),
        "memory_gbs": rate(waiting(lambda: target.copy_(source)), 2 * source.nbytes, seconds),
    }


def main() -> None:
    options: argparse.Namespace = parse("limits")
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(options.threads)
    with alone():
        if not (options.smoke or options.no_realtime):
            realtime()
        import torch

        torch.set_num_threads(options.threads)
        seconds = 0.1 if options.smoke else 3.0
        with torch.inference_mode():
            cpu = options.device == "cpu"
            found = on_cpu(seconds, 16 if options.smoke else 1024) if cpu else on_cuda(seconds)
    result = {"machine": machine(options.threads, options.device), "versions": {"torch": torch.__version__}, **found}
    text = json.dumps(result, indent=1) + "\n"
    print(text, end="")
    if options.output:
        RESULTS.mkdir(parents=True, exist_ok=True)
        options.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
