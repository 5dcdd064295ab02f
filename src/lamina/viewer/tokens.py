"""Token lengths of a text column under a tokenizer of this machine, sent while they are counted."""

from __future__ import annotations

import heapq
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from .cells import dumps
from .dataset import Split
from .duck import identifier
from .errors import InvalidParameter, NotFound, TokenizerFailure, ViewerError
from .features import dtype
from .page import PRIVATE, only_this_page
from .settings import Settings
from .stop import Stop
from .streaming import streamed
from .viewer import Viewer, viewer_of

BUILT_IN = Path(__file__).parent.parent / "assets" / "sentiment"
FILES = ("tokenizer.json", "vocab.txt", "vocab.json")
TEXTS = 1000  # texts counted at once, unless they are long
CHARACTERS = 2_000_000  # of the texts counted at once
LONGEST = 5_000_000  # characters of a text that are counted; what lies beyond is cut off, and said so
EVERY = 0.2  # seconds between two looks at the counts
TOP = 10  # longest rows that are named


@dataclass(frozen=True)
class Named:
    """A tokenizer that may be used: only these folders are ever read, whatever a request says."""

    id: str
    name: str
    folder: Path


def available(settings: Settings) -> list[Named]:
    """Tokenizers named on the command line, then those of the Hub's cache, then the one that comes with the package."""
    found = [Named(f"given-{place}", folder.name, folder) for place, folder in enumerate(settings.tokenizers)]
    for repository in sorted(settings.hub_cache.glob("models--*")):
        snapshots = [path for path in repository.glob("snapshots/*") if any((path / name).is_file() for name in FILES)]
        if snapshots:
            name = repository.name.removeprefix("models--").replace("--", "/")
            found.append(Named(name, name, max(snapshots, key=lambda path: path.stat().st_mtime)))
    if BUILT_IN.is_dir():
        found.append(Named("built-in", "BERT, uncased (built in)", BUILT_IN))
    return found


class Child:
    def __init__(self, process: subprocess.Popen[bytes], tokenizer: Named, stop: Stop) -> None:
        self._process = process
        self._tokenizer = tokenizer
        self._stop = stop
        self.model_max_length: int | None = self._hello()

    def _hello(self) -> int | None:
        said = self._answer()
        if "error" in said:
            raise TokenizerFailure(f"the tokenizer in {self._tokenizer.folder} cannot be read: {said['error']}")
        length: int | None = said["model_max_length"]
        return length

    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, special tokens included."""
        assert self._process.stdin
        with suppress(OSError):  # it has ended, and reading its answer says so
            self._process.stdin.write(json.dumps(texts).encode() + b"\n")
            self._process.stdin.flush()
        counts: list[int] = self._answer()
        return counts

    def _answer(self) -> Any:
        assert self._process.stdout
        line = self._process.stdout.readline()
        self._stop.check()
        if not line:
            raise TokenizerFailure(f"the tokenizer in {self._tokenizer.folder} failed on these texts")
        return json.loads(line)


@contextmanager
def counter(tokenizer: Named, settings: Settings, stop: Stop) -> Iterator[Child]:
    """A counting process, ended with the block or by the Stop."""
    command = [sys.executable, "-m", "lamina.viewer.counting", str(settings.threads), str(tokenizer.folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            with stop.interrupting(process.kill):
                yield Child(process, tokenizer, stop)
        finally:
            process.kill()
            assert process.stdin
            with suppress(OSError):  # what it has not read any more
                process.stdin.close()


class Tally:
    def __init__(self, total: int, model_max_length: int | None) -> None:
        self.total = total
        self.model_max_length = model_max_length
        self.counts: Counter[int] = Counter()
        self.longest: list[tuple[int, int]] = []
        self.done = self.nulls = self.cut = 0

    def add(self, rows: Sequence[int], lengths: Sequence[int]) -> None:
        self.counts.update(lengths)
        self.longest = heapq.nlargest(TOP, [*self.longest, *zip(lengths, (-row for row in rows), strict=True)])

    def event(self, finished: bool) -> bytes:
        """The state as one line of JSON."""
        state = {
            "done": self.done,
            "total": self.total,
            "nulls": self.nulls,
            "cut": self.cut,
            "finished": finished,
            "model_max_length": self.model_max_length,
            "counts": sorted(self.counts.items()),
            "longest": [[-row, length] for length, row in self.longest],
        }
        return dumps(state) + b"\n"


def portions(texts: Sequence[str | None], start: int) -> Iterator[tuple[list[int], list[str]]]:
    """Texts that are there, with their rows, in portions of bounded size."""
    rows: list[int] = []
    portion: list[str] = []
    size = 0
    for row, text in enumerate(texts, start):
        if text is None:
            continue
        rows.append(row)
        portion.append(text[:LONGEST])
        size += len(portion[-1])
        if len(portion) == TEXTS or size >= CHARACTERS:
            yield rows, portion
            rows, portion, size = [], [], 0
    if portion:
        yield rows, portion


def events(
    viewer: Viewer, split: Split, column: str, tokenizer: Named, most: int | None, stop: Stop
) -> Generator[bytes, None, None]:
    """Lines of JSON, each the counts so far; the last one is finished, or says what went wrong."""
    table = viewer.engine.open(split, stop)
    if "string" not in (dtype(table.features.get(column)) or ""):
        raise InvalidParameter(f"there is no column of text {column!r}")
    total = table.num_rows if most is None else min(most, table.num_rows)
    with counter(tokenizer, viewer.settings, stop) as child:
        tally = Tally(total, child.model_max_length)
        yield tally.event(finished=not total)
        try:
            yield from counted(viewer.engine.batches(table, {column: identifier(column)}, stop), child, tally)
        except ViewerError as problem:
            stop.check()
            yield dumps({"error": str(problem)}) + b"\n"


def counted(batches: Iterator[Any], child: Child, tally: Tally) -> Iterator[bytes]:
    """Counts until as many rows are done as wanted."""
    told = time.monotonic()
    for batch in batches:
        texts = batch.column(0).slice(0, tally.total - tally.done).to_pylist()
        start = tally.done
        for rows, portion in portions(texts, start):
            tally.add(rows, child.count(portion))
            tally.done = rows[-1] + 1
            if time.monotonic() - told > EVERY:
                told = time.monotonic()
                yield tally.event(finished=False)
        tally.done = start + len(texts)
        tally.nulls += texts.count(None)
        tally.cut += sum(len(text) > LONGEST for text in texts if text is not None)
        if tally.done >= tally.total:
            break
    yield tally.event(finished=True)


routes = APIRouter(include_in_schema=False, dependencies=[Depends(only_this_page)])


@routes.get("/view/tokenizers")
def view_tokenizers(request: Request) -> Response:
    found = [{"id": each.id, "name": each.name} for each in available(viewer_of(request).settings)]
    return Response(dumps({"tokenizers": found}), media_type="application/json", headers=PRIVATE)


@routes.get("/view/tokens")
async def view_tokens(
    request: Request,
    column: str,
    tokenizer: str,
    config: str | None = None,
    split: str | None = None,
    rows: Annotated[int | None, Query(ge=1, le=2**62)] = None,
) -> Response:
    """Lines of JSON while the first `rows` rows, or all, are counted. Leaving ends it."""
    viewer = viewer_of(request)
    place = viewer.dataset.split(config, split)
    chosen = next((each for each in available(viewer.settings) if each.id == tokenizer), None)
    if chosen is None:
        raise NotFound(f"there is no tokenizer {tokenizer!r}; name its folder: lamina view DATA --tokenizer FOLDER")
    headers = {**PRIVATE, "X-Accel-Buffering": "no"}

    def produce(stop: Stop) -> Generator[bytes, None, None]:
        return events(viewer, place, column, chosen, rows, stop)

    return await streamed(request, produce, "application/x-ndjson", headers, viewer.settings.timeout)
