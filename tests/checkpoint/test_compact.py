"""Packed matrices read back as what they were, within half a step of their row's scale."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lamina.checkpoint.compact import CompactWeights, pack, unpack, unpacked
from lamina.checkpoint.files import open_file, open_weights, save_weights


@given(st.integers(1, 6), st.integers(1, 9), st.integers(0, 2**32), st.sampled_from([1e-6, 1.0, 1e4]))
def test_no_entry_moves_by_more_than_half_a_step(rows: int, columns: int, seed: int, size: float) -> None:
    matrix = torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed)) * size
    packed = pack({"w": matrix})
    steps = packed["w.scale"][:, None]
    assert packed["w"].dtype == torch.int8
    assert ((unpack(packed["w"], packed["w.scale"]) - matrix).abs() <= steps * 0.5001).all()


def test_the_largest_entry_of_a_row_and_zeros_are_exact() -> None:
    matrix = torch.tensor([[0.0, 0.0], [3.0, -12.7]])
    packed = pack({"w": matrix})
    assert torch.allclose(unpack(packed["w"], packed["w.scale"])[1, 1], matrix[1, 1], rtol=1e-6)
    assert torch.equal(unpack(packed["w"], packed["w.scale"])[0], matrix[0])


def test_vectors_and_integers_stay_as_they_are() -> None:
    tensors = {"bias": torch.randn(4), "positions": torch.arange(6).reshape(2, 3)}
    packed = pack(tensors)
    assert packed.keys() == tensors.keys()
    assert all(packed[name] is tensors[name] for name in tensors)


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    generator = torch.Generator().manual_seed(0)
    tensors = {"w": torch.randn(5, 7, generator=generator), "bias": torch.randn(5, generator=generator)}
    save_weights(tmp_path, pack(tensors))
    return tmp_path / "model.safetensors"


def test_a_packed_file_shows_the_names_and_types_it_stands_for(stored: Path) -> None:
    with unpacked(open_file(stored)) as weights:
        assert sorted(weights) == ["bias", "w"]
        assert len(weights) == 2
        assert "w" in weights
        assert "w.scale" not in weights
        assert weights.dtype("w") == torch.float32
        assert weights.shape("w") == (5, 7)


def test_both_ways_of_reading_agree(stored: Path) -> None:
    with unpacked(open_file(stored)) as weights:
        for name in weights:
            out = torch.empty(weights.shape(name))
            weights.read_into(name, out)
            assert torch.equal(out, weights[name])


def test_an_ordinary_checkpoint_is_left_alone(tmp_path: Path) -> None:
    tensors = {"w": torch.zeros(2, 3, dtype=torch.int8), "gate.scale": torch.ones(2), "gate": torch.ones(2, 3)}
    save_weights(tmp_path, tensors)
    with open_file(tmp_path / "model.safetensors") as weights:
        assert not isinstance(unpacked(weights), CompactWeights)


def test_opening_a_folder_unpacks(stored: Path) -> None:
    with open_weights(stored.parent) as weights:
        assert isinstance(weights, CompactWeights)
