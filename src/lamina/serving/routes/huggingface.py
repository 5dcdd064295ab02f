"""Every task as the Hugging Face Inference API answers it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from ...files.shown import shown
from ..answering import Question, answer
from ..dialects import inference
from ..embedding import shaped, vector_question
from ..errors import Invalid, NotFound
from ..generating import TASKS as WRITING_TASKS
from ..models import Served, plain_task
from ..replies import Json
from ..schemas import (
    HARMLESS,
    PARAMETERS,
    FeatureExtractionParameters,
    FillMaskParameters,
    Parameters,
    TaskRequest,
    TokenClassificationParameters,
    ZeroShotClassificationParameters,
)
from ..state import Serving
from ..texts import last_tokens
from ..wire import WIRES, as_pairs, read_parameters, texts
from .generation import streamed, whole, writing_request
from .targets import ModelId, Target, any_model, named_model, new_router, serving_of

OLD_HUB = re.compile(r"hf_hub/(?:0\.|1\.[01]\.)")  # clients that read zero-shot labels in three lists
ROWS = 4096  # texts times labels of a request
GUESSES = 100_000  # of a request, for all its gaps
ROOT_PARAMETERS = ("feature-extraction",)  # tasks that say their parameters beside the inputs


def router() -> APIRouter:
    """/, /models/{id} and /models/{id}/pipeline/{task}."""
    made = new_router("inference")
    _add_status(made)
    one_model, first_model = Depends(named_model), Depends(any_model)

    @made.post("/models/{model_id:path}/pipeline/{task}", response_model=Any)
    async def answer_task(request: Request, task: str, body: TaskRequest, target: Target = one_model) -> Response:
        """One task of one model."""
        served = await target.model()
        return await respond(target.serving, served, plain_task(task), body, request)

    @made.post("/models/{model_id:path}", response_model=Any)
    async def answer_model(request: Request, body: TaskRequest, target: Target = one_model) -> Response:
        """The task that a model was made for."""
        served = await target.model()
        return await respond(target.serving, served, str(served.task), body, request)

    @made.post("/", response_model=Any)
    async def answer_default(request: Request, body: TaskRequest, target: Target = first_model) -> Response:
        """The task of the first model."""
        served = await target.model()
        return await respond(target.serving, served, str(served.task), body, request)

    return made


def _add_status(made: APIRouter) -> None:
    @made.get("/status/{model_id:path}", response_model=dict[str, Any])
    async def status(request: Request, model_id: ModelId) -> Response:
        """Whether a model is loaded, as widgets ask."""
        served = serving_of(request).find(model_id)
        loaded = served.state == "ready"
        states = {"ready": "Loaded", "loading": "Loading", "failed": "Error"}
        return Json({"state": states[served.state], "loaded": loaded, "compute_type": "cpu", "framework": "lamina"})

    @made.get("/models/{model_id:path}", response_model=dict[str, Any])
    async def describe(request: Request, model_id: ModelId) -> Response:
        """What a model is and does."""
        served = serving_of(request).find(model_id)
        tasks = list(served.tasks) if served.state == "ready" else []
        return Json({"id": served.id, "pipeline_tag": served.task, "tasks": tasks, "state": served.state})


async def respond(serving: Serving, served: Served, task: str, body: TaskRequest, request: Request) -> Response:
    if task not in PARAMETERS:
        raise NotFound(f"there is no task {task[:100]!r}; the model {served.id} does {', '.join(served.tasks)}")
    served.pipeline_for(task)  # NotFound where the model cannot do it
    given = _parameters(task, body)
    if task in WRITING_TASKS:
        return await _write(serving, served, task, given, body, request)
    if body.stream:
        raise Invalid(f"{task} cannot be streamed; only text that is written can")
    if _asks_for_vectors(task, body.inputs):
        return await _embed(serving, served, given, body.inputs, request)
    parameters, wire = read_parameters(task, given), WIRES[task]
    items, single = wire.split(body.inputs)
    check_rows(served, parameters, items)
    question = Question(served, served.pipeline_for(task), items, wire.options(parameters), dialect=inference(task))
    if isinstance(parameters, FeatureExtractionParameters):
        question = _features(question, parameters)
    found = await answer(serving, question, request)
    if task == "zero-shot-classification" and not _legacy(request, given):
        content = as_pairs(found.answers, single)
    else:
        content = wire.join(found.answers, single)
    return Json(content, headers=found.headers(served.pipeline.device.type))


def _parameters(task: str, body: TaskRequest) -> dict[str, Any]:
    """What a request says of its task: in `parameters`, and for some tasks beside the inputs too."""
    given = dict(body.parameters or {})
    beside = {
        name: value for name, value in (body.model_extra or {}).items() if value is not None and name not in HARMLESS
    }
    if beside and not (task in ROOT_PARAMETERS or _asks_for_vectors(task, body.inputs)):
        raise Invalid(
            f'{task}: {shown(next(iter(beside)))} has no place beside the inputs; options go into "parameters"'
        )
    twice = [name for name in beside if given.get(name, beside[name]) != beside[name]]
    if twice:
        raise Invalid(f"{task}: {shown(twice[0])} is given twice, beside the inputs and in the parameters")
    return given | beside


def check_rows(served: Served, parameters: Parameters, items: Sequence[Any]) -> None:
    """Refuse what would make many rows, or many answers, of few words before any of them is made."""
    inputs = len(items)
    if isinstance(parameters, FillMaskParameters):
        gaps = sum(text.count(served.tokenizer.mask_token) for text in items)
        guesses = len(parameters.targets or ()) or parameters.top_k or 5
        if gaps * guesses > GUESSES:
            raise Invalid(f"{gaps} gaps with {guesses} guesses each; at most {GUESSES} guesses together")
    if isinstance(parameters, ZeroShotClassificationParameters) and inputs * len(parameters.candidate_labels) > ROWS:
        raise Invalid(f"{inputs} texts with {len(parameters.candidate_labels)} labels each; at most {ROWS} together")
    if (
        isinstance(parameters, TokenClassificationParameters)
        and served.max_text_tokens
        and parameters.stride is not None
    ):
        most = served.max_text_tokens // 2
        if parameters.stride > most:
            raise Invalid(f"stride is {parameters.stride}; windows may overlap by half, {most} tokens")


def _asks_for_vectors(task: str, inputs: Any) -> bool:
    """Whether texts were sent to a sentence model, rather than something to compare."""
    return task == "sentence-similarity" and (
        isinstance(inputs, str) or (isinstance(inputs, list) and all(isinstance(item, str) for item in inputs))
    )


def _legacy(request: Request, given: Mapping[str, Any]) -> bool:
    """Whether a client reads zero-shot labels as {"sequence", "labels", "scores"}."""
    return "multi_class" in given or OLD_HUB.search(request.headers.get("user-agent", "")) is not None


def _features(question: Question, parameters: FeatureExtractionParameters) -> Question:
    """Feature extraction with its vectors scaled, cut or made from the end of a text, as asked."""
    if parameters.prompt_name is not None:
        raise Invalid("prompt_name: only a sentence model has prompts; write the prompt before the text")
    shape = partial(shaped, normalize=bool(parameters.normalize), dimensions=parameters.dimensions)
    change = None
    tokenizer, limit = question.served.tokenizer, question.served.max_text_tokens
    if parameters.truncate and (parameters.truncation_direction or "").lower() == "left" and limit is not None:
        change = partial(_keep_end, tokenizer, limit)
    return replace(question, change=change, shape=shape)


def _keep_end(tokenizer: Any, count: int, text: str) -> str:
    return last_tokens(tokenizer, text, count)


async def _embed(serving: Serving, served: Served, given: Mapping[str, Any], inputs: Any, request: Request) -> Response:
    """Vectors of texts, for clients that ask a sentence model for features."""
    parameters = read_parameters("feature-extraction", given)
    assert isinstance(parameters, FeatureExtractionParameters)
    items, single = texts(inputs)
    question = vector_question(
        served,
        items,
        normalize=bool(parameters.normalize),
        truncate=parameters.truncate is not False,
        direction=parameters.truncation_direction or "right",
        dimensions=parameters.dimensions,
        prompt_name=parameters.prompt_name,
        dialect=inference("feature-extraction"),
    )
    found = await answer(serving, question, request)
    content = found.answers[0] if single else found.answers
    return Json(content, headers=found.headers(served.pipeline.device.type))


async def _write(
    serving: Serving, served: Served, task: str, given: dict[str, Any], body: TaskRequest, request: Request
) -> Response:
    """Text, whole or as a stream. A prompt is shown before what follows it unless the client says otherwise."""
    prompts, single = texts(body.inputs)
    if task == "text-generation":
        given = {"return_full_text": True, **given}
    parameters: Parameters = read_parameters(task, given)
    asked = writing_request(serving, served, prompts, parameters, body.stream, task)
    if body.stream:
        return await streamed(serving, asked, request)
    if task == "text-generation":
        return await whole(serving, asked, request, listed=True, single=single)
    found = await answer(serving, asked.question(), request)
    return Json(WIRES[task].join(found.answers, single), headers=found.headers(served.pipeline.device.type))
