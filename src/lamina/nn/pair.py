"""Models of two stacks: a decoder that reads what an encoder made of the source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..errors import InputError
from ..spec import IGNORED, Shift
from .decoding import WORTH, DecodingState
from .layouts import KeyValueCache, PackedBatch, visibility
from .model import Model, Training, as_asked, check_inputs
from .objectives import States
from .outputs import BaseModelOutput
from .runtime import keeps_no_cache, recording


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
        training: Training | None = None,
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
        assert self.decoder is not None
        cache, labelled = past_key_values, labels is not None or start_positions is not None
        if cache is None and not (self.training or labelled or keeps_no_cache()) and self.wants("use_cache", use_cache):
            cache = KeyValueCache(self.decoder.spec.num_layers)
        source = encoder_outputs.last_hidden_state
        read = self.read(
            self.decoder,
            decoder_input_ids,
            decoder_attention_mask,
            embeds=decoder_inputs_embeds,
            cache=cache,
            memory=self.remembered(source, cache),
            source_mask=attention_mask,
            attentions=attentions,
            hidden=hidden,
        )
        by_source = self.head is not None and self.head.spec.select == "eos"
        read_ids = input_ids if by_source else decoder_input_ids
        states = States(read[0], None, read_ids, decoder_attention_mask)
        targets = {"labels": labels, "start_positions": start_positions, "end_positions": end_positions}
        extra = {
            "past_key_values": cache,
            "decoder_hidden_states": read.hidden_states,
            "decoder_attentions": read.attentions,
            "cross_attentions": read.cross_attentions,
            "encoder_last_hidden_state": source,
            "encoder_hidden_states": encoder_outputs.hidden_states,
            "encoder_attentions": encoder_outputs.attentions,
        }
        return as_asked(self.finish(states, targets, extra, training), return_dict, self.config)

    def decoder_inputs(self, labels: Tensor | None, input_ids: Tensor | None) -> Tensor:
        """What the decoder reads where the caller did not say."""
        shift = self.spec.shift
        reads_source = self.kind in ("sequence-classification", "question-answering")
        source = input_ids if shift is not None and (shift.from_source or reads_source) else None
        targets = labels if labels is not None and self.kind == "seq2seq-lm" else source
        if targets is None or shift is None:
            raise InputError(
                "the decoder has nothing to read: pass decoder_input_ids, or labels to have them made from, "
                "or call generate()"
            )
        return shifted(targets, shift)

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
        return self.read(
            self.encoder, input_ids, attention_mask, embeds=inputs_embeds, attentions=attentions, hidden=hidden
        )

    @torch.no_grad()
    def start(self, batch: dict[str, Any], max_length: int) -> DecodingState:
        """Read the sources of `batch` once, and make room for one row each of up to `max_length` tokens."""
        assert self.encoder is not None and self.decoder is not None
        encoded, ids, mask = batch.get("encoder_outputs"), batch.get("input_ids"), batch.get("attention_mask")
        lengths, table = source_lengths(mask), self.encoder.embeddings.tokens
        where = None
        if encoded is None and lengths is not None and ids is not None and not self.training:
            where = placed(lengths, ids)
        if where is not None and ids is not None:
            check_inputs(table.num_embeddings, ids, mask, None)
            source = self.encoder.read(PackedBatch(where.lengths, table.weight), where.taken(ids))
        else:
            source = (encoded or self.encode(ids, mask, batch.get("inputs_embeds")))[0]
        rows = len(source) if where is None else where.shape[0]
        state = DecodingState(len(self.decoder.layers), rows, max_length, source.device)
        state.memory = [(_by_head(k, where), _by_head(v, where)) for k, v in self.decoder.remember(source)]
        state.source_visible = visibility(mask, 1, source.shape[1] if where is None else where.shape[1], False)
        state.source_lengths = lengths
        return state


def _by_head(x: Tensor, where: Placed | None) -> Tensor:
    """Keys or values as [groups, source, heads, head_dim], laid out as attention reads them."""
    x = x if where is None else where.spread(x)
    return x.transpose(1, 2).contiguous().transpose(1, 2)


def _from_tuple(values: Any) -> BaseModelOutput:
    parts = list(values.to_tuple() if hasattr(values, "to_tuple") else values)
    return BaseModelOutput(parts[0], None, *[*parts[1:3], None, None][:2])


@dataclass(frozen=True)
class Placed:
    """Tokens end to end and where they stand in a rectangle of rows."""

    flat: Tensor  # [tokens]: places in the rectangle, row after row
    shape: tuple[int, int]
    lengths: list[int]  # in the order of `flat`

    def taken(self, rectangle: Tensor) -> Tensor:
        """[rows, width] to [1, tokens]."""
        return rectangle.reshape(-1).index_select(0, self.flat)[None]

    def spread(self, tokens: Tensor) -> Tensor:
        """[1, tokens, ...] to [rows, width, ...], zero where there is no token."""
        rows, width = self.shape
        whole = tokens.new_zeros(rows * width, *tokens.shape[2:])
        return whole.index_copy_(0, self.flat, tokens[0]).unflatten(0, self.shape)


def source_lengths(mask: Tensor | None) -> list[int] | None:
    """Tokens of each row of a mask [rows, width] that is padded on the right; None where it says anything else.

    Asks only a mask on a CPU: an accelerator would have to be waited for.
    """
    if mask is None or mask.dim() != 2 or mask.device.type != "cpu" or recording():
        return None
    lengths = mask.bool().sum(1)
    front = torch.arange(mask.shape[1]) < lengths[:, None]
    return lengths.tolist() if bool((front == mask.bool()).all()) and int(lengths.min()) > 0 else None


def placed(lengths: list[int], ids: Tensor) -> Placed | None:
    """Where tokens of rows padded on the right stand, shortest row first; None where there is little padding."""
    width = ids.shape[1]
    if len(lengths) != len(ids) or max(lengths) > width or sum(lengths) > WORTH * len(lengths) * width:
        return None
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    flat = torch.cat([torch.arange(row * width, row * width + lengths[row]) for row in order])
    return Placed(flat, (len(lengths), width), [lengths[row] for row in order])
