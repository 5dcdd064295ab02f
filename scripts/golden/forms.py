"""How golden files are written: JSON in which a change of one answer is a change of one line."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parent.parent.parent / "tests"
NUMBERS = re.compile(r"\[\s+(-?[\d.e-]+(?:,\s+-?[\d.e-]+)*)\s+\]")


def compact(value: Any) -> bytes:
    """All on one line."""
    return (json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n").encode()


def lines(items: list[Any]) -> bytes:
    """A list with an item a line."""
    return ("[\n" + ",\n".join(json.dumps(item, ensure_ascii=False) for item in items) + "\n]\n").encode()


def table(values: Mapping[str, Any], tight: bool = False) -> bytes:
    """An object with a key a line."""
    separators = (",", ":") if tight else None
    rows = (
        f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False, separators=separators)}"
        for key, value in values.items()
    )
    return ("{\n" + ",\n".join(rows) + "\n}\n").encode()


def indented(value: Any, indent: int = 1, joined: bool = False, sort: bool = False) -> bytes:
    """Nested; with `joined` lists of numbers stand on one line, and lists of these too."""
    text = json.dumps(value, indent=indent, sort_keys=sort)
    for _ in range(3 if joined else 0):
        text = NUMBERS.sub(lambda found: "[" + re.sub(r"\s+", " ", found[1]) + "]", text)
    return (text + "\n").encode()
