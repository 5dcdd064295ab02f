"""What each token of finished sequences was worth when it was chosen."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..errors import GenerationError


def transition_scores(
    sequences: Tensor,
    scores: Sequence[Tensor] | None,
    beam_indices: Tensor | None = None,
    normalize_logits: bool = False,
) -> Tensor:
    """The score of each generated token, [rows, steps]; 0 after the end of a beam's sequence.

    `sequences`, `scores` and `beam_indices` are those of an output of `generate`; `normalize_logits` turns scores into
    log-probabilities first, which beams have anyway.
    """
    if not scores:
        raise GenerationError("There are no scores; generate with return_dict_in_generate=True and output_scores=True.")
    if beam_indices is None:
        steps = len(scores)
        rows = torch.arange(len(sequences), device=sequences.device)[:, None].expand(-1, steps)
    else:
        steps = int((beam_indices >= 0).sum(1).max())
        rows = beam_indices[:, :steps]
    tokens = sequences[:, sequences.shape[1] - steps :]
    columns = []
    for step, every in enumerate(scores[:steps]):
        worth = every.log_softmax(-1) if normalize_logits else every
        columns.append(worth[rows[:, step].clamp(min=0), tokens[:, step]].masked_fill(rows[:, step] < 0, 0.0))
    return torch.stack(columns, 1)
