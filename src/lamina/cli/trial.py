"""One model in one precision, timed in a process of its own so that its peak of memory is its own too."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing import get_context
from statistics import median
from typing import Any

import torch
from torch import Tensor

from ..auto import find
from ..auto.classes import architectures
from ..inference.batching import run_by_length
from ..inference.budget import measure_budget, token_budget
from ..inference.workers import abreast, side_by_side
from ..nn.model import packable, read_packed

ROUNDS = 3
SINGLES = 9
PROMPT = 32  # tokens at most, of each text, that a model writes on from


@dataclass(frozen=True)
class Trial:
    """What to run."""

    model: str
    precision: str
    rows: list[list[int]]  # ids of the texts
    threads: int
    device: str
    new_tokens: int = 32
    forced: list[list[int]] | None = None  # what float32 wrote, to compare with
    tuned: bool = False  # look for the best token budget as well


def in_own_process(trial: Trial) -> dict[str, Any]:
    """`run_trial` in a fresh interpreter."""
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(run_trial, (trial,))


def run_trial(trial: Trial) -> dict[str, Any]:
    """Seconds, speed, peak of memory and answers."""
    torch.set_num_threads(trial.threads)
    start = time.perf_counter()
    model = load(trial)
    loaded = time.perf_counter() - start
    with torch.inference_mode():
        found = measure_writing(model, trial) if model.can_generate() else measure_reading(model, trial)
    return {"load_seconds": loaded, **found, "peak_bytes": peak_memory()}


def load(trial: Trial) -> Any:
    """The model, as the class that its config names."""
    config = find("AutoConfig").from_pretrained(trial.model)
    named = next((name for name in config.architectures or [] if name in architectures()), None)
    loader = find(named or "AutoModel")
    return loader.from_pretrained(trial.model, precision=trial.precision).to(trial.device)


def measure_reading(model: Any, trial: Trial) -> dict[str, Any]:
    """All texts in batches by length, and the middle one by itself."""
    rows = trial.rows

    @torch.inference_mode()
    def read(batch: list[list[int]]) -> list[Tensor]:
        ids = torch.tensor([token for row in batch for token in row], device=trial.device)
        if not packable(model):
            return [model(input_ids=ids[None])[0][0]]
        output = read_packed(model, ids, [len(row) for row in batch])[0]
        return list(output[0].split([len(row) for row in batch])) if len(output) < len(batch) else list(output)

    def whole(tokens: int) -> list[Tensor]:
        size = None if packable(model) else 1
        wide = abreast(model) if packable(model) else 1
        each = side_by_side if wide > 1 else map
        return run_by_length(rows, read, len, tokens=tokens, batch_size=size, packed=True, abreast=wide, each=each)

    found: dict[str, Any] = {}
    if trial.tuned:
        found["budget"] = measure_budget(whole)
    tokens = found.get("budget") or token_budget(trial.device)
    best, answers = timed(lambda: whole(tokens))
    middle = sorted(rows, key=len)[len(rows) // 2]
    read([middle])
    alone = median(timed(lambda: read([middle]), 1)[0] for _ in range(SINGLES))
    flat = [answer.float().mean(0) if answer.dim() > 1 else answer.float() for answer in answers]
    choices = [answer.argmax(-1).flatten().tolist() for answer in answers]
    return {
        **found,
        "texts_per_second": len(rows) / best,
        "tokens_per_second": sum(map(len, rows)) / best,
        "latency_ms": alone * 1e3,
        "vectors": torch.stack(flat).tolist(),
        "choices": choices,
    }


def measure_writing(model: Any, trial: Trial) -> dict[str, Any]:
    """Greedy search from one prompt and from eight, then scores of what float32 wrote."""
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
    one, other = (torch.tensor(each["vectors"]) for each in (found, plain))
    pairs = [
        (a, b)
        for mine, theirs in zip(found["choices"], plain["choices"], strict=True)
        for a, b in zip(flattened(mine), flattened(theirs), strict=True)
    ]
    return {
        "cosine": float(torch.cosine_similarity(one, other).mean()),
        "agreement": sum(a == b for a, b in pairs) / len(pairs),
    }


def flattened(choices: Any) -> list[int]:
    """One list, whatever the depth."""
    return torch.tensor(choices).flatten().tolist()


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
