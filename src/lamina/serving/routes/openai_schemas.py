"""Requests and answers of the OpenAI interface, as far as models without chat can answer them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool

from ..schemas import NUMBER, Body

Ids = list[Annotated[int, Field(ge=0, strict=True)]]
Penalty = Annotated[float, Field(ge=-2, le=2), NUMBER]
Stop = Annotated[str, Field(max_length=200)]


class EmbeddingsRequest(Body):
    """Texts, or ids of tokens, to have vectors of."""

    input: str | list[str] | Ids | list[Ids]
    model: str | None = None
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: Annotated[int, Field(ge=1), NUMBER] | None = None
    user: str | None = None


class StreamOptions(Body):
    """What a stream tells besides text."""

    include_usage: StrictBool = False


class CompletionRequest(BaseModel):
    """Prompts to go on from. Options of text generation are read too: some clients spread them here."""

    model_config = ConfigDict(extra="allow", allow_inf_nan=False)

    prompt: str | list[str] | Ids | list[Ids]
    model: str | None = None
    max_tokens: Annotated[int, Field(ge=1, le=100_000), NUMBER] | None = None
    temperature: Annotated[float, Field(ge=0, le=100), NUMBER] | None = None
    top_p: Annotated[float, Field(ge=0, le=1), NUMBER] | None = None
    n: Annotated[int, Field(ge=1, le=16), NUMBER] | None = None
    best_of: Annotated[int, Field(ge=1, le=16), NUMBER] | None = None
    stream: StrictBool | None = None
    stream_options: StreamOptions | None = None
    logprobs: Annotated[int, Field(ge=0, le=20), NUMBER] | None = None
    echo: StrictBool | None = None
    stop: Stop | Annotated[list[Stop], Field(max_length=16)] | None = None
    seed: Annotated[int, Field(ge=0, lt=2**63), NUMBER] | None = None
    frequency_penalty: Penalty | None = None
    presence_penalty: Penalty | None = None
    logit_bias: dict[str, Annotated[float, Field(ge=-100, le=100), NUMBER]] | None = None  # by token id
    suffix: str | None = None
    user: str | None = None


class OpenAIErrorBody(BaseModel):
    """What went wrong."""

    message: str
    type: str
    param: str | None = None
    code: str | None = None


class OpenAIError(BaseModel):
    """What every refusal under /v1 says."""

    error: OpenAIErrorBody


class EmbeddingRecord(BaseModel):
    """One vector: numbers, or base64 of little-endian 32-bit floats."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class EmbeddingUsage(BaseModel):
    """Tokens that were read."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingsAnswer(BaseModel):
    """A vector for each input."""

    object: Literal["list"]
    model: str
    data: list[EmbeddingRecord]
    usage: EmbeddingUsage


class CompletionUsage(EmbeddingUsage):
    """Tokens that were read and written."""

    completion_tokens: int


class CompletionChoice(BaseModel):
    """One text."""

    index: int
    text: str
    logprobs: dict[str, Any] | None
    finish_reason: str | None


class CompletionAnswer(BaseModel):
    """Texts that go on from prompts."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: CompletionUsage | None = None


class ModelRecord(BaseModel):
    """One model."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class ModelList(BaseModel):
    """The models that are served."""

    object: Literal["list"]
    data: list[ModelRecord]
