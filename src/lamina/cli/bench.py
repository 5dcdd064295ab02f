"""`lamina bench`: how fast your own model is on your own machine, and what each precision costs it."""

from __future__ import annotations

import json as json_format
import os
from itertools import islice
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from ..errors import InputError
from .asking import model_name
from .inputs import FILE_KINDS, Read, Sources, find_sources

SAMPLE = (
    "It rained.",
    "The bridge was closed for repairs until spring.",
    "Nobody who had read the letter expected her to come back so soon, and yet there she stood.",
    "Prices rose by two percent in March, the bank said on Tuesday, less than most analysts had forecast.",
    "A warm, funny film.",
    "The committee met four times over the summer; each time it put off the one question that everybody had come to "
    "hear answered, and each time the chairman thanked those present for their patience before he closed the session.",
    "Which of the two machines is faster depends on what they are given to do.",
    "He sold the house, the boat and the land behind the mill.",
)
REPEATS = 4
MOST_TEXTS = 256
LONGEST = 256  # tokens of a text that are read
DEFAULTS = ["fp32-packed", "int8", "int8-accurate"]
WRITING_DEFAULTS = ["fp32-packed", "bf16", "int8", "int4"]


def bench(
    model: Annotated[str, typer.Argument(help="A folder, a name on the Hub, or builtin.")],
    precision: Annotated[
        list[str] | None, typer.Option("--precision", "-p", help="One to measure beside fp32; may be repeated.")
    ] = None,
    file: Annotated[
        list[str] | None,
        typer.Option("--file", "-f", metavar="FILE", help=f"Texts to measure with: {FILE_KINDS}."),
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads to compute with; left out, one per core.")] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    tune: Annotated[
        bool, typer.Option("--tune", help="Look for the best number of tokens in a batch, and keep it for pipelines.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="The same as JSON.")] = False,
) -> None:
    """Measure a MODEL in several precisions: speed, memory, and how near its answers stay to fp32.

    Each precision is loaded in a process of its own. Classifiers and encoders read texts; models that write, write.
    """
    from .trial import Trial, run_all

    count = threads or cores()
    sources = find_sources([], file or [], None, asked=True)
    if sources.files:
        sources.check_columns([("text", "this command")])
    config, rows = rows_of(path := str(model_name(model)), sources)
    chosen = precision or (WRITING_DEFAULTS if writes(config) else DEFAULTS)
    check(chosen)
    trial = Trial(path, "fp32", rows, count, device, tuned=tune and not writes(config))
    console = Console(highlight=False)
    note = Console(stderr=True, highlight=False)
    results = run_all(trial, chosen, lambda found: note.print(f"{found['precision']} done", style="dim"))
    if "budget" in results[0]:
        from ..inference.batching import keep_budget

        keep_budget(device, results[0]["budget"])
    head = {"model": model, "threads": count, "device": device, "texts": len(rows), "tokens": sum(map(len, rows))}
    if json:
        print(json_format.dumps({**head, "results": results}, ensure_ascii=False, indent=2))
    else:
        show(console, head, results)


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check(precisions: list[str]) -> None:
    """A usage error for a precision that is none, before anything is loaded."""
    from ..inference.quantize import settle_precision

    for each in precisions:
        try:
            settle_precision(each)
        except InputError as error:
            raise typer.BadParameter(str(error), param_hint="--precision") from None


def writes(config: Any) -> bool:
    """Whether the model that a config names continues text."""
    return any(name.endswith(("LMHeadModel", "ForConditionalGeneration", "ForCausalLM", "MTModel"))
               for name in config.architectures or [])  # fmt: skip


def rows_of(model: str, sources: Sources) -> tuple[Any, list[list[int]]]:
    """The model's config, and the ids of the texts to measure with."""
    from ..auto import find

    config = find("AutoConfig").from_pretrained(model)
    tokenizer = find("AutoTokenizer").from_pretrained(model)
    texts = list(islice(map(text_of, sources.rows()), MOST_TEXTS)) if sources.files else list(SAMPLE) * REPEATS
    longest = min(LONGEST, tokenizer.model_max_length)
    encoded = [tokenizer(text, truncation=True, max_length=longest)["input_ids"] for text in texts]
    found = [ids for ids in encoded if ids]
    if not found:
        raise InputError("there are no texts to measure with: the files are empty, or hold no column 'text'")
    return config, found


def text_of(read: Read) -> str:
    """A text, or that of a row with columns."""
    text = read.value.get("text") if isinstance(read.value, dict) else read.value
    if read.error or not isinstance(text, str):
        raise InputError(f"{read.place}: {read.error or 'has no text in its column text'}")
    return text


def show(console: Console, head: dict[str, Any], results: list[dict[str, Any]]) -> None:
    """One line for each precision."""
    console.print(f"[bold]{head['model']}[/bold]  {head['texts']} texts, {head['tokens']} tokens, "
                  f"{head['threads']} threads on {head['device']}")  # fmt: skip
    table = Table(box=None, padding=(0, 1), header_style="bold")
    table.add_column("precision", style="cyan", no_wrap=True)
    for name in ("tokens/s", "speed", "one text", "peak", "load", "cosine", "same choice"):
        table.add_column(name, justify="right", no_wrap=True)
    for found in results:
        peak = found["peak_bytes"]
        table.add_row(
            found["precision"],
            f"{found['tokens_per_second']:,.0f}",
            f"{found['speedup']:.2f}x",
            f"{found['latency_ms']:,.1f} ms",
            "?" if peak is None else f"{peak / 1e6:,.0f} MB",
            f"{found['load_seconds']:.2f} s",
            f"{found['cosine']:.4f}",
            f"{found['agreement']:.1%}",
        )
    console.print(table)
    if "budget" in results[0]:
        console.print(f"{results[0]['budget']} tokens in a batch are best here, and are kept for pipelines")
