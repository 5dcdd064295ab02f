"""Weights, gradients and optimizer state split over the processes (FSDP2), and their checkpoints by DCP.

Each process writes its own part as safetensors; torch's other format of such checkpoints is pickle, and is not used.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ..auto.pretrained import PreTrainedModel
from ..errors import CheckpointError, TrainingError
from .arguments import TrainingArguments
from .chance import undisturbed
from .lora import adapted
from .objective import Objective

FOLDER = "sharded"  # of a checkpoint


def shard(objective: Objective, args: TrainingArguments) -> None:
    """Split the model inside over all processes, in place; every process comes with the weights of the first.

    Each layer of a stack is a unit of its own, gathered when it is computed.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    model = objective.model
    if sharded(model):
        raise TrainingError("the model is split over processes already: make it anew for another run with fsdp")
    if adapted(model):
        raise TrainingError("fsdp cannot be had with LoRA, whose state is small: train without fsdp")
    for tensor in (*model.parameters(), *model.buffers()):
        dist.broadcast(tensor.detach(), 0)
    mesh = init_device_mesh(args.device.type, (args.world_size,))
    kept = args.fsdp == "shard_grad_op"  # weights stay whole between forward and backward
    for module in reversed(list(model.modules())):
        if isinstance(module, nn.ModuleList):
            for layer in module:
                fully_shard(layer, mesh=mesh, reshard_after_forward=not kept)
    fully_shard(objective, mesh=mesh, reshard_after_forward=False)  # what is left is read at both ends


def sharded(model: nn.Module) -> bool:
    """Whether parts of its weights lie with other processes."""
    return any(hasattr(parameter, "full_tensor") for parameter in model.parameters())


def parts(model: nn.Module) -> dict[str, Tensor]:
    """What this process holds of the weights, under the names that are stored; tied ones once."""
    kept = model.state_dict().keys()
    named = [*model.named_parameters(), *((name, buffer) for name, buffer in model.named_buffers() if name in kept)]
    return {f"model.{name}": tensor.detach() for name, tensor in named}


def gathered(model: nn.Module) -> dict[str, Tensor]:
    """All weights, whole and on the CPU. Every process calls this; only the first keeps what comes of it."""
    found = {}
    for name, tensor in model.state_dict().items():
        whole = tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor
        if dist.get_rank() == 0:
            found[name] = whole.detach().cpu()
    return found


def whole(model: nn.Module, tensors: Mapping[str, Tensor]) -> nn.Module:
    """A model of the same kind that holds `tensors`, to be saved by one process."""
    if not isinstance(model, PreTrainedModel):
        raise TrainingError(f"fsdp is for models of ours: a {type(model).__name__} is not")
    with undisturbed():
        plain = type(model)(copy.deepcopy(model.config)).to(model.dtype)
    plain.load_state_dict(tensors)
    plain.generation_config = model.generation_config
    return plain


def write(folder: Path, tensors: Mapping[str, Tensor]) -> None:
    """Every process's parts of `tensors` into `folder`; all of them call this, and fail together."""
    from torch.distributed.checkpoint.api import CheckpointException
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageWriter
    from torch.distributed.checkpoint.state_dict_saver import save

    writer = HuggingFaceStorageWriter(str(folder / FOLDER), save_distributed=True)
    try:
        save(dict(tensors), storage_writer=writer)
    except CheckpointException as problem:  # a BaseException, with what each process met
        raise CheckpointError(f"{folder} cannot be written: {_first(problem)}") from None


def read(folder: Path, tensors: Mapping[str, Tensor]) -> None:
    """Fill `tensors`, split as they are now, with what `write` wrote; all processes call this."""
    from torch.distributed.checkpoint.api import CheckpointException
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader
    from torch.distributed.checkpoint.state_dict_loader import load

    try:
        load(dict(tensors), storage_reader=HuggingFaceStorageReader(str(folder / FOLDER)))
    except CheckpointException as problem:
        raise CheckpointError(f"{folder} does not fit this run: {_first(problem)}") from None


def empty_state(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The tensors that an optimizer will hold once it has taken a step, all zero, under the names that are stored.

    Found by a step of a stand-in of the same kind over one number, so that it holds for optimizers unknown here.
    """
    found: dict[str, Tensor] = {}
    number = 0
    for group in optimizer.param_groups:
        kinds = _kinds(optimizer, group)
        for parameter in group["params"]:
            for key, like in kinds.items():
                found[state_name(number, key)] = torch.zeros_like(parameter.detach() if like.dim() else like)
            number += 1
    return found


def state_name(number: int, key: str) -> str:
    """What a tensor of the optimizer's state is called in checkpoints."""
    return f"optimizer.{number}.{key}"


def _kinds(optimizer: torch.optim.Optimizer, group: Mapping[str, Any]) -> dict[str, Tensor]:
    stand_in = nn.Parameter(torch.zeros(1))
    stand_in.grad = torch.zeros(1)
    taken = inspect.signature(type(optimizer)).parameters.keys() - {"params"}
    options = {key: value for key, value in group.items() if key in taken}
    probe = type(optimizer)([stand_in], **options)
    probe.step()
    return {key: value for key, value in probe.state[stand_in].items() if isinstance(value, Tensor)}


def _first(problem: Any) -> str:
    """What went wrong in the first process that failed."""
    failures = getattr(problem, "failures", None) or {}
    for failure in failures.values():
        error = failure[0] if isinstance(failure, tuple) else failure
        return str(getattr(error, "strerror", None) or error)
    return str(problem)
