"""Packed matrices read back as what they were, within half a step of their row's scale."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lamina.checkpoint.compact import (
    int4_codes,
    int8_codes,
    joined,
    pack,
    parted,
    unpack,
    unpack_int4,
    unpacked,
)
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
        assert unpacked(weights) is weights


def test_opening_a_folder_unpacks(stored: Path) -> None:
    with open_weights(stored.parent) as weights:
        assert set(weights) == {"w", "bias"} and weights.dtype("w") == torch.float32


@given(st.integers(1, 5), st.integers(1, 3), st.sampled_from([2, 4, 32]), st.integers(0, 2**32))
def test_four_bits_stay_within_a_step_and_come_back_the_same(rows: int, groups: int, group: int, seed: int) -> None:
    matrix = torch.randn(rows, groups * group, generator=torch.Generator().manual_seed(seed))
    codes, scale, zero = int4_codes(matrix, group)
    found = unpack_int4(codes, scale, zero)
    reach = matrix.unflatten(1, (-1, group)).abs().amax(-1).max()
    assert codes.max() <= 15 and (found - matrix).abs().max() <= reach / 4
    again = int4_codes(found, group)
    assert torch.allclose(unpack_int4(*again), found, atol=float(reach) / 100)
    assert torch.equal(parted(joined(codes)), codes)


def test_int4_spends_its_steps_where_the_numbers_are() -> None:
    matrix = torch.linspace(-1, 1, 512)[None].clone()
    matrix[0, 0], matrix[0, -1] = -1.5, 1.5
    _, scale, _ = int4_codes(matrix, 512)
    assert float(scale[0, 0]) < 2.8 / 15  # two outliers are cut for the sake of the others


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("turned", [False, True])
def test_either_form_is_read_either_way_round(tmp_path: Path, bits: int, turned: bool) -> None:
    matrix = torch.randn(6, 64, generator=torch.Generator().manual_seed(0))
    if bits == 8:
        codes, scale = int8_codes(matrix)
        tensors = {"w": codes.T, "w.scale": scale[None]} if turned else {"w": codes, "w.scale": scale}
        wanted = unpack(codes, scale)
    else:
        whole, scale, zero = int4_codes(matrix, 32)
        tensors = {"w": joined(whole), "w.scale": scale, "w.zero": zero}
        tensors = {name: tensor.T for name, tensor in tensors.items()} if turned else tensors
        wanted = unpack_int4(whole, scale, zero)
    save_weights(tmp_path, {**tensors, "bias": torch.ones(6)})
    with open_weights(tmp_path) as weights:
        assert sorted(weights) == ["bias", "w"] and len(weights) == 2
        assert weights.shape("w") == ((64, 6) if turned else (6, 64))
        assert torch.equal(weights["w"], wanted.T if turned else wanted)
        held = sum(tensor.nbytes for tensor in tensors.values()) + 6 * 4
        assert weights.nbytes == held + (6 * 64 // 2 if bits == 4 else 0)  # a byte a number: what a config may ask for


@pytest.mark.parametrize(
    "scales",
    [
        {},
        {"w.zero": (6, 1)},
        {"w.scale": (6, 1)},
        {"w.scale": (6, 0), "w.zero": (6, 0)},
        {"w.scale": (5, 1), "w.zero": (5, 1)},
        {"w.scale": (6, 3), "w.zero": (6, 3)},
        {"w.scale": (6, 2), "w.zero": (6, 1)},
    ],
)
def test_bytes_without_fitting_scales_are_bytes(tmp_path: Path, scales: dict[str, tuple[int, int]]) -> None:
    codes = torch.zeros(6, 32, dtype=torch.uint8)
    save_weights(tmp_path, {"w": codes, **{name: torch.ones(shape) for name, shape in scales.items()}})
    with open_weights(tmp_path) as weights:
        assert set(weights) == {"w", *scales} and weights.dtype("w") == torch.uint8
