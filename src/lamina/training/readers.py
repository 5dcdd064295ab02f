"""The files that well-known data sets come in, read into rows with one set of column names per task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from numbers import Integral
from pathlib import Path
from typing import Any

from ..errors import DataError
from ..files.formats import form_of
from ..files.shown import shown
from ..files.tables import read_json_file
from .tables import Row, Table, file_fingerprint, open_table, text_lines

ENDINGS = ("ending0", "ending1", "ending2", "ending3")


def read_conll(source: Any, token_column: int = 0, label_column: int = -1) -> Table:
    """Sentences as `{"tokens": [...], "labels": [...]}`; columns are counted from 0, or from the end with -1.

    Files have a token a line and an empty line between sentences; -DOCSTART- lines are left out. Table files and data
    sets with `tokens` and `labels`, `ner_tags` or `tags` columns do as well.
    """
    if not isinstance(source, str | Path) or form_of(source)[0] in ("json", "jsonl", "parquet", "arrow"):
        return _tagged(open_table(source))
    path = Path(source)
    rows, numbers = [], []
    for number, lines in _blocks(text_lines(path)):
        cells = [line.split("\t") if "\t" in line else line.split() for line in lines]
        if cells[0][0] == "-DOCSTART-":
            number, cells = number + 1, cells[1:]
        if not cells:
            continue
        for offset, row in enumerate(cells):
            if not -len(row) <= label_column < len(row) or not -len(row) <= token_column < len(row) or len(row) < 2:
                wanted = f"token column {token_column} and label column {label_column}"
                raise DataError(f"{path}, row {number + offset}: has {len(row)} columns, not {wanted}")
        rows.append({"tokens": [row[token_column] for row in cells], "labels": [row[label_column] for row in cells]})
        numbers.append(number)
    if not rows:
        raise DataError(f"{path}: holds no sentences")
    return Table(str(path), rows, numbers, file_fingerprint(path))


def _blocks(lines: list[str]) -> Iterator[tuple[int, list[str]]]:
    """Runs of lines that are not empty, with the number of their first line."""
    block: list[str] = []
    number = 0
    for number, line in enumerate(lines, 1):
        if line.strip():
            block.append(line)
        elif block:
            yield number - len(block), block
            block = []
    if block:
        yield number - len(block) + 1, block


def _tagged(table: Table) -> Table:
    label = table.first_of(("labels", "ner_tags", "tags"))

    def checked(index: int, row: Row) -> Row:
        tokens, labels = row.get("tokens"), row.get(label)
        if not isinstance(tokens, list | tuple) or not isinstance(labels, list | tuple):
            table.refuse(index, f"'tokens' and {label!r} must be lists")
        if len(tokens) != len(labels):
            table.refuse(index, f"{len(tokens)} tokens but {len(labels)} labels")
        if not all(isinstance(tag, str) for tag in labels):
            table.refuse(index, f"the tags in {label!r} must be names such as O and B-PER, not numbers")
        return {"tokens": list(tokens), "labels": list(labels)}

    return table.mapped(checked)


def read_squad(source: Any) -> Table:
    """Rows `{"id", "question", "context", "answers": {"text": [...], "answer_start": [...]}}`.

    Takes SQuAD's nested .json of either version, or rows that have these columns. DataError where an answer is not in
    its context at the place given. A question without answers has empty lists.
    """
    if isinstance(source, str | Path) and form_of(source)[0] == "json" and Path(source).is_file():
        path = Path(source)
        value = read_json_file(path)
        if _nested(value):
            return _checked_spans(Table(str(path), _flattened(path, value["data"]), None, file_fingerprint(path)))
    return _checked_spans(open_table(source))


def _nested(value: Any) -> bool:
    data = value.get("data") if isinstance(value, dict) else None
    return isinstance(data, list) and bool(data) and isinstance(data[0], dict) and "paragraphs" in data[0]


def _flattened(path: Path, articles: list[Any]) -> list[Row]:
    rows: list[Row] = []
    try:
        for article in articles:
            for paragraph in article["paragraphs"]:
                for asked in paragraph["qas"]:
                    answers = [] if asked.get("is_impossible") else asked["answers"]
                    spans = {key: [answer[key] for answer in answers] for key in ("text", "answer_start")}
                    rows.append(
                        {
                            "id": asked["id"],
                            "question": asked["question"],
                            "context": paragraph["context"],
                            "answers": spans,
                        }
                    )
    except (KeyError, TypeError) as error:
        raise DataError(f"{path}, after question {len(rows)}: not SQuAD's layout, {error} is missing") from None
    if not rows:
        raise DataError(f"{path}: holds no questions")
    return rows


def _checked_spans(table: Table) -> Table:
    seen: dict[str, int] = {}

    def checked(index: int, row: Row) -> Row:
        for column in ("question", "context"):
            if not isinstance(row.get(column), str):
                there = ", ".join(map(shown, row))
                table.refuse(index, f"needs text in the column {column!r}; there are {there}", column)
        name = str(row.get("id", index))
        if seen.setdefault(name, index) != index:
            table.refuse(index, f"the id {shown(name, 60)} is that of {table.place(seen[name])} too")
        answers = row.get("answers")
        if not isinstance(answers, Mapping) or not {"text", "answer_start"} <= set(answers):
            table.refuse(index, "needs 'answers' with 'text' and 'answer_start' lists")
        spans = {"text": list(answers["text"]), "answer_start": list(answers["answer_start"])}
        if len(spans["text"]) != len(spans["answer_start"]):
            table.refuse(index, f"{len(spans['text'])} answer texts but {len(spans['answer_start'])} starts")
        for text, start in zip(spans["text"], spans["answer_start"], strict=True):
            found = isinstance(start, Integral) and int(start) >= 0 and isinstance(text, str) and text
            if not found or row["context"][start : start + len(text)] != text:
                table.refuse(
                    index,
                    f"the answer {shown(text, 60)} to {shown(name, 60)} is not in its context at character {start}",
                )
        return {**row, "id": name, "answers": spans}

    return table.mapped(checked)


def read_swag(source: Any, label_column: str = "label") -> Table:
    """Rows `{"first", "seconds": [four texts], "label": 0..3}` from SWAG's sent1, sent2, ending0 to ending3 and label.

    Any other number of choices works where the endings are numbered on, or stand in a list called `endings`.
    """
    table = open_table(source)

    def flattened(index: int, row: Row) -> Row:
        given = row.get("endings")
        endings = list(given) if isinstance(given, list | tuple) else _numbered(row)
        for name, value in (("sent1", row.get("sent1")), ("sent2", row.get("sent2", ""))):
            if not isinstance(value, str):
                table.refuse(index, f"no text in the column {name!r}; there are {', '.join(map(shown, row))}")
        if len(endings) < 2 or not all(isinstance(ending, str) for ending in endings):
            table.refuse(index, f"needs texts in {', '.join(ENDINGS)}; there are {', '.join(map(shown, row))}")
        label = str(row.get(label_column))
        if not label.isdecimal() or int(label) >= len(endings):
            table.refuse(
                index, f"the label {shown(label, 40)} is outside the set: a number from 0 to {len(endings) - 1}"
            )
        seconds = [f"{row.get('sent2', '')} {ending}".strip() for ending in endings]
        return {"first": row["sent1"], "seconds": seconds, "label": int(label)}

    table = table.mapped(flattened)
    counts = [len(row["seconds"]) for row in table]
    for index, count in enumerate(counts):
        if count != counts[0]:
            table.refuse(index, f"has {count} choices, the first row {counts[0]}")
    return table


def _numbered(row: Row) -> list[Any]:
    endings: list[Any] = []
    while f"ending{len(endings)}" in row:
        endings.append(row[f"ending{len(endings)}"])
    return endings


def read_parallel(source: Any, source_column: str = "source", target_column: str = "target") -> Table:
    """Rows `{"source", "target"}`: two plain files of as many lines, joined by a comma, or two columns of a table.

    A column called `translation` that holds `{"en": ..., "ro": ...}` is read by the names in it.
    """
    if isinstance(source, str | Path) and "," in str(source) and not Path(source).exists():
        return _two_files(*(Path(part) for part in str(source).split(",", 1)))
    table = open_table(source)

    def paired(index: int, row: Row) -> Row:
        inner = row.get("translation")
        columns = inner if isinstance(inner, Mapping) else row
        for name in (source_column, target_column):
            if not isinstance(columns.get(name), str):
                there = ", ".join(map(shown, columns))
                table.refuse(index, f"no text in the column {name!r}; there are {there}", name)
        return {"source": columns[source_column], "target": columns[target_column]}

    return table.mapped(paired)


def _two_files(first: Path, second: Path) -> Table:
    sides = [text_lines(path) for path in (first, second)]
    if len(sides[0]) != len(sides[1]):
        raise DataError(f"{first} has {len(sides[0])} lines and {second} {len(sides[1])}: they must go in pairs")
    rows = [{"source": a, "target": b} for a, b in zip(*sides, strict=True)]
    return Table(f"{first}, {second}", rows, None, file_fingerprint(first, second))
