"""Stacks and heads put together: the models that any spec describes, with the calls users know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import InputError
from ..spec import ModelSpec
from .cache import KeyValueCache
from .decoding import DecodingState, StepOutput
from .embeddings import check_room, check_rows, place, table_rows
from .heads import Head, PoolerLayer
from .initialization import initialize
from .layouts import CachedLayout, DenseLayout, RecordingLayout, visibility
from .objectives import OBJECTIVES, States
from .outputs import ModelOutput, filled
from .recording import keeps_no_cache, recording
from .stack import Memory, Stack
from .stepping import DecodingLayout, SourceLayout, slot_places

PACKAGE = __name__.partition(".")[0]


class Run:
    """One pass through one stack: the past it continues, the source it reads, and what is asked of it on the way."""

    def __init__(self, attentions: bool = False, hidden_states: bool = False, cache: KeyValueCache | None = None):
        self.cache = cache
        self.hidden: list[Tensor] | None = [] if hidden_states else None
        self.layout_type = RecordingLayout if attentions else DenseLayout
        self.layouts: list[Any] = []
        self.source_layout: Any = None

    def maps(self) -> tuple[Tensor, ...] | None:
        """Attention maps of every layer, where they were asked for."""
        return tuple(self.layouts[0].maps) if self.layout_type is RecordingLayout else None

    def source_maps(self) -> tuple[Tensor, ...] | None:
        """Cross-attention maps of every layer, where they were asked for and there is a source."""
        return tuple(self.source_layout.maps) if isinstance(self.source_layout, RecordingLayout) else None

    def hidden_states(self) -> tuple[Tensor, ...] | None:
        """What entered each layer and left the last."""
        return None if self.hidden is None else tuple(self.hidden)


class Model(nn.Module):
    """An encoder, a decoder or both, with a pooler and heads where the spec has them.

    `config` is read live, since users set `pad_token_id` and `problem_type` on it after loading.
    """

    reads_only = False  # whether linear layers were swapped for ones without gradients, see inference/quantize.py

    def __init__(self, spec: ModelSpec, kind: str, config: Any):
        super().__init__()
        self.spec, self.objective, self.config = spec, OBJECTIVES[kind], config
        self.kind = kind
        self.label_smoothing = 0.0  # of the loss while training
        self.labelled_rows: Tensor | None = None  # while training, the tokens whose logits are all that is wanted
        self.assemble(spec)

    def assemble(self, spec: ModelSpec) -> None:
        """Make the stacks and what stands on them; a network that is no plain stack makes parts of its own."""
        self.encoder = Stack(spec.encoder) if spec.encoder else None
        shared = self.encoder.embeddings.tokens if self.encoder and spec.shared_tokens else None
        self.decoder = Stack(spec.decoder, shared) if spec.decoder else None
        self.pooler = PoolerLayer(spec.pooler) if spec.pooler else None
        top = self.decoder or self.encoder
        assert top is not None
        self.head = Head(spec.head, top.embeddings.tokens) if spec.head else None
        self.second_head = Head(spec.second_head, top.embeddings.tokens) if spec.second_head else None

    def initialize(self, only: set[str] | None = None) -> None:
        """Draw all parameters anew, or those named."""
        initialize(self, self.spec.init, only)

    def run_stack(
        self,
        stack: Stack,
        run: Run,
        input_ids: Tensor | None,
        attention_mask: Tensor | None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        memory: Memory | None = None,
        source_mask: Tensor | None = None,
    ) -> Tensor:
        """Embed and run one stack: [batch, tokens] to [batch, tokens, hidden]."""
        given = input_ids if input_ids is not None else inputs_embeds
        if given is None or (input_ids is not None and inputs_embeds is not None):
            raise InputError("pass either input_ids or inputs_embeds")
        check_inputs(stack.embeddings.tokens.num_embeddings, input_ids, attention_mask, token_type_ids)
        stack.embeddings.check(token_type_ids, position_ids)
        tokens, past, device = given.shape[1], run.cache.length if run.cache else 0, given.device
        if position_ids is None:
            position_ids = place(stack.spec.embedding.positions, given.shape[:2], past, device, input_ids)
        bias = None
        if stack.relative is not None:
            steps = torch.arange(past + tokens, device=device)
            bias = stack.relative(steps[past:], steps)[None]
        causal = stack.spec.causal
        seen = visibility(attention_mask, tokens, past + tokens, causal, device)
        layout = run.layout_type(seen, bias, causal and past == 0)
        run.layouts.append(layout)
        if memory is not None:
            run.source_layout = run.layout_type(visibility(source_mask, tokens, memory[0][0].shape[1], False))
        x = stack.embeddings(input_ids, position_ids, token_type_ids, inputs_embeds)
        if self.reads_only:
            check_reading(x)
        outer = CachedLayout(run.cache, layout) if run.cache is not None else layout
        x = stack(x, outer, run.source_layout, memory, run.hidden)
        if run.cache is not None:
            run.cache.advance(tokens)
        return x

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
        stack = self.decoder or self.encoder
        assert stack is not None and self.head is not None
        if lengths is not None and bool((lengths == ids.shape[1]).all()):
            lengths = None
        steps = state.lengths[:, None] + torch.arange(ids.shape[1], device=ids.device)
        check_room(stack.spec.embedding.positions, state.longest + ids.shape[1])
        if state.used == 0:
            check_inputs(stack.embeddings.tokens.num_embeddings, ids, None, None)
        bias = None
        if stack.relative is not None:
            plain = state.places is None and state.width == 1
            state.reserve(ids.shape[1] * state.width)
            places = slot_places(state, ids.shape[1])
            bias = stack.relative(steps[:1] if plain else steps, (places[:1] if plain else places)[:, None])
        layout = DecodingLayout(state, ids.shape[1], bias)
        source = SourceLayout(state) if state.memory is not None else None
        x = stack.embeddings(ids, table_rows(stack.spec.embedding.positions, steps), state.types_at(steps), None)
        x = stack(x, layout, source, state.memory)
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

    def finish(self, states: States, targets: Mapping[str, Tensor | None], extra: dict[str, Any], both: bool) -> Any:
        """Head, loss and output class of this model's task."""
        foreign = [k for k, v in targets.items() if v is not None and k not in self.objective.targets]
        if foreign:
            raise InputError(f"a {self.kind} model takes {list(self.objective.targets) or 'no labels'}, not {foreign}")
        taken = {name: targets.get(name) for name in self.objective.targets}
        fields = self.objective.finish(self, states, taken)
        return filled(self.objective.seq2seq_output if both else self.objective.output, fields | extra)

    def get_input_embeddings(self) -> nn.Embedding:
        """The token table."""
        stack = self.encoder or self.decoder
        assert stack is not None
        return stack.embeddings.tokens

    def get_output_embeddings(self) -> nn.Linear | None:
        """The projection to the vocabulary, where the task has one."""
        top = self.decoder or self.encoder
        assert top is not None
        writes = self.kind == "seq2seq-lm" or (
            self.head is not None and self.head.project.out_features == top.embeddings.tokens.num_embeddings
        )
        return self.head.project if self.head is not None and writes else None

    def gradient_checkpointing_enable(self) -> None:
        """Trade time for memory: recompute each block in the backward pass."""
        self._checkpoint(True)

    def gradient_checkpointing_disable(self) -> None:
        """Keep every block's activations again."""
        self._checkpoint(False)

    def _checkpoint(self, on: bool) -> None:
        for stack in (self.encoder, self.decoder):
            if stack is not None:
                stack.checkpointing = on

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


def check_reading(x: Tensor) -> None:
    """Refuse what layers that only read would get wrong in silence: gradients, and graphs that are to be kept."""
    if keeps_no_cache():
        raise InputError("swapped layers cannot be traced or exported: load the model with precision='fp32' for that")
    if x.requires_grad and torch.is_grad_enabled():
        raise InputError("swapped layers have no gradients: load the model with precision='fp32' to ask for them")


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
