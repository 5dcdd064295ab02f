"""Filters of the official API."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Condition:
    """A parsed filter: SQL with question marks, and the values bound to them."""

    sql: str
    values: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Order:
    """A parsed key to sort by."""

    sql: str
