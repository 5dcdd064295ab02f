"""Cold start: one sentence classified by a process started from nothing, ours and the reference's taking turns.

    python benchmarks/cold_start.py --reference REFERENCE_PYTHON --output benchmarks/results/cold_start.json

REFERENCE_PYTHON is an interpreter that has Transformers; without it only our side is measured. Both read the same
float32 checkpoint, and their answers must agree, or nothing is written. The first round warms the file cache and is not
counted.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

SENTENCE = "Not bad at all."
SAVE = """
import sys
from lamina import AutoModelForSequenceClassification, AutoTokenizer
from lamina.pipelines.defaults import EMBEDDED
AutoModelForSequenceClassification.from_pretrained(EMBEDDED["text-classification"]).save_pretrained(sys.argv[1])
AutoTokenizer.from_pretrained(EMBEDDED["text-classification"]).save_pretrained(sys.argv[1])
"""
REFERENCE = """
import json, sys
from transformers import pipeline
answer = pipeline("text-classification", model=sys.argv[1], device="cpu")(sys.argv[2])
print(json.dumps({"output": answer[0]}))
"""
VERSIONS = """
import json, sys
from importlib.metadata import version
print(json.dumps({name: version(name) for name in sys.argv[1:]}))
"""


def sides(folder: Path, reference: str | None) -> dict[str, list[str]]:
    """The command of every row, run in this order in every round."""
    ours = [sys.executable, "-m", "lamina"]
    commands = {"lamina run": [*ours, "run", "text-classification", SENTENCE, "--model", str(folder), "--json"]}
    if reference:
        commands["transformers pipeline"] = [reference, "-c", REFERENCE, str(folder), SENTENCE]
    commands |= {
        "import lamina": [sys.executable, "-c", "import lamina"],
        "import torch": [sys.executable, "-c", "import torch"],
        "python": [sys.executable, "-c", "pass"],
    }
    return commands


def timed(command: list[str]) -> tuple[float, float, str]:
    """Seconds of wall clock, seconds of CPU, and standard output of one process."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    before, began = os.times(), time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    wall, after = time.perf_counter() - began, os.times()
    if done.returncode:
        raise SystemExit(f"{command[:3]} failed:\n{done.stderr}")
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return wall, cpu, done.stdout


def answers_agree(outputs: dict[str, str]) -> None:
    """Stop where two sides gave different answers: a time for a wrong answer is worth nothing."""
    found = {name: json.loads(text.splitlines()[-1])["output"] for name, text in outputs.items() if text.strip()}
    found = {name: answer[0] if isinstance(answer, list) else answer for name, answer in found.items()}
    labels, scores = {each["label"] for each in found.values()}, [each["score"] for each in found.values()]
    if len(labels) > 1 or max(scores) - min(scores) > 1e-4:
        raise SystemExit(f"the answers differ: {found}")


def versions(python: str, names: list[str]) -> dict[str, str]:
    done = subprocess.run([python, "-c", VERSIONS, *names], capture_output=True, text=True, check=True)
    found: dict[str, str] = json.loads(done.stdout)
    return found


def measure(reference: str | None, rounds: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "model"
        subprocess.run([sys.executable, "-c", SAVE, str(folder)], check=True, capture_output=True)
        commands = sides(folder, reference)
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
        for number in range(rounds + 1):
            outputs = {}
            for name, command in commands.items():
                wall, cpu, outputs[name] = timed(command)
                if number:
                    times[name].append((wall, cpu))
            answers_agree(outputs)
    rows = {name: summary([wall for wall, _ in pairs], [cpu for _, cpu in pairs]) for name, pairs in times.items()}
    result: dict[str, Any] = {
        "sentence": SENTENCE,
        "checkpoint": "the built-in sentiment model as float32 safetensors, 6 layers of 384",
        "rounds": rounds,
        "machine": {"cpu": cpu_name(), "cores": os.cpu_count(), "python": platform.python_version()},
        "versions": versions(sys.executable, ["lamina", "torch", "tokenizers"]),
        "rows": rows,
    }
    if reference:
        result["reference_versions"] = versions(reference, ["transformers", "torch", "tokenizers"])
        result["times_faster"] = rows["transformers pipeline"]["median_s"] / rows["lamina run"]["median_s"]
    return result


def summary(walls: list[float], cpus: list[float]) -> dict[str, float]:
    return {
        "median_s": round(statistics.median(walls), 4),
        "min_s": round(min(walls), 4),
        "max_s": round(max(walls), 4),
        "median_cpu_s": round(statistics.median(cpus), 4),
    }


def cpu_name() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", help="a Python interpreter that has Transformers")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    if options.rounds < 5:
        parser.error("a median of fewer than 5 rounds says little")
    text = json.dumps(measure(options.reference, options.rounds), indent=2) + "\n"
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(text, encoding="utf-8")
    print(text, end="")


if __name__ == "__main__":
    main()
