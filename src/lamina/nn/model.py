"""Models: stacks and heads put together as any spec describes them, with the calls users know.

`Model` is what all have in common; `SingleStackModel` reads or writes with one stack, `pair` has those of two.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from ..errors import InputError
from ..spec import IGNORED, KINDS, ModelSpec
from .decoding import DecodingState, SourceLayout, StepBatch, StepOutput
from .embeddings import check_rows, counted, given_rows
from .initialization import initialize
from .layouts import KeyValueCache, Memory, PackedBatch, PaddedBatch, visibility
from .objectives import OBJECTIVES, Head, PoolerLayer, States
from .outputs import BaseModelOutput, ModelOutput, filled
from .runtime import keeps_no_cache, recording
from .stack import Stack

PACKAGE = __name__.partition(".")[0]


@dataclass(frozen=True)
class Training:
    """What training asks of a call, beside its inputs."""

    smoothing: float = 0.0  # the part of a target that goes to all classes alike
    labelled: Tensor | None = None  # places of the tokens whose logits the loss reads, where it reads no others


class Model(nn.Module):
    """An encoder, a decoder or both, with a pooler and heads where the spec has them.

    `config` is read live, since users set `pad_token_id` and `problem_type` on it after loading.
    """

    def __init__(self, spec: ModelSpec, kind: str, config: Any):
        super().__init__()
        self.spec, self.objective, self.config = spec, OBJECTIVES[kind], config
        self.kind = kind
        self.assemble(spec)

    def assemble(self, spec: ModelSpec) -> None:
        """Make the stacks and what stands on them; a network that is not a plain stack makes parts of its own."""
        self.encoder = Stack(spec.encoder) if spec.encoder else None
        shared = self.encoder.embeddings.tokens if self.encoder and spec.shared_tokens else None
        self.decoder = Stack(spec.decoder, shared) if spec.decoder else None
        self.pooler = PoolerLayer(spec.pooler) if spec.pooler else None
        tokens = self.top.embeddings.tokens
        self.head = Head(spec.head, tokens) if spec.head else None
        self.second_head = Head(spec.second_head, tokens) if spec.second_head else None

    @property
    def top(self) -> Stack:
        """The stack whose states the head reads."""
        return cast(Stack, self.decoder or self.encoder)

    @property
    def reads_only(self) -> bool:
        """Whether linear layers were swapped for ones without gradients, see inference/quantize.py."""
        return any(stack.reads_only for stack in self.stacks)

    @reads_only.setter
    def reads_only(self, on: bool) -> None:
        for stack in self.stacks:
            stack.reads_only = on

    @property
    def stacks(self) -> list[Any]:
        """Every stack, the encoder first."""
        return [stack for stack in (self.encoder, self.decoder) if stack is not None]

    @property
    def ending(self) -> nn.Module | None:
        """What turns the top's states into the task's answer."""
        return self.head

    def initialize(self, only: set[str] | None = None) -> None:
        """Draw all parameters anew, or those named."""
        initialize(self, self.spec.init, only)

    def read(
        self,
        stack: Stack,
        ids: Tensor | None,
        mask: Tensor | None,
        types: Tensor | None = None,
        positions: Tensor | None = None,
        embeds: Tensor | None = None,
        *,
        cache: KeyValueCache | None = None,
        memory: Memory | None = None,
        source_mask: Tensor | None = None,
        attentions: bool = False,
        hidden: bool = False,
    ) -> BaseModelOutput:
        """One stack's states of padded rows, [batch, tokens, hidden], and what was asked for on the way."""
        given = ids if ids is not None else embeds
        if given is None or (ids is not None and embeds is not None):
            raise InputError("pass either input_ids or inputs_embeds")
        check_inputs(stack.embeddings.tokens.num_embeddings, ids, mask, types)
        kind = stack.spec.embedding.positions
        positions = None if positions is None else given_rows(kind, positions)
        stack.embeddings.check(types, positions)
        batch = PaddedBatch(given, mask, cache, attentions)
        if positions is None:
            positions = counted(kind, ids, mask, batch.past)
        source_layout = None if memory is None else batch.source_layout(source_mask, memory)
        states: list[Tensor] | None = [] if hidden else None
        x = stack.read(
            batch, ids, types, embeds, positions, source_layout=source_layout, memory=memory, hidden_states=states
        )
        if cache is not None:
            cache.advance(batch.tokens)
        maps = (None if made is None else tuple(made) for made in (batch.maps, batch.source_maps))
        return BaseModelOutput(x, cache, None if states is None else tuple(states), *maps)

    def remembered(self, source: Tensor | None, cache: KeyValueCache | None) -> Memory | None:
        """Keys and values of the source, from the cache where an earlier call has left them."""
        if cache is not None and cache.memory is not None:
            return cache.memory
        if source is None or not self.top.spec.cross:
            return None
        memory = self.top.remember(source)
        if cache is not None:
            cache.memory = memory
        return memory

    def step(
        self,
        ids: Tensor,
        state: DecodingState,
        lengths: Tensor | None = None,
        *,
        every: bool = False,
        hidden: bool = False,
    ) -> StepOutput:
        """Append `ids` [rows, tokens] to the rows of `state` and score what follows.

        `lengths` [rows] says how many of each row's tokens are real, the rest being padding on the right. `every`
        scores what follows each token and not only the last; `hidden` returns what the head read as well.
        """
        stack = self.top
        assert self.head is not None
        if lengths is not None and bool((lengths == ids.shape[1]).all()):
            lengths = None
        if state.used == 0:
            check_inputs(stack.embeddings.tokens.num_embeddings, ids, None, None)
        batch = StepBatch(state, ids.shape[1])
        source = SourceLayout(state) if state.memory is not None else None
        x = stack.read(batch, ids, state.types_at(batch.steps), source_layout=source, memory=state.memory)
        state.advance(ids.shape[1], lengths)
        if not every:
            x = x[:, -1] if lengths is None else x[torch.arange(len(x), device=x.device), lengths - 1]
        return StepOutput(self.head(x), x if hidden else None)

    @property
    def forward_is_ours(self) -> bool:
        """Whether calling the model is no more than our own `forward`: no subclass, patch or hook of a user's in it."""
        hooks = self._forward_hooks or self._forward_pre_hooks
        return not hooks and "forward" not in vars(self) and type(self).forward.__module__.startswith(f"{PACKAGE}.")

    @property
    def writing_room(self) -> int | None:
        """Tokens of a row that the model writes at most, its prompt included; None where positions have no end."""
        return self.spec.writing_room

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """Floating-point type of the weights."""
        return next(p.dtype for p in self.parameters() if p.is_floating_point())

    @property
    def writing_vocabulary(self) -> int:
        """How many tokens the head chooses from."""
        return self.head.project.out_features if self.head is not None else 0

    @property
    def token_bytes(self) -> int:
        """Bytes of keys and values that each token of a row takes while the model writes."""
        stack = self.spec.decoder or self.spec.encoder
        assert stack is not None
        block = stack.block
        width = block.num_heads * (block.head_dim or block.hidden_size // block.num_heads)
        return 2 * stack.num_layers * width * next(self.parameters()).element_size()

    def wants(self, name: str, asked: bool | None) -> bool:
        """An output switch of the call, or the config's where the call says nothing."""
        return bool(getattr(self.config, name, False)) if asked is None else asked

    def finish(
        self,
        states: States,
        targets: Mapping[str, Tensor | None],
        extra: dict[str, Any],
        training: Training | None = None,
    ) -> ModelOutput:
        """Head, loss and output class of this model's task; `training` counts in training mode alone."""
        known = KINDS[self.kind].targets
        foreign = [k for k, v in targets.items() if v is not None and k not in known]
        if foreign:
            raise InputError(f"a {self.kind} model takes {list(known) or 'no labels'}, not {foreign}")
        states.head, states.second_head, states.config = self.ending, self.second_head, self.config
        if training is not None and self.training:
            states.smoothing, states.labelled = training.smoothing, training.labelled
        fields = self.objective.finish(states, {name: targets.get(name) for name in known})
        both = len(self.stacks) > 1
        return filled(self.objective.seq2seq_output if both else self.objective.output, fields | extra)

    def get_input_embeddings(self) -> nn.Embedding:
        """The token table."""
        return cast(nn.Embedding, self.stacks[0].embeddings.tokens)

    def get_output_embeddings(self) -> nn.Linear | None:
        """The projection to the vocabulary, where the task has one."""
        writes = self.kind == "seq2seq-lm" or (
            self.head is not None and self.head.project.out_features == self.top.embeddings.tokens.num_embeddings
        )
        return self.head.project if self.head is not None and writes else None

    def gradient_checkpointing_enable(self) -> None:
        """Trade time for memory: recompute each block in the backward pass."""
        for stack in self.stacks:
            stack.checkpointing = True

    def gradient_checkpointing_disable(self) -> None:
        """Keep every block's activations again."""
        for stack in self.stacks:
            stack.checkpointing = False

    def resize_token_embeddings(self, size: int) -> nn.Embedding:
        """Grow or cut the vocabulary; new rows are drawn as fresh ones are, tied projections follow.

        Where the target has a vocabulary of its own only the source's is resized, see resize_decoder_token_embeddings.
        """
        table = self._resize(self.get_input_embeddings(), None if self._apart() else self.get_output_embeddings(), size)
        self.config.vocab_size = size
        return table

    def resize_decoder_token_embeddings(self, size: int) -> nn.Embedding:
        """Grow or cut the target's own vocabulary; InputError where both sides share one."""
        if self.decoder is None or not self._apart():
            raise InputError("both sides share one vocabulary: call resize_token_embeddings")
        table = self._resize(self.decoder.embeddings.tokens, self.get_output_embeddings(), size)
        self.config.decoder_vocab_size = size
        return table

    def _apart(self) -> bool:
        """Whether source and target have a table each."""
        own = self.encoder is not None and self.decoder is not None
        return own and self.decoder.embeddings.tokens is not self.encoder.embeddings.tokens  # type: ignore[union-attr]

    def _resize(self, old: nn.Embedding, output: nn.Linear | None, size: int) -> nn.Embedding:
        if size < 1:
            raise InputError(f"a vocabulary of {size} tokens makes no sense")
        kept = min(size, old.num_embeddings)
        tables = [old.weight] if output is None or output.weight is old.weight else [old.weight, output.weight]
        resized = {id(t): self._resized(t, size, kept) for t in tables}
        if output is not None:
            output.weight, output.out_features = resized.get(id(output.weight), output.weight), size
            if output.bias is not None:
                bias = self._resized(output.bias, size, kept, zero=True)
                output.bias = bias if isinstance(output.bias, nn.Parameter) else bias.detach()
        old.weight, old.num_embeddings = resized[id(old.weight)], size
        if old.padding_idx is not None and old.padding_idx >= size:
            old.padding_idx = None
        return old

    def _resized(self, table: Tensor, size: int, kept: int, zero: bool = False) -> nn.Parameter:
        std = 0.0 if zero else float(getattr(self.spec.init, "std", getattr(self.spec.init, "factor", 0.02)))
        fresh = torch.randn(size, *table.shape[1:], dtype=table.dtype, device=table.device) * std
        fresh[:kept] = table.detach()[:kept]
        return nn.Parameter(fresh, requires_grad=table.requires_grad)


class SingleStackModel(Model):
    """BERT and its kin, GPT and its kin, and one side of an encoder-decoder taken alone."""

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        *,
        start_positions: Tensor | None = None,
        end_positions: Tensor | None = None,
        next_sentence_label: Tensor | None = None,
        sentence_order_label: Tensor | None = None,
        mc_token_ids: Tensor | None = None,
        mc_labels: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        past_key_values: KeyValueCache | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        training: Training | None = None,
    ) -> Any:
        """Ids [batch, tokens], or [batch, choices, tokens] for choices, to the output class of the task.

        `attention_mask` is one where a token counts. `encoder_hidden_states` [batch, source, hidden] are read by
        stacks with cross-attention; `past_key_values` is the cache of an earlier call, which is filled further.
        """
        stack = self.top
        choices, (ids, mask, types, positions, embeds) = self._flat(
            input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds
        )
        cache = past_key_values
        if cache is None and stack.spec.causal and not self.training and self.wants("use_cache", use_cache):
            cache = None if keeps_no_cache() else KeyValueCache(stack.spec.num_layers)
        read = self.read(
            stack,
            ids,
            mask,
            types,
            positions,
            embeds,
            cache=cache,
            memory=self.remembered(encoder_hidden_states, cache),
            source_mask=encoder_attention_mask,
            attentions=self.wants("output_attentions", output_attentions),
            hidden=self.wants("output_hidden_states", output_hidden_states),
        )
        x = read[0]
        states = States(x, None if self.pooler is None else self.pooler(x), ids, mask, choices)
        targets = {
            "labels": labels.flatten(0, 1) if labels is not None and self.kind == "double-heads" else labels,
            "start_positions": start_positions,
            "end_positions": end_positions,
            "next_sentence_label": next_sentence_label,
            "sentence_order_label": sentence_order_label,
            "mc_token_ids": mc_token_ids,
            "mc_labels": mc_labels,
        }
        return as_asked(self.finish(states, targets, vars(read), training), return_dict, self.config)

    def _flat(self, *inputs: Tensor | None) -> tuple[int, tuple[Tensor | None, ...]]:
        """How many choices there are per row, and the inputs with each choice a row of its own."""
        if not KINDS[self.kind].choices:
            return 1, inputs
        choices = next((t.shape[1] for t in inputs if t is not None), 1)
        return choices, tuple(None if t is None else t.flatten(0, 1) for t in inputs)

    @torch.no_grad()
    def start(self, batch: dict[str, Any], max_length: int) -> DecodingState:
        """Make room for one row of up to `max_length` tokens per row of `batch`; nothing is read yet.

        `token_type_ids` [rows, tokens] say the types of a row's tokens from its first on, and the last that of all
        that follow; models that read none pass over them.
        """
        stack = self.top
        given = batch["input_ids"]
        state = DecodingState(len(stack.layers), len(given), max_length, given.device)
        types, table = batch.get("token_type_ids"), stack.embeddings.type_table
        if types is not None and table is not None and stack.spec.embedding.token_types_written:
            stack.embeddings.check(types, None)
            state.types = types
        source = batch.get("encoder_hidden_states")
        if source is not None and stack.spec.cross:
            state.memory = stack.remember(source)
            state.source_visible = visibility(batch.get("encoder_attention_mask"), 1, source.shape[1], False)
        return state


def read_packed(
    model: Model,
    input_ids: Tensor,
    lengths: list[int],
    token_type_ids: Tensor | None = None,
    targets: Mapping[str, Tensor] | None = None,
    training: Training | None = None,
) -> Any:
    """The output of a model of one stack for `lengths` sequences that lie end to end in `input_ids` [tokens].

    Fields that hold a value per token come as [1, tokens, ...] in the same order, those per sequence as
    [sequences, ...]. Sort by length first: neighbors of one length share a call of the attention kernel. `targets` are
    the labels of the model's task, [tokens] where each token has one and [sequences, ...] otherwise.
    """
    if len(model.stacks) != 1 or not isinstance(model.stacks[0], Stack):
        raise InputError(f"a {type(model).__name__} is no plain stack: its rows cannot be packed")
    if sum(lengths) != input_ids.numel() or min(lengths, default=0) < 1:
        raise InputError(f"lengths {lengths[:8]} add up to {sum(lengths)}, there are {input_ids.numel()} tokens")
    stack, ids = model.top, input_ids.view(1, -1)
    types = None if token_type_ids is None else token_type_ids.view(1, -1)
    check_inputs(stack.embeddings.tokens.num_embeddings, ids, None, types)
    stack.embeddings.check(types, None)
    dropping = model.training and stack.spec.block.attention_dropout > 0
    x = stack.read(PackedBatch(lengths, stack.embeddings.tokens.weight, dropping), ids, types)
    ends = torch.tensor(lengths, device=ids.device).cumsum(0)
    starts = ends - torch.tensor(lengths, device=ids.device)
    pooled = None if model.pooler is None else model.pooler(x[0, starts][:, None])
    how = model.head.spec.select if model.head is not None else None
    if how == "mean":
        x = torch.stack([part.mean(0) for part in x[0].split(lengths)])[:, None]
    elif how is not None and how != "pooled":
        x = x[0, starts if how in ("first", "first shown") else ends - 1][:, None]
    return model.finish(States(x, pooled), _placed(model.kind, targets or {}, starts), {}, training)


def _placed(kind: str, targets: Mapping[str, Tensor], starts: Tensor) -> Mapping[str, Tensor]:
    """Labels as the objective reads them: those of tokens in one row, where none predicts the next sequence's start."""
    if not KINDS[kind].per_token or "labels" not in targets:
        return targets
    labels = targets["labels"].view(1, -1)
    return {**targets, "labels": labels.index_fill(1, starts, IGNORED) if KINDS[kind].shifted else labels}


def packable(model: Model) -> bool:
    """Whether `read_packed` can read for this model: one stack, and a head that needs nothing but the tokens.

    A forward of a user's own, or a hook on the model, would be passed by: such a model reads padded rows.
    """
    one = len(model.stacks) == 1 and isinstance(model.stacks[0], Stack)
    return one and model.forward_is_ours and not KINDS[model.kind].choices


def check_inputs(size: int, ids: Tensor | None, mask: Tensor | None, types: Tensor | None) -> None:
    """Refuse shapes and ids that would fail, or worse succeed, deep inside a kernel."""
    if ids is None or recording():
        return
    if ids.dim() != 2:
        raise InputError(f"input_ids must be [batch, tokens], got shape {tuple(ids.shape)}")
    if ids.numel() == 0:
        raise InputError(f"input_ids are empty: shape {tuple(ids.shape)}")
    check_rows("input_ids", ids, size)
    if mask is not None and mask.shape[0] != ids.shape[0]:
        raise InputError(f"attention_mask {tuple(mask.shape)} does not fit input_ids {tuple(ids.shape)}")
    if types is not None and types.shape != ids.shape:
        raise InputError(f"token_type_ids {tuple(types.shape)} do not fit input_ids {tuple(ids.shape)}")


def as_asked(output: ModelOutput, return_dict: bool | None, config: Any) -> Any:
    """The dataclass, or the tuple of its filled fields; torchscript's graphs know no dataclass."""
    keep = config.use_return_dict if return_dict is None else return_dict
    return output if keep else output.to_tuple()
