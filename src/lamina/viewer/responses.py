"""Answers and errors as the official API sends them: JSON, its error codes and its headers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from .cells import dumps
from .errors import InvalidParameter, MissingParameter, NotFound, ViewerError

CODE = "X-Error-Code"
REVISION = "X-Revision"


def answer(content: Any, revision: str, age: int = 120, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer that may be kept for `age` seconds."""
    more = {"Cache-Control": f"max-age={age}" if age else "no-store", REVISION: revision}
    return Response(dumps(content), media_type="application/json", headers={**more, **(headers or {})})


def failure(error: ViewerError, revision: str = "") -> Response:
    """An error as JSON, with its code in a header."""
    body: dict[str, Any] = {"error": str(error)}
    if error.__cause__ is not None:
        body |= {"cause_exception": type(error.__cause__).__name__, "cause_message": str(error.__cause__)}
    headers = {"Cache-Control": "max-age=10", CODE: error.code, **({REVISION: revision} if revision else {})}
    return Response(dumps(body), error.status, headers, "application/json")


async def on_viewer_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ViewerError)
    return failure(error, getattr(request.state, "revision", ""))


async def on_invalid_request(request: Request, error: Exception) -> Response:
    """What FastAPI finds wrong with parameters."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    name = str(first["loc"][-1])
    if first["type"] == "missing":
        return failure(MissingParameter(f"Parameter '{name}' is required"))
    return failure(InvalidParameter(f"Parameter '{name}' is invalid: {first['msg']}"))


async def on_http_error(request: Request, error: Exception) -> Response:
    """No such page, or a method that it has not."""
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        return failure(NotFound(f"there is nothing at {request.url.path}"))
    response = failure(InvalidParameter(str(error.detail)))
    response.status_code = error.status_code
    response.headers.update(error.headers or {})
    return response


async def on_unexpected(request: Request, error: Exception) -> Response:
    """A mistake of ours: named, without its insides."""
    return failure(ViewerError(f"Unexpected error: {type(error).__name__}"))
