"""A route that reads requests itself: FastAPI describes it, and would need as long for one as all else together."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, get_args, get_origin

from fastapi.params import Depends
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import Receive, Scope, Send

from ..errors import ClientGone, Invalid, Refusal
from ..replies import refuse
from ..wire import explain

ELSEWHERE: tuple[Match, Scope] = (Match.NONE, {})
JSON = re.compile(r"\s*application/(?:[^;]*\+)?json\s*(?:;|$)", re.IGNORECASE)
Part = Callable[[Request], Awaitable[Any]]


class Route(APIRoute):
    """One address. What it cannot read by itself, parameters in a query for instance, it leaves to FastAPI."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any):
        super().__init__(path, endpoint, **options)
        self._start, self._end = path.partition("{")[0], path.rpartition("}")[2]
        self._parts = parts_of(endpoint)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether this route answers; the ends of an address are compared first, since fifty routes are asked."""
        address = scope["path"]
        if not address.endswith(self._end) or (not scope["root_path"] and not address.startswith(self._start)):
            return ELSEWHERE
        return super().matches(scope)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if self._parts is None or scope["method"] not in (self.methods or ()):
            await super().handle(scope, receive, send)
            return
        request = Request(scope, receive, send)
        try:
            given = {name: await part(request) for name, part in self._parts.items()}
            response: Response = await self.endpoint(**given)
        except Refusal as refusal:
            scope["app"].state.serving.metrics.refused(refusal.kind)
            response = refuse(refusal, scope["path"])
        await response(scope, receive, send)


def parts_of(endpoint: Callable[..., Any]) -> Mapping[str, Part] | None:
    """How each argument of an endpoint is made of a request; None where FastAPI has to see to it, or to the answer."""
    signature = inspect.signature(endpoint, eval_str=True)
    parts: dict[str, Part] = {}
    for name, parameter in signature.parameters.items():
        part = part_of(name, parameter)
        if part is None:
            return None
        parts[name] = part
    answers = inspect.iscoroutinefunction(endpoint) and signature.return_annotation is Response
    return parts if answers else None


def part_of(name: str, parameter: inspect.Parameter) -> Part | None:
    """How one argument is made: the request, its body, a part of its address, or what depends on these."""
    kind = parameter.annotation
    kind = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    if isinstance(parameter.default, Depends):
        return _depending(parameter.default.dependency)
    if kind is Request:
        return _itself
    if kind is str and parameter.default is parameter.empty:
        return _named(name)
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return _body_as(kind)
    return None


async def _itself(request: Request) -> Any:
    return request


def _named(name: str) -> Part:
    async def of_the_address(request: Request) -> Any:
        return request.path_params[name]

    return of_the_address


def _depending(dependency: Callable[..., Any] | None) -> Part | None:
    parts = {} if dependency is None else {
        name: part_of(name, parameter)
        for name, parameter in inspect.signature(dependency, eval_str=True).parameters.items()
    }  # fmt: skip
    known = {name: part for name, part in parts.items() if part is not None}
    if dependency is None or len(known) < len(parts):
        return None

    async def what_it_gives(request: Request) -> Any:
        return await dependency(**{name: await part(request) for name, part in known.items()})

    return what_it_gives


def _body_as(model: type[BaseModel]) -> Part:
    async def body(request: Request) -> Any:
        given = read_json(await _whole_body(request), request.headers.get("content-type", ""))
        try:
            return model.model_validate(given)
        except ValidationError as error:
            raise Invalid(explain(error, model)) from None

    return body


async def _whole_body(request: Request) -> bytes:
    try:
        return await request.body()
    except ClientDisconnect:
        raise ClientGone("the client has left") from None


def read_json(body: bytes, content_type: str) -> Any:
    """What a body says; raises Invalid for one that is missing, of another kind, or not JSON in UTF-8."""
    if not body:
        raise Invalid("the body is missing")
    if not JSON.match(content_type):
        raise Invalid("the body must be a JSON object, sent as application/json")
    try:
        return json.loads(body)
    except UnicodeDecodeError:
        raise Invalid("the body is not JSON in UTF-8") from None
    except json.JSONDecodeError:
        raise Invalid("no JSON could be read from the body") from None
    except ValueError:
        raise Invalid("the body holds a number of too many digits") from None
    except RecursionError:
        raise Invalid("the body has too many lists and objects inside each other") from None
