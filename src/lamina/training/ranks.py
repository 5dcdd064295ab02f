"""The processes that train together under torchrun, or the one that trains alone."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import uuid4

import torch
import torch.distributed as dist
from torch import Tensor

from ..errors import TrainingError
from ..inference.rows import accelerator

PATIENCE = 900.0  # seconds that the first process waits for the others to come


@dataclass(frozen=True)
class Ranks:
    """Which of how many processes this is, and where it computes. Every call below is made by all of them."""

    rank: int = 0
    count: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @classmethod
    def join(cls, cpu: bool = False) -> Ranks:
        """The group that torchrun started, joined if it is not yet; one process otherwise."""
        kind = None if cpu else accelerator()
        if not (dist.is_available() and (dist.is_initialized() or dist.is_torchelastic_launched())):
            return cls(device=torch.device(kind, 0) if kind else torch.device("cpu"))
        if not dist.is_initialized():
            from torch.distributed.rendezvous import rendezvous  # here, since some builds of torch have none

            store, rank, count = next(rendezvous("env://"))
            backend = "cpu:gloo,cuda:nccl" if kind == "cuda" else "gloo"
            dist.init_process_group(backend, store=_fresh(store, rank, count), rank=rank, world_size=count)
        device = torch.device("cpu")
        if kind:
            device = torch.device(kind, dist.get_node_local_rank(fallback_rank=dist.get_rank()))
            torch.accelerator.set_device_index(device.index)
        return cls(dist.get_rank(), dist.get_world_size(), device)

    @property
    def first(self) -> bool:
        """Whether this process writes files and logs."""
        return self.rank == 0

    def add(self, value: Tensor) -> Tensor:
        """Sum over all processes, in place; no wait on an accelerator."""
        if self.count > 1:
            dist.all_reduce(value)
        return value

    def collect(self, value: Any) -> list[Any]:
        """Plain data of every process, by rank. Tensors must lie on the CPU."""
        if self.count == 1:
            return [value]
        found: list[Any] = [None] * self.count
        dist.all_gather_object(found, value)
        return found

    def wait(self) -> None:
        """Until all have come here."""
        if self.count > 1:
            dist.barrier()


def _fresh(store: Any, rank: int, count: int) -> Any:
    """A part of `store` that belongs to this start of the processes alone.

    torchrun keeps its store when it starts them again, and the addresses of those that died are still in it. Each
    process asks under a name that nobody has used; the first answers all of them with one for the part.
    """
    from torch.distributed.distributed_c10d import PrefixStore

    own = uuid4().hex
    if rank:
        store.set(f"ask/{rank}", own)
        store.wait([f"answer/{own}"], timedelta(seconds=PATIENCE))
        shared = store.get(f"answer/{own}").decode()
        store.set(f"seen/{shared}/{rank}", "")
        return PrefixStore(shared, store)
    missing, until = set(range(1, count)), time.monotonic() + PATIENCE
    while missing:
        for other in sorted(missing):
            if store.check([f"ask/{other}"]):
                store.set(f"answer/{store.get(f'ask/{other}').decode()}", own)
            if store.check([f"seen/{own}/{other}"]):
                missing.remove(other)
        if time.monotonic() > until:
            raise TrainingError(f"of {count} processes number {', '.join(map(str, sorted(missing)))} did not come")
        time.sleep(0.01)
    return PrefixStore(own, store)
