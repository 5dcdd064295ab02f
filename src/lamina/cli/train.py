"""`lamina train`: one of the eight recipes on files, and a folder that pipelines load."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from ..files.shown import shown
from .info import aligned
from .options import beginning, known_name, model_name, option, read_settings, setting, spelled, switch, with_options
from .tasks import find_task

RECIPES = (
    "text-classification",
    "language-modeling",
    "token-classification",
    "question-answering",
    "multiple-choice",
    "translation",
    "summarization",
    "sentence-embeddings",
)
PAIRS = {"text_column": "source_column", "label_column": "target_column"}  # in the recipes that write
TWINS = {"output": "output_dir", "epochs": "num_train_epochs", "batch_size": "per_device_train_batch_size"}
COUNTED = ("token_column", "label_column")  # where words stand in columns

of_data = partial(option, rich_help_panel="What the files hold")
of_recipe = partial(option, rich_help_panel="For one recipe or another")


@with_options(
    option("model", str, "The folder or Hub name to start from.", "-m", default=...),
    option("train", str, "What to learn from; for parallel text, A,B.", metavar="FILE", default=...),
    option("output", Path, "Folder for checkpoints, model and card.", "-o", default=...),
    option("eval", str, "What to score the model on.", metavar="FILE"),
    option("epochs", float, "Passes over the data; left out, 3.", min=0.0),
    option("batch_size", int, "Rows a step; left out, 16.", min=1),
    option("learning_rate", float, "The highest; left out, 2e-5.", min=0.0),
    option("seed", int, "Of all random numbers; left out, 42.", min=0, max=2**32 - 1),
    option("save_steps", int, "Steps between checkpoints; else each epoch.", min=1),
    switch("resume", "Go on from the newest checkpoint, if there is one."),
    switch("from_scratch", "Take the model's shape, not weights."),
    option("max_length", int, "Most tokens of a row or window.", min=8),
    option("lora", int, "Train small matrices instead.", min=1, metavar="RANK"),
    option("early_stopping", int, "Stop after evaluations without gain; keep the best.", min=1, metavar="TIMES"),
    setting("Any other setting or training argument: warmup_ratio=0.1."),
    of_data("text_column", str, "Column of texts."),
    of_data("text_pair_column", str, "Column of second texts."),
    of_data("negative_column", str, "Column of texts that do not belong."),
    of_data("label_column", str, "Column of labels, tags or targets."),
    of_data("token_column", str, "Column of words, from 0."),
    of_data("source_column", str, "Column of sources."),
    of_data("target_column", str, "Column of targets."),
    of_data("task", str, "A GLUE task, such as cola, in its own .tsv files."),
    of_recipe("problem", str, "single-label, multi-label or regression."),
    of_recipe("masked", bool, "Which language model.", "--masked/--causal"),
    of_recipe("whole_word", bool, "Mask whole words.", "--whole-word"),
    of_recipe("block_size", int, "Tokens of a block of text.", min=2),
    of_recipe("packing", str, "documents, or notebook to drop remainders."),
    of_recipe("label_all_tokens", bool, "Tag every piece.", "--label-all-tokens"),
    of_recipe("stride", int, "Tokens that windows share.", min=0),
    of_recipe("no_answer", bool, "There may be no answer.", "--no-answer"),
    of_recipe("source_prefix", str, "What goes before every source."),
    of_recipe("src_lang", str, "The language of the sources.", "--from"),
    of_recipe("tgt_lang", str, "The language of the targets.", "--to"),
    of_recipe("max_target_length", int, "Most tokens of a target.", min=1),
    of_recipe("loss", str, "negatives, margin or cosine: how vectors learn."),
    of_recipe("query_prompt", str, "What stands before anchors."),
    of_recipe("document_prompt", str, "What stands before all other texts."),
    of_recipe("num_beams", int, "Beams while evaluating.", min=1),
)
def train(
    recipe: Annotated[
        str, typer.Argument(metavar="RECIPE", help=", ".join(RECIPES), autocompletion=beginning(RECIPES))
    ],
    **said: Any,
) -> None:
    """Train a model by a RECIPE.

    The folder gets checkpoints, the model, its tokenizer and a README.md with data, settings and results. Tables have
    the columns text and label unless told otherwise. The results are printed as JSON where output is no terminal.
    """
    name = known_name(recipe, RECIPES, "RECIPE")
    from ..training.recipes import recipe as find_recipe
    from ..training.tables import ColumnError

    given = {own: value for own, value in said.items() if own != "setting" and value is not None}
    given["model"] = model_name(said["model"])
    named = {own for own, value in given.items() if value is not False}
    taken = {own: spelled(own) for own in named} | {TWINS[own]: spelled(own) for own in named if own in TWINS}
    module = find_recipe(name)
    known = {each.name for each in fields(module.Settings)} - {"arguments"}
    settings = read_settings(said["setting"] or [], taken)
    own = {key: settings.pop(key) for key in list(settings) if key in known}
    settings = module.Settings(**{**own, **fitting(name, known, given)}, arguments=settings)
    try:
        results = module.train(settings)
    except ColumnError as error:
        raise ColumnError(f"{error}; {column_option(settings, error.column)}", error.column) from None
    if os.environ.get("RANK", "0") == "0":  # torchrun starts this once for each process
        show_results(results)
        advice = f"; try lamina run {name} -m {said['output']}" if find_task(name) else ""
        print(f"saved in {said['output']}{advice}", file=sys.stderr)


def column_option(settings: Any, column: str) -> str:
    """Which option names a column."""
    named = [each.name for each in fields(settings) if getattr(settings, each.name) == column]
    typed = [spelled(name) for name in named if name.endswith("_column")]
    return f"{typed[0]} names the column" if typed else "the column has to be called so"


def fitting(recipe: str, known: set[str], given: dict[str, Any]) -> dict[str, Any]:
    """What was given, by the names of the recipe's settings; a usage error for an option of another recipe."""
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
    """A table for a person, JSON for a program."""
    if not sys.stdout.isatty():
        print(json.dumps(results))
        return
    Console(highlight=False).print(aligned(((name, f"{value:.5g}") for name, value in results.items()), style=""))
