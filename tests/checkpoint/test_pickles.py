"""The walk over opcodes gives what unpickling gives for plain data, and a record where it would call something."""

from __future__ import annotations

import argparse
import collections
import enum
import io
import pathlib
import pickle
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lamina.checkpoint.pickles import Global, Persistent, Record, read_pickle
from lamina.errors import CheckpointError

keys = st.text(max_size=5) | st.integers(-(2**63), 2**64 - 1) | st.none() | st.booleans() | st.binary(max_size=5)
plain = st.recursive(
    keys | st.floats(allow_nan=False) | st.binary(max_size=300) | st.integers(-(2**80), 2**80),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(keys, inner, max_size=4)
        | st.tuples(inner, inner)
        | st.sets(keys, max_size=3)
    ),
    max_leaves=15,
)


@given(plain, st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_plain_values_come_back_in_every_protocol(value: Any, protocol: int) -> None:
    assert read_pickle(pickle.dumps(value, protocol), "x") == value


@given(st.dictionaries(st.text(max_size=5), st.integers()))
def test_dictionaries_of_other_kinds_become_plain_ones(value: dict[str, int]) -> None:
    for kind in (collections.OrderedDict, collections.Counter, lambda pairs: collections.defaultdict(int, pairs)):
        assert read_pickle(pickle.dumps(kind(value), 2), "x") == value


def test_shared_and_looped_values_keep_their_shape() -> None:
    inner = [1]
    loop: dict[str, Any] = {"a": inner, "b": inner}
    loop["self"] = loop
    read = read_pickle(pickle.dumps(loop), "x")
    assert read["a"] is read["b"] and read["self"] is read


class Color(enum.Enum):
    RED = 1


def test_objects_of_known_libraries_become_records() -> None:
    args = read_pickle(pickle.dumps(argparse.Namespace(layers=4, name="small"), 2), "x")
    assert isinstance(args, Record) and args.what == Global("argparse", "Namespace")
    assert args.state == {"layers": 4, "name": "small"}
    for value in (re.compile("a+"), np.float64(1.5), np.arange(3), pathlib.PurePosixPath("/x")):
        for protocol in (2, 4):
            assert isinstance(read_pickle(pickle.dumps(value, protocol), "x"), Record)


def test_several_pickles_follow_each_other() -> None:
    stream = io.BytesIO(pickle.dumps([1]) + pickle.dumps({"a": 2}) + b"rest")
    assert [read_pickle(stream, "x"), read_pickle(stream, "x"), stream.read()] == [[1], {"a": 2}, b"rest"]


def test_references_out_of_the_pickle_are_kept() -> None:
    class Pickler(pickle.Pickler):
        def persistent_id(self, value: Any) -> Any:
            return ("storage", "0") if isinstance(value, bytes) else None

    out = io.BytesIO()
    Pickler(out, 2).dump([b"data"])
    assert read_pickle(out.getvalue(), "x") == [Persistent(("storage", "0"))]


@pytest.mark.parametrize(
    "name",
    [
        "os system",
        "posix system",
        "builtins eval",
        "builtins getattr",
        "subprocess Popen",
        "__main__ x",
        "shutil rmtree",
    ],
)
@pytest.mark.parametrize("form", ["reduce", "inst", "stack"])
def test_everything_else_is_refused_by_name(name: str, form: str) -> None:
    module, function = name.split()
    data = {
        "reduce": f"c{module}\n{function}\n(S'echo'\ntR.".encode(),
        "inst": f"(S'echo'\ni{module}\n{function}\n.".encode(),
        "stack": b"\x80\x04" + pickle.dumps(module, 4)[2:-2] + pickle.dumps(function, 4)[2:-2] + b"\x93)R.",
    }[form]
    with pytest.raises(CheckpointError, match=rf"{module}\.{function}.*Nothing of it was run|damaged"):
        read_pickle(data, "x")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b".",
        b"\x80",
        b"N",
        b"(.",
        b"t.",
        b"\x80\x02]q\x00h\x05.",
        b"Va\n",
        b"}](NNu.",
        b"\x8e" + (2**62).to_bytes(8, "little") + b"x.",
        b"T" + (2**31 - 1).to_bytes(4, "little") + b"x.",
        b"\x82\x01.",
        b"N)R.",
        b"(" * 1000 + b".",
        b"I" + b"9" * 100_000 + b"\n.",
        b"K\x01K\x02s.",
        b")" + b"\x85" * 100_000 + b"}" + b"\x86.",
    ],
)
def test_damaged_pickles_are_errors_of_ours(data: bytes) -> None:
    try:
        read_pickle(data, "some/file.pkl")
    except CheckpointError as problem:
        assert "some/file.pkl" in str(problem)
    else:
        assert data.startswith(b")"), "only the deep tuple is a value"


def test_a_deep_tuple_is_no_key() -> None:
    """Hashing one a million levels deep overflows the C stack and ends the process."""
    with pytest.raises(CheckpointError, match="damaged"):
        read_pickle(b"})" + b"\x85" * 300_000 + b"Ns.", "x")
    with pytest.raises(CheckpointError, match="damaged"):
        read_pickle(b"\x8f()" + b"\x85" * 300_000 + b"\x90.", "x")


def test_copies_without_end_are_refused() -> None:
    """A small file may ask a thousand times for a copy of a large value."""
    pairs = b"](" + b"(NNt" * 20_000 + b"eq\x01"
    calls = b"ccollections\nOrderedDict\nq\x02" + b"h\x02h\x01\x85R" * 20_000
    with pytest.raises(CheckpointError, match="more than any checkpoint needs"):
        read_pickle(b"\x80\x02" + pairs + calls + b".", "x")
