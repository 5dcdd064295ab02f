"""Reading JSON that nobody vouches for: bounded in size and depth, no repeated keys, no numbers that are none."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, NoReturn

from ..errors import ConfigError, LaminaError

CONFIG_BYTES = 1 << 20
INDEX_BYTES = 64 << 20
DEPTH = 64


def read_json(path: str | Path, max_bytes: int = CONFIG_BYTES, error: type[LaminaError] = ConfigError) -> Any:
    """What a JSON file holds, refused with `error` where it is larger than `max_bytes` or not plain JSON."""
    path = Path(path)
    try:
        if not path.is_file():
            raise error(f"{path} is not a file")
        size = path.stat().st_size
        if size > max_bytes:
            raise error(f"{path} is {size:,} bytes; at most {max_bytes:,} are read from such a file")
        data = path.read_bytes()
    except OSError as problem:
        if isinstance(problem, LaminaError):
            raise
        raise error(f"{path} cannot be read: {problem.strerror or problem}") from problem
    return parse_json(data, str(path), error)


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

    Refuses repeated keys, NaN and infinities (also as 1e999), and nesting deeper than 64.
    """

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(items)
        if len(result) != len(items):
            seen: set[str] = set()
            repeated = next(key for key, _ in items if key in seen or seen.add(key))  # type: ignore[func-returns-value]
            raise error(f"{where}: the key {repeated!r} stands there twice")
        return result

    def constant(text: str) -> NoReturn:
        raise error(f"{where}: {text} is not a JSON number")

    def number(text: str) -> float:
        value = float(text)
        if not math.isfinite(value):
            raise error(f"{where}: the number {text[:20]} is out of range")
        return value

    try:
        text = data if isinstance(data, str) else data.decode("utf-8-sig")
        value = json.loads(text, object_pairs_hook=pairs, parse_constant=constant, parse_float=number)
    except LaminaError:
        raise
    except RecursionError:
        raise error(f"{where}: nested too deeply (at most {DEPTH} levels)") from None
    except ValueError as problem:
        raise error(f"{where} is not valid JSON: {problem}") from None
    _check_depth(value, where, error)
    return value


def _check_depth(value: Any, where: str, error: type[LaminaError]) -> None:
    level = [value] if isinstance(value, (dict, list)) else []
    for _ in range(DEPTH):
        children = (child for parent in level for child in (parent.values() if isinstance(parent, dict) else parent))
        level = [child for child in children if isinstance(child, (dict, list))]
        if not level:
            return
    raise error(f"{where}: nested too deeply (at most {DEPTH} levels)")


def _kind(value: Any) -> str:
    names = {list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")
