"""Ends that a vocabulary has not got are never written, and no error."""

from __future__ import annotations

import torch

from lamina.generation.processors import exponential_decay, min_length


def test_an_end_outside_the_vocabulary_is_passed_over():
    ids, scores, first = torch.zeros(1, 3, dtype=torch.long), torch.ones(1, 5), torch.zeros(1, dtype=torch.long)
    assert min_length(9, [2, 50256])(ids, scores.clone(), first).tolist() == [[1, 1, -torch.inf, 1, 1]]
    assert exponential_decay(1, 2.0, [50256])(ids, scores.clone(), first).tolist() == scores.tolist()
    assert exponential_decay(1, 2.0, [2, 50256])(ids, scores.clone(), first).tolist() == [[1, 1, 4, 1, 1]]
