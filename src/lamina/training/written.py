"""Scores of written text, fed with ids: BLEU through sacrebleu and ROUGE through rouge-score."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..errors import DataError
from ..spec import IGNORED
from .metrics import as_array, needed

ROUGE = ("rouge1", "rouge2", "rougeL", "rougeLsum")
SENTENCE_END = re.compile(r"(?<=[.!?。！？])\s+")


def bleu(predictions: Sequence[str], references: Sequence[str], tokenize: str | None = None) -> float:
    """Corpus BLEU of raw texts, 0 to 100, as sacrebleu computes it; `tokenize` is its option, such as "zh"."""
    return float(bleu_details(predictions, [references], tokenize)["score"])


def bleu_details(
    predictions: Sequence[str], references: Sequence[Sequence[str]], tokenize: str | None = None
) -> dict[str, Any]:
    """All of sacrebleu's numbers; `references` holds a list of texts, as many as predictions, for each set of them."""
    try:
        from sacrebleu.metrics import BLEU
    except ImportError:
        raise needed("sacrebleu", "BLEU") from None
    metric = BLEU(tokenize=tokenize) if tokenize else BLEU()
    found = metric.corpus_score(list(predictions), [list(each) for each in references])
    return {
        "score": found.score,
        "counts": found.counts,
        "totals": found.totals,
        "precisions": found.precisions,
        "bp": found.bp,
        "sys_len": found.sys_len,
        "ref_len": found.ref_len,
    }


def rouge(predictions: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    """Mean F-measures 0 to 100 with stemming. For rougeLsum, sentences are told apart by their end marks."""
    rows = rouge_rows(predictions, references, stemming=True, told_apart=True)
    return {name: 100 * float(np.mean([row[name] for row in rows])) for name in ROUGE}


def rouge_rows(
    predictions: Sequence[str], references: Sequence[str], stemming: bool, told_apart: bool
) -> list[dict[str, float]]:
    """The F-measures of each pair, 0 to 1; `told_apart` puts each sentence on a line, for texts that have not."""
    try:
        from rouge_score.rouge_scorer import RougeScorer
    except ImportError:
        raise needed("rouge-score", "ROUGE") from None
    scorer = RougeScorer(ROUGE, use_stemmer=stemming)
    cut = by_sentence if told_apart else str
    pairs = zip(predictions, references, strict=True)
    scored = (scorer.score(cut(wanted), cut(found)) for found, wanted in pairs)
    return [{name: float(row[name].fmeasure) for name in ROUGE} for row in scored]


def by_sentence(text: str) -> str:
    """A sentence a line, as rougeLsum wants it."""
    return "\n".join(SENTENCE_END.split(text.strip()))


def bleu_scores(predictions: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    """BLEU under its name."""
    return {"bleu": bleu(predictions, references)}


class WrittenMetric:
    """Scores what a model wrote against the labels, both as ids [batch, tokens], and the mean length as `gen_len`."""

    def __init__(self, tokenizer: Any, score: Callable[[Sequence[str], Sequence[str]], dict[str, float]]):
        self.tokenizer, self.score = tokenizer, score
        self._reset()

    def _reset(self) -> None:
        self._found: list[str] = []
        self._wanted: list[str] = []
        self._lengths: list[int] = []

    def update(self, predictions: Any, labels: Any) -> None:
        """Take a batch in; -100 on either side is padding."""
        padding = self.tokenizer.pad_token_id
        found, wanted = (np.where(ids == IGNORED, padding, ids) for ids in map(as_array, (predictions, labels)))
        self._found += self._read(found)
        self._wanted += self._read(wanted)
        self._lengths += (found != padding).sum(-1).tolist()

    def _read(self, ids: Any) -> list[str]:
        return [text.strip() for text in self.tokenizer.batch_decode(ids.tolist(), skip_special_tokens=True)]

    def compute(self) -> dict[str, float]:
        """The scores since the last call."""
        if not self._found:
            raise DataError("there is nothing to score: no batch came in")
        found = {**self.score(self._found, self._wanted), "gen_len": float(np.mean(self._lengths))}
        self._reset()
        return found
