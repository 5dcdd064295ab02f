"""The official endpoints that describe a data set: its size, types, files and statistics."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from .api import Name
from .croissant import croissant_of
from .dataset import Split
from .engine import Table
from .errors import Cancelled, NotReady, ViewerError
from .mirror import file_url
from .responses import answer
from .schemas import Croissant, Info, Parquet, Size, Statistics, StatisticsProgress, documented
from .viewer import Viewer, viewer_of

routes = APIRouter()
Failed = list[dict[str, Any]]
Wait = Annotated[float, Query(ge=0, le=30, description="seconds to wait for the end")]


async def opened(viewer: Viewer, request: Request, config: str | None) -> tuple[list[Table], Failed]:
    """All splits that can be opened, of one config or of all, and what is wrong with the others."""
    configs = viewer.dataset.configs.values() if config is None else [viewer.dataset.config(config)]
    tables, failed = [], []
    for split in (split for each in configs for split in each.splits.values()):
        try:
            tables.append(await viewer.opened(request, split))
        except Cancelled:
            raise
        except ViewerError as problem:
            failed.append(failure_of(viewer, split, str(problem)))
    return tables, failed


def failure_of(viewer: Viewer, split: Split, message: str) -> dict[str, Any]:
    """A split that could not be read, in the official shape."""
    return {"dataset": viewer.dataset.name, "config": split.config, "split": split.name, "error": {"error": message}}


@routes.get("/info", responses=documented(Info))
async def info(request: Request, dataset: Name = None, config: Name = None) -> Response:
    """Features and sizes, as the `datasets` library's DatasetInfo; without `config`, of every config by name."""
    viewer = viewer_of(request)
    viewer.named(dataset)
    tables, failed = await opened(viewer, request, config)
    found = {name: _info(viewer, name, own) for name, own in _by_config(tables).items()}
    content = {
        "dataset_info": found if config is None else found.get(config, {}),
        "pending": [],
        "failed": failed,
        "partial": any(table.partial for table in tables),
    }
    return answer(content, viewer.dataset.revision)


def _info(viewer: Viewer, config: str, tables: list[Table]) -> dict[str, Any]:
    name = viewer.dataset.name.rpartition("/")[2]
    form = tables[0].split.format
    return {
        "description": "",
        "citation": "",
        "homepage": "",
        "license": str(viewer.dataset.info.get("license", "")),
        "features": tables[0].features,
        "builder_name": form,
        "dataset_name": name,
        "config_name": config,
        "version": {"version_str": "0.0.0", "major": 0, "minor": 0, "patch": 0},
        "splits": {
            table.split.name: {
                "name": table.split.name,
                "num_bytes": table.memory,
                "num_examples": table.num_rows,
                "dataset_name": name,
            }
            for table in tables
        },
        "download_size": sum(_stored(table) for table in tables),
        "dataset_size": sum(table.memory for table in tables),
    }


def _stored(table: Table) -> int:
    return sum(file.size for file in table.split.files)


def _by_config(tables: Iterable[Table]) -> dict[str, list[Table]]:
    found: dict[str, list[Table]] = {}
    for table in tables:
        found.setdefault(table.split.config, []).append(table)
    return found


@routes.get("/size", responses=documented(Size))
async def size(request: Request, dataset: Name = None, config: Name = None) -> Response:
    """Rows, columns and bytes of every split and config."""
    viewer = viewer_of(request)
    viewer.named(dataset)
    tables, failed = await opened(viewer, request, config)
    own = {"dataset": viewer.dataset.name}
    configs = [
        {**own, "config": name, **_sum(group), "num_columns": len(group[0].types)}
        for name, group in _by_config(tables).items()
    ]
    rows = [_split_size(viewer, table) for table in tables]
    whole: dict[str, Any] = {"dataset": {**own, **_sum(tables)}, "configs": configs, "splits": rows}
    if config is not None:
        whole = {"config": configs[0] if configs else {}, "splits": rows}
    partial = any(table.partial for table in tables)
    return answer({"size": whole, "pending": [], "failed": failed, "partial": partial}, viewer.dataset.revision)


def _sum(tables: Iterable[Table]) -> dict[str, Any]:
    known = list(tables)
    return {
        "num_bytes_original_files": sum(_stored(table) for table in known),
        "num_bytes_parquet_files": sum(_stored(table) for table in known if table.split.format == "parquet"),
        "num_bytes_memory": sum(table.memory for table in known),
        "num_rows": sum(table.num_rows for table in known),
        "estimated_num_rows": None,
    }


def _split_size(viewer: Viewer, table: Table) -> dict[str, Any]:
    return {
        "dataset": viewer.dataset.name,
        "config": table.split.config,
        "split": table.split.name,
        "num_bytes_parquet_files": _stored(table) if table.split.format == "parquet" else 0,
        "num_bytes_memory": table.memory,
        "num_rows": table.num_rows,
        "num_columns": len(table.types),
        "estimated_num_rows": None,
    }


@routes.get("/parquet", responses=documented(Parquet))
async def parquet(request: Request, dataset: Name = None, config: Name = None, split: Name = None) -> Response:
    """The Parquet files and where they can be downloaded here; splits of other formats are named in `failed`."""
    viewer = viewer_of(request)
    viewer.named(dataset)
    failed: Failed = []
    if split is not None:
        tables = [await viewer.opened(request, viewer.dataset.split(config, split))]
    else:
        tables, failed = await opened(viewer, request, config)
    files = []
    for table in tables:
        own = table.split
        if own.format != "parquet":
            failed.append(failure_of(viewer, own, f"the split is stored as {own.format}, not as Parquet"))
            continue
        for file in own.files:
            place = {"dataset": viewer.dataset.name, "config": own.config, "split": own.name}
            files.append({**place, "url": file_url(request, file), "filename": file.name, "size": file.size})
    content: dict[str, Any] = {"parquet_files": files, "pending": [], "failed": failed}
    if config is not None and tables:
        content["features"] = tables[0].features
    partial = any(table.partial for table in tables)
    return answer({**content, "partial": partial}, viewer.dataset.revision)


@routes.get("/statistics", responses=documented(Statistics))
async def statistics(request: Request, dataset: Name = None, config: Name = None, split: Name = None) -> Response:
    """Statistics of every column. They are computed in the background: ResponseNotReady until they are there."""
    viewer = viewer_of(request)
    table = await viewer.opened(request, viewer.split(dataset, config, split))
    job = viewer.statistics(table, again=True)
    if job.error is not None:
        raise job.error
    if job.state == "running":
        done = job.progress
        raise NotReady(f"the statistics are being computed ({done.done} of {done.total} columns): ask again soon")
    return answer(job.future.result(), viewer.dataset.revision)


@routes.get("/statistics/progress", responses=documented(StatisticsProgress))
async def statistics_progress(
    request: Request, dataset: Name = None, config: Name = None, split: Name = None, wait: Wait = 0.0
) -> Response:
    """How far the statistics are, with the columns that are ready. Ours: starts them, waits `wait` seconds for them."""
    viewer = viewer_of(request)
    table = await viewer.opened(request, viewer.split(dataset, config, split))
    job = viewer.statistics(table)
    await job.settled(wait)
    progress = job.progress
    content: dict[str, Any] = {
        "state": job.state,
        "done": progress.done,
        "total": progress.total,
        "column": progress.label,
        "num_examples": table.num_rows,
        "statistics": list(progress.found),
    }
    if job.error is not None:
        content["error"] = str(job.error)
    return answer(content, viewer.dataset.revision, age=0)


@routes.get("/croissant", responses=documented(Croissant))
async def croissant(request: Request, dataset: Name = None) -> Response:
    """Croissant metadata, JSON-LD."""
    viewer = viewer_of(request)
    viewer.named(dataset)
    tables, _ = await opened(viewer, request, None)
    return answer(croissant_of(viewer.dataset, tables, str(request.base_url)), viewer.dataset.revision)
