"""Checkpoints as folders: written aside, flushed to disk and renamed, so that one that is there is whole."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..checkpoint.files import open_file
from ..checkpoint.jsonfile import INDEX_BYTES, read_json_object
from ..errors import CheckpointError, LaminaError, TrainingError

STATE = "trainer_state.json"
ASIDE = ".checkpoint-"
NAME = re.compile(r"checkpoint-(\d{1,12})", re.ASCII)


def publish(output: Path, step: int, write: Callable[[Path], None]) -> Path:
    """Make the checkpoint of `step`: `write` fills a folder aside, which appears under its name once it is on disk.

    Where anything fails, every checkpoint that was there still is.
    """
    final = output / f"checkpoint-{step}"
    aside: Path | None = None
    try:
        output.mkdir(parents=True, exist_ok=True)
        aside = output / f"{ASIDE}{step}-{os.getpid()}"
        aside.mkdir()
        write(aside)
        for path in sorted(aside.rglob("*")):
            flush(path)
        flush(aside)
        if final.exists():
            discard(final)
        os.rename(aside, final)
        flush(output)
    except OSError as problem:
        reason = problem if isinstance(problem, LaminaError) else problem.strerror or problem
        raise TrainingError(
            f"{final} cannot be written: {reason}. Earlier checkpoints are unchanged; make room and resume"
        ) from problem
    finally:
        if aside is not None and aside.exists():
            shutil.rmtree(aside, ignore_errors=True)
    return final


def flush(path: Path) -> None:
    """See that a file or the names in a folder are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def discard(folder: Path) -> None:
    """Remove a checkpoint: at once by its name, then its files."""
    aside = folder.parent / f"{ASIDE}old-{folder.name}-{os.getpid()}"
    os.rename(folder, aside)
    shutil.rmtree(aside, ignore_errors=True)


def prepare(output: Path) -> None:
    """Make the folder that a run writes to, and remove what killed saves left there."""
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise TrainingError(f"output_dir={output} cannot be made: {problem.strerror}") from problem
    for leftover in output.glob(ASIDE + "*"):
        if leftover.is_dir() and not leftover.is_symlink():
            shutil.rmtree(leftover, ignore_errors=True)


def checkpoints(output: str | Path) -> list[Path]:
    """The checkpoints in a folder by step, oldest first, whole or not."""
    output = Path(output)
    found = [path for path in output.iterdir() if NAME.fullmatch(path.name)] if output.is_dir() else []
    return sorted((path for path in found if path.is_dir()), key=lambda path: int(path.name.rpartition("-")[2]))


def newest(output: str | Path) -> Path | None:
    """The newest checkpoint that is whole, if any."""
    return next((path for path in reversed(checkpoints(output)) if damage(path) is None), None)


def get_last_checkpoint(folder: str | Path) -> str | None:
    """As `newest`, under the reference's name: a path as text."""
    found = newest(folder)
    return None if found is None else str(found)


def sizes(folder: Path) -> dict[str, int]:
    """Bytes of every file in a folder and below."""
    return {str(p.relative_to(folder)): p.stat().st_size for p in sorted(folder.rglob("*")) if p.is_file()}


def damage(folder: Path) -> str | None:
    """Why a checkpoint cannot be resumed from; None where it is whole."""
    try:
        state = read_state(folder)
        there = sizes(folder)
        for name, size in state["files"].items():
            if there.get(name) != size:
                return f"{name} has {there.get(name, 'no')} bytes of {size}"
            if name.endswith(".safetensors"):
                with open_file(folder / name):
                    pass  # its header is checked on opening
    except (OSError, LaminaError) as problem:
        return str(problem)
    return None


def read_state(folder: Path) -> dict[str, Any]:
    """The state file of a checkpoint, with the fields that make it one."""
    state = read_json_object(folder / STATE, INDEX_BYTES, CheckpointError)
    if not isinstance(state.get("files"), dict) or not isinstance(state.get("trainer"), dict):
        raise CheckpointError(f"{folder / STATE} is not the state of a training run of ours")
    return state


def prune(output: Path, limit: int | None, best: str | None) -> None:
    """Keep the newest `limit` checkpoints, the best one among them."""
    if limit is None:
        return
    there = checkpoints(output)
    kept = [path for path in there if path.name == best]
    others = [path for path in there if path.name != best]
    room = max(limit - len(kept), 1)  # the newest is always kept
    for path in others[: max(0, len(others) - room)]:
        try:
            discard(path)
        except OSError as problem:
            raise TrainingError(f"{path} cannot be removed: {problem.strerror}") from problem
