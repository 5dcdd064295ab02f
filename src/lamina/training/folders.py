"""Checkpoints as folders: written aside, flushed to disk and renamed, so that one that is there is whole."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..checkpoint.files import open_file
from ..errors import CheckpointError, LaminaError, TrainingError
from ..files.jsonfile import INDEX_BYTES, read_json_object
from ..files.paths import inside
from ..files.shown import shown

STATE = "trainer_state.json"
ASIDE = ".checkpoint-"
NAME = re.compile(r"checkpoint-(\d{1,12})", re.ASCII)


def publish(output: Path, step: int, write: Callable[[Path], None]) -> Path:
    """Make the checkpoint of `step`: `write` fills a folder aside, which appears under its name once it is on disk.

    Where anything fails, every checkpoint that was there still is.
    """
    final, aside = output / f"checkpoint-{step}", aside_of(output, step, os.getpid())
    made = False
    try:
        output.mkdir(parents=True, exist_ok=True)
        aside.mkdir()
        made = True
        write(aside)
        for path in sorted(aside.rglob("*")):
            flush(path)
        flush(aside)
        _swap_in(aside, final)
        flush(output)
    except (OSError, LaminaError) as problem:
        reason = problem if isinstance(problem, LaminaError) else problem.strerror or problem
        raise TrainingError(
            f"{final} cannot be written: {reason}. Earlier checkpoints are unchanged: see to it, and resume"
        ) from problem
    finally:
        if made and aside.exists():
            shutil.rmtree(aside, ignore_errors=True)
    return final


def aside_of(output: Path, step: int, process: int) -> Path:
    """Where the checkpoint of a step grows until it is whole; `process` is the number of the one that publishes it."""
    return output / f"{ASIDE}{step}-{process}"


def _swap_in(aside: Path, final: Path) -> None:
    """Give a folder its name; one that has it already goes, or comes back where that fails."""
    if not final.exists():
        os.rename(aside, final)
        return
    older = aside.with_name(f"{aside.name}-older")
    os.rename(final, older)
    try:
        os.rename(aside, final)
    except OSError:
        os.rename(older, final)
        raise
    shutil.rmtree(older, ignore_errors=True)


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
    return sorted((path for path in found if path.is_dir()), key=step_of)


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
                return f"{shown(name)} has {there.get(name, 'no')} bytes of {shown(size)}"
            if name.endswith(".safetensors"):
                with open_file(inside(folder, name)):
                    pass  # its header is checked on opening
    except (OSError, LaminaError) as problem:
        return str(problem)
    return None


def read_state(folder: Path) -> dict[str, Any]:
    """The state file of a checkpoint, with the fields that make it one."""
    state = read_json_object(inside(folder, STATE), INDEX_BYTES, CheckpointError)
    if not isinstance(state.get("files"), dict) or not isinstance(state.get("trainer"), dict):
        raise CheckpointError(f"{folder / STATE} is not the state of a training run of ours")
    return state


def step_of(checkpoint: Path) -> int:
    """The number in a checkpoint's name."""
    return int(checkpoint.name.rpartition("-")[2])


def prune(output: Path, limit: int | None, best: str | None, step: int) -> None:
    """Keep the newest `limit` checkpoints up to `step`, the best one among them; later ones are another run's."""
    if limit is None:
        return
    there = [path for path in checkpoints(output) if step_of(path) <= step]
    kept = [path for path in there if path.name == best]
    others = [path for path in there if path.name != best]
    room = max(limit - len(kept), 1)  # the newest is always kept
    for path in others[: max(0, len(others) - room)]:
        try:
            discard(path)
        except OSError as problem:
            raise TrainingError(f"{path} cannot be removed: {problem.strerror}") from problem
