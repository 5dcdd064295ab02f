"""Marking what was written so that it can be told apart later (Kirchenbauer et al., 2023)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
from torch import Tensor

from ..errors import GenerationError
from ..files.shown import shown
from .rules import COUNT, NUMBER, Rule, is_number, is_whole, one_of

TABLE_SIZE = 1_000_003  # a prime, so that ids spread over the whole table
CANDIDATES = 40  # of the best tokens, how many "selfhash" tries


RULES: dict[str, Rule] = {
    "greenlist_ratio": ("a number between 0 and 1", lambda value: is_number(value) and 0 < value < 1),
    "bias": NUMBER,
    "hashing_key": ("a whole number of at most 63 bits", lambda value: is_whole(value) and abs(value) < 2**63),
    "seeding_scheme": one_of("lefthash", "selfhash"),
    "context_width": COUNT,
}


@dataclass
class WatermarkingConfig:
    """Which share of the vocabulary is favored after each context, and by how much."""

    greenlist_ratio: float = 0.25
    bias: float = 2.0
    hashing_key: int = 15485863
    seeding_scheme: str = "lefthash"
    context_width: int = 1

    def __post_init__(self) -> None:
        for name, (wanted, holds) in RULES.items():
            if not holds(getattr(self, name)):
                raise GenerationError(
                    f"watermarking_config: {name} must be {wanted}, but is {shown(getattr(self, name))}."
                )

    @classmethod
    def from_dict(cls, options: Mapping[str, Any]) -> WatermarkingConfig:
        """From a mapping of these fields."""
        unknown = sorted(options.keys() - {field.name for field in fields(cls)})
        if unknown:
            raise GenerationError(f"watermarking_config has unknown fields: {shown(unknown)}.")
        return cls(**options)

    def to_dict(self) -> dict[str, Any]:
        """The fields as a mapping."""
        return asdict(self)

    def processor(self, vocab_size: int, device: torch.device) -> Watermark:
        """What favors the green tokens of a vocabulary of this size."""
        return Watermark(self, vocab_size, device)


class Watermark:
    """Adds `bias` to the tokens that a hash of the context calls green.

    "lefthash" hashes the last token (algorithm 2 of the paper), "selfhash" also the one to come (algorithm 3).
    """

    def __init__(self, config: WatermarkingConfig, vocab_size: int, device: torch.device):
        self.config = config
        self.vocab_size = vocab_size
        self.green_count = int(vocab_size * config.greenlist_ratio)
        self.random = torch.Generator(device=device).manual_seed(config.hashing_key)
        self.table = torch.randperm(TABLE_SIZE, generator=self.random, device=device)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Favor the green tokens of each row."""
        if input_ids.shape[1] < self.config.context_width:
            return scores
        for ids, row in zip(input_ids, scores, strict=True):
            green = self._chosen(ids, row) if self.config.seeding_scheme == "selfhash" else self._green(ids)
            row[green] += self.config.bias
        return scores

    def _green(self, ids: Tensor) -> Tensor:
        self.random.manual_seed(self._seed(ids[-self.config.context_width :]) % (2**64 - 1))
        order = torch.randperm(self.vocab_size, device=ids.device, generator=self.random)
        return order[: self.green_count]

    def _seed(self, context: Tensor) -> int:
        key = self.config.hashing_key
        if self.config.seeding_scheme == "lefthash":
            return key * int(context[-1])
        each, last = self.table[context % TABLE_SIZE] + 1, self.table[context[-1] % TABLE_SIZE] + 1
        return int((key * each * last).min())

    def _chosen(self, ids: Tensor, row: Tensor) -> Tensor:
        best = row.sort(descending=True).indices[:CANDIDATES]
        kept = [token for token in best if bool((self._green(torch.cat([ids, token[None]])) == token).any())]
        return torch.stack(kept) if kept else best[:0]
