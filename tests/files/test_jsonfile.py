"""JSON from strangers: plain values come back as they are, everything odd is one error that names the file."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lamina.errors import CheckpointError, ConfigError
from lamina.files.jsonfile import DEPTH, parse_json, read_json, read_json_object

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(plain)
def test_plain_values_come_back(value: object) -> None:
    assert parse_json(json.dumps(value), "x") == value


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"a": 1, "b": {"c": 1, "c": 2}}', "'c' stands there twice"),
        ('{"a": NaN}', "NaN"),
        ('{"a": -Infinity}', "Infinity"),
        ('{"a": 1e999}', "out of range"),
        ("[" * (DEPTH + 1) + "]" * (DEPTH + 1), "too deeply"),
        ("[" * 200_000, "too deeply"),
        ('{"a":' * 5000 + "1" + "}" * 5000, "too deeply"),
        ("", "not valid JSON"),
        ("{", "not valid JSON"),
        ("9" * 10_000, "not valid JSON"),
        ("{'a': 1}", "not valid JSON"),
    ],
)
def test_odd_text_is_refused_by_name(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        parse_json(text, "some/file.json")
    assert "some/file.json" in str(caught.value)


def test_the_deepest_allowed_nesting_is_read() -> None:
    assert parse_json("[" * DEPTH + "]" * DEPTH, "x") is not None


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(CheckpointError, match="not valid JSON"):
        parse_json(b'{"a": "\xff\xfe"}', "x", CheckpointError)


def test_files_are_bounded_and_must_hold_an_object(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"a": "b" * 100}))
    assert read_json_object(path) == {"a": "b" * 100}
    with pytest.raises(ConfigError, match="at most 50 are read"):
        read_json(path, 50)
    path.write_text("[1]")
    with pytest.raises(ConfigError, match="JSON object, not a list"):
        read_json_object(path)
    with pytest.raises(ConfigError, match="not a file"):
        read_json(tmp_path)
    with pytest.raises(ConfigError, match="not a file"):
        read_json(tmp_path / "absent.json")


def test_reading_json_needs_no_torch() -> None:
    code = "import sys; from lamina.checkpoint import pickles; from lamina.families import config"
    code += "; from lamina.files import hub, jsonfile, paths"
    code += "; sys.exit('torch' in sys.modules or 'huggingface_hub' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
