"""`lamina info`: what a model is made of, before any of its weights are read."""

from __future__ import annotations

import json as json_format
from dataclasses import fields, is_dataclass
from typing import Annotated, Any

import typer
from rich.columns import Columns
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..files.shown import visible
from .asking import model_name
from .drawing import draw_model


def info(
    model: Annotated[
        str | None, typer.Argument(help="A folder or a name on the Hub; left out, the built-in model.")
    ] = None,
    families: Annotated[bool, typer.Option("--families", help="The model families and what each can do.")] = False,
    json: Annotated[bool, typer.Option("--json", help="The same as JSON.")] = False,
) -> None:
    """Show a MODEL's parts, parameters and memory.

    Only its config.json is read, so a model on the Hub is described without downloading it.
    """
    if families and model is not None:
        raise typer.BadParameter("it is about all families, and not about a MODEL", param_hint="--families")
    if families:
        found = family_tasks()
        show = show_families
    else:
        from .measure import describe

        found = describe(model_name(model), model)
        show = show_description
    if json:
        print(json_format.dumps(found, ensure_ascii=False, indent=2, default=plain))
    else:
        show(Console(highlight=False), found)


KNOWN_AS = {  # kinds that differ inside and are one task to a user
    "aligned-lm": "causal-lm",
    "next-sentence-pretraining": "pre-training",
    "sentence-order-pretraining": "pre-training",
    "replaced-token": "pre-training",
    "encoder-body": "text-encoding",
    "pooled-body": "body",
}


def family_tasks() -> dict[str, list[str]]:
    """The tasks of every family, under the names that AutoModelForX and its kin go by."""
    from ..families import MODULES, family

    def kinds(name: str) -> list[str]:
        return list(dict.fromkeys(KNOWN_AS.get(task.kind, task.kind) for task in family(name).tasks))

    return {name: kinds(name) for name in sorted(MODULES)}


def show_families(console: Console, found: dict[str, list[str]]) -> None:
    """Families down, tasks across under their initials, a dot where they meet."""
    kinds = list(dict.fromkeys(kind for tasks in found.values() for kind in tasks if kind != "body"))
    table = Table(box=None, padding=(0, 1), header_style="bold")
    table.add_column("family", style="cyan")
    for kind in kinds:
        table.add_column(initials(kind), justify="center", no_wrap=True)
    for name, tasks in found.items():
        table.add_row(name, *("●" if kind in tasks else "" for kind in kinds))
    console.print(table)
    console.print()
    console.print(Columns([Text.assemble((initials(kind), "bold"), f" {kind}") for kind in kinds], padding=(0, 2)))


def initials(kind: str) -> str:
    """The short form of a task's name: MLM for masked-lm, QA for question-answering."""
    return "".join("LM" if word == "lm" else word[0].upper() for word in kind.split("-"))


def show_description(console: Console, found: dict[str, Any]) -> None:
    """Facts, picture, table."""
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="bold", no_wrap=True)
    for name in ("model", "architecture", "family", "task", "labels", "stored"):
        if found.get(name):
            facts.add_row(name, Text(readable(found[name])))
    console.print()
    console.print(facts)
    console.print()
    console.print(draw_model(found["spec"]))
    console.print()
    console.print(parts_table(found["parts"]))


def parts_table(parts: list[dict[str, Any]]) -> Table:
    """Parameters and memory of every part, and of the whole."""
    table = Table(box=None, padding=(0, 1), header_style="bold")
    table.add_column("part", no_wrap=True)
    for heading in ("parameters", "share", *parts[0]["bytes"]):
        table.add_column(heading, justify="right", no_wrap=True)
    total = sum(part["parameters"] for part in parts)
    for part in parts:
        share = part["parameters"] / total if total else 0
        size = [readable_size(count) for count in part["bytes"].values()]
        table.add_row(part["name"], f"{part['parameters']:,}", f"{share:.0%}", *size)
    whole = [readable_size(sum(part["bytes"][dtype] for part in parts)) for dtype in parts[0]["bytes"]]
    table.add_section()
    table.add_row("all", f"{total:,}", "100%", *whole, style="bold")
    return table


def readable_size(count: int) -> str:
    """Bytes as people say them."""
    return f"{count / 1e6:,.1f} MB" if count >= 1e5 else f"{count / 1e3:,.1f} kB"


def readable(value: Any) -> str:
    """A fact on one line."""
    if isinstance(value, list):
        shown = [visible(str(each)) for each in value[:8]]
        return ", ".join(shown) + (f" and {len(value) - 8} more" if len(value) > 8 else "")
    return visible(str(value))


def plain(value: Any) -> Any:
    """A dataclass with its name, since several kinds may stand in one place."""
    if is_dataclass(value):
        own = {field.name: getattr(value, field.name) for field in fields(value)}
        return {"kind": type(value).__name__, **own}
    raise TypeError(f"no JSON for {type(value).__name__}")
