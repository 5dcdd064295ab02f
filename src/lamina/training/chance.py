"""Every source of random numbers: seeded apart for each batch, and kept and put back to the last bit."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor


def seed_of(*parts: int | str) -> int:
    """One seed of 63 bits from several numbers; near ones give unrelated seeds."""
    return int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=8).digest(), "little") >> 1


@contextmanager
def seeded(*parts: int | str) -> Iterator[None]:
    """Draw from the seed of `parts` inside, and go on afterwards as if nothing had been drawn. CPU only."""
    held = random.getstate(), np.random.get_state(), torch.default_generator.get_state()
    seed = seed_of(*parts)
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(held[0])
        np.random.set_state(held[1])
        torch.default_generator.set_state(held[2])


@contextmanager
def undisturbed() -> Iterator[None]:
    """Leave every source, those of accelerators too, as it was before."""
    held = random_state()
    try:
        yield
    finally:
        restore(held)


def random_state() -> dict[str, Tensor]:
    """The state of Python, NumPy and torch on every device, as tensors."""
    version, words, gauss = random.getstate()
    name, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    assert version == 3 and name == "MT19937"
    found = {
        "python": torch.tensor(words, dtype=torch.int64),
        "python.gauss": torch.tensor([] if gauss is None else [gauss], dtype=torch.float64),
        "numpy": torch.from_numpy(np.asarray(keys, dtype=np.int64)),
        "numpy.gauss": torch.tensor([position, has_gauss, cached], dtype=torch.float64),
        "torch": torch.default_generator.get_state(),
    }
    if torch.cuda.is_available():
        found |= {f"cuda.{i}": state for i, state in enumerate(torch.cuda.get_rng_state_all())}
    return found


def restore(state: dict[str, Tensor]) -> None:
    gauss = state["python.gauss"].tolist()
    random.setstate((3, tuple(state["python"].tolist()), gauss[0] if gauss else None))
    position, has_gauss, cached = state["numpy.gauss"].tolist()
    keys = state["numpy"].numpy().astype(np.uint32)
    np.random.set_state(("MT19937", keys, int(position), int(has_gauss), cached))
    torch.default_generator.set_state(state["torch"].clone())
    for i in range(torch.cuda.device_count()):
        if f"cuda.{i}" in state:
            torch.cuda.set_rng_state(state[f"cuda.{i}"].clone(), i)
