"""What `make demo` shows: two sentences through the built-in model, and what else there is."""

from __future__ import annotations

import time

from rich.console import Console
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

import lamina
from lamina.cli.tasks import show_labels
from lamina.pipelines.create import EMBEDDED

SENTENCES = ("I've been waiting for a HuggingFace course my whole life.", "I hate this so much!")
IN_PYTHON = """\
from lamina import pipeline

classifier = pipeline("sentiment-analysis")
classifier("Not bad at all.")"""
NEXT = (
    ('lamina run sentiment-analysis "Not bad at all."', "JSON lines where piped"),
    ("lamina info", "the model in a picture"),
    ("lamina info --families", "what there is"),
    ("lamina", "everything else"),
)


def main() -> None:
    console = Console(highlight=False)
    began = time.perf_counter()
    classifier = lamina.pipeline("sentiment-analysis", model=str(EMBEDDED["text-classification"]))
    loaded = time.perf_counter()
    answers = classifier(list(SENTENCES))
    answered = time.perf_counter()

    console.print(Text.assemble("\n  ", ("Lamina", "bold"), " and the model that comes inside it, no download\n"))
    for sentence, answer in zip(SENTENCES, answers, strict=True):
        console.print(show_labels(sentence, answer))
    console.print(
        f"\n  PyTorch and the model loaded in {loaded - began:.1f} s, "
        f"both sentences read in {1000 * (answered - loaded):.0f} ms\n",
        style="bright_black",
    )
    console.print("  In Python", style="bold")
    console.print(Syntax(IN_PYTHON, "python", theme="ansi_dark", background_color="default", padding=(0, 4)))
    console.print("\n  In a shell, with .venv/bin on its PATH", style="bold")
    commands = Table.grid(padding=(0, 2))
    for command, purpose in NEXT:
        commands.add_row(Text(f"    {command}", style="cyan", no_wrap=True), Text(purpose, style="bright_black"))
    console.print(commands, "")


if __name__ == "__main__":
    main()
