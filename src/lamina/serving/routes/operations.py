"""What operators and their machines ask: is it alive, is it ready, what does it do, how much of it."""

from __future__ import annotations

from typing import Any, Literal

import torch
from fastapi import APIRouter, Depends
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from ... import __version__
from ...inference.rows import truncation_length
from ..embedding import embeds
from ..generating import writing_task
from ..models import Served
from ..replies import Json
from ..state import Serving
from .targets import Target, any_model, named_model, new_router, serving_of


class ModelHealth(BaseModel):
    """How one model is."""

    task: str | None
    state: Literal["loading", "ready", "failed"]
    error: str | None = None


class Health(BaseModel):
    """How the server is: degraded where a model is missing, unhealthy where nothing can be answered."""

    status: Literal["ok", "degraded", "unhealthy"]
    models: dict[str, ModelHealth]


class Ready(BaseModel):
    """Whether new work is taken."""

    ready: bool
    draining: bool
    loading: list[str]


def router() -> APIRouter:
    """/health, /ping, /ready, /info and /metrics."""
    made = new_router("operations")
    _add_probes(made)

    @made.get("/metrics", response_class=Response)
    async def metrics(request: Request) -> Response:
        """Counts and times, for Prometheus."""
        text = serving_of(request).metrics.text()
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    for prefix, choice in (("/models/{model_id:path}", Depends(named_model)), ("", Depends(any_model))):
        _add_info(made, prefix, choice)
    return made


def _add_probes(made: APIRouter) -> None:
    @made.get("/health", response_model=Health, responses={503: {"model": Health}})
    async def health(request: Request) -> Response:
        """Whether the process can answer; names each model that cannot."""
        return await _health(serving_of(request))

    @made.get("/ping", response_model=Health, responses={503: {"model": Health}}, include_in_schema=False)
    async def ping(request: Request) -> Response:
        """As /health, by the name that some platforms ask for."""
        return await _health(serving_of(request))

    @made.get("/ready", response_model=Ready, responses={503: {"model": Ready}})
    async def ready(request: Request) -> Response:
        """Whether new work is taken: not while models load, and not once the server is to stop."""
        serving = serving_of(request)
        loading = [served.id for served in serving.models.values() if served.state == "loading"]
        content = {"ready": serving.ready, "draining": serving.draining, "loading": loading}
        return Json(content, 200 if serving.ready else 503)


def _add_info(made: APIRouter, prefix: str, choice: Any) -> None:
    @made.get(f"{prefix}/info", response_model=dict[str, Any])
    async def info(target: Target = choice) -> Response:
        """What is served, and how much of it is taken at once."""
        served = target.served or target.serving.default
        return Json(_info(target.serving, served))


async def _health(serving: Serving) -> Response:
    states = {}
    for served in serving.models.values():
        error = served.error or None
        if served.state == "ready" and serving.suspect(served):
            error = await _probe(serving, served)
        states[served.id] = {"task": served.task, "state": served.state, "error": error}
    failed = [state["error"] is not None for state in states.values()]
    unhealthy = not serving.engine.alive or all(failed)
    status = "unhealthy" if unhealthy else "degraded" if any(failed) else "ok"
    return Json({"status": status, "models": states}, 503 if unhealthy else 200)


async def _probe(serving: Serving, served: Served) -> str | None:
    """After a failure: whether the model can still read one token."""
    try:
        await served.run(_one_token, served.pipeline.model)
    except Exception as error:
        return f"the model fails on a single token: {type(error).__name__}"
    serving.clear_suspicion(served)
    return None


def _one_token(model: Any) -> None:
    ids = torch.zeros(1, 1, dtype=torch.long, device=model.device)
    names = {"decoder_input_ids": ids} if getattr(model.config, "is_encoder_decoder", False) else {}
    with torch.inference_mode():
        model(input_ids=ids, **names)


def _info(serving: Serving, served: Served) -> dict[str, Any]:
    """The model under the names that clients of both text inference servers read, the limits, and all models."""
    limits = serving.settings.limits
    listed = [
        {"id": one.id, "task": one.task, "state": one.state, "tasks": list(one.tasks) if one.state == "ready" else []}
        for one in serving.models.values()
    ]
    found: dict[str, Any] = {
        "model_id": served.id,
        "model_sha": None,
        "model_pipeline_tag": served.task,
        "max_concurrent_requests": limits.queue_requests,
        "max_batch_requests": None,
        "max_client_batch_size": limits.batch_inputs,
        "max_input_length": limits.input_tokens,
        "max_input_tokens": limits.input_tokens,
        "max_total_tokens": limits.input_tokens + limits.new_tokens,
        "max_best_of": 16,
        "max_stop_sequences": 16,
        "auto_truncate": True,
        "tokenization_workers": serving.settings.text_threads,
        "validation_workers": serving.settings.text_threads,
        "router": "lamina",
        "version": __version__,
        "sha": None,
        "docker_label": None,
        "models": listed,
    }
    return {**found, **_model_info(served, limits.batch_tokens)} if served.state == "ready" else found


def _model_info(served: Served, tokens: int | None) -> dict[str, Any]:
    pipe = served.pipeline
    limit = truncation_length(served.tokenizer, pipe.model)
    kind: dict[str, Any] = {}
    if "text-classification" in served.tasks:
        labels = {str(number): label for number, label in pipe.model.config.id2label.items()}
        kind = {"reranker" if len(labels) == 1 else "classifier": {"id2label": labels}}
    elif embeds(served):
        pipe = served.embedding()
        kind, limit = {"embedding": {"pooling": pipe.pooling}}, pipe.limit
    elif writing_task(served) is not None:
        kind = {"writer": {}}
    return {
        "model_dtype": str(pipe.model.dtype).removeprefix("torch."),
        "model_device_type": pipe.device.type,
        "model_type": kind,
        "max_batch_tokens": tokens,
        **({} if limit is None else {"max_input_length": limit, "max_input_tokens": limit}),
    }
