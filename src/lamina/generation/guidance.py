"""Guidance: what the prompt says minus what would be said without it (classifier-free, Sanchez et al., 2023)."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import GenerationError
from .inputs import right_aligned
from .protocol import Decodes, State


class Guidance:
    """Moves scores away from those of a negative prompt, which is written along in a state of its own.

    Without a negative prompt the last token of the prompt takes its place. An encoder-decoder reads the negative prompt
    as its source.
    """

    def __init__(
        self, scale: float, model: Decodes, max_length: int, ids: Tensor | None = None, mask: Tensor | None = None
    ):
        self.scale, self.model, self.max_length = scale, model, max_length
        self.ids, self.mask = ids, mask
        self.encoder_decoder = bool(getattr(model.config, "is_encoder_decoder", False))
        if self.encoder_decoder and ids is None:
            raise GenerationError("guidance_scale needs negative_prompt_ids where the model has an encoder.")
        self.state: State | None = None

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Guided log-probabilities."""
        if self.state is None:
            logits = self._first(input_ids)
        else:
            logits = self.model.step(input_ids[:, -1:], self.state).logits
        free = logits.float().log_softmax(-1)
        return scores.log_softmax(-1).sub_(free).mul_(self.scale).add_(free)

    def _first(self, input_ids: Tensor) -> Tensor:
        ids = input_ids[:, -1:] if self.ids is None else self.ids
        if len(input_ids) % len(ids):
            raise GenerationError(f"negative_prompt_ids has {len(ids)} rows, which do not match the batch.")
        mask = torch.ones_like(ids) if self.mask is None else self.mask
        room = ids.shape[1] + self.max_length
        self.state = self.model.start({"input_ids": ids, "attention_mask": mask}, room)
        copies = torch.arange(len(ids), device=ids.device).repeat_interleave(len(input_ids) // len(ids))
        if self.encoder_decoder:
            self.state.reorder(copies)
            return self.model.step(input_ids, self.state).logits
        tokens, lengths = right_aligned(ids, mask)
        logits = self.model.step(tokens, self.state, lengths).logits
        self.state.reorder(copies)
        return logits.index_select(0, copies)

    def reorder(self, rows: Tensor) -> None:
        """Follow the rows."""
        if self.state is not None:
            self.state.reorder(rows)
