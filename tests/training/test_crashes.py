"""Killed at any moment or on a disk that fails: what was saved is whole, and a run goes on to the very same bits."""

from __future__ import annotations

import errno
import gc
import os
import random
import shutil
import signal
import time
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch

from lamina.errors import TrainingError
from lamina.training import TrainerCallback, folders

from ..faults import Disk, die, ended, forked
from .tiny import bert, equal, sentences, trainer, weights

KILLS = 200
STEPS = 8


def small(**options: Any) -> Any:
    return bert(num_hidden_layers=1, **options)


def saving(folder: Path, model: Any, **options: Any) -> Any:
    """Every kind of chance is in it: order, lengths, dropout."""
    settings: dict[str, Any] = {"max_steps": STEPS, "save_strategy": "steps", "save_steps": 1, "logging_steps": 5}
    return trainer(folder, model, sentences(40), **settings | {"group_by_length": True} | options)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.safetensors")}


def go_on(folder: Path) -> None:
    run = saving(folder, small(), gradient_accumulation_steps=2, save_total_limit=2)
    run.train(resume_from_checkpoint=folders.newest(folder))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked processes")
def test_killed_hundreds_of_times_it_ends_with_the_same_bits(tmp_path: Path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    go_on(whole)
    wanted = contents(whole / f"checkpoint-{STEPS}")
    assert set(wanted) == {"model.safetensors", "training.safetensors"}
    chance, kills, ends = random.Random(1), {"write": 0, "time": 0}, 0

    def dying(failing: int) -> None:
        torch.set_num_threads(1)
        with Disk(failing, die, flushing=False).mounted():
            go_on(killed)

    gc.collect()
    gc.freeze()  # a child that looks at all of torch's objects would have to copy them
    while sum(kills.values()) < KILLS or not ends:
        way = "time" if chance.random() < 0.25 else "write"
        where = chance.randrange(1, 180)  # a save is about 120 operations
        child = forked(lambda at=where if way == "write" else 0: dying(at))
        if way == "time":
            time.sleep(chance.uniform(0.0, 0.1))
            os.kill(child, signal.SIGKILL)
        status = ended(child)
        assert status in (0, -signal.SIGKILL)
        kills[way] += status != 0
        if status == 0:
            ends += 1
            assert contents(killed / f"checkpoint-{STEPS}") == wanted
            assert len(folders.checkpoints(killed)) == 2 and not list(killed.glob(".*"))
            shutil.rmtree(killed)
    gc.unfreeze()
    assert kills["write"] > kills["time"] > 10


class Saboteur(TrainerCallback):
    """Saves at one step again and again, each time on a disk that fails one operation later, until nothing fails."""

    def __init__(self, folder: Path, step: int, number: int):
        self.folder, self.step, self.number, self.failures = folder, step, number, 0
        self.run: Any = None

    def fail(self) -> None:
        raise OSError(self.number, os.strerror(self.number))

    def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        if state.global_step != self.step:
            return
        before = folders.newest(self.folder)
        for failing in count(1):
            with Disk(failing, self.fail).mounted() as disk:
                try:
                    self.run.save_checkpoint()
                except TrainingError as problem:
                    assert os.strerror(self.number) in str(problem) and "cannot be written" in str(problem)
                    self.failures += 1
            if disk.count < failing:
                return
            found = folders.newest(self.folder)
            assert found is not None and found in (before, self.folder / f"checkpoint-{self.step}")
            before = found
            assert [path.name for path in self.folder.glob(".*")] == [folders.LOCK]  # of the run that is under way


@pytest.mark.parametrize(("number", "step"), [(errno.ENOSPC, 4), (errno.EIO, 3)])
def test_every_write_that_fails_leaves_a_whole_checkpoint(number: int, step: int, tmp_path: Path):
    whole = saving(tmp_path / "whole", small(), save_steps=3, max_steps=6)
    whole.train()
    saboteur = Saboteur(tmp_path / "cut", step, number)
    run = saving(tmp_path / "cut", small(), save_steps=3, max_steps=6, callbacks=[saboteur])
    saboteur.run = run
    if step == 3:  # over a checkpoint of the same step
        early = saving(tmp_path / "cut", small(), save_steps=3, max_steps=6, callbacks=[Stop(3)])
        early.train()
    run.train()
    assert saboteur.failures > 60
    assert equal(weights(whole.model), weights(run.model))


class Stop(TrainerCallback):
    def __init__(self, step: int):
        self.step = step

    def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        control.should_training_stop |= state.global_step == self.step


def test_a_disk_that_fills_up_ends_the_run_with_a_word_and_it_goes_on_later(tmp_path: Path):
    whole = saving(tmp_path / "whole", small())
    whole.train()

    def full() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    failures = 0
    for failing in range(20, 620, 60):
        folder = tmp_path / str(failing)
        try:
            with Disk(failing, full).mounted():
                saving(folder, small()).train()
        except TrainingError as problem:
            failures += 1
            assert "No space left" in str(problem) and "resume" in str(problem)
        resumed = saving(folder, small(initializer_range=0.5))
        start = folders.newest(folder)
        if start is not None:
            resumed.train(resume_from_checkpoint=start)
            assert equal(weights(whole.model), weights(resumed.model))
    assert failures >= 8


def test_everything_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    flushed: list[Path] = []
    renamed: list[tuple[set[Path], set[Path]]] = []
    fsync, rename = os.fsync, os.rename

    def flush(handle: int) -> None:
        flushed.append(Path(os.readlink(f"/proc/self/fd/{handle}")))
        fsync(handle)

    def move(source: Any, target: Any) -> None:
        renamed.append(({Path(source), *Path(source).rglob("*")}, set(flushed)))
        rename(source, target)

    if not Path("/proc/self/fd").is_dir():
        pytest.skip("asks Linux which file a number stands for")
    monkeypatch.setattr(os, "fsync", flush)
    monkeypatch.setattr(os, "rename", move)
    saving(tmp_path, small(), max_steps=1).train()
    assert len(renamed) == 1
    there, safe = renamed[0]
    assert len(there) > 4 and there <= safe
    assert flushed[-1] == tmp_path
