"""How much the viewer may use and show: every limit in one place."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

PAGE_ROWS = 100  # the official length of a page, and its maximum


def default_cache() -> Path:
    """Where search indexes, statistics and spilled queries are kept."""
    return Path.home() / ".cache" / "lamina" / "viewer"


def default_hub_cache() -> Path:
    """Where the Hub's own library keeps what it has downloaded."""
    return Path.home() / ".cache" / "huggingface" / "hub"


@dataclass(frozen=True)
class Settings:
    """Limits of one viewer. Sizes are bytes, times seconds."""

    memory: int = 1 << 30  # of the query engine; beyond it, sorts spill to the cache folder
    held: int = 256 << 20  # of row groups kept decoded, beside the engine's memory
    threads: int = 2
    timeout: float = 30.0  # of one query; opening a split and statistics have no deadline, but can be cancelled
    spill: int = 10 << 30  # of temporary files
    cell: int = 1 << 20  # a longer cell is cut, unless full=true
    response: int = 10 << 20  # of one page of rows; the longest cells are cut until it fits
    full_cell: int = 256 << 20  # of one cell asked for whole
    console_rows: int = 10_000  # rows of one answer of the SQL console
    cache: Path = field(default_factory=default_cache)
    hub_cache: Path = field(default_factory=default_hub_cache)
    endpoint: str = "https://huggingface.co"  # where a data set that is not here is downloaded from
    offline: bool = False
    token: str | None = None
    hosts: tuple[str, ...] = ()  # names that the server answers to besides this machine's own; "*" for any
    origins: tuple[str, ...] = ()  # of web pages elsewhere that may ask; "*" for all
    tokenizers: tuple[Path, ...] = ()  # folders whose tokenizers may count tokens
