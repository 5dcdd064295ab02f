"""A sentence model in training: its losses over batches of texts that belong together, and how well it finds them."""

from __future__ import annotations

import math
from collections.abc import Set
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..inference.rows import Batch, Row
from ..nn.layouts import packs_well
from ..nn.model import packable, read_packed
from ..sentences.similarity import cos_sim, pairwise_cos_sim, semantic_search
from ..sentences.transformer import SentenceTransformer, masked_batch
from .metrics import pearson, spearman

LOOKED_AT = 10  # texts that a search shows


class TrainedSentences(SentenceTransformer):
    """A sentence model whose forward reads rows of texts, [rows, texts, tokens], and gives a loss and all vectors.

    `labels` are numbers of the texts, [rows, texts], or of scored pairs the scores, [rows]. `related` holds the numbers
    of anchors and of texts that belong to them, wherever in the data: none of them is taken for a negative.
    """

    loss: str = "negatives"
    scale: float = 20.0
    margin: float = 0.3
    related: Set[tuple[int, int]] = frozenset()

    def forward(  # type: ignore[override]  # a batch of the trainer, not one of sentence-transformers
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        token_type_ids: Tensor | None = None,
        labels: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """The loss, and as "logits" the vectors, [rows, texts, width]."""
        rows, texts, _ = input_ids.shape
        types = None if token_type_ids is None else token_type_ids.flatten(0, 1)
        vectors = self.embed(input_ids.flatten(0, 1), attention_mask.flatten(0, 1), types).view(rows, texts, -1)
        found = {} if labels is None else {"loss": getattr(self, f"_{self.loss}")(vectors, labels)}
        return {**found, "logits": vectors}

    def embed(self, ids: Tensor, mask: Tensor, types: Tensor | None) -> Tensor:
        """The vectors of padded texts [texts, tokens], read end to end where that is faster."""
        model = self.first.auto_model
        if not (packable(model) and packs_well(ids.device, model.dtype)):
            inputs = {"input_ids": ids, "attention_mask": mask, **({} if types is None else {"token_type_ids": types})}
            return self.features(model(**inputs), masked_batch(inputs, 0)).pooled
        order = mask.sum(1).argsort(stable=True)
        own = mask[order].bool()
        lengths = own.sum(1).tolist()
        output = read_packed(model, ids[order][own], lengths, None if types is None else types[order][own])
        ends = np.cumsum(lengths).tolist()
        spans = [(0, slice(end - length, end)) for end, length in zip(ends, lengths, strict=True)]
        batch = Batch([Row({"input_ids": []}, 0) for _ in lengths], {}, spans, ends[-1])
        return self.features(output, batch).pooled[order.argsort()]

    def _negatives(self, vectors: Tensor, labels: Tensor) -> Tensor:
        """Each anchor is to find its own text among those of the batch; others that belong to it do not count."""
        anchors, others = vectors[:, 0], vectors[:, 1:].transpose(0, 1).flatten(0, 1)
        scores = cos_sim(anchors, others) * self.scale
        own = torch.arange(len(anchors), device=scores.device)
        numbers = labels[:, 1:].T.flatten().tolist()
        hidden = [
            [place != row and (anchor, number) in self.related for place, number in enumerate(numbers)]
            for row, anchor in enumerate(labels[:, 0].tolist())
        ]
        return F.cross_entropy(scores.masked_fill(torch.tensor(hidden, device=scores.device), -math.inf), own)

    def _margin(self, vectors: Tensor, labels: Tensor) -> Tensor:
        """The cosine with the positive is to be larger, by the margin, than that with the negative."""
        near, far = (pairwise_cos_sim(vectors[:, 0], vectors[:, place]) for place in (1, 2))
        return F.relu(far - near + self.margin).mean()

    def _cosine(self, vectors: Tensor, labels: Tensor) -> Tensor:
        """The cosine of a pair is to be its score."""
        return F.mse_loss(pairwise_cos_sim(vectors[:, 0], vectors[:, 1]), labels.to(vectors.dtype))


class PairMetric:
    """How the cosines of scored pairs follow their scores: Spearman's and Pearson's correlation."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        self.found: list[float] = []
        self.wanted: list[float] = []

    def update(self, predictions: Any, labels: Any) -> None:
        vectors = np.asarray(predictions)
        self.found += pairwise_cos_sim(vectors[:, 0], vectors[:, 1]).tolist()
        self.wanted += np.asarray(labels).tolist()

    def compute(self) -> dict[str, float]:
        """The scores of all pairs since the last time."""
        found, wanted = np.array(self.found), np.array(self.wanted)
        self.forget()
        return {"spearman": spearman(found, wanted), "pearson": pearson(found, wanted)}


class RetrievalMetric:
    """How well anchors find the texts that belong to them among all texts: recall at 1 and 10, nDCG and MRR at 10."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        self.anchors: dict[int, Any] = {}
        self.texts: dict[int, Any] = {}
        self.related: dict[int, set[int]] = {}

    def update(self, predictions: Any, labels: Any) -> None:
        for vectors, (anchor, *texts) in zip(np.asarray(predictions), np.asarray(labels).tolist(), strict=True):
            self.anchors[anchor] = vectors[0]
            self.texts.update(zip(texts, vectors[1:], strict=True))
            self.related.setdefault(anchor, set()).add(texts[0])

    def compute(self) -> dict[str, float]:
        """The scores over all anchors since the last time."""
        queries, corpus = (np.stack(list(each.values())) for each in (self.anchors, self.texts))
        texts, scores = list(self.texts), []
        for anchor, found in zip(self.anchors, semantic_search(queries, corpus, top_k=LOOKED_AT), strict=True):
            related = self.related[anchor]
            scores.append(ranking_scores([texts[each["corpus_id"]] in related for each in found], len(related)))
        self.forget()
        return {name: float(np.mean([one[name] for one in scores])) for name in scores[0]}


def ranking_scores(hits: list[bool], related: int) -> dict[str, float]:
    """The scores of one search: which of its results, best first, belong, of `related` that do."""
    gains = [1 / math.log2(place + 2) for place in range(LOOKED_AT)]
    best = sum(gains[:related])
    first = next((1 / (place + 1) for place, hit in enumerate(hits) if hit), 0.0)
    return {
        "recall_at_1": sum(hits[:1]) / min(related, 1),
        "recall_at_10": sum(hits) / min(related, LOOKED_AT),
        "ndcg_at_10": sum(gain for gain, hit in zip(gains, hits, strict=False) if hit) / best,
        "mrr_at_10": first,
    }
