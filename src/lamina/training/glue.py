"""GLUE's nine tasks in the files they were published in, and as rows of any other kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import DataError
from ..files.formats import form_of
from ..files.tables import open_rows
from .tables import Row, Table, open_table, read_file, rows_of_object, spelled

YES_NO = ("0", "1")
ENTAILED = ("entailment", "not_entailment")


@dataclass(frozen=True)
class GlueTask:
    """One of GLUE's nine: its columns by our name, in the published files' words; its labels; its metrics.

    `labels` are as the files spell them, numbered in the order of the published models; empty for a regression.
    """

    columns: Mapping[str, tuple[str, ...]]
    label: tuple[str, ...]
    labels: tuple[str, ...]
    metrics: tuple[str, ...] = ("accuracy",)
    header: tuple[str, ...] | None = None
    cut_short: bool = False  # whether the published file has broken lines, which everybody leaves out


PAIR = {"sentence1": ("sentence1",), "sentence2": ("sentence2",)}
GLUE: dict[str, GlueTask] = {
    "cola": GlueTask(
        {"sentence": ("sentence",)}, ("label",), YES_NO, ("matthews",), ("source", "label", "mark", "sentence")
    ),
    "sst2": GlueTask({"sentence": ("sentence",)}, ("label",), YES_NO),
    "mrpc": GlueTask(
        {"sentence1": ("sentence1", "#1 String"), "sentence2": ("sentence2", "#2 String")},
        ("label", "Quality"),
        YES_NO,
        ("accuracy", "f1"),
    ),
    "qqp": GlueTask(
        {"question1": ("question1",), "question2": ("question2",)},
        ("label", "is_duplicate"),
        YES_NO,
        ("accuracy", "f1"),
        cut_short=True,
    ),
    "stsb": GlueTask(PAIR, ("label", "score"), (), ("pearson", "spearman")),
    "mnli": GlueTask(
        {"premise": ("premise", "sentence1"), "hypothesis": ("hypothesis", "sentence2")},
        ("gold_label", "label"),
        ("entailment", "neutral", "contradiction"),
    ),
    "qnli": GlueTask({"question": ("question",), "sentence": ("sentence",)}, ("label",), ENTAILED),
    "rte": GlueTask(PAIR, ("label",), ENTAILED),
    "wnli": GlueTask(PAIR, ("label",), YES_NO),
}


def glue_task(name: str) -> GlueTask:
    """The task called `name`, with or without a hyphen."""
    task = GLUE.get(name.lower().replace("-", "").replace("_", ""))
    if task is None:
        raise DataError(f"no GLUE task {name!r}; there are {', '.join(GLUE)}")
    return task


def read_glue(source: Any, name: str) -> Table:
    """Rows with the task's text columns and `label`: a name from the file, or a number for a regression."""
    task = glue_task(name)
    if isinstance(source, str | Path) and form_of(source)[0] == "tsv":
        path = Path(source)
        header = None if task.header is None or "sentence" in (open_rows(path).columns or ()) else task.header
        table = read_file(path, header, task.cut_short)
    else:
        table = open_table(source if isinstance(source, str | Path | Table) else rows_of_object(source, named=False))
    found = {ours: table.first_of(theirs) for ours, theirs in {**task.columns, "label": task.label}.items()}

    def renamed(index: int, row: Row) -> Row:
        kept = {ours: row.get(theirs) for ours, theirs in found.items()}
        return {**kept, "label": spelled(kept["label"], task.labels)}

    return table.mapped(renamed)
