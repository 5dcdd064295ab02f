"""Vectors, scores and tokens as text-embeddings-inference gives them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field, StrictBool
from starlette.requests import Request
from starlette.responses import Response

from ..answering import Answer, Question, answer
from ..dialects import EMBEDDINGS, RANKING
from ..embedding import embeds, shaped, vector_question
from ..errors import Invalid
from ..models import Served
from ..replies import Json
from ..schemas import NUMBER, Body
from ..state import Serving
from ..texts import describe_tokens
from ..wire import read_parameters
from .targets import Target, new_router, scopes

Ids = list[Annotated[int, Field(ge=0, strict=True)]]
Pair = Annotated[list[str], Field(min_length=2, max_length=2)]
Direction = Literal["Left", "Right", "left", "right"]


class EmbedRequest(Body):
    """Texts to have vectors of; ids stand for the text that they decode to."""

    inputs: str | list[str] | list[Ids]
    truncate: StrictBool = True
    truncation_direction: Direction = "Right"
    normalize: StrictBool = True
    dimensions: Annotated[int, Field(ge=1), NUMBER] | None = None
    prompt_name: str | None = None


class PredictRequest(Body):
    """A text, a pair of texts, or a batch of either, each in a list of its own."""

    inputs: str | list[str] | list[list[str]]
    raw_scores: StrictBool = False
    truncate: StrictBool = True


class RerankRequest(Body):
    """Texts to be put in the order in which they answer a query."""

    query: str
    texts: Annotated[list[str], Field(min_length=1)]
    raw_scores: StrictBool = False
    return_text: StrictBool = False
    truncate: StrictBool = True


class Comparison(Body):
    """A sentence, and those to compare with it."""

    source_sentence: str
    sentences: Annotated[list[str], Field(min_length=1)]


class SimilarityRequest(Body):
    """Sentences to compare."""

    inputs: Comparison
    parameters: dict[str, Any] | None = None


class TokenizeRequest(Body):
    """Texts to take apart."""

    inputs: str | list[str]
    add_special_tokens: StrictBool = True


class DecodeRequest(Body):
    """Ids to put together."""

    ids: Ids | list[Ids]
    skip_special_tokens: StrictBool = True


class Label(BaseModel):
    """A label and its score."""

    label: str
    score: float


class Rank(BaseModel):
    """The place of a text in the request, and its score."""

    index: int
    score: float
    text: str | None = None


class TokenPiece(BaseModel):
    """A token and the code points of the text that it stands for; null for one that stands for none."""

    id: int
    text: str
    special: bool
    start: int | None
    stop: int | None


def router() -> APIRouter:
    """/embed, /embed_all, /predict, /rerank, /similarity, /tokenize and /decode."""
    made = new_router("text-embeddings-inference")
    for prefix, choice in scopes()[1:]:
        _add_vectors(made, prefix, Depends(choice))
        _add_scores(made, prefix, Depends(choice))
        _add_tokens(made, prefix, Depends(choice))
    return made


def _add_vectors(made: APIRouter, prefix: str, choice: Any) -> None:
    @made.post(f"{prefix}/embed", response_model=list[list[float]])
    async def embed(request: Request, body: EmbedRequest, target: Target = choice) -> Response:
        """A vector for each text."""
        served = await target.model(embeds, "can make vectors of texts")
        question = vector_question(
            served,
            await input_texts(target.serving, served, body.inputs),
            normalize=body.normalize,
            truncate=body.truncate,
            direction=body.truncation_direction,
            dimensions=body.dimensions,
            prompt_name=body.prompt_name,
        )
        return _sent(served, await answer(target.serving, question, request))

    @made.post(f"{prefix}/embed_all", response_model=list[list[list[float]]])
    async def embed_all(request: Request, body: EmbedRequest, target: Target = choice) -> Response:
        """A vector for each token of each text."""
        served = await target.model(embeds, "can make vectors of texts")
        if body.prompt_name is not None:
            raise Invalid(
                "prompt_name: /embed_all gives the vectors of single tokens; write the prompt before the text"
            )
        options = {"return_tensors": True, "truncation": body.truncate}
        items = await input_texts(target.serving, served, body.inputs)
        pipe = served.pipeline_for("feature-extraction")
        question = Question(served, pipe, items, options, shape=_token_vectors, dialect=EMBEDDINGS)
        return _sent(served, await answer(target.serving, question, request))

    @made.post(f"{prefix}/similarity", response_model=list[float])
    async def similarity(request: Request, body: SimilarityRequest, target: Target = choice) -> Response:
        """How alike a sentence is to others."""
        served = await target.model(embeds, "can make vectors of texts")
        read_parameters("sentence-similarity", body.parameters)
        question = Question(served, served.pipeline_for("sentence-similarity"), [body.inputs.model_dump()])
        found = await answer(target.serving, question, request)
        return _sent(served, found, found.answers[0])


def _add_scores(made: APIRouter, prefix: str, choice: Any) -> None:
    @made.post(f"{prefix}/predict", response_model=list[Label] | list[list[Label]])
    async def predict(request: Request, body: PredictRequest, target: Target = choice) -> Response:
        """The labels of texts or pairs, best first."""
        served = await target.model(_classifies, "can classify texts")
        items, single = _texts_and_pairs(body.inputs)
        options: dict[str, Any] = {"top_k": None, "truncation": body.truncate}
        if body.raw_scores:
            options["function_to_apply"] = "none"
        question = Question(served, served.pipeline_for("text-classification"), items, options, dialect=EMBEDDINGS)
        found = await answer(target.serving, question, request)
        return _sent(served, found, found.answers[0] if single else found.answers)

    @made.post(f"{prefix}/rerank", response_model=list[Rank])
    async def rerank(request: Request, body: RerankRequest, target: Target = choice) -> Response:
        """Texts by how well they answer a query, best first."""
        served = await target.model(_ranks, "can rank texts: that takes a classifier with a single label")
        items = [{"text": body.query, "text_pair": text} for text in body.texts]
        function = "none" if body.raw_scores else served.pair_function()
        options = {"top_k": None, "truncation": body.truncate, "function_to_apply": function}
        question = Question(served, served.pipeline_for("text-classification"), items, options, dialect=RANKING)
        found = await answer(target.serving, question, request)
        ranks = [{"index": number, "score": labels[0]["score"]} for number, labels in enumerate(found.answers)]
        ranks.sort(key=lambda rank: -rank["score"])
        if body.return_text:
            ranks = [{**rank, "text": body.texts[rank["index"]]} for rank in ranks]
        return _sent(served, found, ranks)


def _add_tokens(made: APIRouter, prefix: str, choice: Any) -> None:
    @made.post(f"{prefix}/tokenize", response_model=list[list[TokenPiece]])
    async def tokenize(body: TokenizeRequest, target: Target = choice) -> Response:
        """The tokens of texts."""
        served = await target.model()
        texts = [body.inputs] if isinstance(body.inputs, str) else body.inputs
        special = body.add_special_tokens

        def take_apart() -> list[Any]:
            return [describe_tokens(served.tokenizer, text, special) for text in texts]

        return Json(await target.serving.read(take_apart, len(texts), sum(map(len, texts))))

    @made.post(f"{prefix}/decode", response_model=list[str])
    async def decode(body: DecodeRequest, target: Target = choice) -> Response:
        """The texts of ids."""
        served = await target.model()
        nested = bool(body.ids) and isinstance(body.ids[0], list)
        rows: list[Any] = list(body.ids) if nested else [body.ids]

        def put_together() -> list[str]:
            options = {"skip_special_tokens": body.skip_special_tokens}
            return [served.tokenizer.decode(checked_ids(served, row), **options) for row in rows]

        return Json(await target.serving.read(put_together, len(rows), sum(map(len, rows))))


async def input_texts(serving: Serving, served: Served, inputs: str | list[str] | Ids | list[Ids]) -> list[str]:
    """The texts of a request; ids, of one text or of several, are decoded on a text thread."""
    if isinstance(inputs, str):
        return [inputs]
    rows: list[Any] = [inputs] if inputs and isinstance(inputs[0], int) else list(inputs)
    if all(isinstance(row, str) for row in rows):
        return rows

    def put_together() -> list[str]:
        return [text_of(served, row) for row in rows]

    return await serving.read(put_together, len(rows), sum(map(len, rows)))


def text_of(served: Served, ids: list[int]) -> str:
    """The text that ids stand for; raises Invalid where the model would read that text as other ids."""
    tokenizer, special = served.tokenizer, set(served.tokenizer.all_special_ids)
    text: str = tokenizer.decode(checked_ids(served, ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)
    read = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
    if [id for id in read if id not in special] != [id for id in ids if id not in special]:
        raise Invalid("these token ids are not those of the text they decode to; send the text")
    return text


def checked_ids(served: Served, ids: list[int]) -> list[int]:
    """Ids that the vocabulary has."""
    most = len(served.tokenizer)
    if any(id >= most for id in ids):
        raise Invalid(f"there is no token id {max(ids)}: the vocabulary has {most}")
    return ids


def _texts_and_pairs(inputs: str | list[str] | list[list[str]]) -> tuple[list[Any], bool]:
    """A text; a pair, as two texts in a list; or a batch, each text or pair in a list of its own."""
    if isinstance(inputs, str):
        return [inputs], True
    if len(inputs) == 2 and all(isinstance(one, str) for one in inputs):
        return [{"text": inputs[0], "text_pair": inputs[1]}], True
    items: list[Any] = []
    for one in inputs:
        parts = [one] if isinstance(one, str) else one
        if not 1 <= len(parts) <= 2:
            raise Invalid("each of the inputs must be a list with one text, or with a pair of them")
        items.append(parts[0] if len(parts) == 1 else {"text": parts[0], "text_pair": parts[1]})
    return items, False


def _classifies(served: Served) -> bool:
    return "text-classification" in served.tasks


def _ranks(served: Served) -> bool:
    return _classifies(served) and served.pipeline.model.config.num_labels == 1


def _token_vectors(features: Any) -> Any:
    """[1, tokens, hidden] to [tokens, hidden]."""
    return np.ascontiguousarray(shaped(features)[0])


def _sent(served: Served, found: Answer, content: Any = None) -> Json:
    return Json(found.answers if content is None else content, headers=found.headers(served.pipeline.device.type))
