"""Full-text search: an SQLite FTS5 index of the words of a split, built once and kept in the cache.

The index holds no texts, only where words occur. Words are found in any form of theirs in English (Porter), with or
without accents; no word is too common to be found. Han, kana and Hangul are indexed by character, so that parts of
words are found in languages that do not put spaces between them.
"""

from __future__ import annotations

import re
import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from itertools import pairwise
from pathlib import Path
from threading import Lock
from typing import Any

from .dataset import Features
from .duck import identifier
from .engine import Engine, Table
from .errors import Cancelled, InvalidParameter, SearchUnavailable, ViewerError
from .features import class_names
from .jobs import Progress
from .keeping import prune, touch, written
from .stop import Stop

VERSION = 1  # of the index's form; part of its name
LARGEST = 10 << 30  # bytes of all indexes
LONGEST = 1000  # characters of a query
WORDS = 50
HEAD = 1000  # hits that are looked for at once, and remembered for the next page
REMEMBERED = 100  # queries
SHARED = 100_000  # rows a thread has at least
BY_CHARACTER = re.compile(
    "([\u1100-\u11ff\u3040-\u30ff\u3130-\u318f\u31f0-\u31ff\u3400-\u9fff"
    "\uac00-\ud7a3\uf900-\ufaff\U00020000-\U0003ffff])"
)
PHRASE = re.compile(r'"([^"]*)"|(\S+)')


class Index:
    """The index of one split. Long lists of hits are gone through by several threads, each with a range of the rows."""

    def __init__(self, path: Path, rows: int, threads: int = 1) -> None:
        self.path = path
        self._ranges = ranges(rows, threads)
        self._known: OrderedDict[str, tuple[int, list[int]]] = OrderedDict()
        self._lock = Lock()

    def found(self, query: str, stop: Stop, offset: int = 0, length: int | None = None) -> tuple[list[int], int]:
        """Numbers of the rows with any of the query's words, best first (BM25), and how many there are in all.

        Words in double quotes are searched as a phrase.
        """
        expression = match_expression(query)
        if not expression:
            return [], 0
        end = None if length is None else offset + length
        if end is None or end > HEAD:
            total, hits = self._hits(expression, end, stop)
            return hits[offset:], total
        with self._lock:
            known = self._known.get(expression)
        total, hits = known or self._hits(expression, HEAD, stop)
        with self._lock:
            self._known[expression] = total, hits
            self._known.move_to_end(expression)
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        return hits[offset:end], total

    def _hits(self, expression: str, most: int | None, stop: Stop) -> tuple[int, list[int]]:
        """How many hits there are, and the numbers of the best."""
        touch(self.path)
        with ThreadPoolExecutor(len(self._ranges), thread_name_prefix="viewer-search") as pool:
            portions = list(pool.map(lambda rows: self._best(expression, rows, most, stop), self._ranges))
        best = sorted(hit for _, hits in portions for hit in hits)
        return sum(total for total, _ in portions), [number for _, number in best[:most]]

    def _best(
        self, expression: str, rows: tuple[int, int], most: int | None, stop: Stop
    ) -> tuple[int, list[tuple[float, int]]]:
        """The same of a range of rows; ranks are those of the whole index, so that ranges can be joined by them."""
        inside = "FROM words WHERE words MATCH ? AND rowid BETWEEN ? AND ?"
        with _opened(self.path, stop, writable=False) as connection:
            total = connection.execute(f"SELECT count(*) {inside}", [expression, *rows]).fetchone()[0]
            best = connection.execute(
                f"SELECT rank, rowid {inside} ORDER BY rank, rowid LIMIT ?",
                [expression, *rows, -1 if most is None else most],
            )
            return total, best.fetchall()


def ranges(rows: int, threads: int) -> list[tuple[int, int]]:
    """First and last row of as many ranges as threads can share without being in each other's way."""
    count = max(1, min(threads, rows // SHARED))
    ends = [place * rows // count for place in range(count + 1)]
    return [(start, end - 1) for start, end in pairwise(ends)]


def searchable(table: Table) -> list[str]:
    """The columns whose words are indexed: texts, also inside lists and structs, and names of classes."""
    return [
        name
        for name, kind in table.types.items()
        if class_names(table.features.get(name)) is not None or "VARCHAR" in kind or kind.startswith(("JSON", "ENUM"))
    ]


def index_path(table: Table, cache: Path) -> Path:
    """Where the index of a split is kept: a change of its files gives it another name."""
    return cache / "search" / f"{table.split.fingerprint}-{VERSION}.sqlite"


def build(engine: Engine, table: Table, cache: Path, stop: Stop, progress: Progress, threads: int = 1) -> Index:
    """The index of a split, from the cache or built now. Raises SearchUnavailable where there is no text."""
    columns = searchable(table)
    if not columns:
        raise SearchUnavailable("no column of this split holds text, so it cannot be searched")
    path = index_path(table, cache)
    index = Index(path, table.num_rows, threads)
    if path.is_file():
        return index
    progress.total, progress.label = table.num_rows, "search index"
    prune(path.parent, LARGEST)
    with written(path) as fresh:
        _fill(fresh, engine, table, columns, stop, progress)
    return index


def _fill(path: Path, engine: Engine, table: Table, columns: Sequence[str], stop: Stop, progress: Progress) -> None:
    names = [f"c{place}" for place in range(len(columns))]
    readers = [_reader(table.features, column) for column in columns]
    insert = f"INSERT INTO words (rowid, {', '.join(names)}) VALUES (?{', ?' * len(names)})"
    with _opened(path, stop, writable=True) as connection:
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute(
            f"CREATE VIRTUAL TABLE words USING fts5({', '.join(names)}, content = '', "
            "tokenize = 'porter unicode61 remove_diacritics 2')"
        )
        with connection:
            start = 0
            for batch in engine.batches(table, {column: identifier(column) for column in columns}, stop):
                texts = [map(read, batch.column(place).to_pylist()) for place, read in enumerate(readers)]
                connection.executemany(insert, zip(range(start, start + batch.num_rows), *texts, strict=True))
                start += batch.num_rows
                progress.done = start
        with connection:
            connection.execute("INSERT INTO words (words) VALUES ('optimize')")


def _reader(features: Features, column: str) -> Callable[[Any], str | None]:
    """What turns a cell into the text that is indexed."""
    names = class_names(features.get(column))
    if names is None:
        return _text

    def name(number: Any) -> str | None:
        known = isinstance(number, int) and 0 <= number < len(names)
        return spaced(names[number].replace("_", " ")) if known else None

    return name


def _text(value: Any) -> str | None:
    if isinstance(value, str):
        return spaced(value)
    if value is None:
        return None
    return spaced("\n".join(_strings(value)))


def _strings(value: Any) -> Iterator[str]:
    """The texts inside lists and structs."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _strings(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _strings(each)


def spaced(text: str) -> str:
    """Text whose characters of scripts without spaces stand apart; null characters would end it for SQLite."""
    if text.isascii():
        return text.replace("\0", " ") if "\0" in text else text
    return BY_CHARACTER.sub(r" \1 ", text.replace("\0", " ").encode("utf-8", "replace").decode("utf-8"))


def match_expression(query: str) -> str:
    """A query as FTS5's own: every word and quoted phrase as a string, joined by OR; nothing in it is an operator."""
    if len(query) > LONGEST:
        raise InvalidParameter(f"Parameter 'query' is longer than {LONGEST} characters")
    phrases = []
    for match in PHRASE.finditer(query):
        phrase = spaced(match[1] if match[1] is not None else match[2]).replace('"', " ").strip()
        if any(character.isalnum() for character in phrase):
            phrases.append(f'"{phrase}"')
    return " OR ".join(dict.fromkeys(phrases[:WORDS]))


@contextmanager
def _opened(path: Path, stop: Stop, writable: bool) -> Iterator[sqlite3.Connection]:
    mode = "rwc" if writable else "ro&immutable=1"
    opened = closing(sqlite3.connect(f"{path.as_uri()}?mode={mode}", uri=True, check_same_thread=False))
    try:
        with opened as connection, stop.interrupting(connection.interrupt):
            yield connection
    except sqlite3.OperationalError as problem:
        if "interrupted" in str(problem):
            stop.check()
            raise Cancelled("the search was interrupted") from None
        raise ViewerError(f"the search index cannot be used: {problem}; remove {path} to have it built anew") from None
    except sqlite3.Error as problem:
        raise ViewerError(f"the search index cannot be used: {problem}; remove {path} to have it built anew") from None
