"""The pages in the browser, and the little that only they ask for: what is served, and attention maps."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, partial
from importlib.resources import files
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from .. import __version__
from ..inference.rows import truncation_length
from .attention import AttentionMap, AttentionRequest, draw_attention, model_rows
from .errors import NotFound
from .models import Served
from .routes.targets import ModelId, new_router, serving_of
from .schemas import parameters_schema

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",  # no text becomes markup, whoever wrote it
    )
)
SECURITY = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
# Parameters that stand in the schemas for existing clients alone, or twice: a form has no use for them.
UNSHOWN = frozenset(
    {
        "adapter_id",
        "decoder_input_details",
        "encoding_format",
        "generate_parameters",
        "generation_parameters",
        "grammar",
        "max_question_len",
        "multi_class",
        "padding",
        "prompt_name",
        "return_tensors",
        "stop_sequences",
    }
)


@dataclass(frozen=True)
class Asset:
    """One file of the pages, as it is sent."""

    content: bytes
    media_type: str
    tag: str  # changes when the content does

    def answer(self, request: Request, status: int = 200) -> Response:
        """The file, or a word that the browser has it already."""
        headers = {**SECURITY, "Cache-Control": "no-cache", "ETag": self.tag}
        if status == 200 and self.tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(self.content, status, headers, self.media_type)


class TaskPage(BaseModel):
    """One task of a model, with what its form needs."""

    task: str
    api: str  # where the page posts
    parameters: dict[str, Any]
    examples: list[dict[str, Any]]


class ModelPage(BaseModel):
    """One model; what is not known before it is loaded is None."""

    id: str
    state: str
    error: str | None
    task: str | None
    tasks: list[TaskPage]
    mask_token: str | None = None
    max_length: int | None = None
    layers: int | None = None
    heads: int | None = None
    parameter_count: int | None = None
    precision: str | None = None
    device: str | None = None


class Playground(BaseModel):
    """Everything that is served."""

    version: str
    models: list[ModelPage]


@cache
def assets() -> Mapping[str, Asset]:
    """The files of the pages by name. Read once: no name in a request ever becomes a path."""
    found = {}
    for file in files(__package__).joinpath("static").iterdir():
        suffix = f".{file.name.rpartition('.')[2]}"
        if suffix in TYPES:
            content = file.read_bytes()
            found[file.name] = Asset(content, TYPES[suffix], f'"{hashlib.sha256(content).hexdigest()[:20]}"')
    return found


@cache
def written_examples() -> Mapping[str, list[dict[str, Any]]]:
    """Inputs to click, for each task."""
    text = files(__package__).joinpath("examples.json").read_text(encoding="utf-8")
    examples: dict[str, list[dict[str, Any]]] = json.loads(text)
    return examples


def examples_of(task: str, mask_token: str | None) -> list[dict[str, Any]]:
    """The examples of a task, with the model's own mask token where there is a gap."""
    found = written_examples().get(task, [])
    if mask_token is None:
        return found
    return [
        {**example, "inputs": {name: _masked(value, mask_token) for name, value in example["inputs"].items()}}
        for example in found
    ]


def _masked(value: Any, mask_token: str) -> Any:
    return value.replace("{mask}", mask_token) if isinstance(value, str) else value


def task_page(served: Served, task: str, mask_token: str | None) -> TaskPage:
    """The form of one task of a model."""
    schema = parameters_schema(task)
    shown = {name: rule for name, rule in schema.get("properties", {}).items() if name not in UNSHOWN}
    address = f"/models/{served.id}" if task == served.task else f"/models/{served.id}/pipeline/{task}"
    return TaskPage(
        task=task,
        api=address,
        parameters={"properties": shown, "$defs": schema.get("$defs", {})},
        examples=examples_of(task, mask_token),
    )


def model_page(served: Served) -> ModelPage:
    """A model as the pages show it."""
    page = ModelPage(id=served.id, state=served.state, error=served.error or None, task=served.task, tasks=[])
    if served.state != "ready":
        return page
    model, tokenizer, pipe = served.pipeline.model, served.tokenizer, served.pipeline
    stack = model.spec.encoder or model.spec.decoder
    page.mask_token = tokenizer.mask_token
    page.max_length = truncation_length(tokenizer, model)
    page.layers, page.heads = stack.num_layers, stack.block.num_heads
    page.precision = model.precision or str(pipe.dtype).removeprefix("torch.")
    page.device = pipe.device.type
    if model.precision is None:  # packed weights are no parameters any more
        page.parameter_count = sum(parameter.numel() for parameter in model.parameters())
    page.tasks = [task_page(served, task, page.mask_token) for task in served.tasks]
    return page


def router() -> APIRouter:
    routes = new_router("playground")

    @routes.get("/", include_in_schema=False)
    async def index(request: Request) -> Response:
        return assets()["page.html"].answer(request)

    @routes.get("/ui/models/{name:path}", include_in_schema=False)
    async def model_shell(request: Request, name: str) -> Response:
        known = name.partition("/pipeline/")[0] in serving_of(request).models
        return assets()["page.html"].answer(request, 200 if known else 404)

    @routes.get("/static/{name}", include_in_schema=False)
    async def static(request: Request, name: str) -> Response:
        if name not in assets():
            raise NotFound("there is no such file")
        return assets()[name].answer(request)

    @routes.get("/playground/models")
    async def models(request: Request, response: Response) -> Playground:
        """All models with their tasks, parameters and examples, as the pages show them."""
        response.headers["Cache-Control"] = "no-store"
        pages = [model_page(served) for served in serving_of(request).models.values()]
        return Playground(version=__version__, models=pages)

    @routes.post("/playground/{model_id:path}/attention")
    async def attention(request: Request, model_id: ModelId, asked: AttentionRequest) -> AttentionMap:
        """Which tokens of an input each token looks at, in one layer and head."""
        serving = serving_of(request)
        served = await serving.loaded(serving.find(model_id))
        pipe = served.pipeline_for(asked.task)
        permit = serving.admission.enter(1)  # a picture waits its turn, or is refused, like everything else
        try:
            rows = await serving.read(partial(model_rows, pipe, asked))
            return await served.run(draw_attention, pipe, asked, rows)
        finally:
            permit.leave()

    return routes
