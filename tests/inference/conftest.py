"""The processors that the tests of this folder stand for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from lamina.inference import capabilities
from lamina.inference.linears import Int8Linear

KINDS = ("kernels", "plain operators", "exact products")


@pytest.fixture(params=KINDS)
def either(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """With the private operators of this machine, as if it had none, and as if it had full 8-bit products of many rows.

    Those are worked out in float64 here, so that the arithmetic around them is tried on every processor.
    """
    if request.param != "kernels":
        features = {"int8_many"} if request.param == "exact products" else set()
        monkeypatch.setattr(capabilities, "has", features.__contains__)
        monkeypatch.setattr(capabilities, "fuses", lambda feature, function: False)
    if request.param == "exact products":
        monkeypatch.setattr(Int8Linear, "_pack", lambda layer, codes: (codes.t(), exact_product))
    yield request.param


def exact_product(
    codes: Tensor, scale: float, zero: int, packed: Tensor, scales: Tensor, zeros: Tensor, bias: Tensor | None, *_: Any
) -> Tensor:
    """What oneDNN's product of bytes stands for."""
    assert codes.dtype == torch.uint8 and packed.dtype == torch.int8
    product = (codes.double() - zero) @ packed.double() * scale * scales.double()
    return (product if bias is None else product + bias).float()
