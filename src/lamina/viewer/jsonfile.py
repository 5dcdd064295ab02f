"""Small JSON files of unknown origin, read with a bound on their size and an error that names them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .errors import UnreadableData

LARGEST = 16 << 20


def read_text(path: Path, name: str) -> str:
    """A text file of at most 16 MB."""
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise UnreadableData(f"{name} is larger than {LARGEST >> 20} MB, and is not read")
        return data.decode("utf-8-sig")
    except OSError as problem:
        raise UnreadableData(f"{name} cannot be read: {problem.strerror}") from None
    except UnicodeDecodeError as problem:
        raise UnreadableData(f"{name} is not UTF-8 (byte {problem.start})") from None


def read_object(path: Path, name: str) -> dict[str, Any]:
    """The object that a JSON file holds."""
    try:
        found = json.loads(read_text(path, name))
    except (ValueError, RecursionError) as problem:
        if isinstance(problem, UnreadableData):
            raise
        raise UnreadableData(f"{name} is not JSON: {problem}") from None
    if not isinstance(found, dict):
        raise UnreadableData(f"{name} holds no JSON object")
    return found
