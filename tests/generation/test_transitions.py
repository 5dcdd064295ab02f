"""Scores of single tokens add up to those of sequences."""

from __future__ import annotations

import pytest
import torch

from lamina.errors import GenerationError
from lamina.generation.generate import generate, transition_scores

from .standin import Standin

IDS = torch.tensor([[5, 9, 14, 7, 3], [11, 4, 4, 8, 30]])
KEPT = {"return_dict_in_generate": True, "output_scores": True}


def test_beams_add_up() -> None:
    for how in ({}, {"num_beam_groups": 2, "diversity_penalty": 0.5}, {"force_words_ids": [[7]]}):
        out = generate(Standin(), IDS, max_new_tokens=12, num_beams=4, num_return_sequences=3, **how, **KEPT)
        worth = transition_scores(out.sequences, out.scores, out.beam_indices)
        lengths = (out.beam_indices >= 0).sum(1)
        assert torch.allclose(worth.sum(1) / lengths, out.sequences_scores, atol=1e-4)


def test_greedy_tokens_are_worth_the_greatest_score() -> None:
    out = generate(Standin(), IDS, max_new_tokens=6, eos_token_id=None, **KEPT)
    worth = transition_scores(out.sequences, out.scores)
    assert torch.equal(worth, torch.stack([scores.amax(-1) for scores in out.scores], 1))
    normal = transition_scores(out.sequences, out.scores, normalize_logits=True)
    assert bool((normal <= 0).all()) and normal.shape == (2, 6)


def test_scores_must_have_been_kept() -> None:
    with pytest.raises(GenerationError, match="output_scores"):
        transition_scores(IDS, None)
