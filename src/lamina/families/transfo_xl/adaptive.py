"""A vocabulary in clusters: frequent tokens in wide tables, rare ones in narrow tables, at both ends of a model."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...nn.embeddings import table
from .spec import AdaptiveVocabulary


class AdaptiveEmbedding(nn.Module):
    """Ids to vectors of one width, whatever the width of their cluster's table (Baevski and Auli, 2019)."""

    def __init__(self, spec: AdaptiveVocabulary):
        super().__init__()
        self.spec = spec
        self.tables = nn.ModuleList(table(rows, width) for rows, width in spec.tables)
        # Bare parameters, since the softmax reads the same matrices the other way round.
        self.projections = nn.ParameterList(
            torch.empty(spec.hidden_size, width) for _, width in spec.tables if spec.projected
        )

    @property
    def num_embeddings(self) -> int:
        """Tokens of all clusters."""
        return self.spec.edges[-1]

    def table(self, cluster: int) -> nn.Embedding:
        """The table of one cluster, or of all where there is but one."""
        return cast(nn.Embedding, self.tables[cluster])

    def forward(self, input_ids: Tensor) -> Tensor:
        """[batch, tokens] to [batch, tokens, hidden], scaled by the root of the width."""
        if len(self.tables) == 1:
            x = self._widened(0, input_ids)
        else:
            x = self.projections[0].new_zeros(*input_ids.shape, self.spec.hidden_size)
            for cluster, (start, end) in enumerate(self.spec.clusters):
                inside = (input_ids >= start) & (input_ids < end)
                x[inside] = self._widened(cluster, input_ids[inside] - start).to(x.dtype)
        scaled: Tensor = x * self.spec.hidden_size**0.5
        return scaled

    def _widened(self, cluster: int, ids: Tensor) -> Tensor:
        x: Tensor = self.table(cluster)(ids)
        return F.linear(x, self.projections[cluster]) if self.spec.projected else x


class AdaptiveSoftmax(nn.Module):
    """Log-probabilities of the next token: one softmax over the first cluster and the names of the others, and one
    softmax inside each of those (Grave et al., 2017).
    """

    def __init__(self, tokens: AdaptiveEmbedding):
        super().__init__()
        self.spec = spec = tokens.spec
        self.weights = nn.ParameterList(
            tokens.table(i).weight if spec.tied else torch.empty(size) for i, size in enumerate(spec.tables)
        )
        self.biases = nn.ParameterList(torch.zeros(rows) for rows, _ in spec.tables)
        self.projections = nn.ParameterList(self._projections(tokens))
        self.cluster_weight = self.cluster_bias = None
        if len(spec.clusters) > 1:
            self.cluster_weight = nn.Parameter(torch.zeros(len(spec.clusters) - 1, spec.embedding_size))
            self.cluster_bias = nn.Parameter(torch.zeros(len(spec.clusters) - 1))

    def _projections(self, tokens: AdaptiveEmbedding) -> list[Tensor]:
        """One matrix per cluster, also where a single table serves all of them."""
        if not self.spec.projected:
            return []
        held = list(tokens.projections) * (len(self.spec.clusters) if self.spec.divisor == 1 else 1)
        return [
            matrix if tied else torch.empty_like(matrix)
            for matrix, tied in zip(held, self.spec.tied_projections, strict=True)
        ]

    def forward(self, hidden: Tensor) -> Tensor:
        """[..., hidden] to log-probabilities [..., vocabulary]."""
        first = self._first(hidden)
        size = self.spec.edges[1]
        parts = [first[..., :size]]
        for cluster in range(1, len(self.spec.clusters)):
            inside = self._scores(cluster, hidden).log_softmax(-1)
            parts.append(first[..., size + cluster - 1, None] + inside)
        return torch.cat(parts, -1)

    def losses(self, hidden: Tensor, labels: Tensor) -> Tensor:
        """Negative log-likelihoods of `labels` [tokens] after `hidden` [tokens, hidden]; only the clusters that the
        labels fall into are computed.

        As in the reference they come cluster by cluster, then zeros for labels outside the vocabulary; a vocabulary
        of one cluster keeps them in place.
        """
        found, places = [], []
        precise = torch.promote_types(hidden.dtype, torch.float32)
        for cluster, (start, end) in enumerate(self.spec.clusters):
            inside = ((labels >= start) & (labels < end)).nonzero()[:, 0]
            rows, goals = hidden[inside], (labels[inside] - start)[:, None]
            first = self._first(rows, precise)
            if cluster:
                likelihood = self._scores(cluster, rows).log_softmax(-1, dtype=precise).gather(1, goals)[:, 0]
                likelihood = likelihood + first[:, self.spec.edges[1] + cluster - 1]
            else:
                likelihood = first.gather(1, goals)[:, 0]
            found.append(-likelihood)
            places.append(inside)
        losses = torch.cat(found)
        if len(found) == 1:
            return losses.new_zeros(len(labels)).index_put((places[0],), losses)
        return F.pad(losses, (0, len(labels) - len(losses)))

    def _first(self, hidden: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        """Log-probabilities of the first cluster's tokens, then of the other clusters."""
        scores = self._scores(0, hidden)
        if self.cluster_weight is not None:
            others = F.linear(self._narrowed(0, hidden), self.cluster_weight, self.cluster_bias)
            scores = torch.cat([scores, others], -1)
        return scores.log_softmax(-1, dtype=dtype)

    def _scores(self, cluster: int, hidden: Tensor) -> Tensor:
        start, end = self.spec.clusters[cluster]
        if self.spec.divisor == 1:
            weight, bias = self.weights[0][start:end], self.biases[0][start:end]
        else:
            weight, bias = self.weights[cluster], self.biases[cluster]
        return F.linear(self._narrowed(cluster, hidden), weight, bias)

    def _narrowed(self, cluster: int, hidden: Tensor) -> Tensor:
        return hidden @ self.projections[cluster] if self.spec.projected else hidden
