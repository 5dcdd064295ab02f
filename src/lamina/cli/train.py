"""`lamina train`: one of the seven recipes on files, and a folder that pipelines load."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from ..files.shown import shown
from .asking import model_name, spelled
from .inputs import read_settings
from .tasks import find_task

RECIPES = (
    "text-classification",
    "language-modeling",
    "token-classification",
    "question-answering",
    "multiple-choice",
    "translation",
    "summarization",
)
GROUP_DATA = "What the files hold"
GROUP_RECIPE = "For one recipe or another"
PAIRS = {"text_column": "source_column", "label_column": "target_column"}  # in the recipes that write
TWINS = {"output": "output_dir", "epochs": "num_train_epochs", "batch_size": "per_device_train_batch_size"}
COUNTED = ("token_column", "label_column")  # where words stand in columns


def train(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help=", ".join(RECIPES))],
    model: Annotated[str, typer.Option("--model", "-m", help="The folder or Hub name to start from.")],
    train: Annotated[str, typer.Option("--train", metavar="FILE", help="What to learn from; for parallel text, A,B.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for checkpoints, model and card.")],
    eval: Annotated[str | None, typer.Option("--eval", metavar="FILE", help="What to score the model on.")] = None,
    epochs: Annotated[float | None, typer.Option(min=0.0, help="Passes over the data; left out, 3.")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Rows a step; left out, 16.")] = None,
    learning_rate: Annotated[float | None, typer.Option(min=0.0, help="The highest; left out, 2e-5.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, max=2**32 - 1, help="Of all random numbers; left out, 42.")] = None,
    save_steps: Annotated[int | None, typer.Option(min=1, help="Steps between checkpoints; else each epoch.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the newest checkpoint, if there is one.")
    ] = False,
    from_scratch: Annotated[bool, typer.Option("--from-scratch", help="Take the model's shape, not weights.")] = False,
    max_length: Annotated[int | None, typer.Option(min=8, help="Most tokens of a row or window.")] = None,
    lora: Annotated[int | None, typer.Option(min=1, metavar="RANK", help="Train small matrices instead.")] = None,
    early_stopping: Annotated[
        int | None, typer.Option(min=1, metavar="TIMES", help="Stop after evaluations without gain; keep the best.")
    ] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Any other setting or training argument: warmup_ratio=0.1."),
    ] = None,
    text_column: Annotated[str | None, typer.Option(help="Column of texts.", rich_help_panel=GROUP_DATA)] = None,
    text_pair_column: Annotated[
        str | None, typer.Option(help="Column of second texts.", rich_help_panel=GROUP_DATA)
    ] = None,
    label_column: Annotated[
        str | None, typer.Option(help="Column of labels, tags or targets.", rich_help_panel=GROUP_DATA)
    ] = None,
    token_column: Annotated[
        str | None, typer.Option(help="Column of words, from 0.", rich_help_panel=GROUP_DATA)
    ] = None,
    source_column: Annotated[str | None, typer.Option(help="Column of sources.", rich_help_panel=GROUP_DATA)] = None,
    target_column: Annotated[str | None, typer.Option(help="Column of targets.", rich_help_panel=GROUP_DATA)] = None,
    task: Annotated[
        str | None, typer.Option(help="A GLUE task, such as cola, in its own .tsv files.", rich_help_panel=GROUP_DATA)
    ] = None,
    problem: Annotated[
        str | None, typer.Option(help="single-label, multi-label or regression.", rich_help_panel=GROUP_RECIPE)
    ] = None,
    masked: Annotated[
        bool | None, typer.Option("--masked/--causal", help="Which language model.", rich_help_panel=GROUP_RECIPE)
    ] = None,
    whole_word: Annotated[
        bool | None, typer.Option("--whole-word", help="Mask whole words.", rich_help_panel=GROUP_RECIPE)
    ] = None,
    block_size: Annotated[
        int | None, typer.Option(min=2, help="Tokens of a block of text.", rich_help_panel=GROUP_RECIPE)
    ] = None,
    packing: Annotated[
        str | None, typer.Option(help="documents, or notebook to drop remainders.", rich_help_panel=GROUP_RECIPE)
    ] = None,
    label_all_tokens: Annotated[
        bool | None, typer.Option("--label-all-tokens", help="Tag every piece.", rich_help_panel=GROUP_RECIPE)
    ] = None,
    stride: Annotated[
        int | None, typer.Option(min=0, help="Tokens that windows share.", rich_help_panel=GROUP_RECIPE)
    ] = None,
    no_answer: Annotated[
        bool | None, typer.Option("--no-answer", help="There may be no answer.", rich_help_panel=GROUP_RECIPE)
    ] = None,
    source_prefix: Annotated[
        str | None, typer.Option(help="What goes before every source.", rich_help_panel=GROUP_RECIPE)
    ] = None,
    src_lang: Annotated[
        str | None, typer.Option("--from", help="The language of the sources.", rich_help_panel=GROUP_RECIPE)
    ] = None,
    tgt_lang: Annotated[
        str | None, typer.Option("--to", help="The language of the targets.", rich_help_panel=GROUP_RECIPE)
    ] = None,
    max_target_length: Annotated[
        int | None, typer.Option(min=1, help="Most tokens of a target.", rich_help_panel=GROUP_RECIPE)
    ] = None,
    num_beams: Annotated[
        int | None, typer.Option(min=1, help="Beams while evaluating.", rich_help_panel=GROUP_RECIPE)
    ] = None,
) -> None:
    """Train a model by a RECIPE.

    The folder gets checkpoints, the model, its tokenizer and a README.md with data, settings and results. Tables have
    the columns text and label unless told otherwise. The results are printed as JSON where output is no terminal.
    """
    given = {name: value for name, value in locals().items() if name not in ("recipe", "setting") and value is not None}
    name = known_recipe(recipe)
    given["model"] = model_name(model)
    from ..training.recipes import recipe as find_recipe
    from ..training.tables import ColumnError

    module = find_recipe(name)
    taken = {own: spelled(own) for own in given} | {TWINS[own]: spelled(own) for own in given if own in TWINS}
    own, arguments = divided(read_settings(setting or [], taken), module.Settings)
    settings = module.Settings(**{**own, **fitting(name, module.Settings, given)}, arguments=arguments)
    try:
        results = module.train(settings)
    except ColumnError as error:
        raise ColumnError(f"{error}; {column_option(settings, error.column)}", error.column) from None
    if os.environ.get("RANK", "0") == "0":  # torchrun starts this once for each process
        show_results(results)
        advice = f"; try lamina run {name} -m {output}" if find_task(name) else ""
        print(f"saved in {output}{advice}", file=sys.stderr)


def column_option(settings: Any, column: str) -> str:
    """Which option names a column."""
    named = [each.name for each in fields(settings) if getattr(settings, each.name) == column]
    options = {ours: theirs for theirs, ours in PAIRS.items()}
    typed = [spelled(name) for name in named if name.endswith("_column") or name in options]
    return f"{typed[0]} names the column" if typed else "the column has to be called so"


def known_recipe(name: str) -> str:
    """The recipe called `name`; a usage error with the nearest names where there is none."""
    if name in RECIPES:
        return name
    near = get_close_matches(name, RECIPES, n=2)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(RECIPES)}"
    raise typer.BadParameter(f"no recipe {shown(name)}; {hint}", param_hint="RECIPE")


def divided(given: dict[str, Any], settings: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """What `--set` gave for the recipe's own settings, and the rest, which are training arguments."""
    own = {each.name for each in fields(settings)} - {"arguments"}
    parts = ({name: value for name, value in given.items() if (name in own) is inside} for inside in (True, False))
    return next(parts), next(parts)


def fitting(recipe: str, settings: Any, given: dict[str, Any]) -> dict[str, Any]:
    """What was given, by the names of the recipe's settings; a usage error for an option of another recipe."""
    known = {each.name for each in fields(settings)}
    out: dict[str, Any] = {}
    for name, value in given.items():
        own = name if name in known else PAIRS.get(name, name)
        if own not in known:
            raise typer.BadParameter(f"{recipe} has no such option", param_hint=spelled(name))
        out[own] = number(name, value) if recipe == "token-classification" and name in COUNTED else value
    return out


def number(name: str, value: str) -> int:
    """A column of words or tags by its number."""
    try:
        return int(value)
    except ValueError:
        raise typer.BadParameter(
            f"{shown(value)} is not a number; columns count from 0, or from the end with -1", param_hint=spelled(name)
        ) from None


def show_results(results: dict[str, float]) -> None:
    """The results: a table for a person, JSON for a program."""
    if not sys.stdout.isatty():
        print(json.dumps(results))
        return
    table = Table.grid(padding=(0, 2))
    for name, value in results.items():
        table.add_row(name, f"{value:.5g}")
    Console(highlight=False).print(table)
