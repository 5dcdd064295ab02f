"""The application: every route, what stands around them all, and what starts and stops with it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response

from .. import __version__
from . import playground
from .errors import Invalid, NotFound, Refusal
from .models import Served, named_models
from .replies import Json, refusal_body, refuse, speaks_openai
from .routes import documentation, embeddings, generation, huggingface, openai, operations
from .security import Gate
from .settings import ServeSettings
from .state import Serving
from .wire import explain_errors

ALLOWED_HEADERS = ["Authorization", "Content-Type", "X-API-Key", "X-Wait-For-Model", "X-Use-Cache", "X-Load-Model",
                   "X-Request-Id", "X-Request-Timeout"]  # fmt: skip
EXPOSED_HEADERS = ["x-compute-type", "x-compute-time", "x-compute-tokens", "x-compute-characters", "x-queue-time",
                   "x-inference-time", "x-request-id", "retry-after"]  # fmt: skip


def create_app(settings: ServeSettings, models: Mapping[str, Served] | None = None) -> FastAPI:
    """The application that serves `models`, or those that the settings name; they load once it has started.

    Raises LaminaError for settings that make no sense. What runs is at `app.state.serving`.
    """
    serving = Serving(settings, models or named_models(settings))
    app = FastAPI(
        title="Lamina",
        version=__version__,
        summary="Every pipeline task over HTTP, for clients that exist already.",
        lifespan=_lifespan,
        docs_url=None,
        redoc_url=None,
        separate_input_output_schemas=False,
    )
    app.state.serving = serving
    # Addresses below a model come before the model's own, which would take them for a part of its id.
    rooms = (openai, generation, embeddings, operations, documentation, playground, huggingface)
    for room in rooms:
        # Not included but taken over: an included router costs every request a look at each of its addresses twice.
        app.router.routes.extend(room.router().routes)
    app.router.routes.sort(key=lambda route: getattr(route, "path", "") != "/")  # the shortest address is found at once
    app.add_exception_handler(Refusal, _on_refusal)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_middleware(Gate, serving=serving)
    if settings.cors:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.cors),
            allow_methods=["GET", "POST"],
            allow_headers=ALLOWED_HEADERS,
            expose_headers=EXPOSED_HEADERS,
        )
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    serving: Serving = app.state.serving
    serving.start()
    try:
        yield
    finally:
        serving.stop()


async def _on_refusal(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    request.app.state.serving.metrics.refused(error.kind)
    return refuse(error, request.url.path)


async def _on_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return refuse(Invalid(explain_errors(error.errors())), request.url.path)


async def _on_http_error(request: Request, error: Exception) -> Response:
    """No such address, or not with this method."""
    assert isinstance(error, HTTPException)
    path = request.url.path
    if isinstance(error.__cause__, Refusal):  # of a body that is too large, found while FastAPI was reading it
        return await _on_refusal(request, error.__cause__)
    if error.status_code == 404:
        return refuse(NotFound("there is nothing at this address; /docs lists what there is"), path)
    if error.status_code == 400:  # FastAPI's word for a body that it could not decode
        return refuse(Invalid("the body is not JSON in UTF-8"), path)
    refusal = Refusal(str(error.detail))
    refusal.kind = "method_not_allowed" if error.status_code == 405 else "invalid"
    return Json(refusal_body(refusal, speaks_openai(path)), error.status_code, dict(error.headers or {}))
