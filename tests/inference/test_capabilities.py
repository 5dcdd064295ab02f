"""Private operators are tried before they are trusted: what is missing or wrong is not there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from lamina.inference import capabilities
from lamina.inference.capabilities import POST, TESTS, as_bytes, fuses, has, quantized_engine


@pytest.fixture(autouse=True)
def untried() -> Iterator[None]:
    has.cache_clear()
    fuses.cache_clear()
    yield
    has.cache_clear()
    fuses.cache_clear()


@pytest.mark.parametrize("feature", TESTS)
def test_every_feature_gives_an_answer(feature: str) -> None:
    assert has(feature) in (True, False)


@pytest.mark.parametrize(
    "error", [RuntimeError("no kernel"), AttributeError("no such operator"), NotImplementedError()]
)
def test_an_operator_that_fails_is_not_there(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def broken(*_: Any) -> bool:
        raise error

    monkeypatch.setitem(TESTS, "packed", broken)
    assert not has("packed")
    assert not fuses("packed", "gelu")


def test_an_operator_that_is_wrong_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capabilities, "_near", lambda *_: False)
    assert not any(has(feature) for feature in TESTS if not feature.endswith("compute"))
    assert not any(fuses("packed", function) for function in POST)


def test_a_function_nobody_fuses_is_not_tried() -> None:
    assert not fuses("packed", "sigmoid")


def test_each_feature_is_tried_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    monkeypatch.setitem(TESTS, "packed", lambda: bool(calls.append(1)) or True)
    assert has("packed") and has("packed")
    assert len(calls) == 1


def test_the_engine_is_given_back() -> None:
    before = torch.backends.quantized.engine
    other = next(name for name in torch.backends.quantized.supported_engines if name not in (before, "none"))
    with pytest.raises(ZeroDivisionError), quantized_engine(other):
        assert torch.backends.quantized.engine == other
        raise ZeroDivisionError
    assert torch.backends.quantized.engine == before


def test_codes_are_seen_without_a_copy() -> None:
    quantized = torch.quantize_per_tensor(torch.linspace(-1, 1, 12).view(3, 4), 0.01, 100, torch.quint8)
    assert torch.equal(as_bytes(quantized), quantized.int_repr())
    assert as_bytes(quantized).data_ptr() == quantized.data_ptr()


@pytest.mark.parametrize(("narrow", "gains"), [(1.0, False), (0.9, False), (0.5, True)])
def test_bfloat16_counts_where_it_computes_faster(narrow: float, gains: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter([1.0, narrow])
    monkeypatch.setattr(capabilities, "has", lambda feature: True)
    monkeypatch.setattr(capabilities, "_fastest", lambda run: (run(), next(seconds))[1])
    if torch.ops.mkldnn._is_mkldnn_bf16_supported():
        assert capabilities._bf16_gains() is gains
    monkeypatch.setattr(capabilities, "has", lambda feature: False)
    assert not capabilities._bf16_gains()
