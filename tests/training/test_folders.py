"""A run and its folder: what was there before is there afterwards, and there is one run in it at a time."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lamina.errors import TrainingError
from lamina.training import TrainerCallback, folders
from lamina.training.ranks import Ranks
from lamina.training.recipes import recipe

from ..faults import die, ended, forked
from .tiny import bert, sentences, trainer

ALONE = Ranks()


def saving(folder: Path, **options: Any) -> Any:
    settings: dict[str, Any] = {"max_steps": 2, "save_strategy": "steps", "save_steps": 1, "logging_steps": 1}
    model = bert(num_hidden_layers=1, hidden_size=8, intermediate_size=8)
    return trainer(folder, model, sentences(8), **settings | options)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


FOREIGN = ["notes.txt", "checkpoint-1/notes.txt", "checkpoint-7/pytorch_model.bin", "checkpoint-best/x",
           "checkpoint-2b/x", ".checkpoint-mine/x", "runs/x", "model.safetensors.old"]  # fmt: skip
BOTH = {"checkpoint-1", "checkpoint-2"}


def foreign(folder: Path) -> None:
    """What others keep among checkpoints: their own files, the reference's checkpoints, folders of any name."""
    for name in FOREIGN:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")


@pytest.mark.parametrize(
    ("before", "now", "after"),
    [
        ({}, {"max_steps": 1, "overwrite_output_dir": True}, BOTH),
        ({}, {"max_steps": 1}, BOTH),
        ({}, {"max_steps": 1, "overwrite_output_dir": True, "save_total_limit": 1}, BOTH),
        ({"max_steps": 1}, {"max_steps": 3, "save_total_limit": 1}, {"checkpoint-3"}),
        ({}, {"max_steps": 3, "save_steps": 3, "save_total_limit": 1}, BOTH | {"checkpoint-3"}),
        ({}, {"max_steps": 3, "overwrite_output_dir": True, "save_strategy": "no"}, BOTH),
        ({"max_steps": 3}, {"max_steps": 3, "save_total_limit": 2, "resume": True}, {"checkpoint-2", "checkpoint-3"}),
        ({}, {"overwrite_output_dir": True}, BOTH),
    ],
)
@pytest.mark.parametrize("others", [False, True])
def test_only_what_this_run_wrote_goes(
    before: dict[str, Any], now: dict[str, Any], after: set[str], others: bool, tmp_path: Path
) -> None:
    saving(tmp_path, **before).train()
    if others:
        foreign(tmp_path)
    now = dict(now)
    resume = now.pop("resume", None)
    saving(tmp_path, **now).train(resume_from_checkpoint=resume)
    assert {path.name for path in folders.checkpoints(tmp_path) if folders.damage(path) is None} == after
    if others:
        assert [name for name in FOREIGN if not (tmp_path / name).is_file()] == []


def test_another_run_s_checkpoints_are_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    saving(tmp_path).train()
    saving(tmp_path, overwrite_output_dir=True).train()
    assert "another run" not in caplog.text
    saving(tmp_path).train()
    assert "checkpoints of another run, up to checkpoint-2" in caplog.text


def test_the_log_of_an_earlier_run_stays(tmp_path: Path) -> None:
    logs = []
    for _ in range(3):
        saving(tmp_path).train()
        logs.append((tmp_path / "log.jsonl").read_text())
    assert [(tmp_path / f"log-{number}.jsonl").read_text() for number in (1, 2)] == logs[:2]
    saving(tmp_path).train(resume_from_checkpoint=True)
    assert not (tmp_path / "log-3.jsonl").exists() and (tmp_path / "log.jsonl").read_text() == logs[2]


class During(TrainerCallback):
    """Does something while a run is under way."""

    def __init__(self, work: Callable[[], Any]):
        self.work = work

    def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        self.work()


@pytest.mark.parametrize("resume", [None, True])
def test_a_second_run_is_refused_and_does_the_first_no_harm(resume: Any, tmp_path: Path) -> None:
    saving(tmp_path / "alone").train()
    refusals = []

    def intrude() -> None:
        (tmp_path / "two" / folders.aside_of(Path(), 9, os.getpid()).name).mkdir(exist_ok=True)  # a save under way
        for folder in (tmp_path / "two", tmp_path / "two" / ".." / "two"):
            try:
                saving(folder).train(resume_from_checkpoint=resume)
            except TrainingError as problem:
                refusals.append(str(problem))

    def elsewhere() -> None:
        before = names(tmp_path / "two")
        thread = threading.Thread(target=intrude)
        thread.start()
        thread.join()
        assert names(tmp_path / "two") == before | {f".checkpoint-9-{os.getpid()}"}

    first = saving(tmp_path / "two", callbacks=[During(elsewhere)])
    first.train()
    assert len(refusals) == 4 and all(f"process {os.getpid()} on " in each for each in refusals)
    assert all("a training is running in" in each and "choose another folder" in each for each in refusals)
    saving(tmp_path / "two").train()  # the lock is gone, and so is what a killed save would have left
    assert names(tmp_path / "two") == names(tmp_path / "alone") | {"log-1.jsonl"}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a forked process")
def test_a_killed_run_lets_go_of_its_folder(tmp_path: Path) -> None:
    def hold() -> None:
        with folders.occupied(tmp_path, ALONE):
            die()

    assert ended(forked(hold)) == -9
    assert folders.LOCK in names(tmp_path)
    folders.check_free(tmp_path)
    with folders.occupied(tmp_path, ALONE), folders.occupied(tmp_path, ALONE):
        pass
    assert names(tmp_path) == set()


def test_all_ranks_of_a_run_hear_of_a_refusal(tmp_path: Path) -> None:
    told: list[Any] = []

    def ranks(number: int) -> Any:
        return SimpleNamespace(first=number == 0, collect=lambda value: (told.append(value), told)[1])

    with folders.occupied(tmp_path, ALONE):
        thread_error: list[BaseException] = []

        def enter() -> None:
            for number in (0, 1):
                try:
                    with folders.occupied(tmp_path, ranks(number)):
                        pass
                except TrainingError as problem:
                    thread_error.append(problem)

        thread = threading.Thread(target=enter)
        thread.start()
        thread.join()
    assert len(thread_error) == 2 and str(thread_error[0]) == str(thread_error[1])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked processes")
@pytest.mark.parametrize("final", [True, False])
def test_a_checkpoint_that_was_put_aside_comes_back(final: bool, tmp_path: Path) -> None:
    """Killed between the two renames of a save over a checkpoint of the same step."""
    saving(tmp_path).train()
    (tmp_path / "checkpoint-2").rename(tmp_path / ".checkpoint-2-123-older")
    (tmp_path / ".checkpoint-2-123-older" / "notes.txt").write_text("mine")
    if final:
        (tmp_path / "checkpoint-2").mkdir()
    with folders.occupied(tmp_path, ALONE):
        pass
    assert (tmp_path / "checkpoint-2" / "notes.txt").read_text() == "mine"
    assert (folders.damage(tmp_path / "checkpoint-2") is None) is not final
    assert not [name for name in names(tmp_path) if name.startswith(".")]


@pytest.mark.parametrize(
    ("there", "options", "words"),
    [
        (["config.json"], {}, "config.json, which this run would write over"),
        (["README.md", "notes.txt"], {"resume": True}, "README.md, which"),
        (["README.md"], {"arguments": {"overwrite_output_dir": True}}, None),
        (["notes.txt", "train.csv"], {}, None),
        ([], {}, None),
    ],
)
def test_a_recipe_writes_over_nothing_unasked(
    there: list[str], options: dict[str, Any], words: str | None, tmp_path: Path
) -> None:
    for name in there:
        (tmp_path / name).write_text("mine")
    settings = recipe("text-classification").Settings
    if words is None:
        settings(model="m", train="t.csv", output=tmp_path, **options)
        return
    with pytest.raises(TrainingError, match=words):
        settings(model="m", train="t.csv", output=tmp_path, **options)


def test_a_recipe_says_at_once_that_another_is_at_work(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "lamina", "train", "text-classification", "-m", "none", "--train", "none.csv"]
    with folders.occupied(tmp_path, ALONE):
        done = subprocess.run([*command, "-o", str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith(f"lamina: a training is running in {tmp_path} (process {os.getpid()} on ")
    assert "Traceback" not in done.stderr and names(tmp_path) == set()
