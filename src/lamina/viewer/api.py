"""The official endpoints that show rows."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from . import search as searching
from .cells import fitted, page_answer, row_items
from .dataset import Split
from .engine import Page, Table
from .errors import MissingParameter, TooBig, ViewerError
from .features import listed
from .responses import answer
from .schemas import FirstRows, IsValid, Rows, Splits, documented
from .settings import PAGE_ROWS
from .stop import Stop
from .viewer import Viewer, viewer_of
from .where import parse_orderby, parse_where

routes = APIRouter()
Name = Annotated[str | None, Query(max_length=500)]
Offset = Annotated[int, Query(ge=0, le=2**62)]
Length = Annotated[int, Query(ge=0, le=PAGE_ROWS)]
CellSize = Annotated[int | None, Query(ge=100, le=1 << 30, description="bytes of JSON after which a cell is cut")]
FIRST_BYTES = 1_000_000  # of /first-rows, as officially
FIRST_ROWS = 10  # that it has at least
MOST_COLUMNS = 1000


@routes.get("/splits", responses=documented(Splits))
async def splits(request: Request, dataset: Name = None, config: Name = None) -> Response:
    """The splits of the data set, or of one config; `failed` names what was left out, and why."""
    viewer = viewer_of(request)
    viewer.named(dataset)
    own = viewer.dataset
    chosen = own.configs.values() if config is None else [own.config(config)]
    found = [{"dataset": own.name, "config": each.name, "split": split} for each in chosen for split in each.splits]
    failed = [
        {"dataset": own.name, "config": why.config, "split": why.split, "error": {"error": why.message}}
        for why in own.failures
        if config is None or why.config in (None, config)
    ]
    return answer({"splits": found, "pending": [], "failed": failed}, own.revision)


@routes.get("/is-valid", responses=documented(IsValid))
async def is_valid(request: Request, dataset: Name = None, config: Name = None, split: Name = None) -> Response:
    """What can be done with a split; without one, with any split."""
    viewer = viewer_of(request)
    viewer.named(dataset)
    if split is not None:
        chosen: list[Split] = [viewer.dataset.split(config, split)]
    else:
        configs = viewer.dataset.configs.values() if config is None else [viewer.dataset.config(config)]
        chosen = [each for config_ in configs for each in config_.splits.values()]
    readable = text = False
    for each in chosen:
        try:
            table = await viewer.opened(request, each)
        except ViewerError:
            continue
        readable, text = True, text or bool(searching.searchable(table))
        if text:
            break
    names = ("preview", "viewer", "filter", "statistics")
    return answer({**dict.fromkeys(names, readable), "search": text}, viewer.dataset.revision)


@routes.get("/first-rows", responses=documented(FirstRows))
async def first_rows(request: Request, dataset: Name = None, config: Name = None, split: Name = None) -> Response:
    """The first rows, at most 100 and 1 MB of them; long cells are cut."""
    viewer = viewer_of(request)
    table = await viewer.opened(request, viewer.split(dataset, config, split))
    if len(table.types) > MOST_COLUMNS:
        raise TooBig(f"the split has {len(table.types):,} columns; /first-rows shows at most {MOST_COLUMNS:,}")
    page = await viewer.run(request, lambda stop: viewer.engine.rows(table, 0, PAGE_ROWS, stop, FIRST_BYTES))
    items, dropped = fitted(row_items(page.rows, page.ids, table.features, FIRST_BYTES), FIRST_BYTES, FIRST_ROWS)
    own = table.split
    return answer(
        {
            "dataset": viewer.dataset.name,
            "config": own.config,
            "split": own.name,
            "features": listed(table.features),
            "rows": items,
            "truncated": dropped or len(items) < table.num_rows,
        },
        viewer.dataset.revision,
    )


@routes.get("/rows", responses=documented(Rows))
async def rows(
    request: Request,
    dataset: Name = None,
    config: Name = None,
    split: Name = None,
    offset: Offset = 0,
    length: Length = PAGE_ROWS,
    cell: CellSize = None,
    full: bool = False,
) -> Response:
    """Up to 100 rows from a place. `cell` and `full` are ours: how long a cell may be, and whether none is cut."""
    viewer = viewer_of(request)
    table = await viewer.opened(request, viewer.split(dataset, config, split))
    size = _size(viewer, cell, full)
    page = await viewer.run(request, lambda stop: viewer.engine.rows(table, offset, length, stop, size))
    return _shown(viewer, table, page, size, full)


@routes.get("/filter", responses=documented(Rows))
async def filter_rows(
    request: Request,
    dataset: Name = None,
    config: Name = None,
    split: Name = None,
    where: str | None = None,
    orderby: str | None = None,
    offset: Offset = 0,
    length: Length = PAGE_ROWS,
    cell: CellSize = None,
) -> Response:
    """Rows that fulfil `where`, such as "stars" >= 4 and "text" ilike '%fine%', in the order of `orderby`."""
    viewer = viewer_of(request)
    table = await viewer.opened(request, viewer.split(dataset, config, split))
    condition = parse_where(where, table.types, table.features) if where else None
    order = parse_orderby(orderby, table.types, table.features) if orderby else []
    size = _size(viewer, cell)
    page = await viewer.run(
        request, lambda stop: viewer.engine.select(table, condition, order, offset, length, stop, size)
    )
    return _shown(viewer, table, page, size)


@routes.get("/search", responses=documented(Rows, s400="The split has no text"))
async def search(
    request: Request,
    query: str,
    dataset: Name = None,
    config: Name = None,
    split: Name = None,
    where: str | None = None,
    orderby: str | None = None,
    offset: Offset = 0,
    length: Length = PAGE_ROWS,
    cell: CellSize = None,
) -> Response:
    """Rows with any of the words, best first. `where` and `orderby` are ours: hits are filtered and sorted by them."""
    if not query.strip():
        raise MissingParameter("Parameter 'query' is required")
    viewer = viewer_of(request)
    table = await viewer.opened(request, viewer.split(dataset, config, split))
    condition = parse_where(where, table.types, table.features) if where else None
    order = parse_orderby(orderby, table.types, table.features) if orderby else []
    size = _size(viewer, cell)
    index = await viewer.index(request, table)

    def work(stop: Stop) -> Page:
        if condition is not None or order:
            hits, _ = index.found(query, stop)
            return viewer.engine.select(table, condition, order, offset, length, stop, size, hits)
        hits, total = index.found(query, stop, offset, length)
        return Page(hits, viewer.engine.take(table, hits, stop, size), total)

    return _shown(viewer, table, await viewer.run(request, work), size)


def _size(viewer: Viewer, cell: int | None, full: bool = False) -> int:
    """The bytes of JSON that a cell may take up."""
    if full:
        return viewer.settings.full_cell
    return min(cell or viewer.settings.cell, viewer.settings.cell)


def _shown(viewer: Viewer, table: Table, page: Page, size: int, full: bool = False) -> Response:
    items = row_items(page.rows, page.ids, table.features, size)
    if not full:
        items, _ = fitted(items, viewer.settings.response)
    content = page_answer(table.features, items, page.total, table.partial, table.notices)
    return answer(content, viewer.dataset.revision)
