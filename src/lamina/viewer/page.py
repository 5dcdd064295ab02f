"""The page: its files, what it shows around the rows, and cells too long to send whole."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from .cells import decoded, dumps, python_values
from .dataset import Split
from .errors import InvalidParameter, NotFound, Refused, TooBig
from .stop import Stop
from .viewer import Viewer, viewer_of

STATIC = Path(__file__).parent / "static"
KINDS = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
# Nothing from elsewhere and no inline code: a text of the data that looks like a script can never run as one.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
PRIVATE = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
PIECE = 1_000_000  # characters of a cell sent at once


def only_this_page(request: Request) -> None:
    """Raise Refused where another site's page asks: what this page may do is more than the API offers to all."""
    origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site")
    own = origin is None or origin.partition("://")[2] == request.headers.get("host")
    if not own or site in ("cross-site", "same-site"):
        raise Refused("this address answers the viewer's own page only; other programs use the API, see /openapi.json")


class LastCell:
    """The text of the cell asked for last: a long one is fetched in pieces, and is read from its file once."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._key: tuple[Any, ...] = ()
        self._text = ""

    def text(self, key: tuple[Any, ...], read: Callable[[], str]) -> str:
        """What `read` returns, or what it returned for the same key just before."""
        with self._lock:
            if key == self._key:
                return self._text
        text = read()
        with self._lock:
            self._key, self._text = key, text
        return text


def cell_text(viewer: Viewer, split: Split, row: int, column: str, stop: Stop) -> str:
    """A cell as text, of any type and length: JSON unless it is text already."""
    table = viewer.engine.open(split, stop)
    if column not in table.features:
        raise InvalidParameter(f"there is no column {column!r}; the columns are: {', '.join(table.features)}")
    if not 0 <= row < table.num_rows:
        raise NotFound(f"there is no row {row}: the split has {table.num_rows}")
    alone = replace(table, types={column: table.types[column]})  # nothing else of the row need be read
    value = python_values(viewer.engine.take(alone, [row], stop).column(column))[0]
    feature = table.features[column]
    if isinstance(feature, dict) and feature.get("_type") == "Json":
        value = decoded(value)
    text = value if isinstance(value, str) else dumps(value).decode("utf-8")
    if len(text) > viewer.settings.full_cell:
        raise TooBig(f"the cell has {len(text)} characters; the viewer sends {viewer.settings.full_cell} at most")
    return text


def overview(viewer: Viewer) -> dict[str, Any]:
    """What the page must know before it asks for rows; nothing of the data is read."""
    dataset = viewer.dataset
    hub = dataset.root.is_relative_to(viewer.settings.hub_cache)
    saved = {"state.json", "dataset_dict.json"} & {file.name for file in dataset.others}
    return {
        "name": dataset.name,
        "root": str(dataset.root),
        "kind": "hub" if hub else "saved" if saved else "files",
        "parted": "dataset_dict.json" in saved,
        "default": dataset.default,
        "configs": [
            {"config": config.name, "splits": [described(split) for split in config.splits.values()]}
            for config in dataset.configs.values()
        ],
        "failures": [{"file": each.file, "message": each.message} for each in dataset.failures],
    }


def described(split: Split) -> dict[str, Any]:
    """A split's files, for the lines of code that open them elsewhere."""
    return {
        "split": split.name,
        "format": split.format,
        "num_bytes": sum(file.size for file in split.files),
        "files": [file.place for file in split.files],
    }


def static_files() -> dict[str, tuple[bytes, str, str]]:
    """Name -> content, type and tag of every file of the page. Only these are ever served."""
    found = {}
    for path in sorted(STATIC.iterdir()):
        if path.suffix in KINDS:
            content = path.read_bytes()
            found[path.name] = (content, KINDS[path.suffix], f'"{hashlib.sha256(content).hexdigest()[:20]}"')
    return found


routes = APIRouter(include_in_schema=False)  # the API's own description is the official one
last = LastCell()
files = static_files()


def file(name: str, request: Request) -> Response:
    """One file of the page; the browser keeps it, and asks each time whether it has changed."""
    if name not in files:
        raise NotFound(f"the page has no file {name!r}")
    content, kind, tag = files[name]
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers={**HEADERS, "ETag": tag})
    return Response(content, media_type=kind, headers={**HEADERS, "ETag": tag})


@routes.get("/")
def page(request: Request) -> Response:
    return file("index.html", request)


@routes.get("/static/{name}")
def static(name: str, request: Request) -> Response:
    return file(name, request)


@routes.get("/view/overview", dependencies=[Depends(only_this_page)])
def view_overview(request: Request) -> Response:
    """What there is to look at."""
    return Response(dumps(overview(viewer_of(request))), media_type="application/json", headers=PRIVATE)


@routes.get("/view/cell", dependencies=[Depends(only_this_page)])
async def view_cell(
    request: Request,
    config: str,
    split: str,
    column: str,
    row: Annotated[int, Query(ge=0, le=2**62)],
    offset: Annotated[int, Query(ge=0, le=2**62)] = 0,
    length: Annotated[int, Query(ge=1, le=PIECE)] = PIECE,
    download: bool = False,
) -> Response:
    """A piece of a long cell, or all of it as a file."""
    viewer = viewer_of(request)
    place = viewer.dataset.split(config, split)
    key = (place.fingerprint, row, column)
    text = await viewer.run(request, lambda stop: last.text(key, lambda: cell_text(viewer, place, row, column, stop)))
    if download:
        name = quote(f"{column}-{row}.txt".replace("/", "_"))
        saved = {"Content-Disposition": f"attachment; filename*=UTF-8''{name}"}
        return Response(text.encode("utf-8", "replace"), media_type="text/plain", headers={**PRIVATE, **saved})
    end = min(len(text), offset + length)
    answer = {"text": text[offset:end], "end": end, "next": end if end < len(text) else None, "total": len(text)}
    return Response(dumps(answer), media_type="application/json", headers=PRIVATE)
