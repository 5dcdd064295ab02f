"""What `lamina` alone shows: what there is to do, and a first command that works at once."""

from __future__ import annotations

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from .. import __version__
from .tasks import TASKS

FIRST_COMMANDS = (
    ("Answers from the built-in model, nothing to download", 'lamina run sentiment-analysis "Not bad at all."'),
    ("One text a line in, one JSON line out for each", "lamina run sentiment-analysis -f reviews.txt -o labels.jsonl"),
    (
        "MODEL is a folder or a name on the Hub, @ reads a file",
        'lamina run question-answering -m MODEL -q "Who?" -c @page.txt',
    ),
    ("A text written on, word by word", 'lamina generate MODEL "Once upon a time"'),
    ("One of seven recipes on your own files", "lamina train translation -m MODEL --train a.tsv --eval b.tsv -o DIR"),
    ("Models over HTTP, and a page to try them", "lamina serve MODEL"),
    ("A picture of a model, its parameters and memory", "lamina info MODEL"),
    ("The model families and what each can do", "lamina info --families"),
)


def show_overview() -> None:
    """Print the title, first commands and the table of tasks."""
    console = Console(highlight=False)
    title = Text.assemble(("Lamina ", "bold"), __version__, "  the classic Transformer stack, complete and small")
    console.print("\n ", title)
    heading(console, "Start here")
    for purpose, command in FIRST_COMMANDS:
        console.print(Text(f"    {purpose}", style="bright_black"))
        console.print(Text(f"    $ {command}", style="cyan"), soft_wrap=True)
    heading(console, "Tasks of lamina run")
    table = Table.grid(padding=(0, 2))
    table.add_column(style="cyan", no_wrap=True)
    for task in TASKS:
        table.add_row(task.name, task.summary)
    console.print(Padding(table, (0, 0, 0, 4)))
    console.print("\n  Every command explains itself:", Text("lamina run --help\n", style="cyan"))


def heading(console: Console, words: str) -> None:
    """A line that says what follows."""
    console.print(Text(f"\n  {words}", style="bold"))
