"""Reading JSON that nobody vouches for: bounded in size and depth, without repeated keys, NaN or infinity."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any, NoReturn

from ..errors import ConfigError, LaminaError
from .paths import read_bytes
from .shown import cause, cut, shown

CONFIG_BYTES = 1 << 20
INDEX_BYTES = 64 << 20
DEPTH = 64
MEMORY = 256 << 20  # bytes that any file may take once it is read; larger ones may take `TIMES` their size
TIMES = 4
COSTS = {"[": 84, "{": 84, ",": 44, ":": 100, '"': 20}  # bytes that each adds to what is built, measured, rounded up


def read_json(path: str | Path, max_bytes: int = CONFIG_BYTES, error: type[LaminaError] = ConfigError) -> Any:
    """What a JSON file holds, refused with `error` where it is larger than `max_bytes` or not plain JSON."""
    return parse_json(read_bytes(path, max_bytes, error), str(path), error)


def read_json_object(
    path: str | Path, max_bytes: int = CONFIG_BYTES, error: type[LaminaError] = ConfigError
) -> dict[str, Any]:
    """As `read_json`, for files whose top level must be an object."""
    value = read_json(path, max_bytes, error)
    if not isinstance(value, dict):
        raise error(f"{path} must hold a JSON object, not {_kind(value)}")
    return value


def parse_json(data: bytes | str, where: str, error: type[LaminaError] = ConfigError) -> Any:
    """The value of JSON text; `where` names its origin in messages.

    Refuses repeated keys, NaN and infinities (also as 1e999), nesting deeper than 64, and, before anything is built,
    text that stands for far more objects than its size lets expect.
    """
    _check_cost(data, where, error)

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(items)
        if len(result) != len(items):
            seen: set[str] = set()
            repeated = next(key for key, _ in items if key in seen or seen.add(key))  # type: ignore[func-returns-value]
            raise error(f"{where}: the key {shown(repeated)} stands there twice")
        return result

    def constant(text: str) -> NoReturn:
        raise error(f"{where}: {text} is not a JSON number")

    def number(text: str) -> float:
        value = float(text)
        if not math.isfinite(value):
            raise error(f"{where}: the number {cut(text, 20)} is out of range")
        return value

    try:
        text = data if isinstance(data, str) else data.decode("utf-8-sig")
        value = json.loads(text, object_pairs_hook=pairs, parse_constant=constant, parse_float=number)
    except LaminaError:
        raise
    except RecursionError:
        raise error(f"{where}: JSON nested too deeply (at most {DEPTH} levels)") from None
    except ValueError as problem:
        raise error(f"{where} is not valid JSON: {cause(problem)}") from None
    _check_depth(value, where, error)
    return value


def _check_cost(data: bytes | str, where: str, error: type[LaminaError]) -> None:
    size = len(data)
    if size * max(COSTS.values()) <= MEMORY:
        return
    counts: Any = data.count  # of text in text, of bytes in bytes
    width, form = _width(data), str if isinstance(data, str) else str.encode
    built, escaped = sum(counts(form(mark)) * cost for mark, cost in COSTS.items()), counts(form("\\u")) > 0
    if size * (1 + width + (4 if escaped else width)) + built > max(MEMORY, TIMES * size):
        raise error(f"{where} is {size:,} bytes of JSON that would take many times their size once read: it is refused")


def _width(data: bytes | str) -> int:
    """Bytes a character of it takes in memory: as many for all as for the rarest of them."""
    if data.isascii():
        return 1
    if isinstance(data, str):
        return round(sys.getsizeof(data) / len(data))
    return 4 if any(lead in data for lead in range(0xF0, 0xF5)) else 2


def _check_depth(value: Any, where: str, error: type[LaminaError]) -> None:
    level = [value] if isinstance(value, (dict, list)) else []
    for _ in range(DEPTH):
        children = (child for parent in level for child in (parent.values() if isinstance(parent, dict) else parent))
        level = [child for child in children if isinstance(child, (dict, list))]
        if not level:
            return
    raise error(f"{where}: JSON nested too deeply (at most {DEPTH} levels)")


def _kind(value: Any) -> str:
    names = {list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")
