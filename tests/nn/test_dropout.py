"""What is dropped on a CPU: how much of it, what goes through the rest, forward and back, and whose turn it is."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from lamina.nn.dropout import Dropout, Dropping, kept
from lamina.nn.layouts import ByLength, choose

CPU = torch.device("cpu")
LENGTHS = [1, 3, 3, 7]


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.97])
@pytest.mark.parametrize("count", [1, 5, 200_003])
def test_as_many_places_are_dropped_as_asked(rate: float, count: int) -> None:
    torch.manual_seed(0)
    keep, factor = kept(count, rate)
    assert keep.shape == (count,) and set(keep.unique().tolist()) <= {0, 1}
    assert factor == pytest.approx(1 / (1 - rate), rel=1e-3)
    if count > 1000:
        assert float(keep.float().mean()) == pytest.approx(1 - rate, abs=0.005)
        neighbors = (keep[1:] * keep[:-1]).float().mean()  # four places share a number, and are independent still
        assert float(neighbors) == pytest.approx((1 - rate) ** 2, abs=0.005)


def test_what_is_kept_grows_and_so_does_its_gradient() -> None:
    torch.manual_seed(0)
    layer, x = Dropout(0.25), torch.ones(1000, 7, requires_grad=True)
    found = layer(x)
    assert found.unique().tolist() == [0.0, pytest.approx(4 / 3)]
    found.sum().backward()
    assert x.grad is not None and torch.equal(x.grad, found.detach())
    assert layer.eval()(x) is x


def test_a_seed_draws_the_same_holes_again() -> None:
    layer, x = Dropout(0.5), torch.ones(64)
    torch.manual_seed(3)
    first = layer(x), layer(x)
    torch.manual_seed(3)
    assert torch.equal(first[0], layer(x)) and torch.equal(first[1], layer(x))
    assert not torch.equal(*first)


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_nothing_and_everything_can_be_dropped(rate: float) -> None:
    assert torch.equal(Dropout(rate)(torch.ones(8)), torch.full((8,), 1 - rate))


def heads(seed: int) -> list[Tensor]:
    draw = torch.Generator().manual_seed(seed)
    shape = (1, sum(LENGTHS), 2, 4)
    return [torch.randn(shape, generator=draw, dtype=torch.float64).requires_grad_() for _ in range(3)]


@pytest.mark.parametrize("causal", [False, True])
def test_dropped_attention_is_plain_attention_where_nothing_drops(causal: bool) -> None:
    ours, theirs = heads(0), heads(0)
    found, wanted = Dropping(LENGTHS, causal)(*ours, None, 0.0), ByLength(LENGTHS, causal, None)(*theirs, None, 0.0)
    torch.testing.assert_close(found, wanted)
    weights = torch.randn(found.shape, dtype=torch.float64)
    (found * weights).sum().backward()
    (wanted * weights).sum().backward()
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one.grad, other.grad)


@pytest.mark.parametrize("causal", [False, True])
def test_the_way_back_goes_through_the_same_holes(causal: bool) -> None:
    def drawn(*parts: Tensor) -> Tensor:
        torch.manual_seed(5)
        return Dropping(LENGTHS, causal)(*parts, 0.3, 0.4)

    assert torch.autograd.gradcheck(drawn, heads(1))
    assert not torch.equal(drawn(*heads(1)), Dropping(LENGTHS, causal)(*heads(1), 0.3, 0.0))


def test_dropped_weights_keep_the_mean() -> None:
    torch.manual_seed(0)
    parts = [part.detach() for part in heads(2)]
    kernel = Dropping(LENGTHS, causal=False)
    mean = torch.stack([kernel(*parts, None, 0.2) for _ in range(2000)]).mean(0)
    torch.testing.assert_close(mean, kernel(*parts, None, 0.0), atol=0.08, rtol=0)


def test_the_kernel_is_taken_where_weights_drop_in_single_precision() -> None:
    bias = torch.zeros(1, 2, 7, 7)
    assert isinstance(choose(LENGTHS, False, None, CPU, torch.float32, dropping=True), Dropping)
    for given, dtype, dropping in (
        (None, torch.float32, False),
        (None, torch.bfloat16, True),
        (bias, torch.float32, True),
    ):
        assert isinstance(choose(LENGTHS, False, given, CPU, dtype, dropping), ByLength)
