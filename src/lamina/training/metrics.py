"""Metrics that are fed batch by batch, so that an evaluation never keeps all logits; and the sums behind them."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ..errors import DataError
from ..spec import IGNORED

Array = npt.NDArray[Any]


class Metric(Protocol):
    """What Trainer feeds with each batch's predictions and labels, and asks for the result at the end."""

    def update(self, predictions: Any, labels: Any) -> None:
        """Take a batch in."""

    def compute(self) -> dict[str, float]:
        """The scores of everything since the last call, which starts anew."""


def as_array(values: Any) -> Array:
    """A tensor, array or list as an array; of a tuple of outputs the first."""
    if isinstance(values, tuple):
        values = values[0]
    if hasattr(values, "detach"):
        values = values.detach().float().cpu() if values.is_floating_point() else values.detach().cpu()
    return np.asarray(values)


def needed(package: str, metric: str) -> DataError:
    """What to raise where a metric's library is not installed."""
    return DataError(f"{metric} needs {package}: install it with `pip install 'lamina[train]'`")


def accuracy(predictions: Any, references: Any) -> float:
    """The share of predictions that are right."""
    predicted, wanted = np.asarray(predictions), np.asarray(references)
    return float((predicted == wanted).mean()) if wanted.size else 0.0


def matthews(predictions: Any, references: Any) -> float:
    """Matthews' correlation of two classifications, from -1 to 1."""
    try:
        from sklearn.metrics import matthews_corrcoef
    except ImportError:
        raise needed("scikit-learn", "Matthews' correlation") from None
    return float(matthews_corrcoef(references, predictions))


def f1(predictions: Any, references: Any, average: str | None = None) -> float:
    """The harmonic mean of precision and recall: of class 1 where there are two, else the classes' mean."""
    try:
        from sklearn.metrics import f1_score
    except ImportError:
        raise needed("scikit-learn", "F1") from None
    if average is None:
        average = "binary" if set(np.unique(references)) | set(np.unique(predictions)) <= {0, 1} else "macro"
    return float(f1_score(references, predictions, average=average, zero_division=0))


def pearson(predictions: Any, references: Any) -> float:
    """Pearson's correlation of two series; 0 where one of them is constant."""
    return _correlation("pearsonr", predictions, references)


def spearman(predictions: Any, references: Any) -> float:
    """Spearman's correlation of two series' ranks; 0 where one of them is constant."""
    return _correlation("spearmanr", predictions, references)


def _correlation(name: str, predictions: Any, references: Any) -> float:
    try:
        from scipy import stats
    except ImportError:
        raise needed("scipy", "a correlation") from None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scipy warns of a constant series, for which 0 is the answer here
        found = float(getattr(stats, name)(np.asarray(predictions), np.asarray(references))[0])
    return 0.0 if math.isnan(found) else found


def installed(*metrics: str) -> None:
    """Refuse metrics whose library is not there, before a model is trained in vain."""
    for metric in metrics:
        module, package = LIBRARIES.get(metric, ("", ""))
        if module and find_spec(module) is None:
            raise needed(package, metric)


LIBRARIES = {
    "f1": ("sklearn", "scikit-learn"),
    "matthews": ("sklearn", "scikit-learn"),
    "pearson": ("scipy", "scipy"),
    "spearman": ("scipy", "scipy"),
    "bleu": ("sacrebleu", "sacrebleu"),
    "rouge": ("rouge_score", "rouge-score"),
}
SCORES: Mapping[str, Callable[[Any, Any], float]] = {
    "accuracy": accuracy,
    "f1": f1,
    "matthews": matthews,
    "pearson": pearson,
    "spearman": spearman,
}


class ClassificationMetric:
    """Scores of one class, one number or one set of labels a text, by their names in `SCORES`.

    Logits [batch, classes] become classes at once: the largest for one label, those above 0 for several labels.
    """

    def __init__(self, scores: Sequence[str] = ("accuracy",), problem: str = "single_label_classification"):
        unknown = [name for name in scores if name not in SCORES]
        if unknown:
            raise DataError(f"no metric {unknown[0]!r}; there are {', '.join(SCORES)}")
        installed(*(("f1",) if problem == "multi_label_classification" else scores))
        self.scores, self.problem = tuple(scores), problem
        self._predictions: list[Array] = []
        self._labels: list[Array] = []

    def update(self, predictions: Any, labels: Any) -> None:
        """Take a batch in: logits [batch, classes], labels [batch] or [batch, classes]."""
        logits, wanted = as_array(predictions), as_array(labels)
        if self.problem == "regression":
            self._predictions.append(logits.reshape(len(logits), -1).squeeze(-1))
        elif self.problem == "multi_label_classification":
            self._predictions.append((logits > 0).astype(np.int64))
            wanted = wanted.astype(np.int64)
        else:
            self._predictions.append(logits.argmax(-1))
        self._labels.append(wanted)

    def compute(self) -> dict[str, float]:
        """The scores, and the mean of several as `combined_score`."""
        if not self._labels:
            raise DataError("there is nothing to score: no batch came in")
        predicted, wanted = np.concatenate(self._predictions), np.concatenate(self._labels)
        self._predictions, self._labels = [], []
        if self.problem == "multi_label_classification":
            found = {
                "accuracy": float((predicted == wanted).all(-1).mean()),
                "f1": f1(predicted, wanted, average="micro"),
            }
        else:
            found = {name: SCORES[name](predicted, wanted) for name in self.scores}
        if len(found) > 1:
            found["combined_score"] = float(np.mean(list(found.values())))
        return found


def likeliest(logits: Any, labels: Any = None) -> Any:
    """The class with the largest logit, found where the logits are: what is kept of them is a vocabulary smaller."""
    return (logits[0] if isinstance(logits, tuple) else logits).argmax(-1)


class TokenAccuracy:
    """The share of labelled tokens that are predicted; for causal models, of the token that follows.

    Predictions are logits [batch, tokens, classes], or the classes `likeliest` has made of them: [batch, tokens].
    """

    def __init__(self, shifted: bool = False):
        self.shifted = shifted
        self._right = self._all = 0

    def update(self, predictions: Any, labels: Any) -> None:
        """Take a batch in; labels are [batch, tokens] with -100 where there is none."""
        predicted, wanted = as_array(predictions), as_array(labels)
        predicted = predicted.argmax(-1) if predicted.ndim > wanted.ndim else predicted
        if self.shifted:
            predicted, wanted = predicted[:, :-1], wanted[:, 1:]
        counted = wanted != IGNORED
        self._right += int(((predicted == wanted) & counted).sum())
        self._all += int(counted.sum())

    def compute(self) -> dict[str, float]:
        """The accuracy since the last call."""
        found = {"accuracy": self._right / self._all if self._all else 0.0}
        self._right = self._all = 0
        return found


def perplexity(loss: float) -> float:
    """How many tokens a model wavers between, from its mean loss in nats; infinite where that overflows."""
    try:
        return math.exp(loss)
    except OverflowError:
        return math.inf
