"""Text as text-generation-inference gives it: whole, or token by token."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field, StrictBool
from starlette.requests import Request
from starlette.responses import Response

from ...generation.streaming import Detokenizer
from ..answering import Answer, answer
from ..errors import Invalid
from ..generating import WritingRequest, details_of, generated, prompt_ids, token_record, top_records, writing_task
from ..listening import Listening, listen
from ..models import Served
from ..replies import EventStream, Json, event
from ..schemas import Body, Parameters
from ..state import Serving
from ..wire import read_parameters
from .targets import Target, new_router, scopes


class GenerateRequest(Body):
    inputs: Annotated[str, Field(description="The prompt.")]
    parameters: dict[str, Any] | None = Field(None, description="Options, those of text generation.")
    stream: StrictBool = Field(False, description="Read at / only.")


class GenerateAnswer(BaseModel):
    """A text, and how it came about where that is asked for."""

    generated_text: str
    details: dict[str, Any] | None = None


def router() -> APIRouter:
    """/generate and /generate_stream."""
    made = new_router("text-generation-inference")
    for prefix, choice in scopes():
        _add(made, prefix, Depends(choice))
    return made


def _add(made: APIRouter, prefix: str, choice: Any) -> None:
    @made.post(f"{prefix}/generate", response_model=GenerateAnswer)
    async def generate(request: Request, body: GenerateRequest, target: Target = choice) -> Response:
        """What may follow a prompt."""
        served = await target.model(writes, "can write text")
        asked = _asked(target.serving, served, body)
        return await whole(target.serving, asked, request, listed=False)

    @made.post(f"{prefix}/generate_stream", responses={200: {"content": {"text/event-stream": {}}}})
    async def generate_stream(request: Request, body: GenerateRequest, target: Target = choice) -> Response:
        """The same token by token, as server-sent events."""
        served = await target.model(writes, "can write text")
        return await streamed(target.serving, _asked(target.serving, served, body, stream=True), request)


def writes(served: Served) -> bool:
    return writing_task(served) is not None


def _asked(serving: Serving, served: Served, body: GenerateRequest, stream: bool = False) -> WritingRequest:
    """The request of one prompt; the prompt is not shown again unless the client says so."""
    given = {"return_full_text": False, **(body.parameters or {})}
    parameters = read_parameters("text-generation", given)
    return writing_request(serving, served, [body.inputs], parameters, stream)


def writing_request(
    serving: Serving, served: Served, prompts: list[str], parameters: Parameters, stream: bool, task: str | None = None
) -> WritingRequest:
    """The request of some prompts by the task that the model writes by."""
    chosen = task or writing_task(served) or "text-generation"
    return WritingRequest(served, chosen, prompts, parameters, serving.settings.limits, stream)


async def whole(
    serving: Serving, asked: WritingRequest, request: Request, listed: bool, single: bool = True
) -> Response:
    """All texts at once: a record, a list with one, or a list for each of several prompts."""
    question = asked.question()
    found = await answer(serving, question, request)
    if asked.parameters.given().get("num_return_sequences", 1) > 1:
        records: list[Any] = list(found.answers)
    else:
        records = await serving.on_text_thread(partial(_records, asked, found))
    content: Any = records if not single else records[0] if listed else records[0][0]
    return Json(content, headers=found.headers(asked.served.pipeline.device.type))


def _records(asked: WritingRequest, found: Answer) -> list[Any]:
    """The text of each prompt, in a list of its own; details may decode every token of it."""
    tokenizer = asked.served.tokenizer
    return [[generated(found, number, asked.parameters, tokenizer)] for number in range(len(asked.prompts))]


async def streamed(serving: Serving, asked: WritingRequest, request: Request) -> Response:
    """Each token as it is written; the last event has the whole text, and details where they are asked for."""
    given = asked.parameters.given()
    if len(asked.prompts) != 1 or given.get("num_return_sequences", 1) > 1 or given.get("best_of", 1) > 1:
        raise Invalid("a stream tells one text: give one prompt, and neither best_of nor num_return_sequences")
    listening = await listen(serving, asked.question(), request)
    headers = {"x-compute-type": asked.served.pipeline.device.type}
    return EventStream(_events(listening, asked), request.url.path, listening.close, headers)


async def _events(listening: Listening, asked: WritingRequest) -> AsyncGenerator[bytes, None]:
    tokenizer, given = asked.served.tokenizer, asked.parameters.given()
    paired = bool(asked.served.pipeline.model.config.is_encoder_decoder)
    prompt = prompt_ids(listening.prepared, 0, paired)
    pieces, parts, index = Detokenizer(tokenizer, prompt), list[str](), 0
    special = set(tokenizer.all_special_ids)
    async for _, token in listening.tokens():
        index += 1
        text = pieces.add(token.id) + (pieces.rest() if token.ending else "")
        parts.append(text)
        told: dict[str, Any] = {"index": index, "token": token_record(special, token, text)}
        if token.top:
            told["top_tokens"] = top_records(tokenizer, special, token)
        told |= {"generated_text": None, "details": None}
        if token.ending is not None:
            shown = asked.prompts[0] if given.get("return_full_text") else ""
            told["generated_text"] = shown + "".join(parts)
            if given.get("details"):
                told["details"] = _closing(listening, asked, prompt)
        yield event(told)


def _closing(listening: Listening, asked: WritingRequest, prompt: list[int]) -> dict[str, Any]:
    """Details of a stream: those of the whole without the tokens that were told already."""
    writing = listening.asked.writings[0][0]
    details = details_of(asked.served.tokenizer, writing, prompt, writing.wanted.seed)
    kept = {name: details[name] for name in ("finish_reason", "generated_tokens", "seed")}
    return {**kept, "input_length": len(listening.prepared.groups[0][0])}
