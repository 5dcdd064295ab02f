"""Attacks that were published against loaders of checkpoints, each of them tried here: an error, and nothing happens.

The numbers are of CVEs and of issues of the reference library; the table follows what they did, not where they stood.
"""

from __future__ import annotations

import collections
import importlib
import io
import json
import os
import pickle
import random
import re
import struct
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from lamina.checkpoint import fairseq, fields, files, hubcache, paths, saving
from lamina.checkpoint.config import PretrainedConfig
from lamina.checkpoint.convert import NUMBER
from lamina.checkpoint.files import open_file, open_weights, save_weights
from lamina.checkpoint.hub import resolve
from lamina.checkpoint.legacy import convert_checkpoint, read_vocabulary
from lamina.errors import CheckpointError, ConfigError, HubError, LaminaError

BERT = {"model_type": "bert"}


class Attack:
    """An object whose pickle runs a command when it is loaded in the usual way."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


def header(entries: Any, data: bytes = b"", length: int | None = None) -> bytes:
    text = entries if isinstance(entries, bytes) else json.dumps(entries).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def entry(begin: int, end: int, shape: list[Any] | None = None, dtype: Any = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": [(end - begin) // 4] if shape is None else shape, "data_offsets": [begin, end]}


SAFETENSORS: dict[str, tuple[bytes, str]] = {
    "empty file": (b"", "empty"),
    "cut off in the length": (b"\x01\x02", "cut off"),
    "header longer than the file": (header({}, length=1000), "cut off"),
    "header of 2^62 bytes": (header({}, length=2**62), "not a safetensors file"),
    "header that is no JSON": (header(b"{'a': 1}"), "not valid JSON"),
    "header that is no object": (header(b"[1, 2]"), "does not start"),
    "header 100,000 levels deep": (header(b'{"a":' * 100_000), "too deeply"),
    "header that is no UTF-8": (header(b'{"\xff": 1}'), "not valid JSON"),
    "data cut off": (header({"a": entry(0, 16)}, b"x" * 15), "cut off: .* Fetch it again"),
    "data behind the last tensor": (header({"a": entry(0, 4)}, b"x" * 5), "1 bytes after its last tensor"),
    "overlap": (header({"a": entry(0, 8), "b": entry(4, 12)}, b"x" * 12), "'b' overlaps"),
    "hole": (header({"a": entry(0, 4), "b": entry(8, 12)}, b"x" * 12), "'b' leaves a hole"),
    "hole at the start": (header({"a": entry(4, 8)}, b"x" * 8), "'a' leaves a hole"),
    "the same bytes twice": (header({"a": entry(0, 4), "b": entry(0, 4)}, b"x" * 4), "'b' overlaps"),
    "the same name twice": (
        header(
            b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
            b"x" * 4,
        ),
        "'a' stands there twice",
    ),
    "shape larger than its bytes": (header({"a": entry(0, 4, [2])}, b"x" * 4), "needs 8 bytes, the header gives it 4"),
    "shape that overflows": (header({"a": entry(0, 4, [2**31 - 1] * 3)}, b"x" * 4), "needs"),
    "empty shape of 2^40": (header({"a": entry(0, 0, [0, 2**40])}), "impossible shape"),
    "negative shape": (header({"a": entry(0, 4, [-1])}, b"x" * 4), "impossible shape"),
    "shape of text": (header({"a": entry(0, 4, ["1"])}, b"x" * 4), "impossible shape"),
    "shape of truth": (header({"a": entry(0, 4, [True])}, b"x" * 4), "impossible shape"),
    "forty axes": (header({"a": entry(0, 4, [1] * 40)}, b"x" * 4), "impossible shape"),
    "backward offsets": (header({"a": entry(8, 4, [1])}, b"x" * 8), "the header gives it -4"),
    "negative offsets": (header({"a": entry(-4, 0, [1])}, b"x" * 8), "impossible offsets"),
    "offsets of 2^70": (header({"a": entry(2**70, 2**70 + 4, [1])}, b"x" * 8), "hole"),
    "unknown type": (header({"a": entry(0, 4, dtype="F33")}, b"x" * 4), "unknown type 'F33'"),
    "type that is no text": (header({"a": entry(0, 4, dtype=["F32"])}, b"x" * 4), "unknown type"),
    "entry without offsets": (header({"a": {"dtype": "F32", "shape": [1]}}, b"x" * 4), "malformed"),
    "entry that is no object": (header({"a": 5}, b"x" * 4), "malformed"),
    "metadata that is no text": (header({"__metadata__": {"format": 5}}), "text to text"),
    "metadata that is a list": (header({"__metadata__": ["pt"]}), "text to text"),
    "name of 2,000 characters": (header({"a" * 2000: entry(0, 4)}, b"x" * 4), "no name of a tensor"),
    "zip in disguise": (b"PK\x03\x04" + bytes(100), "cut off"),
}


@pytest.mark.parametrize("name", SAFETENSORS)
def test_malformed_safetensors(tmp_path: Path, name: str) -> None:
    data, says = SAFETENSORS[name]
    path = tmp_path / "model.safetensors"
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=says) as caught:
        open_weights(tmp_path)
    assert str(path) in str(caught.value)


def zipped(entries: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return out.getvalue()


def state_dict(
    count: int = 4, shape: tuple[int, ...] = (4,), strides: tuple[int, ...] = (1,), start: int = 0, key: str = "0"
) -> bytes:
    """The pickle of a state dict with one tensor, as torch.save writes it but for the lies asked for."""

    class Storage:
        pass

    class Pickler(pickle.Pickler):
        def persistent_id(self, value: Any) -> Any:
            return ("storage", torch.FloatStorage, key, "cpu", count) if isinstance(value, Storage) else None

    class Tensor:
        def __reduce__(self) -> tuple[Any, ...]:
            return torch._utils._rebuild_tensor_v2, (Storage(), start, shape, strides, False, collections.OrderedDict())

    out = io.BytesIO()
    Pickler(out, 2).dump({"a": Tensor()})
    return out.getvalue()


def bomb(_: Path) -> bytes:
    return zipped({"x/data.pkl": state_dict(2**22), "x/data/0": bytes(2**24)}, zipfile.ZIP_DEFLATED)


def overlapping(_: Path) -> bytes:
    """Two entries of the directory that lead to one place, as in bombs that need no compression."""
    data = bytearray(zipped({"x/data.pkl": state_dict(), "x/data/0": bytes(16), "x/data/1": bytes(16)}))
    first, second = (match.start() for match in list(re.finditer(rb"PK\x01\x02", data))[1:])
    data[second + 42 : second + 46] = data[first + 42 : first + 46]
    return bytes(data)


def twice(_: Path) -> bytes:
    with pytest.warns(UserWarning, match="Duplicate name"):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            for _ in range(2):
                archive.writestr("x/data.pkl", state_dict())
            archive.writestr("x/data/0", bytes(16))
    return out.getvalue()


def command(protocol: int, wrap: Callable[[bytes], bytes]) -> Callable[[Path], bytes]:
    return lambda mark: wrap(pickle.dumps({"weight": Attack(mark)}, protocol))


def old_torch(data: bytes) -> bytes:
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}
    return (
        b"".join(pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, system)) + data + pickle.dumps([], 2)
    )


def lie(**changes: Any) -> Callable[[Path], bytes]:
    return lambda _: zipped({"x/data.pkl": state_dict(**changes), "x/data/0": bytes(16)})


TORCH: dict[str, tuple[Callable[[Path], bytes], str]] = {
    "2025-32434, 2026-24747: command in a zip": (
        command(2, lambda data: zipped({"x/data.pkl": data})),
        "Nothing of it was run",
    ),
    "the same, protocol 4": (command(4, lambda data: zipped({"x/data.pkl": data})), "Nothing of it was run"),
    "2024-3568: command in a plain pickle": (command(2, bytes), "Nothing of it was run"),
    "command in the old format": (command(2, old_torch), "Nothing of it was run"),
    "command before the magic number": (lambda mark: pickle.dumps(Attack(mark), 2), "Nothing of it was run"),
    "zip bomb": (bomb, "compressed or encrypted"),
    "overlapping entries": (overlapping, "overlap"),
    "the same entry twice": (twice, "stands there twice"),
    "TorchScript": (lambda _: zipped({"x/data.pkl": b"N.", "x/code/a.py": b""}), "TorchScript"),
    "no pickle inside": (lambda _: zipped({"x/other": b""}), "no checkpoint"),
    "archive cut off": (lambda _: lie()(_)[:-30], "damaged or cut off archive"),
    "entry missing": (lie(key="7"), "storage '7' are not in it"),
    "entry of another folder": (lie(key="../../../etc/passwd"), "are not in it"),
    "storage larger than its entry": (lie(count=10**9), "has 16 bytes, not 4,000,000,000"),
    "tensor past its storage": (lie(shape=(5,)), "reaches past its storage"),
    "tensor that starts past it": (lie(start=2), "reaches past its storage"),
    "start of 2^70": (lie(start=2**70), "reaches past its storage"),
    "tensor of 2^60 numbers over one": (lie(shape=(2**30, 2**30), strides=(0, 0)), "reaches past its storage"),
    "negative strides": (lie(strides=(-1,)), "impossible shape"),
    "negative shape": (lie(shape=(-4,)), "impossible shape"),
    "name without end in the old format": (
        lambda _: old_torch(b"")[: -len(pickle.dumps([], 2))] + b"cargparse",
        "damaged",
    ),
    "big-endian": (lambda _: zipped({"x/data.pkl": b"N.", "x/byteorder": b"big"}), "big-endian"),
    "a list": (lambda _: zipped({"x/data.pkl": b"]."}), "state dict"),
    "no tensors": (lambda _: zipped({"x/data.pkl": pickle.dumps({"model": {"a": 1}}, 2)}), "lamina convert"),
    "neither format": (lambda _: b"GGUF" + bytes(50), "not a file written by torch.save"),
    "other pickle": (lambda _: pickle.dumps([1, 2]), "not one that torch.save wrote"),
}


@pytest.mark.parametrize("name", TORCH)
def test_malformed_and_hostile_bin(tmp_path: Path, name: str) -> None:
    make, says = TORCH[name]
    path, mark = tmp_path / "pytorch_model.bin", tmp_path / "mark"
    path.write_bytes(make(mark))
    with pytest.raises(CheckpointError, match=says) as caught:
        open_weights(tmp_path)
    assert str(path) in str(caught.value)
    assert not mark.exists(), "the pickle was run"


def test_the_attack_would_work_on_pickle_itself(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Attack(tmp_path / "mark")))
    assert (tmp_path / "mark").exists()


@pytest.mark.parametrize("wrap", [bytes, old_torch, lambda data: zipped({"x/data.pkl": data})])
def test_2023_7018_and_2025_14921_commands_in_a_vocabulary(tmp_path: Path, wrap: Callable[[bytes], bytes]) -> None:
    (tmp_path / "vocab.pkl").write_bytes(wrap(pickle.dumps({"idx2sym": ["a"], "x": Attack(tmp_path / "mark")}, 2)))
    with pytest.raises(CheckpointError, match="Nothing of it was run"):
        read_vocabulary(tmp_path / "vocab.pkl")
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize("zipfile_too", [True, False])
def test_2024_11392_to_11394_commands_in_what_is_converted(tmp_path: Path, zipfile_too: bool) -> None:
    data = pickle.dumps({"args": Attack(tmp_path / "mark"), "model": {}}, 2)
    (tmp_path / "model.pt").write_bytes(zipped({"x/data.pkl": data}) if zipfile_too else old_torch(data))
    with pytest.raises(CheckpointError, match="Nothing of it was run"):
        convert_checkpoint(tmp_path / "model.pt", tmp_path / "out")
    assert not (tmp_path / "mark").exists() and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "shard",
    [
        "../outside.safetensors",
        "/etc/passwd",
        "sub/model.safetensors",
        "..",
        "",
        ".hidden.safetensors",
        "C:\\x.safetensors",
        "model.safetensors\0.safetensors",
        "model.safetensors\n",
        "model.pkl",
        "modell\u0435.safetensors",
        5,
        None,
        ["model.safetensors"],
    ],
)
def test_issue_46097_shards_outside_the_folder(tmp_path: Path, shard: Any) -> None:
    save_weights(tmp_path / "outside", {"a": torch.zeros(1)})
    (tmp_path / "outside" / "model.safetensors").rename(tmp_path / "outside.safetensors")
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": shard}}))
    with pytest.raises(CheckpointError, match=r"index\.json sends to .* not the plain name of a weights file"):
        open_weights(folder)


@pytest.mark.parametrize("index", [{}, {"weight_map": {}}, {"weight_map": ["x"]}, []])
def test_indexes_without_a_map(tmp_path: Path, index: Any) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match=r"weight_map|JSON object"):
        open_weights(tmp_path)


def test_indexes_that_promise_too_much(tmp_path: Path) -> None:
    save_weights(tmp_path, {"a": torch.zeros(1), "b": torch.zeros(1)}, max_shard_size=4)
    index = tmp_path / "model.safetensors.index.json"
    mapping = json.loads(index.read_text())["weight_map"]
    index.write_text(json.dumps({"weight_map": mapping | {"c": mapping["a"]}}))
    with pytest.raises(CheckpointError, match=r"00001-of-00002\.safetensors has no tensor 'c'"):
        open_weights(tmp_path)
    index.write_text(json.dumps({"weight_map": mapping | {"c": "model-00003-of-00003.safetensors"}}))
    with pytest.raises(CheckpointError, match=r"model-00003-of-00003\.safetensors cannot be opened"):
        open_weights(tmp_path)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_links_out_of_the_folder_are_not_followed(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "model"
    save_weights(tmp_path, {"a": torch.zeros(1)})
    (tmp_path / "config.json").write_text(json.dumps(BERT))
    folder.mkdir()
    (folder / name).symlink_to(tmp_path / name)
    with pytest.raises(LaminaError, match="outside its folder"):
        open_weights(folder) if name.startswith("model") else PretrainedConfig.from_pretrained(folder)
    (folder / name).unlink()
    (folder / "kept").mkdir()
    (tmp_path / name).rename(folder / "kept" / name)
    (folder / name).symlink_to(f"kept/{name}")
    open_weights(folder).close() if name.startswith("model") else PretrainedConfig.from_pretrained(folder)


def test_pipes_and_folders_are_no_weights(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match="not a regular file"):
        open_weights(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / "model.safetensors").mkdir()
    with pytest.raises(CheckpointError, match="not a regular file"):
        open_weights(tmp_path)


def test_2026_9856_names_of_tensors_are_never_paths(tmp_path: Path) -> None:
    odd = {"../../outside": torch.zeros(1), "/etc/x\0": torch.ones(1), "a/b": torch.zeros(2)}
    save_weights(tmp_path / "model", odd, max_shard_size=4)
    assert {path.parent for path in tmp_path.rglob("*") if path.is_file()} == {tmp_path / "model"}
    with open_weights(tmp_path / "model") as weights:
        assert set(weights) == set(odd)


@pytest.mark.parametrize(
    "values",
    [
        {"_attn_implementation_internal": "evil/kernel"},  # 2026-4372
        {"trust_remote_code": True},  # 2026-5241
        {"auto_map": {"AutoModel": "modeling.Evil"}},
        {"custom_generate": "evil/repository"},  # 2026-80047
        {"index_path": "/etc/passwd"},  # 2023-6730
    ],
)
def test_keys_of_a_config_choose_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, values: dict[str, Any]
) -> None:
    (tmp_path / "config.json").write_text(json.dumps({**BERT, **values}))
    imported: list[str] = []
    monkeypatch.setattr(importlib, "import_module", lambda name, *_: imported.append(name))
    config = PretrainedConfig.from_pretrained(tmp_path)
    assert not imported
    config.save_pretrained(tmp_path / "again")
    written = json.loads((tmp_path / "again" / "config.json").read_text())
    assert "_attn_implementation_internal" not in written, "not handed on to libraries that obey it"


@pytest.mark.parametrize(
    "name", ["https://huggingface.co@evil.example/x", "https://huggingface.co.evil.example", "//evil/x"]
)
def test_2025_3777_addresses_are_no_names(name: str) -> None:
    with pytest.raises(HubError, match="neither a folder here nor the name of a model"):
        resolve(name, ("config.json",))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"model_type": "bert", "model_type": "gpt2"}', "twice"),
        ('{"model_type": "bert", "layer_norm_eps": NaN}', "NaN"),
        ('{"model_type": "bert", "layer_norm_eps": 1e999}', "out of range"),
        ('{"model_type": "bert", "x": ' + "[" * 100 + "]" * 100 + "}", "too deeply"),
        ('{"model_type": "bert", "x": "' + "y" * (1 << 20) + '"}', "at most 1,048,576 are read"),
        ("[]", "JSON object"),
        ("", "not valid JSON"),
    ],
)
def test_hostile_json(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ConfigError, match=says) as caught:
        PretrainedConfig.from_pretrained(tmp_path)
    assert "config.json" in str(caught.value)


def test_every_pattern_is_linear() -> None:
    """2024-12720, 2025-1194, -2099, -3263, -3264, -3933, -5197, -6051, -6638, -6921: patterns that took minutes."""
    rooms = (fairseq, fields, files, hubcache, paths, saving)
    patterns = [value for room in rooms for value in vars(room).values() if isinstance(value, re.Pattern)]
    assert len(patterns) >= 8
    shards = re.compile(rf"model{re.escape('.fp16')}-\d{{5}}-of-\d{{5}}\.safetensors", re.ASCII)
    hostile = (
        "a" * 10**6,
        "1" * 10**6,
        "a." * 500_000,
        ".1" * 500_000 + "x",
        "a/" * 500_000,
        "layers.1." * 100_000 + "x",
    )
    for pattern in (*patterns, NUMBER, shards):
        for text in hostile:
            started = time.process_time()
            pattern.sub("", text) if pattern is NUMBER else pattern.fullmatch(text)
            assert time.process_time() - started < 2, (pattern.pattern, text[:20])


def valid_files(folder: Path) -> dict[str, Callable[[Path], object]]:
    """Small valid files of every kind, and what reads each to its end."""
    matrix = torch.randn(3, 5, generator=torch.Generator().manual_seed(0))
    tensors = {"a.weight": matrix, "b": torch.arange(7), "c": matrix.bfloat16()}
    save_weights(folder, tensors)
    torch.save(collections.OrderedDict(tensors) | {"tied": matrix.t()}, folder / "new.bin")
    torch.save(tensors, folder / "old.bin", _use_new_zipfile_serialization=False)
    words = {
        "idx2sym": ["<unk>", "a"],
        "sym2idx": collections.OrderedDict(a=1),
        "counter": collections.Counter("ab"),
        "x": {1, 2},
    }
    (folder / "vocab.pkl").write_bytes(pickle.dumps(words, 2))
    config = {
        **BERT,
        "hidden_size": 32,
        "num_attention_heads": 4,
        "id2label": {"0": "a", "1": "b"},
        "torch_dtype": "float32",
    }
    (folder / "config.json").write_text(json.dumps(config))

    def touch(path: Path) -> None:
        with open_file(path) as weights:
            for name in weights:
                weights[name].sum()
                weights.read_into(name, torch.empty(weights.shape(name), dtype=weights.dtype(name)))

    return {
        "model.safetensors": touch,
        "new.bin": touch,
        "old.bin": touch,
        "vocab.pkl": read_vocabulary,
        "config.json": PretrainedConfig.from_json_file,
    }


def mutated(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 4, 16])):
        at = rng.randrange(len(changed) or 1)
        kind = rng.randrange(5)
        if kind == 0 and changed:
            changed[at] = rng.randrange(256)
        elif kind == 1 and changed:
            changed[at] ^= 1 << rng.randrange(8)
        elif kind == 2:
            del changed[at : at + rng.randrange(1, 9)]
        elif kind == 3:
            changed[at:at] = rng.randbytes(rng.randrange(1, 9))
        elif kind == 4:
            del changed[at:]
    return bytes(changed)


def test_damaged_files_raise_our_errors_and_no_others(tmp_path: Path) -> None:
    rng = random.Random(20)
    for name, read in valid_files(tmp_path).items():
        data, refused = (tmp_path / name).read_bytes(), 0
        read(tmp_path / name)
        for turn in range(400):
            path = tmp_path / f"{turn}-{name}"  # a new file each time: a mapped one must not shrink
            path.write_bytes(mutated(data, rng))
            try:
                read(path)
            except LaminaError as problem:
                refused += 1
                assert str(path) in str(problem)
            path.unlink()
        assert refused > 200, f"most damage to {name} was not even noticed"
