"""The page that goes with a trained model: what it learned from, how, how well, and how to use it."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch

from ... import __version__
from ...errors import TrainingError
from ...files.atomic import staged
from ..tables import Table

CURVES = "curves.png"
CALLED = {"loss": "training", "eval_loss": "held out"}
REPEATED = ("per_device_train_batch_size", "per_device_eval_batch_size", "num_train_epochs")  # said by the recipe
NOT_ARGUMENTS = ("output_dir", "logging_dir", "resume_from_checkpoint", *REPEATED)
NOT_SETTINGS = ("model", "train", "eval", "output", "resume", "arguments")
USES = {
    "text-classification": 'classifier = pipeline("text-classification", "{folder}")\nclassifier("A text.")',
    "fill-mask": 'unmasker = pipeline("fill-mask", "{folder}")\nunmasker("A [MASK] text.")',
    "text-generation": 'writer = pipeline("text-generation", "{folder}")\nwriter("Once")',
    "token-classification": 'tagger = pipeline("token-classification", "{folder}", aggregation_strategy="simple")\n'
    'tagger("Ada lives in London.")',
    "question-answering": 'reader = pipeline("question-answering", "{folder}")\n'
    'reader(question="Who wrote it?", context="Ada wrote it.")',
    "multiple-choice": "from lamina import AutoModelForMultipleChoice\n\n"
    'model = AutoModelForMultipleChoice.from_pretrained("{folder}")',
    "translation": 'translator = pipeline("translation", "{folder}")\ntranslator("A text.")',
    "sentence-similarity": "from lamina import SentenceTransformer\n\n"
    'model = SentenceTransformer("{folder}")\nmodel.encode(["A text.", "Another."])',
    "summarization": 'summarizer = pipeline("summarization", "{folder}")\nsummarizer("A long text.")',
}


@dataclass(frozen=True)
class Card:
    task: str
    settings: Any
    arguments: Any
    results: Mapping[str, float]
    history: Sequence[Mapping[str, Any]]
    tables: Mapping[str, Table | None]


def write_card(folder: Path, card: Card) -> None:
    """Write README.md and, where matplotlib is installed and something was logged, the curves."""
    with staged(folder, TrainingError) as new:
        drawn = draw_curves(card.history, lambda: new(CURVES))
        new("README.md").write_text(card_text(card, folder.name, drawn), encoding="utf-8", newline="\n")


def card_text(card: Card, folder: str, drawn: bool) -> str:
    base, scratch = model_name(card.settings.model), card.settings.from_scratch
    parts = [
        f"---\nlibrary_name: lamina\npipeline_tag: {card.task}\nbase_model: {base}\n---",
        f"# {folder}",
        f"A model for {card.task}, "
        + (f"trained from random weights in the shape of `{base}`." if scratch else f"fine-tuned from `{base}`."),
        "## Use",
        f"```python\nfrom lamina import pipeline\n\n{USES[card.task].format(folder=folder)}\n```",
        "## Data",
        markdown_table(
            ("part", "name", "rows", "SHA-256"),
            [
                (
                    part,
                    ", ".join(Path(name).name for name in table.name.split(", ")),
                    f"{len(table):,}",
                    f"`{table.fingerprint}`",
                )
                for part, table in card.tables.items()
                if table is not None
            ],
        ),
        "## Results",
        *results_of(card),
    ]
    if drawn:
        parts.append(f"![Loss and metrics over the steps]({CURVES})")
    evaluations = [entry for entry in card.history if any(map(is_score, entry))]
    if len(evaluations) > 1:
        names = sorted({name for entry in evaluations for name in entry if is_score(name)})
        rows = [tuple(shown(entry.get(name, "")) for name in ("step", *names)) for entry in evaluations]
        parts += ["## Over time", markdown_table(("step", *names), rows)]
    parts += ["## Settings", markdown_table(("setting", "value"), settings_of(card)), made_with()]
    return "\n\n".join(parts) + "\n"


def results_of(card: Card) -> list[str]:
    """The scores as a table, and a warning where they are of the rows that were learned."""
    scores = [(name, shown(value)) for name, value in card.results.items() if is_score(name)]
    if not scores:
        return ["No evaluation data was given."]
    prints = [table.fingerprint for table in card.tables.values() if table is not None]
    told = [markdown_table(("metric", "value"), scores)]
    if len(set(prints)) < len(prints):
        told.append("**These are scores on the data that the model learned from**, and say nothing of other data.")
    return told


def model_name(model: str) -> str:
    """A name on the Hub as it is; of a folder the last part, since the rest says nothing elsewhere."""
    return Path(model).resolve().name if Path(model).exists() else model


def made_with() -> str:
    """The versions that a run depends on."""
    return f"Trained with Lamina {__version__}, torch {torch.__version__} and Python {platform.python_version()}."


def settings_of(card: Card) -> list[tuple[str, str]]:
    """The recipe's settings and the training arguments that are not at their defaults."""
    said = {each.name: getattr(card.settings, each.name) for each in fields(card.settings)}
    chosen = {name: value for name, value in said.items() if name not in NOT_SETTINGS and not unsaid(value)}
    for each in fields(card.arguments):
        value = getattr(card.arguments, each.name)
        if each.name not in NOT_ARGUMENTS and value != each.default and value:
            chosen.setdefault(each.name, value)
    return [(name, f"`{value}`") for name, value in chosen.items()]


def unsaid(value: Any) -> bool:
    """Whether a setting was left out or off; a 0 was not."""
    return value is None or value is False or value == ()


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)


def shown(value: Any) -> str:
    """A number in five digits."""
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def is_score(name: str) -> bool:
    """Whether a logged number says how good the model is, not how fast."""
    return name.startswith("eval_") and not name.endswith(("runtime", "per_second"))


def curves_of(history: Sequence[Mapping[str, Any]]) -> dict[str, tuple[list[int], list[float]]]:
    """Steps and values of what was logged, by name; speeds and times are left out."""
    curves: dict[str, tuple[list[int], list[float]]] = {}
    for entry in history:
        for name, value in entry.items():
            wanted = name == "loss" or (is_score(name) and not name.endswith("gen_len"))
            if wanted and "step" in entry and isinstance(value, int | float):
                steps, values = curves.setdefault(name, ([], []))
                steps.append(int(entry["step"]))
                values.append(float(value))
    return curves


def draw_curves(history: Sequence[Mapping[str, Any]], path: Any) -> bool:
    """Draw losses above and metrics below into the file that `path()` names; False where there is nothing to draw."""
    curves = curves_of(history)
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator
    except ImportError:
        return False
    if not curves:
        return False
    losses = {CALLED.get(name, name): curve for name, curve in curves.items() if name.endswith("loss")}
    metrics = {name.removeprefix("eval_"): curve for name, curve in curves.items() if not name.endswith("loss")}
    panels = [(words, panel) for words, panel in (("loss", losses), ("score, held out", metrics)) if panel]
    figure = Figure(figsize=(7.5, 0.4 + 2.4 * len(panels)), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (words, panel) in zip(grid, panels, strict=True):
        for name, (steps, values) in panel.items():
            axes.plot(steps, values, marker="o", markersize=3, linewidth=1.3, label=name)
        axes.set_ylabel(words)
        axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
    grid[-1].set_xlabel("step")
    grid[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.savefig(path(), dpi=120)
    return True
