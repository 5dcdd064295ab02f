"""The official endpoints that show rows."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from .cells import fitted, page_answer, row_items
from .responses import answer
from .settings import PAGE_ROWS
from .viewer import viewer_of

routes = APIRouter()
Name = Annotated[str | None, Query(max_length=500)]
Offset = Annotated[int, Query(ge=0, le=2**62)]
Length = Annotated[int, Query(ge=0, le=PAGE_ROWS)]
CellSize = Annotated[int | None, Query(ge=100, le=1 << 30, description="bytes of JSON after which a cell is cut")]


@routes.get("/splits")
async def splits(request: Request, dataset: Name = None, config: Name = None) -> Response:
    """The splits of the data set, or of one config."""
    viewer = viewer_of(request)
    viewer.named(dataset)
    open_set = viewer.dataset
    chosen = open_set.configs.values() if config is None else [open_set.config(config)]
    found = [
        {"dataset": open_set.name, "config": each.name, "split": split} for each in chosen for split in each.splits
    ]
    failed = [
        {"dataset": open_set.name, "config": why.config, "split": why.split, "error": {"error": why.message}}
        for why in open_set.failures
        if config is None or why.config in (None, config)
    ]
    return answer({"splits": found, "pending": [], "failed": failed}, open_set.revision)


@routes.get("/rows")
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
    size = viewer.settings.full_cell if full else min(cell or viewer.settings.cell, viewer.settings.cell)
    page = await viewer.run(request, lambda stop: viewer.engine.rows(table, offset, length, stop, size))
    items = row_items(page.rows, page.ids, table.features, size)
    if not full:
        items, _ = fitted(items, viewer.settings.response)
    return answer(page_answer(table.features, items, page.total, table.partial, table.notices), viewer.dataset.revision)
