"""Small files that ask for much: each is refused, or read, in memory of a few times its own size."""

from __future__ import annotations

import io
import json
import pickle
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import PIPE

import pytest

MB = 1 << 20
Taken = Callable[[str, Path], tuple[int, str]]
SERVER = """
import os, sys
import torch
import lamina
from lamina.checkpoint.files import open_weights
from lamina.errors import LaminaError
def peak():
    return 1024 * next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
def opened(name, folder):
    if name == "weights":
        return f"{len(open_weights(folder))} tensors"
    getattr(lamina, name).from_pretrained(folder)
    return "loaded"
lamina.AutoModel, lamina.AutoModelForSeq2SeqLM
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        before = peak()
        try:
            what = opened(*line.rstrip("\\n").split(" ", 1))
        except LaminaError as error:
            what = str(error)
        print(peak() - before, what.replace("\\n", " "), flush=True)
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        print("0 it died", flush=True)
"""
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture(scope="module")
def taken() -> Iterator[Taken]:
    """How many bytes a process takes to open a folder, and what it says: a child each of one that has imported all."""
    with subprocess.Popen([sys.executable, "-c", SERVER], stdin=PIPE, stdout=PIPE, text=True, bufsize=1) as server:

        def ask(name: str, folder: Path) -> tuple[int, str]:
            assert server.stdin and server.stdout
            server.stdin.write(f"{name} {folder}\n")
            size, what = server.stdout.readline().split(" ", 1)
            return int(size), what

        yield ask


P = b"\x80\x02"


def zipped(pickled: bytes) -> dict[str, bytes]:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("x/data.pkl", pickled)
        archive.writestr("x/data/0", bytes(16))
    return {"pytorch_model.bin": out.getvalue()}


def older(pickled: bytes) -> dict[str, bytes]:
    system = {"protocol_version": 1001, "little_endian": True}
    parts = (pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, system))
    return {"pytorch_model.bin": b"".join(parts) + pickled}


def directory(count: int) -> dict[str, bytes]:
    """An archive whose directory lists the same entry over and over."""
    data = zipped(b"N.")["pytorch_model.bin"]
    first, end = data.index(b"PK\x01\x02"), data.index(b"PK\x05\x06")
    entry = data[first : first + 28] + struct.pack("<H", 1) + data[first + 30 : first + 46] + b"a"
    tail = struct.pack("<4sHHHHLLH", b"PK\x05\x06", 0, 0, 65535, 65535, len(entry) * count, first, 0)
    assert end > first
    return {"pytorch_model.bin": data[:first] + entry * count + tail}


def header(text: bytes, data: bytes = b"") -> dict[str, bytes]:
    return {"model.safetensors": struct.pack("<Q", len(text)) + text + data}


def index(text: bytes) -> dict[str, bytes]:
    return {"model.safetensors.index.json": text}


def tensors(count: int, size: int) -> dict[str, bytes]:
    entries = {
        f"model.layers.{i}.attention.weight": {
            "dtype": "U8",
            "shape": [1, size],
            "data_offsets": [i * size, i * size + size],
        }
        for i in range(count)
    }
    return header(json.dumps(entries).encode(), bytes(count * size))


FLOOR, JSON_FLOOR = 64, 280  # MB that any file may take, see checkpoint/pickles.py and files/jsonfile.py
CASES: dict[str, tuple[Callable[[], dict[str, bytes]], str, int]] = {
    "dictionaries": (lambda: zipped(P + b"}" * 20_000_000 + b"."), "more than any checkpoint needs", FLOOR),
    "the older format": (lambda: older(P + b"}" * 20_000_000 + b"."), "more than any checkpoint needs", FLOOR),
    "sets": (lambda: zipped(P + b"\x8f" * 5_000_000 + b"."), "more than any checkpoint needs", FLOOR),
    "nested tuples": (lambda: zipped(P + b")" + b"\x85" * 5_000_000 + b"."), "more than any", FLOOR),
    "nested references": (lambda: zipped(P + b"N" + b"Q" * 5_000_000 + b"."), "more than any", FLOOR),
    "memories": (lambda: zipped(P + b"N" + b"\x94" * 5_000_000 + b"."), "more than any checkpoint needs", FLOOR),
    "marks": (lambda: zipped(P + b"(" * 4_000_000 + b"."), "more than any checkpoint needs", FLOOR),
    "a place in memory beyond any": (lambda: zipped(P + b"}r\0\0\0\x80."), "holds no tensors", FLOOR),
    "a frame beyond the file": (lambda: zipped(b"\x80\x04\x95" + b"\xff" * 7 + b"\x0f}."), "holds no tensors", FLOOR),
    "bytes beyond the file": (lambda: zipped(b"\x80\x05\x96" + b"\0" * 6 + b"\1\0."), "holds one value of", FLOOR),
    "numbers as keys": (
        lambda: zipped(P + b"(" + b"".join(b"K\0J" + struct.pack("<i", i) for i in range(100_000)) + b"d."),
        "more than any checkpoint needs",
        FLOOR,
    ),
    "numbers to count": (
        lambda: zipped(
            P
            + b"ccollections\nCounter\n(]("
            + b"".join(b"J" + struct.pack("<i", i) + b"K\0\x86" for i in range(50_000))
            + b"etR."
        ),
        "more than any checkpoint needs",
        FLOOR,
    ),
    "objects": (lambda: zipped(P + b"ccollections\nX\nq\0" + b"h\0)R" * 2_000_000 + b"."), "more than any", FLOOR),
    "one wide text": (
        lambda: zipped(P + b"X" + struct.pack("<i", 17 * MB + 4) + b"a" * 17 * MB + "\U0001f600".encode() + b"."),
        "damaged pickle: it holds one value",
        FLOOR,
    ),
    "an archive's directory": (lambda: directory(400_000), "damaged or cut off archive", FLOOR),
    "lists in a header": (lambda: header(b'{"a":[' + b"[]," * 9_999_990 + b"[]]}"), "many times their size", FLOOR),
    "objects in a header": (lambda: header(b'{"a":[' + b"{}," * 9_999_990 + b"{}]}"), "many times their size", FLOOR),
    "a million empty tensors": (
        lambda: header(
            b"{"
            + b",".join(b'"%d":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}' % i for i in range(1_000_000))
            + b"}"
        ),
        "many times their size",
        FLOOR,
    ),
    "lists in an index": (
        lambda: index(b'{"weight_map":{"a":[' + b"[]," * 10_000_000 + b"1]}}"),
        "many times their size",
        FLOOR,
    ),
    "a name of 10 MB": (
        lambda: index(json.dumps({"weight_map": {"a" * 10_000_000: "model.safetensors"}}).encode()),
        "not the name of a tensor",
        FLOOR,
    ),
    "100,000 tensors": (lambda: tensors(100_000, 1), "100000 tensors", JSON_FLOOR),
    "20,000 tensors": (lambda: tensors(20_000, 1000), "20000 tensors", FLOOR),
}


@pytest.mark.parametrize("name", CASES)
def test_memory_is_bounded_by_the_file(tmp_path: Path, name: str, taken: Taken) -> None:
    make, says, floor = CASES[name]
    for file, data in make().items():
        (tmp_path / file).write_bytes(data)
    size = sum(path.stat().st_size for path in tmp_path.iterdir())
    held, what = taken("weights", tmp_path)
    assert says in what and len(what) < 1000
    assert held <= max(4 * size, floor * MB) + 16 * MB


BART_LIKE = {
    "d_model": 16384,
    "vocab_size": 10,
    "encoder_attention_heads": 1,
    "decoder_attention_heads": 1,
    "encoder_layers": 0,
    "decoder_layers": 0,
}
CTRL = {"model_type": "ctrl", "n_embd": 16384, "n_head": 1, "n_layer": 0, "vocab_size": 10}
ONE = {
    "hidden_size": 1,
    "embedding_size": 1,
    "intermediate_size": 1,
    "num_attention_heads": 1,
    "vocab_size": 10,
}
CONFIGS = {
    "Marian's positions": (
        {"model_type": "marian", "max_position_embeddings": 10**6, **BART_LIKE},
        "tables of positions",
    ),
    "CTRL's positions": ({**CTRL, "n_positions": 10**6}, "tables of positions"),
    "CTRL's positions, fewer": ({**CTRL, "n_positions": 4000}, "tables of positions"),
    "BART's positions": ({"model_type": "bart", "max_position_embeddings": 10**6, **BART_LIKE}, "asks for"),
    "ALBERT's groups": (
        {"model_type": "albert", **ONE, "num_hidden_groups": 256, "inner_group_num": 256},
        "num_hidden",
    ),
    "Transformer-XL's clusters": (
        {"model_type": "transfo-xl", "d_model": 2, "vocab_size": 100_001, "cutoffs": list(range(1, 100_001))},
        "cutoffs are 100,000",
    ),
    "Transformer-XL's memories": ({"model_type": "transfo-xl", "mem_len": 10**6}, "mem_len 1,000,000"),
    "layers": (
        {"model_type": "bart", **BART_LIKE, "encoder_layers": 256, "decoder_layers": 256},
        "config.json and weights do not belong together",
    ),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_what_a_config_asks_for_is_judged_before_it_is_made(tmp_path: Path, name: str, taken: Taken) -> None:
    values, says = CONFIGS[name]
    (tmp_path / "config.json").write_text(json.dumps(values))
    data = header(json.dumps({"a.weight": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode(), bytes(4))
    (tmp_path / "model.safetensors").write_bytes(data["model.safetensors"])
    task = "AutoModelForSeq2SeqLM" if values["model_type"] in ("marian", "bart") else "AutoModel"
    held, what = taken(task, tmp_path)
    assert says in what
    assert held <= 64 * MB
