"""Checkpoints as folders: written aside, flushed to disk and renamed, so that one that is there is whole."""

from __future__ import annotations

import errno
import logging
import os
import platform
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..checkpoint.files import open_file
from ..errors import CheckpointError, LaminaError, TrainingError
from ..files.atomic import release, remove_folder, staged_folder, succeed, take
from ..files.jsonfile import INDEX_BYTES, read_json_object

if TYPE_CHECKING:
    from .ranks import Ranks
from ..files.paths import inside
from ..files.shown import shown

STATE = "trainer_state.json"
ASIDE = ".checkpoint-"
LOCK = ".training.lock"
LEFTOVER = re.compile(
    r"\.checkpoint-(?:(?P<step>\d{1,12})-\d+(?P<older>-older)?|old-checkpoint-\d{1,12}-\d+)", re.ASCII
)
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)
NAME = re.compile(r"checkpoint-(\d{1,12})", re.ASCII)
_held: ContextVar[frozenset[str]] = ContextVar("folders that this run has for itself", default=frozenset())
logger = logging.getLogger("lamina")


def publish(output: Path, step: int, write: Callable[[Path], None]) -> Path:
    """Make the checkpoint of `step`: `write` fills a folder aside, which appears under its name once it is on disk.

    Where anything fails, every checkpoint that was there still is. One of the same step is replaced, but for files in
    it that no run wrote.
    """
    final, aside = output / f"checkpoint-{step}", aside_of(output, step, os.getpid())
    try:
        with staged_folder(final, aside, own_files(final)):
            write(aside)
    except (OSError, LaminaError) as problem:
        reason = problem if isinstance(problem, LaminaError) else problem.strerror or problem
        raise TrainingError(
            f"{final} cannot be written: {reason}. Earlier checkpoints are unchanged: see to it, and resume"
        ) from problem
    return final


def aside_of(output: Path, step: int, process: int) -> Path:
    """Where the checkpoint of a step grows until it is whole; `process` is the number of the one that publishes it."""
    return output / f"{ASIDE}{step}-{process}"


def own_files(folder: Path) -> set[str]:
    """What a run wrote into a checkpoint, by its state; whatever else is there is somebody's own."""
    try:
        return {STATE, *read_state(folder)["files"]}
    except LaminaError:
        return set()


def discard(folder: Path) -> None:
    """Remove a checkpoint: at once by its name, then its files. Where others have put files there, these stay."""
    own = own_files(folder)
    others = sizes(folder).keys() - own
    if not others:
        remove_folder(folder, folder.parent / f"{ASIDE}old-{folder.name}-{os.getpid()}")
        return
    for name in (STATE, *sorted(own - {STATE})):  # without its state it is not a checkpoint
        (folder / name).unlink(missing_ok=True)


@contextmanager
def occupied(output: Path, ranks: Ranks) -> Iterator[None]:
    """Keep the folder for this run, whose processes all call this, and clear away what a killed one left unfinished.

    Another run in it is refused: two of them would take each other's checkpoints for their own. The lock goes with the
    process that holds it, which is the first, however it ends.
    """
    with ExitStack() as stack:
        refused = None
        if ranks.first:
            try:
                stack.enter_context(_locked(output))
            except TrainingError as problem:
                refused = problem
        others = ranks.collect(refused and str(refused))[0]
        if refused or others:
            raise refused or TrainingError(others)
        yield


def check_free(output: Path) -> None:
    """Refuse at once a folder that another run is training in."""
    path = output / LOCK
    if os.path.realpath(output) in _held.get() or not path.is_file():
        return
    with suppress(OSError):  # told of when the lock is taken for good
        handle = take(path, os.O_RDWR)
        if handle is None:
            raise _busy(output)
        release(handle)


@contextmanager
def _locked(output: Path) -> Iterator[None]:
    name, path = os.path.realpath(output), output / LOCK
    if name in _held.get():  # by a recipe, around its trainer
        yield
        return
    handle = None
    try:
        output.mkdir(parents=True, exist_ok=True)
        handle = take(path, os.O_RDWR | os.O_CREAT)
        if handle is None:
            raise _busy(output)
        os.truncate(handle, 0)
        os.write(handle, f"process {os.getpid()} on {platform.node()}".encode())
    except OSError as problem:
        if problem.errno not in NO_LOCKS:
            raise TrainingError(f"output_dir={output} cannot be made: {problem.strerror}") from problem
        logger.warning("%s has no locks: see to it yourself that no other training runs in it", output)
    token = _held.set(_held.get() | {name})
    try:
        _clear(output)
        yield
    finally:
        _held.reset(token)
        if handle is not None:
            path.unlink(missing_ok=True)
            release(handle)


def _busy(output: Path) -> TrainingError:
    try:
        with open(output / LOCK, encoding="utf-8", errors="replace") as file:
            who = file.read(200)
    except OSError:
        who = ""
    return TrainingError(
        f"a training is running in {output} ({who or 'another process'}): wait for its end, or choose another folder"
    )


def _clear(output: Path) -> None:
    """Remove what killed saves left, and give back its name to a checkpoint that one had put aside."""
    for leftover in output.glob(ASIDE + "*"):
        match = LEFTOVER.fullmatch(leftover.name)
        if match is None or not leftover.is_dir() or leftover.is_symlink():
            continue
        if match["older"]:
            succeed(leftover, output / f"checkpoint-{match['step']}", own_files(leftover))
        else:
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


def prune(output: Path, limit: int | None, best: str | None, step: int, run: str) -> None:
    """Keep the newest `limit` checkpoints of a run up to `step`, the best one among them; other runs' stay."""
    if limit is None:
        return
    there = [path for path in checkpoints(output) if step_of(path) <= step and _run_of(path) == run]
    kept = [path for path in there if path.name == best]
    others = [path for path in there if path.name != best]
    room = max(limit - len(kept), 1)  # the newest is always kept
    for path in others[: max(0, len(others) - room)]:
        try:
            discard(path)
        except OSError as problem:
            raise TrainingError(f"{path} cannot be removed: {problem.strerror}") from problem


def _run_of(checkpoint: Path) -> Any:
    """The run that wrote a checkpoint, which those that go on from it are part of."""
    try:
        return read_state(checkpoint)["trainer"].get("run")
    except LaminaError:
        return None
