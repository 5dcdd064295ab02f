"""Small JSON files of unknown origin, read with a bound on their size and an error that names them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..files.jsonfile import parse_json
from ..files.paths import bounded_text
from .errors import UnreadableData

LARGEST = 16 << 20


def read_object(path: Path, name: str) -> dict[str, Any]:
    """The object that a JSON file holds."""
    found = parse_json(bounded_text(path, name, LARGEST, UnreadableData), name, UnreadableData)
    if not isinstance(found, dict):
        raise UnreadableData(f"{name} holds no JSON object")
    return found
