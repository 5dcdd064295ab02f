"""From what a caller passes to what decoding starts with: sources, prompt and the tokens to feed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import torch
from torch import Tensor

from ..errors import GenerationError
from ..files.shown import shown
from .config import GenerationConfig
from .protocol import Decodes, State


@dataclass
class Prompt:
    """Where decoding starts.

    `input_ids` [rows, tokens] is what the caller sees and processors judge, padding included. `tokens` and `lengths`
    are the same rows without their padding. `source_ids` is what was read: the encoder's input, or the prompt itself.
    `types` are the token types of `tokens`, where the caller gave any.
    """

    input_ids: Tensor
    tokens: Tensor
    lengths: Tensor | None
    source_ids: Tensor
    source_mask: Tensor
    types: Tensor | None = None

    @property
    def size(self) -> int:
        """Sources in the batch."""
        return len(self.input_ids)

    @property
    def length(self) -> int:
        """Tokens of a row, padding included."""
        return self.input_ids.shape[1]

    def start(self, model: Decodes, max_length: int) -> State:
        """A state for these sources that has consumed nothing yet."""
        batch = {"input_ids": self.source_ids, "attention_mask": self.source_mask}
        if self.types is not None:
            batch["token_type_ids"] = self.types
        return model.start(batch, max_length)


def right_aligned(ids: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Rows of real tokens only, padded on the right, and their lengths; None where nothing was padded."""
    if mask is None or bool((mask != 0).all()):
        return ids, None
    real = (mask != 0).long()
    lengths = real.sum(1)
    if not bool((lengths > 0).all()):
        rows = (lengths == 0).nonzero()[:, 0].tolist()
        raise GenerationError(f"Rows {rows} of attention_mask hide every token: there is nothing to go on from.")
    order = real.argsort(dim=1, descending=True, stable=True)
    return ids.gather(1, order)[:, : int(lengths.max())], lengths


def prepare(model: Decodes, config: GenerationConfig, given: dict[str, Any]) -> Prompt:
    """The prompt made of `given`: input_ids, attention_mask, token_type_ids and the decoder's own."""
    encoder_decoder = bool(getattr(model.config, "is_encoder_decoder", False))
    ids = as_ids(given.get("input_ids"), "input_ids", model.device)
    if ids is None:
        ids = _from_bos(config, model.device)
    mask = as_mask(given.get("attention_mask"), ids, "attention_mask")
    if mask is None:
        mask = _guessed_mask(ids, config)
    if not encoder_decoder:
        if given.get("decoder_input_ids") is not None:
            raise GenerationError("decoder_input_ids belongs to models with an encoder; pass the prompt as input_ids.")
        tokens, lengths = right_aligned(ids, mask)
        return Prompt(ids, tokens, lengths, ids, mask, _types(given.get("token_type_ids"), ids, mask))
    right_aligned(ids, mask)
    decoder_ids, decoder_mask = _decoder_prompt(config, given, ids)
    tokens, lengths = right_aligned(decoder_ids, decoder_mask)
    return Prompt(decoder_ids, tokens, lengths, ids, mask)


def as_ids(value: Any, name: str, device: torch.device) -> Tensor | None:
    """What a caller passed as ids: [rows, tokens], int64."""
    if value is None:
        return None
    try:
        ids = torch.as_tensor(value, device=device)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        raise GenerationError(
            f"{name} must be a [rows, tokens] tensor of ids, rows of one length, but is {shown(value)}."
        ) from None
    if ids.ndim != 2 or ids.is_floating_point() or ids.is_complex() or ids.dtype == torch.bool:
        raise GenerationError(
            f"{name} must be whole numbers of shape [rows, tokens], but is {ids.dtype} {[*ids.shape]}."
        )
    if 0 in ids.shape:
        raise GenerationError(
            f"{name} is empty (shape {[*ids.shape]}); generation needs at least one token to go on from."
        )
    return ids.long()


def _types(value: Any, ids: Tensor, mask: Tensor) -> Tensor | None:
    """Token types without padding, each row's last one going on to the right."""
    types = as_ids(value, "token_type_ids", ids.device)
    if types is None:
        return None
    if types.shape != ids.shape:
        raise GenerationError(f"token_type_ids has shape {[*types.shape]}, but input_ids has {[*ids.shape]}.")
    types, lengths = right_aligned(types, mask)
    if lengths is None:
        return types
    return types.gather(1, torch.minimum(torch.arange(types.shape[1], device=ids.device), lengths[:, None] - 1))


def as_mask(value: Any, ids: Tensor, name: str) -> Tensor | None:
    """What a caller passed as a mask of `ids`."""
    if value is None:
        return None
    try:
        mask = torch.as_tensor(value, device=ids.device)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        raise GenerationError(f"{name} must be a [rows, tokens] tensor, but is {shown(value)}.") from None
    if mask.shape != ids.shape:
        raise GenerationError(f"{name} has shape {[*mask.shape]}, but the ids it belongs to have {[*ids.shape]}.")
    return mask


def _from_bos(config: GenerationConfig, device: torch.device) -> Tensor:
    if config.bos_token_id is None:
        raise GenerationError("There is no input, and no bos_token_id to start from; pass input_ids.")
    return torch.tensor([[config.bos_token_id]], device=device)


def _guessed_mask(ids: Tensor, config: GenerationConfig) -> Tensor:
    """Pad tokens count as padding, unless they also end sequences and so may be meant."""
    pad = config.pad_token_id
    if pad is None or pad in eos_tokens(config):
        return torch.ones_like(ids)
    return (ids != pad).long()


def eos_tokens(config: GenerationConfig) -> tuple[int, ...]:
    """The tokens that end a sequence, none or several."""
    return several(config.eos_token_id)


def several(tokens: int | Iterable[int] | None) -> tuple[int, ...]:
    """An option that may be one token or several, as several."""
    if tokens is None:
        return ()
    return (int(tokens),) if isinstance(tokens, int | Integral) else tuple(map(int, tokens))


def _decoder_prompt(config: GenerationConfig, given: dict[str, Any], source: Tensor) -> tuple[Tensor, Tensor | None]:
    """The decoder's first token, or the caller's beginning with that token before it."""
    first = _first_token(config, source)
    ids = as_ids(given.get("decoder_input_ids"), "decoder_input_ids", source.device)
    if ids is None:
        return first, None
    if len(ids) != len(source):
        raise GenerationError(f"decoder_input_ids has {len(ids)} rows, but input_ids has {len(source)}.")
    mask = as_mask(given.get("decoder_attention_mask"), ids, "decoder_attention_mask")
    if bool((ids[:, 0] == first[:, 0]).any()):
        return ids, mask
    if mask is not None:
        mask = torch.cat([torch.ones_like(mask[:, :1]), mask], 1)
    return torch.cat([first, ids], 1), mask


def _first_token(config: GenerationConfig, source: Tensor) -> Tensor:
    token = config.decoder_start_token_id if config.decoder_start_token_id is not None else config.bos_token_id
    if token is None:
        raise GenerationError("decoder_start_token_id is not set, nor bos_token_id: the decoder has no first token.")
    first = torch.tensor(several(token), device=source.device).view(-1, 1)
    if len(first) not in (1, len(source)):
        raise GenerationError(f"decoder_start_token_id names {len(first)} tokens for {len(source)} rows.")
    return first.expand(len(source), 1).clone()
