"""Checkpoints of other times and tools, read for `lamina convert` alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Converted:
    """A checkpoint under today's names: config, tensors, vocabulary files to write and files to copy."""

    config: Mapping[str, Any]
    tensors: Mapping[str, Tensor]
    texts: Mapping[str, str] = field(default_factory=dict)
    carried: tuple[Path, ...] = ()
