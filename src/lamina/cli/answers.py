"""Answers of the pipelines as people like to see them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ..files.shown import visible

BAR_WIDTH = 16
LONGEST_SHOWN = 240  # characters of a text
EXCERPT = 90  # characters shown on either side of an answer
PALETTE = ("cyan", "magenta", "yellow", "green", "blue", "red")

Row = tuple[str, float, str]  # name, score, what stands behind it


def bar(score: float, color: str = "cyan") -> Text:
    """A score from 0 to 1 as a line, partly drawn strong."""
    filled = round(max(0.0, min(1.0, score)) * BAR_WIDTH)
    return Text.assemble(("━" * filled, color), ("─" * (BAR_WIDTH - filled), "bright_black"))


def score_rows(rows: Iterable[Row]) -> Table:
    """Names, bars and scores in columns that line up from one answer to the next."""
    table = Table.grid(padding=(0, 2), expand=True)
    table.add_column(style="bold", min_width=8, no_wrap=True, max_width=40)
    table.add_column(no_wrap=True, width=BAR_WIDTH)
    table.add_column(justify="right", no_wrap=True, width=len("-0.000"))
    table.add_column(ratio=1)
    for name, score, behind in rows:
        table.add_row(Text(visible(name)), bar(score), f"{score:.3f}", Text(visible(behind)))
    return table


def under_text(item: Any, below: RenderableType) -> RenderableType:
    """The text that was asked about, and its answer indented below."""
    return Group(Text(text_of(item), style="italic"), Padding(below, (0, 0, 0, 2)))


def text_of(item: Any) -> str:
    """The part of an input that reads as text, on one line, cut where it is a whole page."""
    if isinstance(item, dict):
        item = " ⏐ ".join(str(part) for key in ("text", "text_pair") if (part := item.get(key)))
    text = visible(" ".join(str(item).split()))
    return text if len(text) <= LONGEST_SHOWN else text[:LONGEST_SHOWN] + "…"


def listed(answer: Any) -> list[Any]:
    """One answer or several, as a list."""
    return answer if isinstance(answer, list) else [answer]


def show_labels(item: Any, answer: Any) -> RenderableType:
    """A label and its text on one line; several labels below their text."""
    found = listed(answer)
    if len(found) == 1:
        return score_rows([(found[0]["label"], found[0]["score"], text_of(item))])
    return under_text(item, score_rows((each["label"], each["score"], "") for each in found))


def show_entities(item: Any, answer: Any) -> RenderableType:
    """The text with what was found marked in it, and a line for each find."""
    names = sorted({entity_name(entity) for entity in answer})
    colors = {name: PALETTE[number % len(PALETTE)] for number, name in enumerate(names)}
    text = Text(visible(item["text"] if isinstance(item, dict) else item))
    for entity in answer:
        if entity["start"] is not None:
            text.stylize(f"bold reverse {colors[entity_name(entity)]}", entity["start"], entity["end"])
    table = Table.grid(padding=(0, 2))
    for entity in answer:
        name = entity_name(entity)
        table.add_row(
            Text(visible(name), style=colors[name]),
            Text(visible(entity["word"]), style="bold"),
            f"{entity['score']:.3f}",
        )
    return Group(text, Padding(table if answer else Text("nothing found", style="bright_black"), (0, 0, 0, 2)))


def entity_name(entity: Any) -> str:
    """The kind of an entity, whether its words were grouped or not."""
    return str(entity.get("entity_group") or entity.get("entity"))


def show_fillings(item: Any, answer: Any) -> RenderableType:
    """The words for the gap, best first; for each gap where there are several."""
    gaps = answer if answer and isinstance(answer[0], list) else [answer]
    return under_text(
        item,
        Group(*(score_rows((each["token_str"], each["score"], each["sequence"]) for each in gap) for gap in gaps)),
    )


def show_passages(item: Any, answer: Any) -> RenderableType:
    """The question, the answers, and where in the passage they stand."""
    shown: list[RenderableType] = [Text(visible(str(item["question"])), style="italic")]
    for each in listed(answer):
        passage, start, end = visible(str(item["context"])), each["start"], each["end"]
        left, right = passage[max(0, start - EXCERPT) : start], passage[end : end + EXCERPT]
        excerpt = Text.assemble(
            "… " if start > EXCERPT else "",
            left,
            (passage[start:end], "bold reverse cyan"),
            right,
            " …" if end + EXCERPT < len(passage) else "",
        )
        shown.append(Padding(score_rows([(each["answer"] or "no answer", each["score"], "")]), (0, 0, 0, 2)))
        shown.append(Padding(Text(" ").join(excerpt.split()), (0, 0, 0, 2)))
    return Group(*shown)


def show_choices(item: Any, answer: Any) -> RenderableType:
    """The given labels, the fitting ones first."""
    return under_text(item, score_rows((*pair, "") for pair in zip(answer["labels"], answer["scores"], strict=True)))


def show_vectors(item: Any, answer: Any) -> RenderableType:
    """How many vectors of what width, and where the first begins; `--json` gives them whole."""
    vectors = answer[0]
    start = ", ".join(f"{number:.4f}" for number in vectors[0][:4])
    return under_text(item, Text(f"{len(vectors)} tokens × {len(vectors[0])} numbers: [[{start}, …], …]"))


def show_similarities(item: Any, answer: Any) -> RenderableType:
    """The sentences beside how close they are to the source."""
    rows = (("", score, sentence) for score, sentence in zip(answer, item["sentences"], strict=True))
    return under_text(item["source_sentence"], score_rows(rows))


def show_written(item: Any, answer: Any) -> RenderableType:
    """What was written for a text: its continuation, summary or translation, or several."""
    texts = [text for each in listed(answer) for key, text in each.items() if key.endswith("_text")]
    return under_text(item, Group(*(Text(visible(text)) for text in texts)))
