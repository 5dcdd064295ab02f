"""The first GPT as its authors released it: ten .npy files that hold one long vector, and the shapes to cut it by."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..checkpoint.storage import check_shape
from ..errors import CheckpointError
from ..files.jsonfile import INDEX_BYTES, read_json
from ..files.paths import inside, present, read_text
from ..files.shown import cause
from . import Converted

PARTS = 10
LAYER = (  # in the order in which the graph made them; `g` and `b` of the norms are weight and bias
    ("attn.c_attn.weight", lambda d: (d, 3 * d)),
    ("attn.c_attn.bias", lambda d: (3 * d,)),
    ("attn.c_proj.weight", lambda d: (d, d)),
    ("attn.c_proj.bias", lambda d: (d,)),
    ("ln_1.weight", lambda d: (d,)),
    ("ln_1.bias", lambda d: (d,)),
    ("mlp.c_fc.weight", lambda d: (d, 4 * d)),
    ("mlp.c_fc.bias", lambda d: (4 * d,)),
    ("mlp.c_proj.weight", lambda d: (4 * d, d)),
    ("mlp.c_proj.bias", lambda d: (d,)),
    ("ln_2.weight", lambda d: (d,)),
    ("ln_2.bias", lambda d: (d,)),
)
HEAD_DIM = 64


def read(folder: Path) -> Converted:
    """The model under today's names; vocab.json and merges.txt where the release's files for them are there."""
    source = inside(folder, "params_shapes.json")
    listed = read_json(source, error=CheckpointError)
    if not isinstance(listed, list) or len(listed) < 2 + len(LAYER) or (len(listed) - 2) % len(LAYER):
        raise CheckpointError(f"{source} does not list the shapes of the original GPT: two tables and twelve a layer")
    shapes = [_squeezed(check_shape(shape, str(index), source)) for index, shape in enumerate(listed)]
    width = shapes[0][-1]
    layers = (len(shapes) - 2) // len(LAYER)
    names = ["positions_embed.weight", "tokens_embed.weight"]
    wanted: list[Any] = [(None, width), (None, width)]
    for layer in range(layers):
        names += [f"h.{layer}.{name}" for name, _ in LAYER]
        wanted += [shape(width) for _, shape in LAYER]
    for name, shape, want in zip(names, shapes, wanted, strict=True):
        if len(shape) != len(want) or any(b not in (None, a) for a, b in zip(shape, want, strict=True)):
            raise CheckpointError(f"{source}: {name} has shape {list(shape)}, {list(want)} was expected")
    tensors = _cut([_part(folder, index) for index in range(PARTS)], names, shapes, folder)
    config = {
        "architectures": ["OpenAIGPTLMHeadModel"],
        "model_type": "openai-gpt",
        "vocab_size": shapes[1][0],
        "n_positions": shapes[0][0],
        "n_embd": width,
        "n_layer": layers,
        "n_head": max(1, width // HEAD_DIM),
        "afn": "gelu",
    }
    return Converted(config, tensors, _vocabulary(folder))


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(size for size in shape if size != 1) or (1,)


def _part(folder: Path, index: int) -> np.ndarray[Any, Any]:
    path = inside(folder, f"params_{index}.npy")
    try:
        part = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError, OverflowError, SyntaxError, TypeError) as problem:
        raise CheckpointError(f"{path} is not a plain .npy file: {cause(problem)}") from None
    if not isinstance(part, np.ndarray) or part.ndim != 1 or part.dtype != np.float32:
        raise CheckpointError(f"{path} must hold one vector of float32")
    return part


def _cut(
    parts: Sequence[np.ndarray[Any, Any]], names: Sequence[str], shapes: Sequence[tuple[int, ...]], folder: Path
) -> dict[str, Tensor]:
    total, needed = sum(len(part) for part in parts), sum(math.prod(shape) for shape in shapes)
    if total != needed:
        raise CheckpointError(f"{folder}: the params_*.npy hold {total:,} numbers, the shapes need {needed:,}")
    whole = torch.from_numpy(np.concatenate(parts))
    sizes = [math.prod(shape) for shape in shapes]
    pieces = zip(names, whole.split(sizes), shapes, strict=True)
    return {name: piece.reshape(shape) for name, piece, shape in pieces}


def _vocabulary(folder: Path) -> dict[str, str]:
    texts = {}
    for old, new in (("encoder_bpe_40000.json", "vocab.json"), ("vocab_40000.bpe", "merges.txt")):
        if present(folder, old):
            texts[new] = read_text(inside(folder, old), INDEX_BYTES, CheckpointError)
    return texts
