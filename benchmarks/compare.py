"""The arithmetic of a benchmark: medians, ratios, how near an answer is to the first one, and what a machine allows."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

DIRTY = 0.05  # share of the cores that others may have during a timed call before it is marked
WIDTHS = {"fp32": 4, "bf16": 2, "int8": 1}  # bytes of a weight


@dataclass(frozen=True)
class Bound:
    """The least that one call can cost: multiplications, and weights that must be read `passes` times."""

    multiplications: float = 0.0
    weights: float = 0.0
    passes: int = 1

    def seconds(self, limits: dict[str, Any], precision: str) -> float | None:
        """What the machine of `limits` (written by limits.py) would need; None where a limit was not measured."""
        rate, bandwidth = limits.get(f"{precision}_gflops"), limits.get("memory_gbs")
        if not rate or not bandwidth:
            return None
        reading = self.weights * self.passes * WIDTHS[precision] / bandwidth / 1e9
        return max(2 * self.multiplications / rate / 1e9, reading)


def summary(timings: Sequence[dict[str, float]]) -> dict[str, Any]:
    """Median, smallest and largest of the rounds, how many of them others disturbed, and medians of further figures."""
    seconds = [timing["seconds"] for timing in timings]
    further = [name for name in timings[0] if name not in ("seconds", "others")]
    return {
        "median_s": statistics.median(seconds),
        "min_s": min(seconds),
        "max_s": max(seconds),
        "rounds": len(seconds),
        "dirty": sum(timing["others"] > DIRTY for timing in timings),
        **({"figures": {n: statistics.median(t[n] for t in timings) for n in further}} if further else {}),
    }


def closeness(first: dict[str, Any], other: dict[str, Any]) -> dict[str, float]:
    """How near `other` is to `first`: both as a contender's `answer` gives them.

    "vectors" are compared by cosine, "ids" (rows of anything) and "top1" by equality of places, "scores" by difference.
    """
    found: dict[str, float] = {}
    if "vectors" in first and "vectors" in other:
        cosines = [cosine(a, b) for a, b in zip(first["vectors"], other["vectors"], strict=True)]
        found |= {"cosine": statistics.fmean(cosines), "cosine_min": min(cosines)}
    for kind in ("ids", "top1"):
        if kind in first and kind in other:
            found[kind] = same_places(first[kind], other[kind])
    if "scores" in first and "scores" in other:
        found["difference"] = max(abs(a - b) for a, b in zip(first["scores"], other["scores"], strict=True))
    return found


def cosine(a: Sequence[float], b: Sequence[float]) -> float:
    product = sum(x * y for x, y in zip(a, b, strict=True))
    return product / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))


def same_places(a: Sequence[Sequence[Any]], b: Sequence[Sequence[Any]]) -> float:
    """Share of places that hold the same; a place that only one side has counts as different."""
    if len(a) != len(b):
        return 0.0
    places = sum(max(len(x), len(y)) for x, y in zip(a, b, strict=True))
    return sum(i == j for x, y in zip(a, b, strict=True) for i, j in zip(x, y, strict=False)) / max(places, 1)


def wording(found: dict[str, float]) -> str:
    """`closeness` in a few words."""
    parts = []
    if "cosine" in found:
        parts.append(f"cos {found['cosine']:.4f} (min {found['cosine_min']:.4f})")
    if "ids" in found:
        parts.append("same ids" if found["ids"] == 1 else f"{found['ids']:.1%} of ids")
    if "top1" in found:
        parts.append(f"top-1 {found['top1']:.1%}")
    if "difference" in found:
        parts.append(f"scores within {found['difference']:.0e}")
    return ", ".join(parts)
