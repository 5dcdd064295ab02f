"""Chosen tokens are those that torch's own, slower calls choose."""

from __future__ import annotations

import pytest
import torch

from lamina.generation.processors import best_token, best_tokens, draw, log_normalizer, to_log_probabilities

WIDTHS = (1, 5, 63, 64, 65, 130, 1000, 50257)


@pytest.mark.parametrize("vocab", WIDTHS)
def test_best_token_is_the_first_of_the_greatest(vocab: int) -> None:
    torch.manual_seed(0)
    scores = torch.randn(6, vocab)
    scores[1], scores[2], scores[3, -1], scores[4, 0] = -torch.inf, 1.0, 99.0, 99.0
    value, index = best_token(scores)
    assert torch.equal(index, scores.argmax(-1))
    assert torch.equal(value, scores.amax(-1))


@pytest.mark.parametrize("place", [0, 70, 129])
def test_nan_counts_as_greatest_so_that_it_is_noticed(place: int) -> None:
    scores = torch.zeros(2, 130)
    scores[1, place] = torch.nan
    value, index = best_token(scores)
    assert value[1].isnan() and index[1] == place
    assert best_tokens(scores, 2)[0][1].isnan().any()


@pytest.mark.parametrize("vocab", WIDTHS)
@pytest.mark.parametrize("count", [1, 3, 8])
def test_best_tokens_are_the_top_k(vocab: int, count: int) -> None:
    torch.manual_seed(1)
    scores = torch.randn(5, vocab)
    values, index = best_tokens(scores, count)
    assert torch.equal(values, scores.topk(min(count, vocab)).values)
    assert torch.equal(scores.gather(1, index), values)


def test_log_probabilities_are_made_in_place() -> None:
    logits = torch.randn(19, 300) * 9
    wanted = logits.log_softmax(-1)
    assert torch.allclose(logits.logsumexp(-1, keepdim=True), log_normalizer(logits), atol=1e-5)
    result = to_log_probabilities(logits)
    assert result.data_ptr() == logits.data_ptr()
    assert torch.allclose(result, wanted, atol=1e-5)


def test_draws_of_some_rows_are_those_of_the_whole_batch() -> None:
    probabilities = torch.rand(9, 700).softmax(-1)
    torch.manual_seed(5)
    whole = [torch.multinomial(probabilities, 1)[:, 0] for _ in range(3)]
    torch.manual_seed(5)
    live = torch.tensor([0, 4, 7])
    some = [draw(probabilities, 9, None), draw(probabilities[live], 9, live), draw(probabilities, 9, None)]
    assert torch.equal(some[0], whole[0])
    assert torch.equal(some[1], whole[1][live])
    assert torch.equal(some[2], whole[2])
