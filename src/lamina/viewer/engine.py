"""What the viewer asks of a query engine. DuckDB over local files is the one built in; others need only these calls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from .dataset import Features, Split

if TYPE_CHECKING:
    import pyarrow as pa

    from .stop import Stop
    from .where import Condition, Order


@dataclass(frozen=True)
class Table:
    """A split that has been opened: its columns and number of rows are known."""

    split: Split
    features: Features
    types: dict[str, str]  # column -> the engine's own name of its type
    num_rows: int
    memory: int = 0  # bytes of the data uncompressed, as far as the files tell
    partial: bool = False  # some rows could not be read
    notices: tuple[str, ...] = ()  # what was left out or read otherwise than asked, for people
    scan: Any = field(default=None, repr=False)  # the engine's own


@dataclass(frozen=True)
class Page:
    """Rows in the order asked for. `ids[i]` is the place in the split of row i of `rows`."""

    ids: Sequence[int]
    rows: pa.Table
    total: int  # rows there are in all pages


class Engine(Protocol):
    """Reads splits. Every call may be ended by its Stop, from another thread, and then raises the stop's reason."""

    def open(self, split: Split, stop: Stop) -> Table:
        """Columns, row count and complaints of a split; cached."""
        ...

    def rows(self, table: Table, offset: int, length: int, stop: Stop, cell: int | None = None) -> Page:
        """Rows by place. Texts longer than `cell` bytes may be cut to that many characters."""
        ...

    def select(
        self,
        table: Table,
        where: Condition | None,
        order: Sequence[Order],
        offset: int,
        length: int,
        stop: Stop,
        cell: int | None = None,
        among: Sequence[int] | None = None,
    ) -> Page:
        """Rows that fulfil a condition, in an order; ties and no order mean the order of the split, or of `among`.

        Where `among` is given, only rows of these numbers are considered.
        """
        ...

    def take(self, table: Table, ids: Sequence[int], stop: Stop, cell: int | None = None) -> pa.Table:
        """Rows by their places, in the order of `ids`."""
        ...

    def batches(
        self, table: Table, expressions: Mapping[str, str], stop: Stop, rows: int = 2048
    ) -> Iterator[pa.RecordBatch]:
        """SQL expressions, by the names they are given, over all rows in order, `rows` of them or so at a time."""
        ...

    def aggregate(self, table: Table, expressions: Sequence[str], stop: Stop, head: int | None = None) -> Sequence[Any]:
        """SQL aggregates over all rows in one pass, or over `head` of the first ones."""
        ...

    def sql(self, text: str, split: Split, stop: Stop) -> AbstractContextManager[pa.RecordBatchReader]:
        """One SELECT of a person's own; the split is the view `data`, every split opened "config.split"."""
        ...

    def close(self) -> None:
        """Let go of files and memory."""
        ...
