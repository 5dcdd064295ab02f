"""Two processes under torchrun, whole models or split ones: as one with the doubled batch, and dying does no harm."""

from __future__ import annotations

import json
import os
import socket
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch.distributed as dist
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from lamina.errors import TrainingError

from ..faults import ended, forked
from . import two_ranks
from .test_loop import QUIET, SGD, losses
from .tiny import arguments, bert, sentences, trainer

pytestmark = [
    pytest.mark.skipif(not dist.is_available(), reason="this torch has no torch.distributed"),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="forks processes"),
]


def forked_pair(folder: Path, kind: str) -> list[int]:
    """Two processes, started as torchrun would but without its seconds of imports; how each ended."""
    import torch.distributed.checkpoint
    import torch.distributed.fsdp  # noqa: F401 - here once, and not in every child

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    there = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2", "TORCHELASTIC_RUN_ID": "test"}

    def work(rank: int) -> None:
        os.environ.update({**there, "RANK": str(rank), "LOCAL_RANK": str(rank)})
        two_ranks.main(folder, kind)

    children = [forked(partial(work, rank)) for rank in range(2)]
    return [ended(child) for child in children]


def torchrun(folder: Path, kind: str) -> None:
    """What torchrun runs, which starts both again when one has died: forked, as five processes would import torch."""
    where = {"rdzv_backend": "c10d", "rdzv_endpoint": "127.0.0.1:0", "run_id": "test"}
    again = {"max_restarts": 1, "monitor_interval": 0.1, "start_method": "fork"}
    config = LaunchConfig(min_nodes=1, max_nodes=1, nproc_per_node=2, **where, **again)
    assert ended(forked(lambda: elastic_launch(config, two_ranks.main)(folder, kind))) == 0


def written(folder: Path, kind: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / f"{kind}.json").read_text())
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("whole")
    assert forked_pair(folder, "whole") == [0, 0]
    return written(folder, "whole")


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


@pytest.mark.parametrize("mixture", list(two_ranks.MIXTURES))
def test_split_weights_go_with_what_saves_time_and_memory(mixture: str, whole: dict[str, Any]):
    found, plain = whole[mixture], whole["plain ddp"]
    near = 1e-2 if "bf16" in two_ranks.MIXTURES[mixture] else 1e-5
    assert found["losses"] == pytest.approx(plain["losses"], abs=near)
    assert found["eval_loss"] == pytest.approx(plain["eval_loss"], abs=near)


def test_a_rank_that_dies_is_started_again_by_torchrun_and_goes_on(whole: dict[str, Any], tmp_path: Path):
    torchrun(tmp_path, "ddp")
    found = written(tmp_path, "ddp")["ddp"]
    assert found == whole["ddp"] | {"began": 4}
    assert not list((tmp_path / "ddp").glob(".*"))


def test_split_weights_go_on_after_a_death_too(whole: dict[str, Any], tmp_path: Path):
    assert forked_pair(tmp_path, "full_shard") == [1, 9]
    assert forked_pair(tmp_path, "full_shard") == [0, 0]
    found = written(tmp_path, "full_shard")["full_shard"]
    assert found == whole["full_shard"] | {"began": 4}
    assert not list((tmp_path / "full_shard").glob(".*"))
    parts = sorted((tmp_path / "full_shard" / "checkpoint-8" / "sharded").iterdir())
    assert len(parts) == 2 and all(part.suffix == ".safetensors" for part in parts)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"fsdp": "full_shard"}, "torchrun"), ({"fsdp": True}, "torchrun"), ({"fsdp": "offload"}, "fsdp='offload'")],
)
def test_a_split_that_cannot_be(options: dict[str, Any], message: str, tmp_path: Path):
    with pytest.raises(TrainingError, match=message):
        arguments(tmp_path, **options)
