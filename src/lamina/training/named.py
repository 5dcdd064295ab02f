"""Metrics by the names that scripts for the old `load_metric` and for `evaluate.load` ask for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..errors import DataError
from .entities import EntityMetric
from .glue import GLUE
from .metrics import SCORES, installed
from .squad import squad_scores
from .written import ROUGE, bleu_details, rouge_rows

Scores = dict[str, Any]
SPELLED = {"matthews": "matthews_correlation", "spearman": "spearmanr"}


class NamedMetric:
    """A metric under a name of the reference's: `compute(predictions=..., references=...)` gives its dictionary."""

    def __init__(self, name: str, score: Callable[..., Scores]):
        self.name, self._score = name, score
        self._predictions: list[Any] = []
        self._references: list[Any] = []

    def add_batch(self, *, predictions: Sequence[Any], references: Sequence[Any]) -> None:
        self._predictions += list(predictions)
        self._references += list(references)

    def add(self, *, prediction: Any, reference: Any) -> None:
        self.add_batch(predictions=[prediction], references=[reference])

    def compute(
        self, *, predictions: Sequence[Any] | None = None, references: Sequence[Any] | None = None, **options: Any
    ) -> Scores:
        """Scores of what was added and of what is passed; options, such as `average`, are the metric's own."""
        found = [*self._predictions, *(predictions if predictions is not None else ())]
        wanted = [*self._references, *(references if references is not None else ())]
        self._predictions, self._references = [], []
        if len(found) != len(wanted):
            raise DataError(f"{self.name}: {len(found)} predictions for {len(wanted)} references")
        if not found:
            raise DataError(f"{self.name}: there is nothing to score")
        try:
            return self._score(found, wanted, **options)
        except TypeError as error:
            raise DataError(f"{self.name} cannot score these: {error}") from None

    def __repr__(self) -> str:
        return f"load_metric({self.name!r})"


def load_metric(path: str, config_name: str | None = None) -> NamedMetric:
    """The metric that `datasets.load_metric` and `evaluate.load` know under this name, without any download.

    "glue" takes a task as its second argument. Others: accuracy, f1, matthews_correlation, pearsonr, spearmanr,
    seqeval, squad, squad_v2, sacrebleu, rouge. DataError lists them for another name.
    """
    if path == "glue":
        if config_name not in GLUE and config_name not in ("mnli-mm", "mnli_matched", "mnli_mismatched"):
            raise DataError(f"glue has no task {config_name!r}; there are {', '.join(GLUE)}")
        names = GLUE[config_name].metrics if config_name in GLUE else ("accuracy",)
        return NamedMetric(f"glue {config_name}", _plain(*names))
    if path not in NAMED:
        raise DataError(f"no metric {path!r}; there are glue, {', '.join(NAMED)}")
    return NamedMetric(path, NAMED[path])


def _plain(*names: str, spelled: Mapping[str, str] = SPELLED) -> Callable[..., Scores]:
    """Scores of classes or numbers, under the reference's spelling of their names."""

    def score(predictions: Sequence[Any], references: Sequence[Any], **options: Any) -> Scores:
        installed(*names)
        return {spelled.get(name, name): SCORES[name](predictions, references, **options) for name in names}

    return score


def _seqeval(predictions: Sequence[Sequence[str]], references: Sequence[Sequence[str]]) -> Scores:
    metric = EntityMetric({})
    for found, wanted in zip(predictions, references, strict=True):
        metric.add(list(found), list(wanted))
    by_type = metric.report()
    overall = metric.compute()
    return {**by_type, **{f"overall_{name}": value for name, value in overall.items()}}


def _squad(predictions: Sequence[Mapping[str, Any]], references: Sequence[Mapping[str, Any]]) -> Scores:
    found, wanted = _answers(predictions, references)
    scores = squad_scores(found, wanted)
    return {name: scores[name] for name in ("exact_match", "f1")}


def _squad_v2(predictions: Sequence[Mapping[str, Any]], references: Sequence[Mapping[str, Any]]) -> Scores:
    found, wanted = _answers(predictions, references)
    scores = squad_scores(found, wanted)
    named = {"exact": scores["exact_match"], "f1": scores["f1"], "total": len(wanted)}
    for kind, answerable in (("HasAns", True), ("NoAns", False)):
        count = sum(bool(answers) is answerable for answers in wanted.values())
        prefix = "has_answer_" if answerable else "no_answer_"
        if count:
            own = {"exact": f"{prefix}exact_match", "f1": f"{prefix}f1"}
            plain = {"exact": "exact_match", "f1": "f1"}
            named |= {f"{kind}_{name}": scores.get(own[name], scores[plain[name]]) for name in own}
            named[f"{kind}_total"] = count
    return named


def _answers(
    predictions: Sequence[Mapping[str, Any]], references: Sequence[Mapping[str, Any]]
) -> tuple[dict[str, str], dict[str, list[str]]]:
    try:
        found = {row["id"]: row["prediction_text"] for row in predictions}
        return found, {row["id"]: list(row["answers"]["text"]) for row in references}
    except (KeyError, TypeError) as error:
        raise DataError(
            f"squad takes {{'id', 'prediction_text'}} for predictions and {{'id', 'answers'}} for references: {error}"
        ) from None


def _sacrebleu(
    predictions: Sequence[str], references: Sequence[str] | Sequence[Sequence[str]], tokenize: str | None = None
) -> Scores:
    rows = [[row] if isinstance(row, str) else list(row) for row in references]
    if len({len(row) for row in rows}) > 1:
        raise DataError("sacrebleu: every prediction must have as many references")
    return bleu_details(list(predictions), [list(column) for column in zip(*rows, strict=True)], tokenize)


class RougeScore(float):
    """A mean F-measure from 0 to 1; `.mid.fmeasure`, as older scripts ask for it, is the same number."""

    @property
    def mid(self) -> RougeScore:
        """The score itself, which older versions hid between two bounds."""
        return self

    @property
    def fmeasure(self) -> float:
        """The score as a plain number."""
        return float(self)


def _rouge(predictions: Sequence[str], references: Sequence[str], use_stemmer: bool = False) -> Scores:
    rows = rouge_rows(predictions, references, use_stemmer, told_apart=False)
    return {name: RougeScore(sum(row[name] for row in rows) / len(rows)) for name in ROUGE}


NAMED: dict[str, Callable[..., Scores]] = {
    "accuracy": _plain("accuracy"),
    "f1": _plain("f1"),
    "matthews_correlation": _plain("matthews"),
    "pearsonr": _plain("pearson", spelled={"pearson": "pearsonr"}),  # glue's own name for it is "pearson"
    "spearmanr": _plain("spearman"),
    "seqeval": _seqeval,
    "squad": _squad,
    "squad_v2": _squad_v2,
    "sacrebleu": _sacrebleu,
    "rouge": _rouge,
}
