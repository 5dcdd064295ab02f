"""The command tree: which subcommands there are, and what `lamina` alone does."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from .. import __version__
from .bench import bench
from .convert import convert
from .generate import generate
from .info import info
from .output import drop_standard_output
from .overview import show_overview
from .run import run
from .serve import serve
from .train import train
from .view import view


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
app.command()(run)
app.command()(generate)
app.command()(info)
app.command()(convert)
app.command()(train)
app.command()(bench)
app.command()(serve)
app.command()(view)


def show_version(wanted: bool) -> None:
    """Print the version and stop, where `--version` was given."""
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
