"""The command as the shell meets it: quick help without torch, its overview, broken pipes, Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

import lamina as library
from lamina.cli.tasks import TASKS
from lamina.pipelines import create
from tests.cli.conftest import Finished

Lamina = Callable[..., Finished]

WITHOUT_TORCH = """
import sys
sys.argv = ["lamina", *sys.argv[1:]]
from lamina.cli import main
try:
    main()
finally:
    assert "torch" not in sys.modules, "torch was imported"
    assert "numpy" not in sys.modules, "numpy was imported"
"""


WITHOUT_COMPILER = """
import sys
from lamina import pipeline
pipeline("text-classification", model=sys.argv[1])("A merry tale.")
slow = [name for name in ("torch._dynamo", "sympy", "torch.distributed.tensor", "rich") if name in sys.modules]
assert not slow, f"{slow} were imported"
"""


@pytest.mark.parametrize("arguments", [[], ["--help"], ["run", "--help"], ["--version"], ["info", "--families"]])
def test_help_needs_no_torch(arguments: list[str]) -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT_TORCH, *arguments], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


def test_a_first_answer_loads_nothing_slow_but_torch(checkpoint: Callable[[str], str]) -> None:
    command = [sys.executable, "-c", WITHOUT_COMPILER, checkpoint("bert-moods")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_overview_names_every_task_and_fits_eighty_columns(lamina: Lamina, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    shown = lamina().out
    assert all(task.name in shown and task.summary in shown for task in TASKS)
    assert max(map(len, shown.splitlines())) <= 80


def test_every_task_is_one_of_the_pipelines() -> None:
    assert {task.name for task in TASKS} <= set(create.TASKS)
    assert {task.alias: task.name for task in TASKS if task.alias} == dict(create.ALIASES)


def test_version_is_the_packages(lamina: Lamina) -> None:
    assert lamina("--version").out == f"lamina {library.__version__}\n"


def start(*arguments: str) -> subprocess.Popen[bytes]:
    """`lamina ARGUMENTS` in a process of its own, its three streams pipes."""
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-m", "lamina", *arguments], stdin=pipe, stdout=pipe, stderr=pipe)


def test_a_reader_that_goes_away_is_no_error_worth_a_word() -> None:
    process = start("info", "--families", "--json")
    assert process.stdout is not None
    process.stdout.close()
    _, err = process.communicate(timeout=600)
    assert err == b""


@pytest.mark.skipif(os.name == "nt", reason="signals are sent otherwise there")
def test_ctrl_c_ends_quietly_with_130(checkpoint: Callable[[str], str]) -> None:
    process = start("run", "text-classification", "-m", checkpoint("bert-moods"), "--batch-size", "1")
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"A merry tale.\n" * 2)
    process.stdin.flush()
    assert process.stdout.readline().startswith(b'{"input"')
    time.sleep(0.2)  # it waits for more input now
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=600)
    assert (process.returncode, err) == (130, b"")
