"""Where a pipeline computes: the first accelerator if there is one, or what the caller says."""

from __future__ import annotations

import torch

from ..errors import PipelineError


def accelerator() -> str | None:
    """The kind of accelerator this machine has ("cuda", "mps", ...), if any."""
    found = torch.accelerator.current_accelerator(check_available=True)
    return None if found is None else found.type


def choose_device(device: int | str | torch.device | None, current: torch.device) -> torch.device:
    """The device that `device` names: None is accelerator 0, -1 where the model is, a number that accelerator.

    A number means the CPU on a machine without accelerator, so that one script runs on both.
    """
    if device == -1:
        return current
    if device is None or (isinstance(device, int) and device >= 0):
        kind = accelerator()
        if kind is None:
            return torch.device("cpu")
        count = torch.accelerator.device_count()
        if (device or 0) >= count:
            raise PipelineError(f"device={device} is not available: this machine has {count}, counted from 0")
        return torch.device(kind, device or 0)
    try:
        chosen = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise PipelineError(f"device={device!r} is no device; pass 'cpu', 'cuda', 'cuda:1' or a number") from error
    if chosen.type not in ("cpu", "meta", accelerator()):
        raise PipelineError(f"device={device!r} is not available on this machine; pass device='cpu'")
    return chosen
