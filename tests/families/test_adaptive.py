"""Adaptive vocabularies: shares of one whole, losses that agree with them, tables that divide the ids."""

from __future__ import annotations

import pytest
import torch

from lamina.families.transfo_xl.adaptive import AdaptiveEmbedding, AdaptiveSoftmax
from lamina.families.transfo_xl.spec import AdaptiveVocabulary

EDGES = {"four": (0, 3, 10, 11, 40), "one": (0, 40)}
TOKENS = torch.arange(40)


def vocabulary(edges: str, divisor: int, width: int, tied: bool = True) -> AdaptiveVocabulary:
    clusters = len(EDGES[edges]) - 1
    return AdaptiveVocabulary(EDGES[edges], 16, width, divisor, tied, (False, *[True] * (clusters - 1)))


def build(spec: AdaptiveVocabulary) -> tuple[AdaptiveEmbedding, AdaptiveSoftmax]:
    torch.manual_seed(0)
    embedding = AdaptiveEmbedding(spec)
    softmax = AdaptiveSoftmax(embedding)
    with torch.no_grad():
        for parameter in (*embedding.parameters(), *softmax.parameters()):
            parameter.normal_()
    return embedding, softmax


kinds = pytest.mark.parametrize(
    "spec",
    [
        vocabulary(edges, divisor, width, tied)
        for edges in EDGES
        for divisor, width in ((1, 16), (1, 8), (2, 16), (2, 8))
        for tied in (True, False)
    ],
    ids=lambda s: f"{len(s.clusters)}-{s.divisor}-{s.embedding_size}-{'tied' if s.tied else 'untied'}",
)


@kinds
def test_shares_make_a_whole(spec):
    _, softmax = build(spec)
    scores = softmax(torch.randn(2, 3, 16))
    assert scores.shape == (2, 3, 40)
    torch.testing.assert_close(scores.exp().sum(-1), torch.ones(2, 3))


@kinds
def test_losses_are_the_shares_of_the_labels(spec):
    _, softmax = build(spec)
    hidden = torch.randn(40, 16)
    labels = TOKENS[torch.randperm(40)].masked_fill(torch.rand(40) < 0.2, -100)
    expected = -softmax(hidden)[torch.arange(40), labels.clamp(min=0)]
    losses = softmax.losses(hidden, labels)
    if len(spec.clusters) == 1:
        torch.testing.assert_close(losses, expected.masked_fill(labels < 0, 0))
    else:
        cluster = torch.bucketize(labels, torch.tensor(spec.edges[1:]), right=True)
        order = cluster.masked_fill(labels < 0, 99).argsort(stable=True)
        torch.testing.assert_close(losses, expected.masked_fill(labels < 0, 0)[order])


@kinds
def test_each_token_has_a_row_of_its_cluster(spec):
    embedding, _ = build(spec)
    found = embedding(TOKENS[None])[0]
    assert found.shape == (40, 16)
    for cluster, (start, end) in enumerate(spec.clusters):
        rows = embedding.table(0).weight[start:end] if spec.divisor == 1 else embedding.table(cluster).weight
        if spec.projected:
            rows = rows @ embedding.projections[0 if spec.divisor == 1 else cluster].T
        torch.testing.assert_close(found[start:end], rows * 4)


@kinds
def test_what_is_tied_is_one(spec):
    embedding, softmax = build(spec)
    for table, weight in zip(embedding.tables, softmax.weights, strict=True):
        assert (table.weight is weight) == spec.tied
    held = {id(matrix) for matrix in embedding.projections}
    assert [id(matrix) in held for matrix in softmax.projections] == list(spec.tied_projections) * spec.projected


def test_clusters_without_labels_cost_nothing_and_no_label_is_no_error():
    _, softmax = build(vocabulary("four", 2, 16))
    assert softmax.losses(torch.randn(3, 16), torch.full((3,), -100)).tolist() == [0, 0, 0]
