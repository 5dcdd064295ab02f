"""The command tree: which subcommands there are, and what `lamina` alone shows."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.padding import Padding
from rich.text import Text
from typer.core import TyperGroup

from .. import __version__
from .bench import bench
from .convert import convert
from .embed import embed, search
from .generate import generate
from .info import aligned, info
from .output import drop_standard_output
from .run import run
from .serve import serve
from .tasks import TASKS
from .train import train
from .view import view

FIRST_COMMANDS = (
    ("Answers from the built-in model, nothing to download", 'lamina run sentiment-analysis "Not bad at all."'),
    ("One text a line in, one JSON line out for each", "lamina run sentiment-analysis -f reviews.txt -o labels.jsonl"),
    (
        "MODEL is a folder or a name on the Hub, @ reads a file",
        'lamina run question-answering -m MODEL -q "Who?" -c @page.txt',
    ),
    ("A text written on, word by word", 'lamina generate MODEL "Once upon a time"'),
    ("One of eight recipes on your own files", "lamina train translation -m MODEL --train a.tsv --eval b.tsv -o DIR"),
    ("The vectors of texts, and the nearest of them to a query", "lamina embed texts.txt -m MODEL -o texts.parquet"),
    ("Models over HTTP, and a page to try them", "lamina serve MODEL"),
    ("A picture of a model, its parameters and memory", "lamina info MODEL"),
    ("The model families and what each can do", "lamina info --families"),
)


class Commands(TyperGroup):
    """Ends quietly where what reads our output went away, as `head` does."""

    def invoke(self, ctx: Any) -> Any:
        """Run the subcommand; the status that a shell gives for SIGPIPE where nobody reads on."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            drop_standard_output()
            raise typer.Exit(128 + 13) from None
        return result


app = typer.Typer(
    cls=Commands,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (run, embed, search, generate, info, convert, train, bench, serve, view):
    app.command()(command)


def show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"lamina {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def start(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", "-V", callback=show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """The classic Transformer stack, complete and small."""
    if context.invoked_subcommand is None:
        show_overview()


def show_overview() -> None:
    console = Console(highlight=False)
    title = Text.assemble(("Lamina ", "bold"), __version__, "  the classic Transformer stack, complete and small")
    console.print("\n ", title)
    console.print(Text("\n  Start here", style="bold"))
    for purpose, line in FIRST_COMMANDS:
        console.print(Text(f"    {purpose}", style="bright_black"))
        console.print(Text(f"    $ {line}", style="cyan"), soft_wrap=True)
    console.print(Text("\n  Tasks of lamina run", style="bold"))
    tasks = aligned(((task.name, task.summary) for task in TASKS), style="cyan")
    console.print(Padding(tasks, (0, 0, 0, 4)))
    console.print("\n  Every command explains itself:", Text("lamina run --help\n", style="cyan"))
