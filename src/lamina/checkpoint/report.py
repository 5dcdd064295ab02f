"""What loading a checkpoint found and did not find, told in a line per kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..files.shown import few

Mismatch = tuple[str, tuple[int, ...], tuple[int, ...]]  # their name, shape in the file, shape wanted


@dataclass(frozen=True)
class LoadReport:
    """Names in both spellings: `missing` and `mismatched` map ours to theirs, `unexpected` lists theirs."""

    missing: Mapping[str, str] = field(default_factory=dict)
    unexpected: tuple[str, ...] = ()
    mismatched: Mapping[str, Mismatch] = field(default_factory=dict)
    differing: Mapping[str, str] = field(default_factory=dict)  # theirs that hold other numbers than the name used

    @property
    def fresh(self) -> set[str]:
        """Our names of the parameters that hold nothing yet and are to be drawn at random."""
        return {*self.missing, *self.mismatched}

    @property
    def drawn(self) -> list[str]:
        """The checkpoint's names of the same."""
        missing = [name for names in self.missing.values() for name in names.split(", ")]
        return sorted([*missing, *(name for name, _, _ in self.mismatched.values())])

    def as_dict(self) -> dict[str, Any]:
        """The form `output_loading_info=True` gives, in the checkpoint's names."""
        return {
            "missing_keys": sorted(name for names in self.missing.values() for name in names.split(", ")),
            "unexpected_keys": sorted(self.unexpected),
            "mismatched_keys": sorted((name, list(has), list(wants)) for name, has, wants in self.mismatched.values()),
            "error_msgs": [],
        }

    def __bool__(self) -> bool:
        return bool(self.missing or self.unexpected or self.mismatched or self.differing)

    def __str__(self) -> str:
        lines = []
        if self.missing:
            fresh = [f"{theirs} (our {ours})" for ours, theirs in self.missing.items()]
            lines.append(f"newly initialized, train before use: {few(fresh, 4)}")
        if self.mismatched:
            texts = [f"{name} {list(has)} -> {list(wants)}" for name, has, wants in self.mismatched.values()]
            lines.append(f"newly initialized, since the shapes differ: {few(texts, 4)}")
        if self.differing:
            texts = [f"{name} (used: {used})" for name, used in self.differing.items()]
            lines.append(f"not used, although the numbers differ from those used in their place: {few(texts, 4)}")
        if self.unexpected:
            lines.append(f"not used: {few(self.unexpected, 4)}")
        return "\n".join(lines)
