"""Two processes under torchrun: the losses of one with the doubled batch, and one that dies can be resumed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch.distributed

import lamina

from .test_loop import QUIET, SGD, losses
from .tiny import bert, sentences, trainer

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch has no torch.distributed")


def torchrun(folder: Path, way: str) -> subprocess.CompletedProcess[str]:
    source = Path(lamina.__file__).parents[1]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join([str(source), str(ROOT)])}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += ["-m", "tests.training.two_ranks", str(folder), way]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)


def printed(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def test_two_ranks_equal_one_with_the_doubled_batch(tmp_path: Path):
    pair = printed(torchrun(tmp_path / "two", "plain"))
    options = {**SGD, "gradient_accumulation_steps": 2, "per_device_train_batch_size": 4}
    one = trainer(tmp_path / "one", bert(**QUIET), sentences(24), **options)
    one.train()
    assert pair["losses"] == pytest.approx(losses(one), abs=1e-6)
    assert pair["eval_loss"] == pytest.approx(one.evaluate(sentences(7, 1))["eval_loss"], abs=1e-6)


def test_a_rank_that_dies_can_be_resumed(tmp_path: Path):
    whole = printed(torchrun(tmp_path / "whole", "whole"))
    assert torchrun(tmp_path / "cut", "dying").returncode != 0
    assert sorted(path.name for path in (tmp_path / "cut").glob("checkpoint-*")) == ["checkpoint-2", "checkpoint-4"]
    assert printed(torchrun(tmp_path / "cut", "resumed")) == whole
