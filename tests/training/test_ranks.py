"""Two processes under torchrun, whole models or split ones: as one with the doubled batch, and dying does no harm."""

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
from lamina.errors import TrainingError

from .test_loop import QUIET, SGD, losses
from .tiny import arguments, bert, sentences, trainer

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch has no torch.distributed")


def torchrun(folder: Path, kind: str, restarts: int = 0) -> dict[str, Any]:
    source = Path(lamina.__file__).parents[1]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join([str(source), str(ROOT)])}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += ["--max-restarts", str(restarts), "--monitor-interval", "0.1"]
    command += ["-m", "tests.training.two_ranks", str(folder), kind]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return torchrun(tmp_path_factory.mktemp("whole"), "whole")


@pytest.mark.parametrize("way", ["ddp", "full_shard"])
def test_two_ranks_equal_one_with_the_doubled_batch(way: str, whole: dict[str, Any], tmp_path: Path):
    options = {**SGD, "gradient_accumulation_steps": 2, "per_device_train_batch_size": 4}
    one = trainer(tmp_path, bert(**QUIET), sentences(24), **options)
    one.train()
    pair = whole[f"plain {way}"]
    assert pair["losses"] == pytest.approx(losses(one), abs=1e-6)
    assert pair["eval_loss"] == pytest.approx(one.evaluate(sentences(7, 1))["eval_loss"], abs=1e-6)
    assert pair.get("saved", True)


def test_split_weights_learn_the_same(whole: dict[str, Any]):
    assert whole["full_shard"]["losses"] == pytest.approx(whole["ddp"]["losses"], abs=1e-5)


def test_a_rank_that_dies_is_started_again_and_goes_on_to_the_same_bits(whole: dict[str, Any], tmp_path: Path):
    found = torchrun(tmp_path, "dying", restarts=2)
    for way in ("ddp", "full_shard"):
        assert found[way]["began"] == (8 if way == "ddp" else 4)  # the third start finds ddp's run at its end
        assert found[way] | {"began": 0} == whole[way]
        assert not list((tmp_path / way).glob(".*"))
    parts = sorted((tmp_path / "full_shard" / "checkpoint-8" / "sharded").iterdir())
    assert len(parts) == 2 and all(part.suffix == ".safetensors" for part in parts)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"fsdp": "full_shard"}, "torchrun"), ({"fsdp": True}, "torchrun"), ({"fsdp": "offload"}, "fsdp='offload'")],
)
def test_a_split_that_cannot_be(options: dict[str, Any], message: str, tmp_path: Path):
    with pytest.raises(TrainingError, match=message):
        arguments(tmp_path, **options)
