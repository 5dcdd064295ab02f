"""Reading many sequences end to end: the same answers as from padded rows, and no padding to compute."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..errors import InputError
from .embeddings import check_room, table_rows
from .layouts import PackedLayout
from .model import Model, check_inputs
from .objectives import IGNORED, States
from .stack import Stack

PER_TOKEN = ("causal-lm", "masked-lm", "token-classification", "replaced-token")  # kinds with a label for each token


def read_packed(
    model: Model,
    input_ids: Tensor,
    lengths: list[int],
    token_type_ids: Tensor | None = None,
    targets: Mapping[str, Tensor] | None = None,
) -> Any:
    """The output of a model of one stack for `lengths` sequences that lie end to end in `input_ids` [tokens].

    Fields that hold a value per token come as [1, tokens, ...] in the same order, those per sequence as
    [sequences, ...]. Sort by length first: neighbors of one length share a call of the attention kernel. `targets` are
    the labels of the model's task, [tokens] where each token has one and [sequences, ...] otherwise.
    """
    stack = model.decoder or model.encoder
    if stack is None or (model.encoder is not None and model.decoder is not None):
        raise InputError(f"a {type(model).__name__} is no plain stack: its rows cannot be packed")
    if sum(lengths) != input_ids.numel() or min(lengths, default=0) < 1:
        raise InputError(f"lengths {lengths[:8]} add up to {sum(lengths)}, there are {input_ids.numel()} tokens")
    ids = input_ids.view(1, -1)
    types = None if token_type_ids is None else token_type_ids.view(1, -1)
    check_inputs(stack.embeddings.tokens.num_embeddings, ids, None, types)
    dropping = model.training and stack.spec.block.attention_dropout > 0
    x = packed_states(stack, ids, lengths, types, dropping)
    ends = torch.tensor(lengths, device=ids.device).cumsum(0)
    starts = ends - torch.tensor(lengths, device=ids.device)
    pooled = None if model.pooler is None else model.pooler(x[0, starts][:, None])
    how = model.head.spec.select if model.head is not None else None
    if how is not None and how != "pooled":
        x = x[0, starts if how == "first" else ends - 1][:, None]
    states = States(x, pooled, None, None)
    return model.finish(states, _placed(model, targets or {}, starts), {}, both=False)


def _placed(model: Model, targets: Mapping[str, Tensor], starts: Tensor) -> dict[str, Tensor]:
    """Labels as the objective reads them: those of tokens in one row, where none predicts the next sequence's start."""
    if model.kind not in PER_TOKEN or "labels" not in targets:
        return dict(targets)
    labels = targets["labels"].view(1, -1)
    if model.kind == "causal-lm":
        labels = labels.index_fill(1, starts, IGNORED)
    return {**targets, "labels": labels}


def _computed(x: Tensor) -> torch.dtype:
    """The type in which linear layers hand queries over: autocast's, where that is on."""
    kind = x.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype


def packed_states(
    stack: Stack, ids: Tensor, lengths: list[int], types: Tensor | None = None, dropping: bool = False
) -> Tensor:
    """What a stack makes of sequences that lie end to end in `ids` [1, tokens]: [1, tokens, hidden].

    `dropping` says that attention weights are dropped.
    """
    check_room(stack.spec.embedding.positions, max(lengths))
    steps = torch.cat([torch.arange(n) for n in lengths]).to(ids.device)
    x = stack.embeddings(ids, table_rows(stack.spec.embedding.positions, steps)[None], types, None)
    bias = _bias(stack, max(lengths), ids.device)
    states: Tensor = stack(x, PackedLayout(lengths, stack.spec.causal, bias, x.device, _computed(x), dropping))
    return states


def packable(model: Model) -> bool:
    """Whether `read_packed` can read for this model: one stack, and a head that needs nothing but the tokens.

    A forward of a user's own, or a hook on the model, would be passed by: such a model reads padded rows.
    """
    one = (model.encoder is None) != (model.decoder is None)
    return one and model.forward_is_ours and model.kind not in ("multiple-choice", "double-heads")


def _bias(stack: Stack, longest: int, device: torch.device) -> Tensor | None:
    if stack.relative is None:
        return None
    steps = torch.arange(longest, device=device)
    bias: Tensor = stack.relative(steps, steps)[None]
    return bias
