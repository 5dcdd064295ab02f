"""The tasks of `lamina run`: the options each takes, how its inputs are put together, how its answers are shown."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any, NamedTuple

import typer
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ..errors import InputError
from ..files.shown import visible
from .inputs import Read, missing
from .options import option, spelled, switch

column_option = partial(option, rich_help_panel="What the files hold")
task_option = partial(option, rich_help_panel="For one task or another")
task_switch = partial(switch, rich_help_panel="For one task or another")

OPTIONS = (
    column_option("text_column", str, "Column of texts; left out, text."),
    column_option("text_pair_column", str, "Column of second texts; left out, text_pair if there is one."),
    column_option("question_column", str, "Column of questions; left out, question."),
    column_option("context_column", str, "Column of passages; left out, context."),
    task_switch("truncation", "Cut texts longer than the model reads."),
    task_option("top_k", int, "Answers for each text; 0: all.", "-k", min=0),
    task_option("question", str, "What to ask.", "-q"),
    task_option("context", str, "The passage to look in, or @FILE.", "-c"),
    task_option("source", str, "The sentence to compare with."),
    task_option("candidate_labels", str, "The labels to choose from: a,b,c.", "--labels"),
    task_option("hypothesis_template", str, "A sentence with {} in a label's place.", "--hypothesis"),
    task_switch("multi_label", "Labels do not exclude each other."),
    task_option(
        "aggregation_strategy",
        str,
        "none, simple, first, average or max: how word pieces become names; left out, simple.",
        "--aggregation",
    ),
    task_option("max_new_tokens", int, "Most tokens to write.", min=1),
    task_option("src_lang", str, "The language of the texts.", "--from"),
    task_option("tgt_lang", str, "The language to translate into.", "--to"),
    task_switch("chunk", "Read a long text in windows of whole sentences."),
    task_option("targets", str, "Only these words may fill the gap: a,b,c."),
)


@dataclass(frozen=True)
class Given:
    """What an input may be made of besides a text, each under the name of its option; names of columns too."""

    question: str | None = None
    context: str | None = None
    source: str | None = None
    text_column: str | None = None
    text_pair_column: str | None = None
    question_column: str | None = None
    context_column: str | None = None


class Asked(NamedTuple):
    """One row of the output to be: where its input stands and what it was, and what the pipeline gets of it."""

    place: str
    row: Any
    item: Any = None
    error: str | None = None


def column_of(part: str, given: Given) -> tuple[str, str, bool]:
    """For a part of an input: the option that chooses its column, the column, and whether rows must have it."""
    option = f"{part}_column"
    chosen: str | None = getattr(given, option)
    free = part == "text_pair" or (part == "context" and given.context is not None)
    return option, chosen or part, chosen is not None or not free


def item_of(row: Any, parts: Sequence[str], given: Given) -> Any:
    """What a pipeline gets of a row: a text, or an object of several `parts`. InputError where a column is missing."""
    if not isinstance(row, dict):
        if "context" not in parts:
            return row
        if given.context is None or given.context_column:
            raise InputError("a question needs a passage: give --context")
        return {"question": row, "context": given.context}
    found: dict[str, Any] = {}
    for part in parts:
        option, name, needed = column_of(part, given)
        if needed and name not in row:
            raise InputError(missing(name, spelled(option), list(row)))
        found[part] = row.get(name, given.context if part == "context" else None)
    if not found.get("text_pair", True):
        del found["text_pair"]
    return found if len(found) > 1 else found[parts[0]]


def compared(asked: Sequence[Asked], given: Given) -> Iterator[Asked]:
    """All texts as one input, compared with --source or else with the first of them."""
    texts = [each.item for each in asked]
    source, *sentences = [*([given.source] if given.source is not None else []), *texts] or [None]
    if not sentences:
        raise typer.BadParameter("nothing to compare: give --source and at least one text", param_hint="--source")
    both = {"source_sentence": source, "sentences": sentences}
    wrong = next((each for each in asked if each.error or not isinstance(each.item, str)), None)
    if wrong is None:
        yield Asked(asked[0].place, both, both)
    else:
        yield Asked(wrong.place, wrong.row, error=wrong.error or "is not text")


BAR_WIDTH = 16
LONGEST_SHOWN = 240  # characters of a text
EXCERPT = 90  # characters shown on either side of an answer
PALETTE = ("cyan", "magenta", "yellow", "green", "blue", "red")


def plain(value: Any, style: str = "") -> Text:
    return Text(visible(str(value)), style)


def score_rows(rows: Iterable[tuple[str, float, str]]) -> Table:
    """Names, bars, scores and what stands behind them, in columns that line up from one answer to the next."""
    table = Table.grid(padding=(0, 2), expand=True)
    table.add_column(style="bold", min_width=8, no_wrap=True, max_width=40)
    table.add_column(no_wrap=True, width=BAR_WIDTH)
    table.add_column(justify="right", no_wrap=True, width=len("-0.000"))
    table.add_column(ratio=1)
    for name, score, behind in rows:
        filled = round(max(0.0, min(1.0, score)) * BAR_WIDTH)
        bar = Text.assemble(("━" * filled, "cyan"), ("─" * (BAR_WIDTH - filled), "bright_black"))
        table.add_row(plain(name), bar, f"{score:.3f}", plain(behind))
    return table


def indented(below: RenderableType) -> RenderableType:
    return Padding(below, (0, 0, 0, 2))


def under_text(item: Any, *below: RenderableType) -> RenderableType:
    """The text that was asked about, and its answers below."""
    return Group(Text(text_of(item), style="italic"), indented(Group(*below)))


def text_of(item: Any) -> str:
    """The part of an input that reads as text, on one line, cut where it is a whole page."""
    if isinstance(item, dict):
        item = " ⏐ ".join(str(part) for key in ("text", "text_pair") if (part := item.get(key)))
    text = visible(" ".join(str(item).split()))
    return text if len(text) <= LONGEST_SHOWN else text[:LONGEST_SHOWN] + "…"


def listed(answer: Any) -> list[Any]:
    return answer if isinstance(answer, list) else [answer]


def show_labels(item: Any, answer: Any) -> RenderableType:
    """A label and its text on one line; several labels below their text."""
    found = listed(answer)
    if len(found) == 1:
        return score_rows([(found[0]["label"], found[0]["score"], text_of(item))])
    return under_text(item, score_rows((each["label"], each["score"], "") for each in found))


def show_entities(item: Any, answer: Any) -> RenderableType:
    """The text with what was found marked in it, and a line for each find."""
    kinds = [str(entity.get("entity_group") or entity.get("entity")) for entity in answer]
    colors = {name: PALETTE[number % len(PALETTE)] for number, name in enumerate(sorted(set(kinds)))}
    text = plain(item["text"] if isinstance(item, dict) else item)
    table = Table.grid(padding=(0, 2))
    for entity, kind in zip(answer, kinds, strict=True):
        if entity["start"] is not None:
            text.stylize(f"bold reverse {colors[kind]}", entity["start"], entity["end"])
        table.add_row(plain(kind, colors[kind]), plain(entity["word"], "bold"), f"{entity['score']:.3f}")
    return Group(text, indented(table if answer else Text("nothing found", style="bright_black")))


def show_fillings(item: Any, answer: Any) -> RenderableType:
    """The words for the gap, best first; for each gap where there are several."""
    gaps = answer if answer and isinstance(answer[0], list) else [answer]
    tables = (score_rows((each["token_str"], each["score"], each["sequence"]) for each in gap) for gap in gaps)
    return under_text(item, *tables)


def show_passages(item: Any, answer: Any) -> RenderableType:
    """The question, the answers, and where in the passage they stand."""
    shown: list[RenderableType] = [plain(item["question"], "italic")]
    passage = visible(str(item["context"]))
    for each in listed(answer):
        start, end = each["start"], each["end"]
        left, right = passage[max(0, start - EXCERPT) : start], passage[end : end + EXCERPT]
        excerpt = Text.assemble(
            "… " if start > EXCERPT else "",
            left,
            (passage[start:end], "bold reverse cyan"),
            right,
            " …" if end + EXCERPT < len(passage) else "",
        )
        shown.append(indented(score_rows([(each["answer"] or "no answer", each["score"], "")])))
        shown.append(indented(Text(" ").join(excerpt.split())))
    return Group(*shown)


def show_choices(item: Any, answer: Any) -> RenderableType:
    return under_text(item, score_rows((*pair, "") for pair in zip(answer["labels"], answer["scores"], strict=True)))


def show_vectors(item: Any, answer: Any) -> RenderableType:
    """How many vectors of what width, and where the first begins; `--json` gives them whole."""
    vectors = answer[0]
    start = ", ".join(f"{number:.4f}" for number in vectors[0][:4])
    return under_text(item, Text(f"{len(vectors)} tokens × {len(vectors[0])} numbers: [[{start}, …], …]"))


def show_similarities(item: Any, answer: Any) -> RenderableType:
    rows = (("", score, sentence) for score, sentence in zip(answer, item["sentences"], strict=True))
    return under_text(item["source_sentence"], score_rows(rows))


def show_written(item: Any, answer: Any) -> RenderableType:
    """What was written for a text: its continuation, summary or translation, or several."""
    texts = [text for each in listed(answer) for key, text in each.items() if key.endswith("_text")]
    return under_text(item, *map(plain, texts))


@dataclass(frozen=True)
class CommandTask:
    """One task as the command line sees it: `parts` of an input, and what it takes beside its pipeline's options."""

    name: str
    summary: str
    show: Callable[[Any, Any], RenderableType]  # an input and its answer, for people
    parts: tuple[str, ...] = ("text",)
    takes: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    alias: str | None = None
    together: bool = False  # all rows are one input

    @property
    def options(self) -> set[str]:
        """The rows of OPTIONS that this task has."""
        from ..pipelines import options

        columns = (f"{part}_column" for part in self.parts)
        return {each.name for each in OPTIONS} & {*columns, *self.takes, *options.OPTIONS[self.name]}

    def columns(self, given: Given) -> dict[str, str]:
        """The columns that files must have, by the options that choose them."""
        found = (column_of(part, given) for part in self.parts)
        return {option: name for option, name, needed in found if needed}

    def inputs(self, rows: Iterable[Read], given: Given) -> Iterator[Asked]:
        """What is asked of every row; one that cannot be read, or made something of, is asked as its error."""
        if given.question is not None:
            rows = chain([Read("--question", given.question)], rows)
        asked = (self._asked(row, given) for row in rows)
        return compared(list(asked), given) if self.together else asked

    def _asked(self, row: Read, given: Given) -> Asked:
        wrong = row.error
        if wrong is None:
            try:
                return Asked(row.place, row.value, item_of(row.value, self.parts, given))
            except InputError as error:
                wrong = str(error)
        return Asked(row.place, row.value, error=wrong)


LANGUAGE_PAIR = re.compile(r"translation_\w+_to_\w+")
WRITING = ("max_new_tokens",)
TASKS = (
    CommandTask(
        "text-classification",
        "a label for each text, such as its sentiment",
        show_labels,
        ("text", "text_pair"),
        alias="sentiment-analysis",
    ),
    CommandTask(
        "token-classification", "the names of people, places and the like in a text", show_entities, alias="ner"
    ),
    CommandTask("fill-mask", "the likeliest words for a gap", show_fillings),
    CommandTask(
        "question-answering",
        "the passage of --context that answers a question",
        show_passages,
        ("question", "context"),
        ("question", "context"),
    ),
    CommandTask(
        "zero-shot-classification",
        "which of your own --labels fit a text",
        show_choices,
        required=("candidate_labels",),
    ),
    CommandTask("feature-extraction", "the vector of every token", show_vectors),
    CommandTask(
        "sentence-similarity",
        "how close texts are in meaning to --source",
        show_similarities,
        takes=("source",),
        together=True,
    ),
    CommandTask("text-generation", "what may follow a text", show_written, takes=WRITING),
    CommandTask("summarization", "the gist of a text", show_written, takes=WRITING),
    CommandTask("translation", "a text in another language", show_written, takes=WRITING),
    CommandTask("text2text-generation", "a text made from a text", show_written, takes=WRITING),
)
NAMES = [name for task in TASKS for name in (task.name, task.alias) if name]


def find_task(name: str) -> CommandTask | None:
    """The row called `name`, by its own name or its alias; None where the command line has no row for it."""
    plain = "translation" if LANGUAGE_PAIR.fullmatch(name) else name
    return next((task for task in TASKS if plain in (task.name, task.alias)), None)
