"""Writing text: options, processors, searches and streams. Imported on first use, as all of it needs torch."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "GenerationConfig": "config",
    "GenerationMode": "config",
    "WatermarkingConfig": "config",
    "TextStreamer": "streaming",
    "TextIteratorStreamer": "streaming",
    "AsyncTextIteratorStreamer": "streaming",
    "Constraint": "beams",
    "DisjunctiveConstraint": "beams",
    "PhrasalConstraint": "beams",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
