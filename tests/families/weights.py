"""The weights of every tiny model in these tests: a function of a tensor's name, so that none need storing."""

from __future__ import annotations

import zlib

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]


def fill(name: str, shape: tuple[int, ...], seed: int = 0) -> Array:
    """The values of the tensor that a checkpoint calls `name`.

    Uniform numbers from a generator that NumPy keeps frozen, so every platform gets the same bits. They are wide enough
    for attention to choose among tokens: standard deviation 0.2 for matrices, 0.1 for vectors, around 1 for norms.
    """
    if name.endswith("inv_freq"):
        steps = np.arange(shape[0], dtype=np.float64) / shape[0]
        return (1 / 10000**steps).astype(np.float32)
    draw = np.random.RandomState(zlib.crc32(f"{seed}:{name}".encode())).random_sample(shape)
    spread = (2 * draw - 1) * np.sqrt(3)
    vector = len(shape) == 1 or shape[0] == 1
    center = 1.0 if len(shape) == 1 and name.endswith(".weight") else 0.0
    return np.asarray(center + spread * (0.1 if vector else 0.2), dtype=np.float32)


def probe(name: str, shape: tuple[int, ...]) -> Array:
    """A fixed direction: a gradient's dot product with it changes where any of its entries does."""
    return fill(name + " probe", shape, seed=1)


def sinusoids(shape: tuple[int, ...]) -> Array:
    """Marian's positions, which some of its files hold although every reader makes them anew: sines, then cosines."""
    size, width = shape
    angles = np.arange(size)[:, None] / 10000 ** (2 * (np.arange(width // 2)) / width)
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype(np.float32)
