"""Which model a request means: the one in its address, or the first that can do what is asked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Path
from starlette.requests import Request

from ..errors import NotFound
from ..models import Served
from ..schemas import ErrorAnswer
from ..state import Serving
from .route import Route

Choice = Callable[..., Awaitable["Target"]]
REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorAnswer, "description": what}
    for status, what in {
        401: "The API key is missing or wrong.",
        404: "There is no such model here, or none that does this.",
        413: "The body is too large.",
        422: "The request makes no sense, or goes over a limit.",
        424: "The model failed.",
        429: "Too much is asked of the server at the moment.",
        504: "The deadline has passed.",
    }.items()
}
ModelId = Annotated[str, Path(description="The id of a model, as /v1/models lists them.", max_length=500)]


class Target:
    """The server, and the model that the address names, if it names one."""

    def __init__(self, serving: Serving, served: Served | None = None):
        self.serving, self.served = serving, served

    async def model(self, able: Callable[[Served], bool] | None = None, what: str = "") -> Served:
        """The model, loaded: the named one, else the first that is `able`; raises NotFound, saying that none `what`."""
        if self.served is not None:
            served = await self.serving.loaded(self.served)
            if able is not None and not able(served):
                raise NotFound(
                    f"the model {served.id} does {', '.join(served.tasks)}: it {what.replace('can ', 'cannot ')}"
                )
            return served
        if able is None:
            return await self.serving.loaded(self.serving.default)
        return await self.serving.first(able, what)


def serving_of(request: Request) -> Serving:
    serving: Serving = request.app.state.serving
    return serving


async def any_model(request: Request) -> Target:
    """For addresses that name no model."""
    return Target(serving_of(request))


async def named_model(request: Request, model_id: ModelId) -> Target:
    serving = serving_of(request)
    return Target(serving, serving.find(model_id))


def scopes() -> tuple[tuple[str, Choice], ...]:
    """Where every surface is found: under a model's own address, and at the root for the first that fits."""
    return (
        ("/models/{model_id:path}/pipeline/text-generation", named_model),
        ("/models/{model_id:path}", named_model),
        ("", any_model),
    )


def new_router(tag: str, responses: dict[int | str, dict[str, Any]] = REFUSALS) -> APIRouter:
    """A router whose refusals are in the documentation."""
    return APIRouter(tags=[tag], responses=responses, route_class=Route)
