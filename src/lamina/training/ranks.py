"""The processes that train together under torchrun, or the one that trains alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from ..pipelines.devices import accelerator


@dataclass(frozen=True)
class Ranks:
    """Which of how many processes this is, and where it computes. Every call below is made by all of them."""

    rank: int = 0
    count: int = 1
    device: torch.device = torch.device("cpu")

    @classmethod
    def join(cls, cpu: bool = False) -> Ranks:
        """The group that torchrun started, joined if it is not yet; one process otherwise."""
        kind = None if cpu else accelerator()
        if not (dist.is_available() and (dist.is_initialized() or dist.is_torchelastic_launched())):
            return cls(device=torch.device(kind, 0) if kind else torch.device("cpu"))
        if not dist.is_initialized():
            dist.init_process_group("cpu:gloo,cuda:nccl" if kind == "cuda" else "gloo")
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
