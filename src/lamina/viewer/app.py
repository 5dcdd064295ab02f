"""The application: a data set, its engine and all routes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from . import api, console, describing, mirror, page, responses, tokens
from .dataset import Dataset
from .duckengine import DuckEngine
from .engine import Engine
from .errors import ViewerError
from .guards import ORIGINS, KnownHosts
from .settings import Settings
from .sources import open_dataset
from .viewer import Viewer


def create_app(
    dataset: str | Path | Dataset, settings: Settings | None = None, engine: Engine | None = None
) -> FastAPI:
    """An ASGI application that shows one data set: a path, a name on the Hub, or one already opened.

    Raises SourceError where there is nothing to show.
    """
    settings = settings or Settings()
    opened = dataset if isinstance(dataset, Dataset) else open_dataset(dataset, settings)
    viewer = Viewer(opened, engine or DuckEngine(opened, settings), settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await run_in_threadpool(viewer.close)

    app = FastAPI(title="Lamina viewer", version="1.0", lifespan=lifespan, docs_url=None, redoc_url=None)
    app.state.viewer = viewer
    app.add_middleware(
        CORSMiddleware,
        allow_origins=settings.origins,
        allow_origin_regex=ORIGINS,
        allow_methods=["GET", "HEAD"],
        expose_headers=[responses.CODE, responses.REVISION],
    )
    app.add_middleware(KnownHosts, hosts=settings.hosts)
    app.add_exception_handler(ViewerError, responses.on_viewer_error)
    app.add_exception_handler(RequestValidationError, responses.on_invalid_request)
    app.add_exception_handler(HTTPException, responses.on_http_error)
    app.add_exception_handler(Exception, responses.on_unexpected)
    for room in (api, describing, mirror, page, console, tokens):
        app.include_router(room.routes)
    return app
