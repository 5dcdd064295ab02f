"""How many tokens one pass should have on this machine: a default that suits most, or what was measured here."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import torch

from ..errors import InputError, LaminaError
from ..files.atomic import write_text
from ..files.jsonfile import read_json_object
from .batching import TOKENS

ACCELERATOR_TOKENS = 16384  # an accelerator starves on less
CANDIDATES = (256, 512, 1024, 2048, 4096)
SMALLEST, LARGEST = 64, 1 << 17
WORTH = 1.03  # times the speed, before a larger budget, which takes more memory, is preferred


def budget_file() -> Path:
    """Where measured budgets are kept, for all models of this user."""
    return Path.home() / ".cache" / "lamina" / "batching.json"


def budget_key(device: str) -> str:
    """What a budget was measured for."""
    return f"{device}, {torch.get_num_threads()} threads" if device == "cpu" else device


def token_budget(device: str) -> int:
    """Tokens of one pass on a kind of device ("cpu", "cuda"): what `keep_budget` wrote, or the default."""
    default = TOKENS if device == "cpu" else ACCELERATOR_TOKENS
    return _kept(budget_file()).get(budget_key(device), default)


@cache
def _kept(file: Path) -> Mapping[str, int]:
    try:
        found = read_json_object(file) if file.is_file() else {}
    except (LaminaError, OSError):  # a damaged note costs its advice, nothing more
        return {}
    return {key: size for key, size in found.items() if isinstance(size, int) and SMALLEST <= size <= LARGEST}


def keep_budget(device: str, tokens: int) -> Path:
    """Use `tokens` for a pass on this machine from now on; gives the file it was noted in."""
    if not SMALLEST <= tokens <= LARGEST:
        raise InputError(f"a budget of {tokens} tokens makes no sense: {SMALLEST} to {LARGEST}")
    file = budget_file()
    _kept.cache_clear()  # another process may have noted its own since
    kept = {**_kept(file), budget_key(device): tokens}
    write_text(file, json.dumps(kept, indent=2, sort_keys=True) + "\n", InputError)
    _kept.cache_clear()
    return file


def measure_budget(run: Callable[[int], object], candidates: tuple[int, ...] = CANDIDATES, rounds: int = 3) -> int:
    """The budget at which `run(tokens)`, which does the same work in passes of that many tokens, is fastest.

    Rounds alternate and the best of each counts, so that a busy neighbor does not decide.
    """
    best = dict.fromkeys(candidates, float("inf"))
    for tokens in candidates:
        run(tokens)  # kernels are made on the first pass
    for _ in range(rounds):
        for tokens in candidates:
            start = time.perf_counter()
            run(tokens)
            best[tokens] = min(best[tokens], time.perf_counter() - start)
    chosen = candidates[0]
    for tokens in candidates[1:]:
        if best[tokens] * WORTH < best[chosen]:
            chosen = tokens
    return chosen
