"""Ends that a vocabulary has not got are never written, and no error."""

from __future__ import annotations

import torch

from lamina.generation.lengths import ExponentialDecay, MinLength


def test_an_end_outside_the_vocabulary_is_passed_over():
    ids, scores = torch.zeros(1, 3, dtype=torch.long), torch.ones(1, 5)
    assert MinLength(9, [2, 50256])(ids, scores.clone()).tolist() == [[1, 1, -torch.inf, 1, 1]]
    assert ExponentialDecay(1, 2.0, [50256])(ids, scores.clone()).tolist() == scores.tolist()
    assert ExponentialDecay(1, 2.0, [2, 50256])(ids, scores.clone()).tolist() == [[1, 1, 4, 1, 1]]
