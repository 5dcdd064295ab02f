"""This tree beside an earlier one in turns: a change may cost no row more than 3 %.

    git worktree add /tmp/earlier REVISION
    python -m benchmarks.earlier /tmp/earlier

One process a tree, both alive, a row at a time in alternation; then cold starts of the command line. Medians.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SENTIMENT = "src/lamina/assets/sentiment"
THREADS = 2


def rows() -> dict[str, Callable[[], Any]]:
    """What is measured, in the tree that this process imports."""
    import torch

    import lamina
    from scripts.assets import fetch

    torch.set_num_threads(THREADS)
    tokenizer = lamina.AutoTokenizer.from_pretrained(fetch("minilm"))
    prose = [line for line in fetch("botchan").read_text(encoding="utf-8").splitlines() if line.strip()][:256]
    found: dict[str, Callable[[], Any]] = {
        "tokenizer, one sentence x 200": lambda: [tokenizer("The film was not bad at all.") for _ in range(200)],
        "tokenizer, 256 lines": lambda: tokenizer(prose, truncation=True),
    }
    for precision in ("fp32", "fp32-packed", "int8", "int8-accurate"):
        pipe = lamina.pipeline("sentence-similarity", model=str(fetch("minilm")), precision=precision)
        found[f"MiniLM, 256 texts, {precision}"] = lambda pipe=pipe: pipe.embed(prose)
        found[f"MiniLM, one text x 20, {precision}"] = lambda pipe=pipe: [pipe.embed(prose[:1]) for _ in range(20)]
    classifier = lamina.pipeline("sentiment-analysis", model=str(ROOT / SENTIMENT), precision="fp32")
    found["a label x 20"] = lambda: [classifier("Not bad at all.") for _ in range(20)]
    config = lamina.GPT2Config(vocab_size=5000, n_embd=256, n_layer=4, n_head=4, bos_token_id=0, eos_token_id=0)
    torch.manual_seed(0)
    writer, prompt = lamina.GPT2LMHeadModel(config).eval(), torch.randint(1, 5000, (1, 16))
    found["64 tokens of a small GPT-2"] = lambda: writer.generate(
        prompt, max_new_tokens=64, min_new_tokens=64, do_sample=False
    )
    return found


def work() -> None:
    """Answer each name on standard input with seconds."""
    found = rows()
    for run in found.values():
        run()
    print(json.dumps(list(found)), flush=True)
    for line in sys.stdin:
        start = time.perf_counter()
        found[json.loads(line)]()
        print(time.perf_counter() - start, flush=True)


def environment(tree: Path) -> dict[str, str]:
    paths = os.pathsep.join([str(tree / "src"), str(ROOT)])
    return {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": str(THREADS), "TOKENIZERS_PARALLELISM": "false"}


def measured(trees: list[Path], rounds: int) -> dict[str, list[list[float]]]:
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.earlier", "--worker"]
    started = [
        subprocess.Popen(command, env=environment(tree), cwd=ROOT, stdin=-1, stdout=-1, text=True) for tree in trees
    ]
    names, *_ = [json.loads(each.stdout.readline()) for each in started if each.stdout]
    seconds: dict[str, list[list[float]]] = {name: [[] for _ in trees] for name in names}
    for name in names:
        for number in range(2 * rounds):
            place = number % 2
            worker = started[place]
            assert worker.stdin and worker.stdout
            worker.stdin.write(json.dumps(name) + "\n")
            worker.stdin.flush()
            seconds[name][place].append(float(worker.stdout.readline()))
    for each in started:
        each.communicate()
    cold = seconds["lamina run, cold"] = [[] for _ in trees]
    for number in range(2 * min(rounds, 7)):
        place = number % 2
        start = time.perf_counter()
        run = ["-m", "lamina", "run", "sentiment-analysis", "-m", str(trees[place] / SENTIMENT), "Not bad."]
        subprocess.run([sys.executable, *run], env=environment(trees[place]), check=True, capture_output=True)
        cold[place].append(time.perf_counter() - start)
    return seconds


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("earlier", nargs="?", type=Path, help="the other tree")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work()
    else:
        for name, (before, now) in measured([options.earlier.resolve(), ROOT], options.rounds).items():
            print(f"{name:38} {1000 * median(before):9.2f} ms  {1000 * median(now):9.2f} ms  "
                  f"{median(now) / median(before) - 1:+7.1%}", flush=True)  # fmt: skip
