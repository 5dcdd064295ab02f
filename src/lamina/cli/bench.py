"""`lamina bench`: how fast your own model is on your own machine, and what each precision costs it."""

from __future__ import annotations

import json as json_format
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice
from statistics import median
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from ..errors import InputError
from ..spec import KINDS
from .info import figures
from .inputs import FILE_KINDS, Read, Sources, find_sources
from .options import AS_JSON, THREADS, model_class, model_name, option, our_words, switch, with_options

if TYPE_CHECKING:
    from torch import Tensor

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
SHOWN: tuple[tuple[str, str, Callable[[Any], str]], ...] = (
    ("tokens_per_second", "tokens/s", "{:,.0f}".format),
    ("speedup", "speed", "{:.2f}x".format),
    ("latency_ms", "one text", "{:,.1f} ms".format),
    ("peak_bytes", "peak", lambda count: "?" if count is None else f"{count / 1e6:,.0f} MB"),
    ("load_seconds", "load", "{:.2f} s".format),
    ("cosine", "cosine", "{:.4f}".format),
    ("agreement", "same choice", "{:.1%}".format),
)
ROUNDS = 3
SINGLES = 9
PROMPT = 32  # tokens at most, of each text, that a model writes on from


@dataclass(frozen=True)
class Trial:
    model: str
    precision: str
    rows: list[list[int]]  # ids of the texts
    threads: int
    device: str
    new_tokens: int = 32
    forced: list[list[int]] | None = None  # what float32 wrote, to compare with
    tuned: bool = False  # look for the best token budget as well


@with_options(
    option("precision", list[str], "One to measure beside fp32; may be repeated.", "-p"),
    option("file", list[str], f"Texts to measure with: {FILE_KINDS}.", "-f", metavar="FILE"),
    THREADS,
    option("device", str, "cpu or cuda.", default="cpu"),
    switch("tune", "Look for the best number of tokens in a batch, and keep it for pipelines."),
    AS_JSON,
)
def bench(model: Annotated[str, typer.Argument(help="A folder, a name on the Hub, or builtin.")], **said: Any) -> None:
    """Measure a MODEL in several precisions: speed, memory, and how near its answers stay to fp32.

    Each precision is loaded in a process of its own. Classifiers and encoders read texts; models that write, write.
    """
    sources = find_sources([], said["file"] or [], asked=True)
    if sources.files:
        sources.check_columns({"this command": "text"})
    path = str(model_name(model))
    check(said["precision"] or [], said["device"])
    config, rows = rows_of(path, sources)
    writes = KINDS[model_class(config).task.kind].writes
    chosen = said["precision"] or (WRITING_DEFAULTS if writes else DEFAULTS)
    device, threads = said["device"], said["threads"] or cores()
    trial = Trial(path, "fp32", rows, threads, device, tuned=said["tune"] and not writes)
    note = Console(stderr=True, highlight=False)
    results = run_all(trial, chosen, lambda found: note.print(f"{found['precision']} done", style="dim"))
    if "budget" in results[0]:
        from ..inference.batching import keep_budget

        keep_budget(device, results[0]["budget"])
    head = {"model": model, "threads": threads, "device": device, "texts": len(rows), "tokens": sum(map(len, rows))}
    if said["json"]:
        print(json_format.dumps({**head, "results": results}, ensure_ascii=False, indent=2))
    else:
        show(Console(highlight=False), head, results)


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check(precisions: list[str], device: str) -> None:
    """A usage error for an unknown precision or device, before anything is loaded."""
    import torch

    from ..inference.quantize import settle_precision
    from ..inference.rows import choose_device

    for each in precisions:
        try:
            settle_precision(each)
        except InputError as error:
            raise typer.BadParameter(str(error), param_hint="--precision") from None
    with our_words():
        choose_device(device, torch.device("cpu"))


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
    console.print(f"[bold]{head['model']}[/bold]  {head['texts']} texts, {head['tokens']} tokens, "
                  f"{head['threads']} threads on {head['device']}")  # fmt: skip
    table = figures("precision", *(heading for _, heading, _ in SHOWN), style="cyan")
    for found in results:
        table.add_row(found["precision"], *(form(found[name]) for name, _, form in SHOWN))
    console.print(table)
    if "budget" in results[0]:
        console.print(f"{results[0]['budget']} tokens in a batch are best here, and are kept for pipelines")


def run_all(trial: Trial, precisions: list[str], shown: Callable[[dict[str, Any]], None]) -> list[dict[str, Any]]:
    """The trial in float32 and then in each precision; `shown` gets every result as it comes."""
    results: list[dict[str, Any]] = []
    plain: dict[str, Any] | None = None
    for precision in ["fp32", *(each for each in precisions if each != "fp32")]:
        forced = plain.get("written") if plain else None
        found = in_own_process(replace(trial, precision=precision, forced=forced, tuned=trial.tuned and plain is None))
        plain = plain or found
        kept = {key: value for key, value in found.items() if key not in ("vectors", "choices", "written")}
        speedup = found["tokens_per_second"] / plain["tokens_per_second"]
        results.append({"precision": precision, **kept, "speedup": speedup, **compare(found, plain)})
        shown(results[-1])
    return results


def in_own_process(trial: Trial) -> dict[str, Any]:
    """`run_trial` in a fresh interpreter, so that its peak of memory is its own too."""
    from multiprocessing import get_context

    with get_context("spawn").Pool(1) as pool:
        return pool.apply(run_trial, (trial,))


def run_trial(trial: Trial) -> dict[str, Any]:
    """Seconds, speed, peak of memory and answers."""
    import torch

    from ..auto import find

    torch.set_num_threads(trial.threads)
    start = time.perf_counter()
    loader = model_class(find("AutoConfig").from_pretrained(trial.model))
    model = loader.from_pretrained(trial.model, precision=trial.precision).to(trial.device)
    loaded = time.perf_counter() - start
    with torch.inference_mode():
        found = measure_writing(model, trial) if model.can_generate() else measure_reading(model, trial)
    return {"load_seconds": loaded, **found, "peak_bytes": peak_memory()}


def measure_reading(model: Any, trial: Trial) -> dict[str, Any]:
    """All texts in batches by length, and the middle one by itself."""
    import torch

    from ..inference.batching import abreast, measure_budget, run_by_length, side_by_side, token_budget
    from ..nn.model import packable, read_packed

    rows, packed = trial.rows, packable(model)

    @torch.inference_mode()
    def read(batch: list[list[int]]) -> list[Tensor]:
        ids = torch.tensor([token for row in batch for token in row], device=trial.device)
        if not packed:
            return [model(input_ids=ids[None])[0][0]]
        output = read_packed(model, ids, [len(row) for row in batch])[0]
        return list(output[0].split([len(row) for row in batch])) if len(output) < len(batch) else list(output)

    def whole(tokens: int) -> list[Tensor]:
        wide = abreast(model) if packed else 1
        each, size = side_by_side if wide > 1 else map, None if packed else 1
        return run_by_length(rows, read, len, tokens=tokens, batch_size=size, packed=True, abreast=wide, each=each)

    found: dict[str, Any] = {"budget": measure_budget(whole)} if trial.tuned else {}
    tokens = found.get("budget") or token_budget(trial.device)
    best, answers = timed(lambda: whole(tokens))
    middle = sorted(rows, key=len)[len(rows) // 2]
    read([middle])
    alone = median(timed(lambda: read([middle]), 1)[0] for _ in range(SINGLES))
    flat = [answer.float().mean(0) if answer.dim() > 1 else answer.float() for answer in answers]
    return {
        **found,
        "texts_per_second": len(rows) / best,
        "tokens_per_second": sum(map(len, rows)) / best,
        "latency_ms": alone * 1e3,
        "vectors": torch.stack(flat).tolist(),
        "choices": [answer.argmax(-1).flatten().tolist() for answer in answers],
    }


def measure_writing(model: Any, trial: Trial) -> dict[str, Any]:
    """Greedy search from one prompt and from eight, then scores of what float32 wrote."""
    import torch

    rows = sorted((row[:PROMPT] for row in trial.rows), key=len)
    length = len(rows[len(rows) // 2])
    prompts = torch.tensor([row[:length] for row in rows[len(rows) // 2 :]][:8], device=trial.device)
    options = {"max_new_tokens": trial.new_tokens, "do_sample": False, "num_beams": 1, "min_length": 0}
    counts = [0]

    def write(ids: Tensor) -> Tensor:
        written: Tensor = model.generate(ids, attention_mask=torch.ones_like(ids), **options)
        counts[0] = written.shape[1] - (1 if model.config.is_encoder_decoder else ids.shape[1])
        return written

    speeds = {}
    for name, ids in (("single", prompts[:1]), ("batch", prompts)):
        write(ids)
        best, written = timed(lambda ids=ids: write(ids))  # type: ignore[misc]
        speeds[name] = len(ids) * counts[0] / best
    forced = torch.tensor(trial.forced, device=trial.device) if trial.forced else written
    paired = {"input_ids": prompts, "decoder_input_ids": forced}
    scores = model(**paired if model.config.is_encoder_decoder else {"input_ids": forced}).logits
    return {
        "tokens_per_second": speeds["batch"],
        "single_tokens_per_second": speeds["single"],
        "latency_ms": 1e3 / speeds["single"],
        "written": forced.tolist(),
        "vectors": scores[:, -1].float().tolist(),
        "choices": scores.argmax(-1).tolist(),
    }


def timed(run: Callable[[], Any], rounds: int = ROUNDS) -> tuple[float, Any]:
    """The fewest seconds of some runs, and the last one's answer."""
    import torch

    best, answer = float("inf"), None
    for _ in range(rounds):
        start = time.perf_counter()
        answer = run()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
    return best, answer


def peak_memory() -> int | None:
    """The most bytes that this process ever had in memory; None where the system does not say."""
    try:
        import resource  # not on Windows
    except ImportError:
        return None
    found = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return found if sys.platform == "darwin" else found * 1024


def compare(found: dict[str, Any], plain: dict[str, Any]) -> dict[str, float]:
    """How near answers are to float32's: the mean cosine, and how often the first choice is the same."""
    import torch

    one, other = (torch.tensor(each["vectors"]) for each in (found, plain))
    same = [
        (torch.tensor(mine) == torch.tensor(theirs)).flatten()
        for mine, theirs in zip(found["choices"], plain["choices"], strict=True)
    ]
    agreement = torch.cat(same).double().mean()
    return {"cosine": float(torch.cosine_similarity(one, other).mean()), "agreement": float(agreement)}
