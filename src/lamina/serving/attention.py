"""Attention maps for people to look at: which tokens each token of an input looks at, in any layer and head."""

from __future__ import annotations

import base64
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from ..pipelines.base import Pipeline
from .errors import Invalid
from .wire import read_parameters

Part = Literal["self", "encoder", "decoder", "cross"]

TOKENS = 128  # of a map: more would be neither computed soon nor read by anyone
CHARACTERS = 4000  # of a text that are tokenized for that
TEXTS = 16  # of a list
DEEPEST = 3  # lists within lists: no task reads more
OVERVIEW = 24  # points of a small map along each side
ROW_OPTIONS = (  # parameters that decide what the model reads
    "candidate_labels",
    "hypothesis_template",
    "max_seq_len",
    "doc_stride",
    "stride",
    "src_lang",
    "tgt_lang",
)


class AttentionRequest(BaseModel):
    """One map: the input as the task takes it, and where to look."""

    model_config = ConfigDict(extra="forbid")

    inputs: Any = Field(description="As the task takes it.")
    parameters: dict[str, Any] | None = Field(None, description="As the task takes them; those that write are ignored.")
    task: str | None = Field(None, description="The model's own task unless named.")
    target: str | None = Field(None, max_length=CHARACTERS, description="What was written, for the decoder's maps.")
    part: Part | None = Field(None, description="Which stack, or the decoder's view of the source.")
    row: int = Field(0, ge=0, lt=10_000, description="Which of the rows that the input was cut into.")
    layer: int = Field(0, ge=0, lt=10_000)
    head: int = Field(0, ge=0, lt=10_000)
    overview: bool = Field(False, description="Also a small map of every layer and head.")


class MapToken(BaseModel):
    """One token beside a map."""

    id: int
    text: str
    special: bool


class Overview(BaseModel):
    """All maps made small: bytes [layers, heads, rows, columns], 255 where all attention is."""

    rows: int
    columns: int
    data: str = Field(description="base64")


class AttentionMap(BaseModel):
    """The weights [queries, keys] of one layer and head; a row adds up to one, less what memories take."""

    part: Part
    parts: list[Part]
    layer: int
    layers: int
    head: int
    heads: int
    row: int
    rows: int
    truncated: bool
    queries: list[MapToken]
    keys: list[MapToken]
    weights: list[list[float]]
    overview: Overview | None


@dataclass(frozen=True)
class Recorded:
    """The maps of one part, one [heads, queries, keys] for each layer, with the tokens on both sides."""

    maps: Sequence[Tensor]
    queries: list[int]
    keys: list[int]


@dataclass(frozen=True)
class ModelRows:
    """What a model reads of one input, and whether that is all of it."""

    rows: Sequence[Mapping[str, list[int]]]
    whole: bool


def draw_attention(pipe: Pipeline, asked: AttentionRequest, read: ModelRows) -> AttentionMap:
    """The map that was asked for; raises Invalid where there is no such layer, head, row or part."""
    rows = read.rows
    row = rows[picked("row", asked.row, len(rows))]
    cut = {name: values[:TOKENS] for name, values in row.items()}
    recorded = record(pipe, cut, asked.target)
    parts = list(recorded)
    part = asked.part or parts[0]
    if part not in recorded:
        raise Invalid(f"this input has no {part} maps, only {', '.join(parts)}")
    found = recorded[part]
    layer = picked("layer", asked.layer, len(found.maps))
    head = picked("head", asked.head, len(found.maps[0]))
    return AttentionMap(
        part=part,
        parts=parts,
        layer=layer,
        layers=len(found.maps),
        head=head,
        heads=len(found.maps[0]),
        row=asked.row,
        rows=len(rows),
        truncated=not read.whole or len(row["input_ids"]) > TOKENS,
        queries=named(pipe, found.queries),
        keys=named(pipe, found.keys),
        weights=[[round(weight, 4) for weight in line] for line in found.maps[layer][head].double().tolist()],
        overview=small(found.maps) if asked.overview else None,
    )


def model_rows(pipe: Pipeline, asked: AttentionRequest) -> ModelRows:
    """The rows of the input that was asked about; raises PipelineError where it makes no sense."""
    given, _ = shortened(asked.parameters or {})
    task = "translation" if pipe.task.startswith("translation_") else pipe.task
    checked = read_parameters(task, given).given()
    settings = pipe.resolve_options({name: value for name, value in checked.items() if name in ROW_OPTIONS})
    inputs, whole = shortened(asked.inputs)
    groups = pipe.encode([pipe.parse(inputs, settings)], settings)
    rows = [row.inputs for row in groups[0] if len(row)]
    if not rows:
        raise Invalid("the text has no tokens")
    return ModelRows(rows, whole)


def shortened(inputs: Any, depth: int = 0) -> tuple[Any, bool]:
    """`inputs` with no more text than a map has room for, and whether that was all."""
    if depth > DEEPEST:
        return None, False
    if isinstance(inputs, str):
        return inputs[:CHARACTERS], len(inputs) <= CHARACTERS
    if isinstance(inputs, list):
        parts = [shortened(part, depth + 1) for part in inputs[:TEXTS]]
        return [part for part, _ in parts], len(inputs) <= TEXTS and all(whole for _, whole in parts)
    if isinstance(inputs, dict):
        named_parts = {name: shortened(part, depth + 1) for name, part in inputs.items()}
        return {name: part for name, (part, _) in named_parts.items()}, all(whole for _, whole in named_parts.values())
    return inputs, True


def record(pipe: Pipeline, row: Mapping[str, list[int]], target: str | None) -> dict[Part, Recorded]:
    """Every map of one pass over `row`, by part."""
    model = pipe.model
    inputs = {name: torch.tensor([values], device=pipe.device) for name, values in row.items()}
    source = row["input_ids"]
    with torch.inference_mode():
        if getattr(model, "encoder", None) is None or getattr(model, "decoder", None) is None:
            uncached = {"use_cache": False} if "use_cache" in inspect.signature(model.forward).parameters else {}
            output = model(**inputs, **uncached, output_attentions=True)
            return {"self": Recorded(own(output.attentions, len(source)), source, source)}
        written = target_ids(pipe, target) if target and model.kind == "seq2seq-lm" else None
        if written is None and model.kind == "seq2seq-lm":
            encoded = model.encode(inputs["input_ids"], inputs.get("attention_mask"), attentions=True)
            return {"encoder": Recorded(own(encoded.attentions, len(source)), source, source)}
        labels = None if written is None else torch.tensor([written], device=pipe.device)
        read = model.decoder_inputs(labels, inputs["input_ids"])
        output = model(
            input_ids=inputs["input_ids"],
            attention_mask=inputs.get("attention_mask"),
            decoder_input_ids=read,
            use_cache=False,
            output_attentions=True,
        )
    ids = read[0].tolist()
    return {
        "encoder": Recorded(own(output.encoder_attentions, len(source)), source, source),
        "decoder": Recorded(own(output.decoder_attentions, len(ids)), ids, ids),
        "cross": Recorded(own(output.cross_attentions, len(source)), ids, source),
    }


def target_ids(pipe: Pipeline, target: str) -> list[int]:
    """The tokens of a text that a model has written."""
    ids: list[int] = pipe.tokenizer(text_target=target)["input_ids"]
    return ids[:TOKENS]


def own(maps: Sequence[Tensor], keys: int) -> list[Tensor]:
    """[heads, queries, keys] for each layer; memories that stand before the row's own keys are left out."""
    return [layer[0, ..., -keys:].float().cpu() for layer in maps]


def picked(name: str, number: int, count: int) -> int:
    """`number`, where there are more than that."""
    if number >= count:
        raise Invalid(f"{name} is {number}; there are {count}, counted from 0")
    return number


def named(pipe: Pipeline, ids: Sequence[int]) -> list[MapToken]:
    tokenizer = pipe.tokenizer
    special = set(tokenizer.all_special_ids)
    # Decoding gives whole characters and spaces where it can; a piece of a character keeps its spelling.
    texts = [tokenizer.decode([number]) for number in ids]
    spelled = tokenizer.convert_ids_to_tokens(list(ids))
    return [
        MapToken(
            id=number, text=text if text.strip() and "\ufffd" not in text else str(name), special=number in special
        )
        for number, text, name in zip(ids, texts, spelled, strict=True)
    ]


def small(maps: Sequence[Tensor]) -> Overview:
    """Every map at once; of points that fall together, the strongest is kept."""
    stacked = torch.stack(list(maps))  # [layers, heads, queries, keys]
    rows, columns = (min(OVERVIEW, size) for size in stacked.shape[-2:])
    pooled = torch.nn.functional.adaptive_max_pool2d(stacked, (rows, columns))
    data = (pooled * 255).round().clamp(0, 255).to(torch.uint8)
    return Overview(rows=rows, columns=columns, data=base64.b64encode(data.numpy().tobytes()).decode())
