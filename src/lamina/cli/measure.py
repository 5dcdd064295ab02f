"""What a model is made of and how large each part is, from its config alone: nothing is allocated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..auto import find
from ..auto.classes import architectures
from ..checkpoint.files import open_weights
from ..errors import CheckpointError
from ..pipelines.create import EMBEDDED

BYTES = {"float32": 4, "bfloat16": 2}


def describe(folder: str | None, name: str | None) -> dict[str, Any]:
    """Names, spec and sizes of the model in `folder`, as `name`; of the built-in one where none is given."""
    folder = folder or str(EMBEDDED["text-classification"])
    config = find("AutoConfig").from_pretrained(folder)
    named = next((each for each in config.architectures or [] if each in architectures()), None)
    model_type = find(named) if named else find("AutoModel").class_for(config)
    with torch.device("meta"):
        model = model_type(config)
    return {
        "model": name or "the built-in sentiment model",
        "architecture": type(model).__name__,
        "family": config.family.model_type,
        "task": model.kind,
        "labels": labels(config, model.kind),
        "stored": stored(Path(folder)),
        "spec": model.spec,
        "parts": measure(model),
    }


def labels(config: Any, kind: str) -> list[str]:
    """Names of the classes, where the task has any."""
    if not kind.endswith("classification"):
        return []
    return [config.id2label[number] for number in sorted(config.id2label)]


def stored(folder: Path) -> str | None:
    """How much the weights take on disk, or why they cannot be read; None for a model that is not a folder here."""
    if not folder.is_dir():
        return None
    try:
        with open_weights(folder) as weights:
            return f"{weights.nbytes / 1e6:,.1f} MB"
    except CheckpointError as error:
        return str(error)


def measure(model: nn.Module) -> list[dict[str, Any]]:
    """Parameters and bytes of each part, in the order in which they compute; shared tensors count once."""
    narrow = {id(module.weight) for module in model.modules() if isinstance(module, nn.Linear)}
    tables = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    parts: dict[str, dict[str, Any]] = {}
    for path, parameter in model.named_parameters():
        part = parts.setdefault(part_of(path), {"parameters": 0, "bytes": dict.fromkeys([*BYTES, "int8 linear"], 0)})
        count, rows = parameter.numel(), parameter.shape[0]
        part["parameters"] += count
        for dtype, width in BYTES.items():
            part["bytes"][dtype] += count * width
        linear = id(parameter) in narrow - tables
        part["bytes"]["int8 linear"] += (
            count + 4 * rows if linear else count * 4
        )  # one scale a row; the rest stays float32
    return [{"name": name, **part} for name, part in parts.items()]


def part_of(path: str) -> str:
    """The part that a parameter belongs to: "encoder embeddings", "encoder layers", "pooler", "head"."""
    first, second, *_ = [*path.split("."), ""]
    if first not in ("encoder", "decoder"):
        return first.replace("_", " ")
    return f"{first} {'embeddings' if second == 'embeddings' else 'layers'}"
