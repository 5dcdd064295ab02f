"""One seed, the same draws everywhere."""

from __future__ import annotations

import random

import numpy as np
import torch

from lamina import set_seed


def test_the_same_seed_draws_the_same():
    draws = []
    for _ in range(2):
        set_seed(7)
        draws.append((random.random(), float(np.random.rand()), float(torch.rand(()))))
    assert draws[0] == draws[1]
    set_seed(8)
    assert (random.random(), float(np.random.rand()), float(torch.rand(()))) != draws[0]


def test_determinism_on_request():
    try:
        set_seed(1, deterministic=True)
        assert torch.are_deterministic_algorithms_enabled()
    finally:
        torch.use_deterministic_algorithms(False)
