"""Which kernel reads sequences that lie end to end, and that they all give what padded attention gives."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from lamina.nn import layouts
from lamina.nn.layouts import ByLength, Varlen, choose, packs_well, varlen_works

CPU, LENGTHS = torch.device("cpu"), [2, 2, 5, 3]


def tokens(seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    made = torch.randn(3, 1, sum(LENGTHS), 4, 8, generator=torch.Generator().manual_seed(seed))
    return made[0], made[1], made[2]


def one_by_one(q: Tensor, k: Tensor, v: Tensor, causal: bool, bias: Tensor | None, scale: float | None) -> Tensor:
    parts = []
    for a, b, c in zip(*(t[0].split(LENGTHS) for t in (q, k, v)), strict=True):
        scores = torch.einsum("qhd,khd->hqk", a, b) * (a.shape[-1] ** -0.5 if scale is None else scale)
        if bias is not None:
            scores = scores + bias[0, :, : len(a), : len(a)]
        if causal:
            scores = scores.masked_fill(torch.ones(len(a), len(a)).triu(1).bool(), -torch.inf)
        parts.append(torch.einsum("hqk,khd->qhd", scores.softmax(-1), c))
    return torch.cat(parts)[None]


@pytest.mark.parametrize("scale", [None, 0.2])
@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("causal", [False, True])
def test_neighbors_of_one_length_attend_each_to_itself(causal: bool, biased: bool, scale: float | None) -> None:
    bias = torch.randn(1, 4, 5, 5, generator=torch.Generator().manual_seed(1)) if biased else None
    found = ByLength(LENGTHS, causal, bias)(*tokens(), scale, 0.0)
    assert torch.allclose(found, one_by_one(*tokens(), causal, bias, scale), atol=1e-6)


def newer(q: Tensor, k: Tensor, v: Tensor, cu_q: Tensor, cu_k: Tensor, max_q: int, max_k: int, *,
          scale: float | None = None, window_size: tuple[int, int] = (-1, -1)) -> Tensor:  # fmt: skip
    return older(q, k, v, cu_q, cu_k, max_q, max_k, window_size == (-1, 0), scale=scale)


def older(q: Tensor, k: Tensor, v: Tensor, cu_q: Tensor, cu_k: Tensor, max_q: int, max_k: int,
          is_causal: bool = False, *, scale: float | None = None) -> Tensor:  # fmt: skip
    """Stands for torch's flash attention over different lengths, which only CUDA has."""
    assert cu_q.dtype == torch.int32 and max_q == max(LENGTHS)
    parts = []
    for start, end in zip(cu_q.tolist(), cu_q.tolist()[1:], strict=False):
        a, b, c = (t[start:end].transpose(0, 1) for t in (q, k, v))
        parts.append(F.scaled_dot_product_attention(a, b, c, is_causal=is_causal, scale=scale).transpose(0, 1))
    return torch.cat(parts)


@pytest.mark.parametrize("attention", [newer, older])
@pytest.mark.parametrize("causal", [False, True])
def test_flash_attention_is_told_lengths_and_direction(
    monkeypatch: pytest.MonkeyPatch, attention: Any, causal: bool
) -> None:
    monkeypatch.setattr(layouts, "varlen_attention", lambda: attention)
    found = Varlen(LENGTHS, causal, CPU)(*tokens(), 0.2, 0.0)
    assert torch.allclose(found, one_by_one(*tokens(), causal, None, 0.2), atol=1e-6)


def test_flash_attention_takes_neither_bias_nor_dropout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layouts, "varlen_works", lambda device, dtype: True)
    monkeypatch.setattr(layouts, "varlen_attention", lambda: newer)
    bias = torch.zeros(1, 4, 5, 5)
    assert isinstance(choose(LENGTHS, True, None, CPU, torch.bfloat16, False), Varlen)
    assert isinstance(choose(LENGTHS, True, bias, CPU, torch.bfloat16, False), ByLength)
    assert isinstance(choose(LENGTHS, True, None, CPU, torch.bfloat16, True), ByLength)


def test_a_cpu_packs_and_an_accelerator_only_where_one_call_does_it() -> None:
    assert packs_well(CPU, torch.float32)
    assert not varlen_works(CPU, torch.bfloat16)
    assert not packs_well(torch.device("cuda"), torch.float32)
