"""One contender in a process of its own: lines of JSON in, lines of JSON out. Nothing here imports an engine.

Started as `python -m benchmarks.worker` by harness.py, under the interpreter that has the contender's engine.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = (
    "lamina",
    "torch",
    "transformers",
    "sentence_transformers",
    "fastembed",
    "tokenizers",
    "ctranslate2",
    "onnxruntime",
    "openvino",
    "datasets",
    "pandas",
    "duckdb",
    "pyarrow",
)
TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Work:
    """What a contender's setup gives: `run` is timed, `answer` turns its result into JSON for the comparison.

    `figures` are numbers about one result that stand beside its time, such as percentiles.
    """

    run: Callable[[], Any]
    answer: Callable[[Any], dict[str, Any]] = lambda _: {}
    figures: Callable[[Any], dict[str, float]] = lambda _: {}


def realtime() -> bool:
    """Keep this process, and threads it starts from now on, from being put aside for others; False: not permitted."""
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except (AttributeError, OSError):
        return False
    return True


def end_with_parent() -> None:
    """A harness that is killed cannot end its workers, and a stopped one would wait for ever."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # 1: PR_SET_PDEATHSIG


def memory(field: str, process: Path = Path("/proc/self")) -> float:
    """A line of a process's status in MB: VmRSS is held now, VmHWM was the most since its start or `forget_peak`."""
    lines = (process / "status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(field))


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def machine_seconds() -> tuple[float, float]:
    """CPU seconds since boot that anybody worked, and that the hypervisor gave to other machines."""
    ticks = [int(part) for part in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    user, nice, system, _, _, hard, soft, stolen = ticks[:8]
    return (user + nice + system + hard + soft) / TICK, stolen / TICK


def group_seconds(group: int | None = None) -> float:
    """CPU seconds of the processes of a group, this one's unless given, and of those they started that ended."""
    group, ticks = group or os.getpgrp(), 0
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = file.read_text().rpartition(")")[2].split()  # the name before may hold anything
        except OSError:  # ended meanwhile
            continue
        if int(fields[2]) == group:
            ticks += sum(map(int, fields[11:15]))
    return ticks / TICK


def group_peak() -> float:
    """The most, in MB, that processes held which this one started and which still run, all added up."""
    group, found = os.getpgrp(), 0.0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if int(folder.name) != os.getpid() and os.getpgid(int(folder.name)) == group:
                found += memory("VmHWM", folder)
        except (OSError, StopIteration):  # ended meanwhile, or about to
            continue
    return found


class Worker:
    """Answers the harness's requests by their "do"."""

    work: Work

    def setup(self, request: dict[str, Any]) -> dict[str, Any]:
        steady = realtime() if request["realtime"] else False
        folder, case = request["case"].get("made"), request["case"]
        before = set(os.listdir(folder)) if folder else set()
        try:
            module = importlib.import_module(f"benchmarks.peers.{request['module']}")
            self.work = getattr(module, request["function"])(case, **request["options"])
        except ImportError as error:
            return {"absent": str(error)}
        made = bool(folder) and set(os.listdir(folder)) != before
        return {"versions": versions(), "realtime": steady, "held_mb": memory("VmRSS"), "made": made}

    def answer(self, _: dict[str, Any]) -> dict[str, Any]:
        return {"answer": self.work.answer(self.work.run())}

    def time(self, request: dict[str, Any]) -> dict[str, Any]:
        """Seconds of one of `calls` calls, and the share of the cores that others had meanwhile."""
        calls, run = request["calls"], self.work.run
        busy, stolen = machine_seconds()
        own, began = group_seconds(), time.perf_counter()
        for _ in range(calls):
            found = run()
        wall = time.perf_counter() - began
        busy, stolen = (after - before for after, before in zip(machine_seconds(), (busy, stolen), strict=True))
        cores = (os.cpu_count() or 1) * wall
        others = max(0.0, busy - (group_seconds() - own)) + stolen
        return {"seconds": wall / calls, "others": others / cores, **self.work.figures(found)}

    def load(self, _: dict[str, Any]) -> dict[str, Any]:
        """Memory that one call needs at its peak and keeps afterwards, above what was there before it."""
        forget_peak()
        before = memory("VmRSS")
        kept = self.work.run()
        grown = {"peak_mb": memory("VmHWM") - before, "kept_mb": memory("VmRSS") - before}
        del kept
        return grown

    def peak(self, _: dict[str, Any]) -> dict[str, Any]:
        """The most this process held, or those that it started."""
        ended = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        return {"peak_mb": max(memory("VmHWM"), ended, group_peak())}

    def profile(self, _: dict[str, Any]) -> dict[str, Any]:
        """Where torch spends one call, by operator; nothing for an engine that has no torch in it."""
        if "torch" not in sys.modules:
            return {"profile": None}
        from torch._C._profiler import _ExperimentalConfig
        from torch.profiler import ProfilerActivity, profile

        everywhere = _ExperimentalConfig(profile_all_threads=True)  # passes may run on threads of their own
        with profile(activities=[ProfilerActivity.CPU], experimental_config=everywhere) as found:
            self.work.run()
        rows = sorted(found.key_averages(), key=lambda row: -row.self_cpu_time_total)
        total = sum(row.self_cpu_time_total for row in rows) or 1
        return {
            "profile": [
                {"operator": row.key, "share": round(row.self_cpu_time_total / total, 4), "calls": row.count}
                for row in rows[:12]
            ]
        }


def versions() -> dict[str, str]:
    """Versions of the engines that this process has loaded, and the accelerator it uses."""
    found = {}
    for name in PACKAGES:
        if name in sys.modules:
            try:
                found[name] = version(name)
            except PackageNotFoundError:
                found[name] = "?"
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        found["device"] = torch.cuda.get_device_name()
    return found


def main() -> None:
    end_with_parent()
    # Engines print to standard output; replies go out on a copy of it.
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    worker = Worker()
    for line in sys.stdin:
        request = json.loads(line)
        try:
            reply = getattr(worker, request["do"])(request)
        except Exception as error:
            traceback.print_exc()
            reply = {"failed": f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"}
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


if __name__ == "__main__":
    # Under its importable name, so that peers and this file share one `Work`.
    importlib.import_module("benchmarks.worker").main()
