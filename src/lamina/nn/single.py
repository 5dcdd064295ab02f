"""Models of one stack: encoders, and decoders that read nothing but their own past."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .cache import KeyValueCache
from .decoding import DecodingState
from .layouts import visibility
from .model import Model, Run, as_asked
from .objectives import States
from .recording import keeps_no_cache


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
    ) -> Any:
        """Ids [batch, tokens], or [batch, choices, tokens] for choices, to the output class of the task.

        `attention_mask` is one where a token counts. `encoder_hidden_states` [batch, source, hidden] are read by
        stacks with cross-attention; `past_key_values` is the cache of an earlier call, which is filled further.
        """
        stack = self.decoder or self.encoder
        assert stack is not None
        choices, (ids, mask, types, positions, embeds) = self._flat(
            input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds
        )
        cache = past_key_values
        if cache is None and stack.spec.causal and not self.training and self.wants("use_cache", use_cache):
            cache = None if keeps_no_cache() else KeyValueCache(stack.spec.num_layers)
        attentions = self.wants("output_attentions", output_attentions)
        run = Run(attentions, self.wants("output_hidden_states", output_hidden_states), cache)
        memory = self._memory(encoder_hidden_states, cache)
        x = self.run_stack(stack, run, ids, mask, types, positions, embeds, memory, encoder_attention_mask)
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
        extra = {
            "past_key_values": cache,
            "hidden_states": run.hidden_states(),
            "attentions": run.maps(),
            "cross_attentions": run.source_maps(),
        }
        return as_asked(self.finish(states, targets, extra, both=False), return_dict, self.config)

    def _flat(self, *inputs: Tensor | None) -> tuple[int, tuple[Tensor | None, ...]]:
        """How many choices there are per row, and the inputs with each choice a row of its own."""
        if self.kind not in ("multiple-choice", "double-heads"):
            return 1, inputs
        choices = next((t.shape[1] for t in inputs if t is not None), 1)
        return choices, tuple(None if t is None else t.flatten(0, 1) for t in inputs)

    @torch.no_grad()
    def start(self, batch: dict[str, Any], max_length: int) -> DecodingState:
        """Make room for one row of up to `max_length` tokens per row of `batch`; nothing is read yet.

        `token_type_ids` [rows, tokens] say the types of a row's tokens from its first on, and the last that of all
        that follow; models that read none pass over them.
        """
        stack = self.decoder or self.encoder
        assert stack is not None
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

    def _memory(self, source: Tensor | None, cache: KeyValueCache | None) -> Any:
        """Keys and values of the source, from the cache where an earlier step has left them."""
        if cache is not None and cache.cross is not None:
            return cache.cross
        stack = self.decoder or self.encoder
        if source is None or stack is None or not stack.spec.cross:
            return None
        memory = stack.remember(source)
        if cache is not None:
            cache.cross = memory
        return memory
