"""Runs the contenders of a row in turns, each in a process of its own, and writes what they needed as JSON.

A contender is a function `setup(case, **options) -> Work` of a module in benchmarks/peers. Only one of them runs at any
time: the others are stopped. The first contender is what the rest are compared with. Engines that are not installed
are reported as absent.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import math
import os
import platform
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .compare import Bound, closeness, summary
from .table import table

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
PEERS = ROOT / ".cache" / "bench-venv" / "bin" / "python"
OWN = (
    "lamina",
    "process",
    "served",
    "viewer",
)  # modules that run under this interpreter, the others under that of the peers
LEAST = 0.5  # seconds of a round; shorter calls are repeated


@dataclass(frozen=True)
class Contender:
    """One line of a table: `setup` is "module:function" below benchmarks/peers, `options` are its keyword arguments.

    `wanted` is the ratio promised to the contender `against` (the first one unless named), `beside` are further ratios
    by the names of contenders; `most` are the seconds, or in a row of memory the MB, that one call must stay below;
    `cosine` is how near answers must be on average.
    """

    name: str
    setup: str
    options: dict[str, Any] = field(default_factory=dict)
    precision: str = "fp32"
    wanted: float | None = None
    against: str | None = None
    beside: dict[str, float] = field(default_factory=dict)
    most: float | None = None
    cosine: float = 0.0

    @property
    def module(self) -> str:
        return self.setup.partition(":")[0]


@dataclass(frozen=True)
class Row:
    """One table: what every contender is given, and how much one call does (`amount` of `unit`)."""

    name: str
    case: dict[str, Any]
    contenders: list[Contender]
    amount: float = 1
    unit: str = "calls"
    bound: Bound = field(default_factory=Bound)
    memory: bool = False  # measure what one call grows by instead of its time

    @property
    def measured(self) -> str:
        return "peak_mb" if self.memory else "median_s"


class Process:
    """A worker, stopped except while it answers; so is what it starts, which shares its process group."""

    def __init__(self, contender: Contender, options: argparse.Namespace):
        self.contender = contender
        python = sys.executable if contender.module in OWN else str(options.peers)
        count = str(options.threads)
        names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS")
        environment = os.environ | dict.fromkeys(names, count)
        environment |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "true", "TRANSFORMERS_VERBOSITY": "error"}
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the process
        self.process = subprocess.Popen(
            [python, "-m", "benchmarks.worker"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            start_new_session=True,
        )

    def ask(self, do: str, **request: Any) -> dict[str, Any]:
        """The reply to a request; {"failed": why} where there is none."""
        assert self.process.stdin and self.process.stdout
        self._signal(signal.SIGCONT)
        try:
            self.process.stdin.write(json.dumps({"do": do, **request}) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            self.errors.seek(0)
            return {"failed": f"the process ended: {self.errors.read()[-500:]}"}
        self._signal(signal.SIGSTOP)
        reply: dict[str, Any] = json.loads(line)
        return reply

    def close(self) -> None:
        with self.process, self.errors:  # leaving waits for its end and closes the pipes
            self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)


@contextmanager
def alone() -> Iterator[None]:
    """Two benchmarks at once measure each other: the second one ends here."""
    with (Path(tempfile.gettempdir()) / "lamina-benchmark.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SystemExit("another benchmark is running on this machine") from None
        yield


def machine(threads: int, device: str = "cpu") -> dict[str, Any]:
    file = Path("/proc/cpuinfo")
    lines = file.read_text().splitlines() if file.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    cpu = next(names, platform.machine())
    return {"cpu": cpu, "cores": os.cpu_count(), "threads": threads, "kernel": platform.release(), "device": device}


def known_limits(here: dict[str, Any]) -> dict[str, Any]:
    """What limits.py measured on this machine with as many threads, if it was run."""
    file = result_file("limits", here["device"])
    found: dict[str, Any] = json.loads(file.read_text()) if file.is_file() else {}
    measured = found.get("machine", {})
    same = all(measured.get(name) == here[name] for name in ("cpu", "threads"))
    return found if same else {}


def result_file(name: str, device: str) -> Path:
    return RESULTS / (f"{name}.json" if device == "cpu" else f"{name}-{device}.json")


def run_row(row: Row, options: argparse.Namespace) -> dict[str, Any]:
    """All contenders of a row, in turns; their figures by name."""
    here = machine(options.threads, options.device)
    lines: dict[str, dict[str, Any]] = {}
    with ExitStack() as stack:
        ready: list[Process] = []
        answers: dict[str, dict[str, Any]] = {}
        for contender in row.contenders:
            line = lines[contender.name] = {"module": contender.module, "precision": contender.precision}
            if contender.module not in OWN and not options.peers.exists():
                line["absent"] = "no environment of the peers: run `make bench`"
                continue
            process, reply = set_up(contender, row, options)
            if reply.pop("made", False):  # memory that converting a model left does not count as using it
                process.close()
                process, reply = set_up(contender, row, options)
            stack.callback(process.close)
            if not row.memory and not reply.keys() & {"absent", "failed"}:
                reply |= process.ask("answer")
            answers[contender.name] = reply.pop("answer", {})
            line |= reply
            if not reply.keys() & {"absent", "failed"}:
                ready.append(process)
        measure(row, ready, lines, options)
    compare(row, lines, answers, known_limits(here))
    if not options.smoke and not options.alone:
        judge(row, lines)
    return {"machine": here, "amount": row.amount, "unit": row.unit, "memory": row.memory, "lines": lines}


def set_up(contender: Contender, row: Row, options: argparse.Namespace) -> tuple[Process, dict[str, Any]]:
    """A process with its contender ready to run, and what it said."""
    module, _, function = contender.setup.partition(":")
    case = {**row.case, "threads": options.threads}
    what = {"module": module, "function": function, "options": contender.options, "case": case}
    process = Process(contender, options)
    return process, process.ask("setup", **what, realtime=not (options.smoke or options.no_realtime))


def measure(row: Row, ready: list[Process], lines: dict[str, Any], options: argparse.Namespace) -> None:
    """Rounds in which every contender has its turn, then its memory and profile."""
    if row.memory:
        for process in ready:
            lines[process.contender.name] |= process.ask("load")
        return
    least = 0 if options.smoke else LEAST
    timings: dict[str, list[dict[str, float]]] = {process.contender.name: [] for process in ready}
    calls = {name: 1 for name in timings}
    for number in range(options.rounds + 1):  # the first one warms up and settles how often to call
        for process in ready:
            name = process.contender.name
            found = process.ask("time", calls=calls[name])
            if number and "seconds" in found:
                timings[name].append(found)
            elif "seconds" in found:
                calls[name] = max(1, min(1000, math.ceil(least / max(found["seconds"], 1e-6))))
            else:
                lines[name] |= found
    for process in ready:
        name = process.contender.name
        lines[name] |= {**summary(timings[name]), "calls": calls[name]} if timings[name] else {}
        lines[name] |= process.ask("peak") if "failed" not in lines[name] else {}
        if options.profile:
            lines[name] |= process.ask("profile")


def compare(row: Row, lines: dict[str, Any], answers: dict[str, Any], limits: dict[str, Any]) -> None:
    """Ratios, accuracy and share of the machine's limit."""
    first = row.contenders[0].name
    for contender in row.contenders:
        line = lines[contender.name]
        if row.measured not in line:
            continue
        if row.measured in lines[first]:
            line["ratio"] = lines[first][row.measured] / line[row.measured]
        line["accuracy"] = closeness(answers.get(first, {}), answers.get(contender.name, {}))
        least = row.bound.seconds(limits, contender.precision)
        if least and not row.memory:
            line["of_limit"] = least / line["median_s"]


def judge(row: Row, lines: dict[str, Any]) -> None:
    """Whether what was promised of a contender was kept."""
    for contender in row.contenders:
        line, against = lines[contender.name], contender.against or row.contenders[0].name
        if row.measured not in line:
            continue
        if contender.wanted is not None and row.measured in lines.get(against, {}):
            found = lines[against][row.measured] / line[row.measured]
            near = line.get("accuracy", {}).get("cosine", 1.0) >= contender.cosine
            met = found >= contender.wanted and near
            line |= {"wanted": contender.wanted, "against": against, "found": found, "met": met}
        for rival, wanted in contender.beside.items():
            if row.measured in lines.get(rival, {}):
                found = lines[rival][row.measured] / line[row.measured]
                line.setdefault("beside", {})[rival] = {"wanted": wanted, "found": found}
                line["met"] = line.get("met", True) and found >= wanted
        if contender.most is not None:
            line |= {"most": contender.most, "met": line[row.measured] <= contender.most}


def parse(name: str, arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}")
    parser.add_argument("--smoke", action="store_true", help="tiny shapes, one round: does it run at all?")
    parser.add_argument("--rounds", type=int, help="timed turns of every contender (5)")
    parser.add_argument("--only", default="", help="rows whose name holds this text")
    parser.add_argument("--contenders", default="", help="the first one and those whose name holds this text")
    parser.add_argument("--alone", action="store_true", help="without the first one, where --contenders leaves it out")
    parser.add_argument("--peers", type=Path, default=PEERS, help="the interpreter that has the other engines")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu", help="cuda, where a script knows what to do with it")
    parser.add_argument("--profile", action="store_true", help="one more call each under torch's profiler")
    parser.add_argument("--no-realtime", action="store_true", help="share the machine with others")
    parser.add_argument("--check", action="store_true", help="exit with 1 where a promise is not kept")
    parser.add_argument("--output", type=Path, help="the JSON file; rows it holds already are replaced")
    options = parser.parse_args(arguments)
    options.rounds = options.rounds or (1 if options.smoke else 5)
    if options.output is None and not options.smoke:
        options.output = result_file(name, options.device)
    return options


def main(name: str, make_rows: Callable[[argparse.Namespace], list[Row]]) -> None:
    """The command line of a benchmark script."""
    options = parse(name)
    missed = False
    with alone():
        for row in make_rows(options):
            if options.only not in row.name:
                continue
            kept = 0 if options.alone else 1
            picked = [c for n, c in enumerate(row.contenders) if n < kept or options.contenders in c.name]
            found = run_row(Row(**{**vars(row), "contenders": picked}), options)
            print(table(row.name, found), flush=True)
            missed |= any(line.get("met") is False for line in found["lines"].values())
            if options.output:
                write(options.output, row.name, found)
    sys.exit(int(missed and options.check))


def write(file: Path, name: str, found: dict[str, Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    rows = json.loads(file.read_text()) if file.is_file() else {}
    rows[name] = found
    file.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
