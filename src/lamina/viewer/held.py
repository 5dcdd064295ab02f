"""Row groups that were looked at before, held decoded: turning a page there, or looking up hits, reads no file."""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock
from typing import TYPE_CHECKING

from .duck import Query
from .scans import Group, ParquetScan

if TYPE_CHECKING:
    import pyarrow as pa

Key = tuple[str, int]
LARGEST = 4  # row groups that fit the room at least, so that one of them never takes all of it
AT_ONCE = 4  # row groups that one request decodes at most: a search may ask for a row of each


class HeldGroups:
    """Decoded row groups, those used longest ago dropped beyond `room` bytes.

    One is held from the second look on, if that comes so soon that it would still be held had the first look done it:
    jumping about in a large file decodes nothing but the pages.
    """

    def __init__(self, room: int) -> None:
        self._room = room
        self._seen: OrderedDict[Key, int] = OrderedDict()  # and their bytes
        self._held: OrderedDict[Key, pa.Table] = OrderedDict()
        self._lock = Lock()

    def some(self, query: Query, scan: ParquetScan, split: str, ids: Sequence[int]) -> tuple[list[pa.Table], list[int]]:
        """Rows of these numbers from held groups, numbers last, and the numbers that must be read from the files."""
        import pyarrow as pa

        starts = [group.start for group in scan.groups]
        wanted: dict[int, list[int]] = {}
        for number in ids:
            wanted.setdefault(bisect_right(starts, number) - 1, []).append(number)
        found, left, decoded = [], [], 0
        for place, numbers in wanted.items():
            group = scan.groups[place]
            table, fresh = self._table(query, scan, group, (split, place), decoded < AT_ONCE)
            decoded += fresh
            if table is None:
                left += numbers
            elif numbers == list(range(numbers[0], numbers[0] + len(numbers))):  # a page
                found.append(table.slice(numbers[0] - group.start, len(numbers)))
            else:
                found.append(table.take(pa.array([number - group.start for number in numbers])))
        return found, left

    def _table(
        self, query: Query, scan: ParquetScan, group: Group, key: Key, may_decode: bool
    ) -> tuple[pa.Table | None, bool]:
        """The group as a table if it is held, or is from now on; and whether it was decoded for that."""
        with self._lock:
            table = self._held.get(key)
            if table is not None:
                self._held.move_to_end(key)
                return table, False
            known = self._seen.pop(key, None) is not None
            self._seen[key] = group.size
            while sum(self._seen.values()) > self._room:
                self._seen.popitem(last=False)
        if not known or not may_decode or group.size * LARGEST > self._room:
            return None, False
        table = scan.group(query, group)
        if table.num_rows != group.end - group.start or table.nbytes * LARGEST > self._room:
            return None, True
        with self._lock:
            self._held[key] = table
            while sum(each.nbytes for each in self._held.values()) > self._room:
                self._held.popitem(last=False)
        return table, True
