"""Models of two stacks: a decoder that reads what an encoder made of the source."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..errors import InputError
from ..spec import Shift
from .cache import KeyValueCache
from .decoding import DecodingState
from .layouts import visibility
from .model import Model, Run, as_asked, check_inputs
from .objectives import IGNORED, States
from .outputs import BaseModelOutput
from .recording import keeps_no_cache
from .sources import Placed, placed, read_source, source_lengths


def shifted(targets: Tensor, shift: Shift) -> Tensor:
    """Decoder inputs that predict `targets` [batch, tokens]: each token sees those before it."""
    filled = targets.masked_fill(targets == IGNORED, shift.padding_id)
    if shift.start is None:
        last = (filled != shift.padding_id).sum(1, keepdim=True) - 1
        front = filled.gather(1, last.clamp(min=0))
    else:
        front = filled.new_full((filled.shape[0], 1), shift.start)
    return torch.cat([front, filled[:, :-1]], 1)


class EncoderDecoderModel(Model):
    """BART and its kin, T5."""

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        *,
        token_type_ids: Tensor | None = None,
        encoder_outputs: Any = None,
        inputs_embeds: Tensor | None = None,
        decoder_inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        start_positions: Tensor | None = None,
        end_positions: Tensor | None = None,
        past_key_values: KeyValueCache | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> Any:
        """Source and target ids, [batch, tokens] each, to the output class of the task.

        Without `decoder_input_ids` they are made from `labels`. `encoder_outputs` saves a second run of the encoder.
        `token_type_ids` come from tokenizers of other families, such as BertTokenizer; no model here reads them.
        """
        attentions = self.wants("output_attentions", output_attentions)
        hidden = self.wants("output_hidden_states", output_hidden_states)
        if decoder_input_ids is None and decoder_inputs_embeds is None:
            decoder_input_ids = self.decoder_inputs(labels, input_ids)
        if encoder_outputs is None:
            encoder_outputs = self.encode(input_ids, attention_mask, inputs_embeds, attentions, hidden)
        elif not isinstance(encoder_outputs, BaseModelOutput):
            encoder_outputs = _from_tuple(encoder_outputs)
        cache = past_key_values
        if cache is None and not self.training and labels is None and self.wants("use_cache", use_cache):
            assert self.decoder is not None
            cache = None if keeps_no_cache() else KeyValueCache(self.decoder.spec.num_layers)
        run = Run(attentions, hidden, cache)
        source = encoder_outputs.last_hidden_state
        x = self._decode(run, decoder_input_ids, decoder_attention_mask, decoder_inputs_embeds, source, attention_mask)
        by_source = self.head is not None and self.head.spec.select == "eos"
        states = States(x, None, input_ids if by_source else decoder_input_ids, decoder_attention_mask)
        targets = {"labels": labels, "start_positions": start_positions, "end_positions": end_positions}
        extra = {
            "past_key_values": cache,
            "decoder_hidden_states": run.hidden_states(),
            "decoder_attentions": run.maps(),
            "cross_attentions": run.source_maps(),
            "encoder_last_hidden_state": source,
            "encoder_hidden_states": encoder_outputs.hidden_states,
            "encoder_attentions": encoder_outputs.attentions,
        }
        return as_asked(self.finish(states, targets, extra, both=True), return_dict, self.config)

    def decoder_inputs(self, labels: Tensor | None, input_ids: Tensor | None) -> Tensor:
        """What the decoder reads where the caller did not say."""
        shift = self.spec.shift
        source = input_ids if shift is not None and (shift.from_source or self._reads_source()) else None
        targets = labels if labels is not None and self.kind == "seq2seq-lm" else source
        if targets is None or shift is None:
            raise InputError(
                "the decoder has nothing to read: pass decoder_input_ids, or labels to have them made from, "
                "or call generate()"
            )
        return shifted(targets, shift)

    def _reads_source(self) -> bool:
        return self.kind in ("sequence-classification", "question-answering")

    def encode(
        self,
        input_ids: Tensor | None,
        attention_mask: Tensor | None,
        inputs_embeds: Tensor | None = None,
        attentions: bool = False,
        hidden: bool = False,
    ) -> BaseModelOutput:
        """The source, once."""
        assert self.encoder is not None
        run = Run(attentions, hidden)
        x = self.run_stack(self.encoder, run, input_ids, attention_mask, inputs_embeds=inputs_embeds)
        return BaseModelOutput(x, hidden_states=run.hidden_states(), attentions=run.maps())

    @torch.no_grad()
    def start(self, batch: dict[str, Any], max_length: int) -> DecodingState:
        """Read the sources of `batch` once, and make room for one row each of up to `max_length` tokens."""
        assert self.encoder is not None and self.decoder is not None
        encoded, ids, mask = batch.get("encoder_outputs"), batch.get("input_ids"), batch.get("attention_mask")
        lengths = source_lengths(mask)
        where = None
        if encoded is None and ids is not None and lengths is not None and not self.training:
            where = placed(lengths, ids.shape[1])
        if where is not None and ids is not None:
            check_inputs(self.encoder.embeddings.tokens.num_embeddings, ids, mask, None)
            source = read_source(self.encoder, ids, where)
        else:
            source = (encoded or self.encode(ids, mask, batch.get("inputs_embeds")))[0]
        rows = len(source) if where is None else where.shape[0]
        state = DecodingState(len(self.decoder.layers), rows, max_length, source.device)
        state.memory = [(_by_head(k, where), _by_head(v, where)) for k, v in self.decoder.remember(source)]
        state.source_visible = visibility(mask, 1, state.memory[0][0].shape[1] if state.memory else 0, False)
        state.source_lengths = lengths
        return state

    def _decode(
        self,
        run: Run,
        ids: Tensor | None,
        mask: Tensor | None,
        embeds: Tensor | None,
        source: Tensor,
        source_mask: Tensor | None,
    ) -> Tensor:
        assert self.decoder is not None
        memory = run.cache.cross if run.cache is not None else None
        if memory is None:
            memory = self.decoder.remember(source)
            if run.cache is not None:
                run.cache.cross = memory
        return self.run_stack(
            self.decoder, run, ids, mask, inputs_embeds=embeds, memory=memory, source_mask=source_mask
        )


def _by_head(x: Tensor, where: Placed | None) -> Tensor:
    """Keys or values as [groups, source, heads, head_dim], laid out as attention reads them."""
    x = x if where is None else where.spread(x)
    return x.transpose(1, 2).contiguous().transpose(1, 2)


def _from_tuple(values: Any) -> BaseModelOutput:
    parts = list(values.to_tuple() if hasattr(values, "to_tuple") else values)
    return BaseModelOutput(parts[0], None, *[*parts[1:3], None, None][:2])
