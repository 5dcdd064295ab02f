"""Frozen linear layers: near the plain one in every precision and number of rows, with and without their kernels."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from lamina.inference import capabilities
from lamina.inference.linears import (
    Activation,
    FrozenLinear,
    Int4Linear,
    Int8Linear,
    Int8WeightLinear,
    PackedLinear,
    RowInt8Linear,
)
from lamina.nn.stack import ACTIVATIONS

KINDS = (PackedLinear, Int8Linear, RowInt8Linear, Int8WeightLinear, Int4Linear)
NEAR = {PackedLinear: 1e-6, Int8Linear: 0.02, RowInt8Linear: 0.015, Int8WeightLinear: 0.012, Int4Linear: 0.15}
ROWS = (1, 2, 16, 17, 40, 300)


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def make(
    kind: type[FrozenLinear], activation: Activation | None = None, bias: bool = True, size: int = 64
) -> tuple[FrozenLinear, Tensor, Tensor | None]:
    weight, offset = numbers(96, size, seed=1), numbers(96, seed=2) if bias else None
    return kind(weight, offset, activation), weight, offset


def error(found: Tensor, wanted: Tensor) -> float:
    return float((found - wanted).norm() / wanted.norm())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("name", [None, "gelu", "gelu_new", "relu", "silu", "tanh", "sigmoid"])
def test_answers_are_near_the_plain_layers(kind: type[FrozenLinear], rows: int, name: str | None, either: str) -> None:
    activation = ACTIVATIONS[name] if name else None
    layer, weight, bias = make(kind, activation)
    x = numbers(rows, 64)
    wanted = F.linear(x, weight, bias)
    assert error(layer(x), activation(wanted) if activation else wanted) < NEAR[kind] * (2 if activation else 1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_bias_may_be_missing_and_axes_many(kind: type[FrozenLinear], either: str) -> None:
    layer, weight, _ = make(kind, bias=False)
    for shape in ((3, 7, 64), (2, 1, 64), (1, 1, 64), (2, 20, 64)):
        found = layer(numbers(*shape))
        assert found.shape == (*shape[:-1], 96)
        assert error(found, F.linear(numbers(*shape), weight)) < NEAR[kind]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_narrow_activations_are_answered_in_their_type(
    kind: type[FrozenLinear], dtype: torch.dtype, either: str
) -> None:
    layer, weight, bias = make(kind)
    for rows in (2, 40):
        found = layer(numbers(rows, 64).to(dtype))
        assert found.dtype == (torch.float32 if kind is PackedLinear else dtype)
        assert error(found.float(), F.linear(numbers(rows, 64), weight, bias)) < NEAR[kind] + 0.02


@pytest.mark.parametrize("kind", [Int8Linear, RowInt8Linear])
@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_numbers_without_a_code_do_not_vanish(kind: type[FrozenLinear], wrong: float, either: str) -> None:
    x = numbers(40, 64)
    x[3, 5] = wrong
    found = make(kind)[0](x)
    assert not found[3].isfinite().any()
    assert found[4].isfinite().all()


@pytest.mark.parametrize("kind", [Int8Linear, RowInt8Linear])
def test_activations_of_one_sign_and_of_nothing(kind: type[FrozenLinear], either: str) -> None:
    layer, weight, bias = make(kind)
    for x in (numbers(40, 64).abs() + 5, -numbers(40, 64).abs() - 5, torch.zeros(40, 64), torch.full((1, 64), 3.0)):
        assert error(layer(x), F.linear(x, weight, bias)) < 0.02


def test_a_range_for_each_token_serves_small_tokens_beside_large_ones(either: str) -> None:
    x = numbers(40, 64)
    x[20:] *= 1000
    (shared, weight, bias), (own, *_) = make(Int8Linear), make(RowInt8Linear)
    wanted = F.linear(x, weight, bias)[:20]
    assert error(own(x)[:20], wanted) < 0.02
    if either == "exact products":  # in float32, which other machines may fall back to, tokens do not share a range
        assert error(shared(x)[:20], wanted) > 0.5


@pytest.mark.parametrize("activation", [None, "gelu"])
def test_a_range_for_each_token_makes_answers_independent_of_the_batch(activation: str | None, either: str) -> None:
    layer, *_ = make(RowInt8Linear, ACTIVATIONS[activation] if activation else None)
    x = numbers(300, 64) * torch.logspace(-2, 2, 300)[:, None]
    together = layer(x)
    for rows in (x[:1], x[7:8], x[5:7], x[:17], x[200:]):
        start = next(at for at in range(300) if torch.equal(x[at], rows[0]))
        assert error(layer(rows), together[start : start + len(rows)]) < 1e-3  # a last bit of a scale may move a code


@pytest.mark.parametrize("kind", [Int8Linear, RowInt8Linear])
@pytest.mark.parametrize("rows", [1, 3, 40])
def test_a_nan_is_answered_by_nan_in_any_number_of_rows(kind: type[FrozenLinear], rows: int, either: str) -> None:
    x = numbers(rows, 64)
    x[0, 5] = float("nan")
    assert make(kind)[0](x)[0].isnan().all()


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_held_comes_back_exactly(kind: type[FrozenLinear], either: str) -> None:
    layer, *_ = make(kind, ACTIVATIONS["gelu"])
    x, held = numbers(20, 64), layer.tensors()
    wanted = layer(x)
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert all(torch.equal(tensor, held[name]) for name, tensor in twin.tensors().items())
        assert torch.equal(twin(x), wanted)
    layer.to("cpu")
    layer(numbers(300, 64))  # lays it out for many rows as well
    assert all(torch.equal(tensor, held[name]) for name, tensor in layer.tensors().items())
    assert error(layer.weight, make(kind)[1]) < NEAR[kind]
    assert list(layer.state_dict()) == list(held)
    assert layer.nbytes <= sum(tensor.nbytes for tensor in held.values())


@pytest.mark.parametrize("kind", [Int8Linear, Int8WeightLinear, Int4Linear])
def test_quantizing_what_was_quantized_changes_no_code(kind: type[FrozenLinear]) -> None:
    layer, _, bias = make(kind)
    again = kind(layer.weight, bias)
    assert torch.equal(again.tensors()["weight"], layer.tensors()["weight"])


def test_a_layer_of_odd_sizes() -> None:
    weight, bias = numbers(5, 7, seed=1), numbers(5, seed=2)
    for kind in (PackedLinear, Int8Linear, RowInt8Linear):
        for rows in (1, 20):
            x = numbers(rows, 7)
            assert error(kind(weight, bias)(x), F.linear(x, weight, bias)) < 0.03


def test_a_single_row_may_take_the_plain_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capabilities, "packs_single_rows", lambda: False)
    weight, bias = numbers(96, 64, seed=1), numbers(96, seed=2)
    layer = PackedLinear(weight, bias, None, single=True)
    x = numbers(1, 64)
    assert torch.equal(layer(x), F.linear(x, weight, bias))
    assert layer.plain is layer.weight


def test_few_rows_go_without_the_layout_for_many() -> None:
    layer, *_ = make(Int8Linear)
    assert isinstance(layer, Int8Linear)
    layer(numbers(16, 64))
    assert layer.few is None or layer.packed is None


def test_bfloat16_layers_compute_in_it(either: str) -> None:
    weight, bias = numbers(96, 64, seed=1), numbers(96, seed=2)
    layer = PackedLinear(weight.bfloat16(), bias.bfloat16(), ACTIVATIONS["gelu"])
    found = layer(numbers(20, 64).bfloat16())
    assert found.dtype == torch.bfloat16
    assert error(found.float(), F.gelu(F.linear(numbers(20, 64), weight, bias))) < 0.02
    assert layer.to(torch.float32)(numbers(2, 64)).dtype == torch.float32
