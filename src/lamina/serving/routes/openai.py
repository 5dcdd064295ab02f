"""The OpenAI interface: embeddings, completions and the list of models."""

from __future__ import annotations

import base64
from collections.abc import AsyncGenerator
from functools import partial
from typing import Any

import numpy as np
from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from ...generation.streaming import Detokenizer, StopFilter
from ..answering import answer
from ..completions import REASONS, Completion, usage
from ..dialects import OPENAI_EMBEDDINGS
from ..embedding import Vector, embeds, vector_question
from ..errors import NotFound
from ..listening import Listening, listen
from ..models import Served
from ..replies import DONE, EventStream, Json, event
from ..state import Serving
from .embeddings import input_texts
from .generation import writes
from .openai_schemas import (
    CompletionAnswer,
    CompletionRequest,
    EmbeddingsAnswer,
    EmbeddingsRequest,
    ModelList,
    ModelRecord,
    OpenAIError,
)
from .targets import REFUSALS, Target, new_router, scopes, serving_of


def router() -> APIRouter:
    """/v1/models, /v1/embeddings and /v1/completions, at the root and under each model."""
    refusals = {status: {**said, "model": OpenAIError} for status, said in REFUSALS.items()}
    made = new_router("openai", refusals)
    for prefix, choice in scopes():
        _add_models(made, prefix, Depends(choice))
        _add_embeddings(made, prefix, Depends(choice))
        _add_completions(made, prefix, Depends(choice))
    return made


def _add_models(made: APIRouter, prefix: str, choice: Any) -> None:
    @made.get(f"{prefix}/v1/models", response_model=ModelList)
    async def models(target: Target = choice) -> Response:
        """The models that are served."""
        shown = target.serving.models.values() if target.served is None else [target.served]
        return Json({"object": "list", "data": [_model_record(target.serving, served) for served in shown]})

    @made.post(f"{prefix}/v1/chat/completions", status_code=404, response_model=OpenAIError)
    async def chat(target: Target = choice) -> Response:
        """Always refused: none of these models was made for chats."""
        raise NotFound("no model here was made for chats, and none has a template for them; use /v1/completions")

    if prefix == "":

        @made.get("/v1/models/{model_id:path}", response_model=ModelRecord)
        async def model(request: Request, model_id: str) -> Response:
            """One model."""
            serving = serving_of(request)
            return Json(_model_record(serving, serving.find(model_id)))


def _model_record(serving: Serving, served: Served) -> dict[str, Any]:
    return {"id": served.id, "object": "model", "created": serving.created, "owned_by": "lamina"}


def _add_embeddings(made: APIRouter, prefix: str, choice: Any) -> None:
    @made.post(f"{prefix}/v1/embeddings", response_model=EmbeddingsAnswer)
    async def embeddings(request: Request, body: EmbeddingsRequest, target: Target = choice) -> Response:
        """A vector for each input."""
        served = await _chosen(target, body.model).model(embeds, "can make vectors of texts")
        texts = await input_texts(target.serving, served, body.input)
        question = vector_question(served, texts, normalize=True, dimensions=body.dimensions, dialect=OPENAI_EMBEDDINGS)
        found = await answer(target.serving, question, request)
        encode = _base64 if body.encoding_format == "base64" else _as_it_is
        records = [
            {"object": "embedding", "index": number, "embedding": encode(vector)}
            for number, vector in enumerate(found.answers)
        ]
        read = sum(len(row) for row in found.prepared.rows)
        content = {
            "object": "list",
            "model": served.id,
            "data": records,
            "usage": {"prompt_tokens": read, "total_tokens": read},
        }
        return Json(content, headers=found.headers(served.pipeline.device.type))


def _add_completions(made: APIRouter, prefix: str, choice: Any) -> None:
    streamed: dict[int | str, dict[str, Any]] = {200: {"content": {"text/event-stream": {}}}}

    @made.post(f"{prefix}/v1/completions", response_model=CompletionAnswer, responses=streamed)
    async def completions(request: Request, body: CompletionRequest, target: Target = choice) -> Response:
        """Texts that go on from prompts, whole or as server-sent events."""
        served = await _chosen(target, body.model).model(writes, "can write text")
        serving = target.serving
        prompts = await input_texts(serving, served, body.prompt)
        asked = Completion(served, body, prompts, serving.settings.limits)
        headers = {"x-compute-type": served.pipeline.device.type}
        if body.stream:
            listening = await listen(serving, asked.question(listening=True), request)
            return EventStream(_events(listening, asked), request.url.path, listening.close, headers)
        found = await answer(serving, asked.question(), request)
        content = await serving.on_text_thread(partial(asked.whole, found))
        return Json(content, headers=found.headers(headers["x-compute-type"]))


def _chosen(target: Target, name: str | None) -> Target:
    """The model that a body names; an address goes before it, and clients that know only an address name that."""
    serving = target.serving
    if target.served is not None or not name or "://" in name or name in ("tgi", "dummy"):
        return target
    return Target(serving, serving.find(name))


def _as_it_is(vector: Vector) -> Any:
    return vector


def _base64(vector: Vector) -> str:
    return base64.b64encode(np.ascontiguousarray(vector, dtype="<f4").tobytes()).decode("ascii")


async def _events(listening: Listening, asked: Completion) -> AsyncGenerator[bytes, None]:
    """A chunk for every piece of text that is settled; after the last of a text, why it ended."""
    told = [_Told(listening, asked, prompt) for prompt in range(len(asked.prompts)) for _ in range(asked.number)]
    if asked.body.echo:
        for index in range(len(told)):
            yield event(asked.record([_chunk(index, asked.prompts[index // asked.number])]))
    written = 0
    async for index, token in listening.tokens():
        written += 1
        text, reason, logprobs = told[index].add(token)
        if text or reason:
            yield event(asked.record([_chunk(index, text, reason, logprobs)]))
    if asked.body.stream_options is not None and asked.body.stream_options.include_usage:
        read = sum(len(row) for row in listening.prepared.rows)
        yield event(asked.record([], usage(read, written)))
    yield DONE


def _chunk(index: int, text: str, reason: str | None = None, logprobs: Any = None) -> dict[str, Any]:
    return {"index": index, "text": text, "logprobs": logprobs, "finish_reason": reason}


class _Told:
    """What was told of one text so far."""

    def __init__(self, listening: Listening, asked: Completion, prompt: int):
        paired = bool(asked.served.pipeline.model.config.is_encoder_decoder)
        ids = () if paired else listening.prepared.groups[prompt][0].inputs["input_ids"]
        self._asked = asked
        self._pieces, self._stop = Detokenizer(asked.served.tokenizer, ids), StopFilter(asked.stops)
        self._offset = len(asked.prompts[prompt]) if asked.body.echo else 0

    def add(self, token: Any) -> tuple[str, str | None, Any]:
        """The text that a token settles, why the text ends if it does, and log-probabilities if they are wanted."""
        piece = self._pieces.add(token.id) + (self._pieces.rest() if token.ending else "")
        text = self._stop.add(piece, last=token.ending is not None)
        logprobs = None
        if self._asked.body.logprobs is not None:
            logprobs = self._asked.logprobs([token], [piece], self._offset)
        self._offset += len(piece)
        reason = None
        if token.ending is not None:
            reason = "stop" if self._stop.stopped else REASONS[token.ending]
        return text, reason, logprobs
