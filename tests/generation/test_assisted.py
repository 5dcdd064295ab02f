"""Speculation saves steps, and sampling with it draws from the distribution that sampling without it has."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from lamina.errors import GenerationError
from lamina.generation.generate import generate

from .standin import VOCAB, Standin

IDS = torch.tensor([[5, 9, 14, 7, 3]])


def test_a_good_assistant_saves_steps() -> None:
    alone, helped = Standin(), Standin()
    plain = generate(alone, IDS, max_new_tokens=16, min_new_tokens=16)
    ids = generate(helped, IDS, max_new_tokens=16, min_new_tokens=16, assistant_model=Standin(num_assistant_tokens=5))
    assert torch.equal(ids, plain)
    assert helped.steps <= alone.steps // 3


def test_copies_of_the_text_save_steps() -> None:
    ids = torch.tensor([[5, 9, 30, 12, 8, 21] * 3])
    bias = [[[a, b], 60.0] for a, b in ((5, 9), (9, 30), (30, 12), (12, 8), (8, 21), (21, 5))]
    alone, helped = Standin(), Standin()
    plain = generate(alone, ids, max_new_tokens=18, sequence_bias=bias)
    assert plain[0, -6:].tolist() == [5, 9, 30, 12, 8, 21]
    assert torch.equal(generate(helped, ids, max_new_tokens=18, sequence_bias=bias, prompt_lookup_num_tokens=6), plain)
    assert helped.steps < alone.steps // 2


@pytest.mark.parametrize(("seed", "noise"), [(0, 0.6), (3, 0.0)])
def test_sampled_speculation_keeps_the_distribution(seed: int, noise: float) -> None:
    torch.manual_seed(0)
    rows, options = 3000, {"do_sample": True, "top_k": 0, "max_new_tokens": 3, "eos_token_id": None}
    assistant = Standin(seed=seed, noise=noise, assistant_confidence_threshold=0.0)
    plain, helped = (
        Counter(generate(Standin(), IDS.repeat(rows, 1), **options, **more)[:, 6].tolist())
        for more in ({}, {"assistant_model": assistant})
    )
    assert assistant.steps > 1  # the second token was drafted
    assert sum(abs(helped[token] - plain[token]) for token in range(VOCAB)) / (2 * rows) < 0.08


def test_an_assistant_must_fit_the_model() -> None:
    with pytest.raises(GenerationError, match="kind"):
        generate(Standin(), IDS, assistant_model=Standin(encoder=True))
    other = Standin()
    other.config.vocab_size = VOCAB + 1
    with pytest.raises(GenerationError, match="vocabulary"):
        generate(Standin(), IDS, assistant_model=other)
    with pytest.raises(GenerationError, match="greedy search and sampling"):
        generate(Standin(), IDS, assistant_model=Standin(), num_beams=2)
