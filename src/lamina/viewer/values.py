"""All values of a column as numbers, however many: their moments, middle and bars, exact and in bounded memory.

Values are gone through in pieces as often as needed. Where they fit, the pieces are held; where not, read again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

    Array = np.ndarray[Any, np.dtype[Any]]

DIGIT = 16  # bits of a value that one pass of the search for the middle settles
SIGN = np.uint64(1 << 63)


class Values:
    """Numbers that are there, no nulls. `held` says that going through the pieces again costs nothing."""

    def __init__(self, pieces: Callable[[], Iterable[Array]], held: bool) -> None:
        self._pieces = pieces
        self.held = held

    @cached_property
    def _sums(self) -> tuple[int, Any, Any, float, float]:
        """Count, least, greatest, mean and squared distances from it, each piece's joined to those before (Chan)."""
        count, low, high, mean, squares = 0, None, None, 0.0, 0.0
        for piece in self._pieces():
            if not len(piece):
                continue
            least, most = piece.min(), piece.max()
            low = least if low is None else min(low, least)
            high = most if high is None else max(high, most)
            with np.errstate(over="ignore", invalid="ignore"):
                own = piece.mean(dtype=np.float64)
                away, apart = piece - own, own - mean
                joined = count + len(piece)
                squares += np.dot(away, away) + apart * apart * count * len(piece) / joined
                mean += apart * len(piece) / joined
            count = joined
        return count, low, high, float(mean), float(squares)

    @property
    def count(self) -> int:
        return self._sums[0]

    @property
    def low(self) -> Any:
        """The least, None where there are none."""
        low = self._sums[1]
        return None if low is None else low.item()

    @property
    def high(self) -> Any:
        """The greatest, None where there are none."""
        high = self._sums[2]
        return None if high is None else high.item()

    @property
    def mean(self) -> float:
        return self._sums[3]

    @property
    def deviation(self) -> float | None:
        """Standard deviation of the sample, None for a single value."""
        if self.count < 2:
            return None
        return math.sqrt(self._sums[4] / (self.count - 1))

    def median(self) -> float:
        """The middle one, or the mean of the two in the middle."""
        places = (self.count - 1) // 2, self.count // 2
        if self.held:
            whole = np.concatenate(list(self._pieces()))
            whole.partition(places)
            low, high = (whole[place].item() for place in places)
        else:
            low, equal = self._placed(places[0])
            high = low if places[1] < equal else self._least_above(low)
        return float(low if low == high else low / 2 + high / 2 if isinstance(low, float) else (low + high) / 2)

    def _least_above(self, bound: Any) -> Any:
        return min(piece[piece > bound].min() for piece in self._pieces() if (piece > bound).any()).item()

    def _placed(self, place: int) -> tuple[Any, int]:
        """The value at a place of the sorted ones and how many are not above it, settled a digit of its bits a pass."""
        kind: np.dtype[Any] = np.dtype(np.float64)
        prefix, before = 0, 0
        for shift in range(64 - DIGIT, -1, -DIGIT):
            counts = np.zeros(1 << DIGIT, np.int64)
            for piece in self._pieces():
                kind, keys = piece.dtype, sortable(piece)
                if shift < 64 - DIGIT:
                    keys = keys[keys >> np.uint64(shift + DIGIT) == np.uint64(prefix)]
                digits = (keys >> np.uint64(shift)) & np.uint64((1 << DIGIT) - 1)
                counts += np.bincount(digits.astype(np.int64), minlength=1 << DIGIT)
            sums = np.cumsum(counts)
            digit = int(np.searchsorted(sums, place - before, side="right"))
            prefix, upto = prefix << DIGIT | digit, before + int(sums[digit])
            before = upto - int(counts[digit])
        return from_sortable(prefix, kind), upto

    def infinite(self) -> int:
        return sum(int(np.count_nonzero(np.isinf(piece))) for piece in self._pieces())

    def below(self, edges: Sequence[float]) -> list[int]:
        """How many are less than each edge."""
        counts = [0] * len(edges)
        for piece in self._pieces() if edges else ():
            for place, edge in enumerate(edges):
                counts[place] += int(np.count_nonzero(piece < edge))
        return counts

    def mapped(self, change: Callable[[Array], Array]) -> Values:
        """The values after a change that keeps them numbers."""
        if not self.held:
            return Values(lambda: map(change, self._pieces()), held=False)
        changed = [change(piece) for piece in self._pieces()]
        return Values(lambda: changed, held=True)


def sortable(piece: Array) -> Array:
    """Unsigned integers in the order of the values."""
    if piece.dtype.kind == "u":
        return piece.astype(np.uint64)
    if piece.dtype.kind == "i":
        return piece.astype(np.int64).view(np.uint64) ^ SIGN
    bits = (piece.astype(np.float64) + 0.0).view(np.uint64)  # -0.0 is 0.0
    return np.where(bits & SIGN, ~bits, bits ^ SIGN)


def from_sortable(key: int, kind: np.dtype[Any]) -> Any:
    """The value of such an integer."""
    if kind.kind == "u":
        return key
    if kind.kind == "i":
        return key - (1 << 63)
    bits = np.uint64(key)
    return (bits ^ SIGN if bits & SIGN else ~bits).view(np.float64).item()


def numbers(column: pa.Array) -> Array:
    """An Arrow column without its nulls, as NumPy has it; nothing is copied where there are none."""
    whole: Array = (column.drop_null() if column.null_count else column).to_numpy(zero_copy_only=False)
    return whole


def finite(piece: Array) -> Array:
    kept = np.isfinite(piece)
    return piece if kept.all() else piece[kept]


def seconds_since(first: int) -> Callable[[Array], Array]:
    """From microseconds to the whole seconds since a moment, without overflow anywhere between."""
    whole, rest = divmod(first, 1_000_000)

    def change(piece: Array) -> Array:
        seconds, left = np.divmod(piece, 1_000_000)
        found: Array = seconds - whole - (left < rest)
        return found

    return change
