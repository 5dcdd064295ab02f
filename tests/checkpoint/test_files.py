"""Checkpoints on disk: what is written comes back, other libraries agree, and a failed save changes nothing."""

from __future__ import annotations

import errno
import json
import os
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from lamina.checkpoint import saving
from lamina.checkpoint.files import candidates, open_file, open_weights, save_weights
from lamina.checkpoint.saving import shard_bytes
from lamina.checkpoint.storage import Weights
from lamina.errors import CheckpointError

DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int8, torch.uint8, torch.bool)


def some() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    tensors = {
        "plain": torch.randn(3, 5, generator=generator),
        "transposed": torch.randn(6, 4, generator=generator).T,
        "half": torch.randn(4, 4, generator=generator).bfloat16(),
        "numbers": torch.arange(7),
        "scalar": torch.tensor(2.5),
        "flags": torch.tensor([True, False, True]),
        "empty": torch.zeros(0, 3),
    }
    joined = torch.randn(6, 2, generator=generator)
    return {**tensors, **dict(zip(("query", "key", "value"), joined.chunk(3), strict=True))}


def same(weights: Weights | dict[str, Tensor], tensors: dict[str, Tensor]) -> bool:
    return set(weights) == set(tensors) and all(
        weights[name].dtype == tensors[name].dtype and torch.equal(weights[name], tensors[name]) for name in tensors
    )


@pytest.mark.parametrize("safe", [True, False])
@pytest.mark.parametrize("size", ["5GB", 100])
def test_what_is_saved_comes_back(tmp_path: Path, safe: bool, size: str | int) -> None:
    files = save_weights(tmp_path, some(), safe_serialization=safe, max_shard_size=size)
    assert sorted(file.name for file in files) == sorted(os.listdir(tmp_path))
    assert (len(files) > 2) == (size == 100)
    with open_weights(tmp_path) as weights:
        assert same(weights, some())
        for name, tensor in some().items():
            assert (weights.shape(name), weights.dtype(name)) == (tuple(tensor.shape), tensor.dtype)
            assert weights.path(name) in files
        assert weights.nbytes == sum(tensor.nbytes for tensor in some().values())


@given(
    st.dictionaries(
        st.text("abc.é", min_size=1, max_size=9),
        st.tuples(st.sampled_from(DTYPES), st.lists(st.integers(0, 4), max_size=3)),
        min_size=1,
        max_size=5,
    )
)
def test_the_safetensors_library_reads_what_we_write_and_we_what_it_writes(
    tmp_path_factory: pytest.TempPathFactory, shapes: dict[str, tuple[torch.dtype, list[int]]]
) -> None:
    folder = tmp_path_factory.mktemp("shared")
    tensors = {name: torch.randint(0, 2, shape).to(dtype) for name, (dtype, shape) in shapes.items()}
    save_weights(folder, tensors)
    assert same(safetensors.torch.load_file(folder / "model.safetensors"), tensors)
    safetensors.torch.save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with open_weights(folder) as weights:
        assert same(weights, tensors)


def test_torch_reads_the_bin_we_write_with_nothing_but_tensors_in_it(tmp_path: Path) -> None:
    save_weights(tmp_path, some(), safe_serialization=False)
    loaded = torch.load(tmp_path / "pytorch_model.bin", weights_only=True)
    assert same(loaded, some())
    assert all(tensor.untyped_storage().nbytes() == tensor.nbytes for tensor in loaded.values())


@pytest.mark.parametrize("zipped", [True, False])
def test_files_of_torch_save_are_read_in_both_of_its_formats(tmp_path: Path, zipped: bool) -> None:
    matrix = torch.randn(10, 8)
    tensors: dict[str, Any] = OrderedDict(
        matrix=matrix,
        tied=matrix,
        transposed=matrix.t(),
        window=matrix[2:5, 1:4],
        parameter=torch.nn.Parameter(matrix.clone()),
        half=matrix.half(),
        numbers=torch.arange(5),
        step=7,
        note="text",
    )
    torch.save(tensors, tmp_path / "x.bin", _use_new_zipfile_serialization=zipped)
    with open_file(tmp_path / "x.bin") as weights:
        assert "step" not in weights
        for name in weights:
            assert torch.equal(weights[name], tensors[name])
            out = torch.empty(weights.shape(name), dtype=weights.dtype(name))
            weights.read_into(name, out)
            assert torch.equal(out, tensors[name])
        assert weights.location("matrix") == weights.location("tied") != weights.location("half")


def test_state_dicts_with_metadata_and_new_types_are_read(tmp_path: Path) -> None:
    layer = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.LayerNorm(4))
    torch.save(layer.state_dict(), tmp_path / "x.bin")
    torch.save({"short": torch.arange(5).to(torch.uint16)}, tmp_path / "y.bin")
    with open_file(tmp_path / "x.bin") as weights:
        assert same(weights, dict(layer.state_dict()))
    with open_file(tmp_path / "y.bin") as weights:
        assert weights["short"].tolist() == [0, 1, 2, 3, 4]


def test_reading_into_casts_and_turns_block_by_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lamina.checkpoint.storage.BLOCK", 64)
    matrix = torch.randn(37, 11)
    save_weights(tmp_path, {"m": matrix, "h": matrix.half()})
    with open_weights(tmp_path) as weights:
        turned = torch.empty(11, 37)
        weights.read_into("m", turned.T)
        assert torch.equal(turned, matrix.T)
        full = torch.empty(37, 11)
        weights.read_into("h", full)
        assert torch.equal(full, matrix.half().float())


def test_mapped_tensors_outlive_their_file_and_never_write_to_it(tmp_path: Path) -> None:
    save_weights(tmp_path, {"a": torch.ones(4)})
    with open_weights(tmp_path) as weights:
        tensor = weights["a"]
    tensor.add_(1)
    save_weights(tmp_path, {"a": torch.zeros(4)})
    assert tensor.tolist() == [2, 2, 2, 2]
    with open_weights(tmp_path) as weights:
        assert weights["a"].tolist() == [0, 0, 0, 0]


def test_misaligned_tensors_are_copied_into_place(tmp_path: Path) -> None:
    header = json.dumps({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    header += b" " * (1 - len(header) % 2)  # an odd length: the library pads its own files
    data = torch.tensor([1.5, -2.0]).numpy().tobytes()
    (tmp_path / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + data)
    with open_weights(tmp_path) as weights:
        assert weights["a"].tolist() == [1.5, -2.0]
        assert weights["a"].data_ptr() % 4 == 0


def test_files_are_looked_for_in_the_usual_order(tmp_path: Path) -> None:
    def value() -> float:
        with open_weights(tmp_path) as weights:
            return float(weights["a"])

    save_weights(tmp_path, {"a": torch.tensor(4.0)}, safe_serialization=False)
    assert value() == 4
    save_weights(tmp_path / "x", {"a": torch.tensor(2.0), "b": torch.zeros(9)}, max_shard_size=8)
    for file in (tmp_path / "x").iterdir():
        file.rename(tmp_path / file.name)
    assert value() == 2
    safetensors.torch.save_file({"a": torch.tensor(1.0)}, tmp_path / "model.safetensors")
    assert value() == 1
    with open_weights(tmp_path, safetensors_only=False) as weights:
        assert float(weights["a"]) == 4


def test_variants_have_names_of_their_own(tmp_path: Path) -> None:
    save_weights(tmp_path, {"a": torch.zeros(3)})
    save_weights(tmp_path, {"a": torch.ones(3).half(), "b": torch.ones(3).half()}, variant="fp16", max_shard_size=6)
    assert sorted(os.listdir(tmp_path)) == [
        "model.fp16-00001-of-00002.safetensors",
        "model.fp16-00002-of-00002.safetensors",
        "model.safetensors",
        "model.safetensors.index.fp16.json",
    ]
    with open_weights(tmp_path, variant="fp16") as weights:
        assert float(weights["b"].sum()) == 3
    with pytest.raises(CheckpointError, match=r"model\.int8\.safetensors"):
        open_weights(tmp_path, variant="int8")
    with pytest.raises(CheckpointError, match="not a variant"):
        candidates("../x")


def test_an_index_is_what_other_libraries_expect(tmp_path: Path) -> None:
    save_weights(tmp_path, some(), max_shard_size=100)
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    assert index["metadata"]["total_size"] == sum(tensor.nbytes for tensor in some().values())
    for name, shard in index["weight_map"].items():
        assert torch.equal(safetensors.torch.load_file(tmp_path / shard)[name], some()[name])


def test_a_new_save_leaves_nothing_of_the_old_one(tmp_path: Path) -> None:
    (tmp_path / "model-notes.txt").write_text("mine")
    (tmp_path / "model-00001-of-00002.txt").write_text("mine")
    save_weights(tmp_path, some(), max_shard_size=100)
    save_weights(tmp_path, {"a": torch.zeros(1)})
    kept = {"model-notes.txt", "model-00001-of-00002.txt"}
    assert set(os.listdir(tmp_path)) == kept | {"model.safetensors"}
    save_weights(tmp_path, {"a": torch.ones(1)}, safe_serialization=False)
    assert set(os.listdir(tmp_path)) == kept | {"pytorch_model.bin"}, "safetensors would be read before the new file"


@pytest.mark.parametrize("safe", [True, False])
@pytest.mark.parametrize("size", ["5GB", 100])
def test_a_full_disk_leaves_the_old_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, safe: bool, size: str | int
) -> None:
    save_weights(tmp_path, {"a": torch.zeros(1)})
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CheckpointError, match=r"No space left on device.*unchanged"):
        save_weights(tmp_path, some(), safe_serialization=safe, max_shard_size=size)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_a_write_that_fails_midway_leaves_the_old_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_weights(tmp_path, {"a": torch.zeros(1)})
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}

    def broken(file: Any, *_: Any) -> None:
        file.write(b"half")
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(saving, "write_safetensors", broken)
    with pytest.raises(CheckpointError, match="unchanged"):
        save_weights(tmp_path, some())
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_tensors_that_share_memory_are_refused_by_name(tmp_path: Path) -> None:
    matrix = torch.zeros(4, 4)
    for other in (matrix, matrix.T, matrix[1:3]):
        with pytest.raises(CheckpointError, match=r"'first' and 'second'|'second' and 'first'"):
            save_weights(tmp_path, {"first": matrix, "second": other})
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("tensors", "says"),
    [
        ({}, "no tensors"),
        ({"a": torch.empty(2, device="meta")}, "no plain data"),
        ({"a": torch.zeros(2, 2).to_sparse()}, "no plain data"),
        ({"a": [1.0]}, "not the name of a tensor: list"),
        ({"a": torch.zeros(2, dtype=torch.complex64)}, "complex64"),
    ],
)
def test_what_cannot_be_saved_is_refused(tmp_path: Path, tensors: Any, says: str) -> None:
    with pytest.raises(CheckpointError, match=says):
        save_weights(tmp_path, tensors)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(("text", "size"), [("5GB", 5 * 10**9), ("2 MiB", 2**21), ("10kb", 10**4), (77, 77)])
def test_shard_sizes(text: str | int, size: int) -> None:
    assert shard_bytes(text) == size


@pytest.mark.parametrize("text", ["", "5", "GB", "5XB", "-1GB", "0MB", 0, -3, True, None, 1.5])
def test_shard_sizes_that_make_no_sense(text: Any) -> None:
    with pytest.raises(CheckpointError, match="max_shard_size"):
        shard_bytes(text)


def test_folders_without_weights_say_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(
        CheckpointError, match=r"model\.safetensors, model\.safetensors\.index\.json, pytorch_model\.bin"
    ):
        open_weights(tmp_path)
    (tmp_path / "tf_model.h5").write_bytes(b"x")
    with pytest.raises(CheckpointError, match=r"tf_model\.h5.*TensorFlow"):
        open_weights(tmp_path)
    with pytest.raises(CheckpointError, match="not a folder"):
        open_weights(tmp_path / "absent")
