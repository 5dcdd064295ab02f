"""A small language model that is no transformer, to try searches on: it reads a row's ids afresh at every step.

What follows a token depends on it, on the one before it, on the mean of all so far and, with an encoder, on the mean of
the source. `states` is the whole model; scripts/goldens.py generation wraps the same function for the reference.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from lamina.generation import GenerationConfig
from tests.families.weights import fill

VOCAB, WIDTH = 40, 24
PAD, BOS, EOS = 0, 1, 2


@cache
def weight(name: str, *shape: int, seed: int = 0, spread: float = 3.0) -> Tensor:
    return spread * torch.from_numpy(fill(f"standin.{name}", shape, seed))


def embed(ids: Tensor, seed: int = 0) -> Tensor:
    return weight("tokens", VOCAB, WIDTH, seed=seed)[ids]


def source_state(ids: Tensor, mask: Tensor, seed: int = 0) -> Tensor:
    """[rows, hidden] from a source [rows, tokens]."""
    real = mask[:, :, None].float()
    return (embed(ids, seed) * real).sum(1) / real.sum(1)


def states(tokens: Tensor, mask: Tensor, source: Tensor | None = None, seed: int = 0) -> Tensor:
    """[rows, tokens, hidden] from embedded tokens [rows, tokens, hidden]; masked ones count for nothing."""
    real = mask[:, :, None].float()
    tokens = tokens * real
    before = torch.cat([torch.zeros_like(tokens[:, :1]), tokens[:, :-1]], 1)
    mean = tokens.cumsum(1) / real.cumsum(1).clamp(min=1)
    mixed = tokens @ weight("now", WIDTH, WIDTH, seed=seed) + before @ weight("before", WIDTH, WIDTH, seed=seed)
    mixed = mixed + mean @ weight("mean", WIDTH, WIDTH, seed=seed)
    if source is not None:
        mixed = mixed + (source @ weight("source", WIDTH, WIDTH, seed=seed, spread=6.0))[:, None]
    return torch.tanh(mixed)


def head(hidden: Tensor, seed: int = 0) -> Tensor:
    scores = hidden @ weight("head", WIDTH, VOCAB, seed=seed, spread=4.0)
    scores[..., EOS] += 1.5  # so that some rows end early
    return scores


class Recompute:
    """A state that is nothing but the ids of each row."""

    def __init__(self, rows: int, source: Tensor | None):
        self.ids: list[list[int]] = [[] for _ in range(rows)]
        self.source = source

    @property
    def lengths(self) -> Tensor:
        return torch.tensor([len(ids) for ids in self.ids])

    def reorder(self, rows: Tensor) -> None:
        self.ids = [list(self.ids[row]) for row in rows.tolist()]
        self.source = None if self.source is None else self.source[rows]

    def truncate(self, lengths: Tensor) -> None:
        assert (lengths <= self.lengths).all()
        self.ids = [ids[:length] for ids, length in zip(self.ids, lengths.tolist(), strict=True)]

    def join(self, other: Recompute) -> None:
        self.ids += other.ids
        if self.source is not None and other.source is not None:
            self.source = torch.cat([self.source, other.source])


@dataclass
class Step:
    logits: Tensor
    hidden: Tensor | None = None


class Standin:
    """The model, with or without an encoder; `seed` makes a different one, `noise` one that is only a little so."""

    device = torch.device("cpu")

    def __init__(self, encoder: bool = False, seed: int = 0, noise: float = 0.0, **options: Any):
        self.config = SimpleNamespace(is_encoder_decoder=encoder, vocab_size=VOCAB)
        known = {"pad_token_id": PAD, "bos_token_id": BOS, "eos_token_id": EOS, "decoder_start_token_id": BOS}
        self.generation_config = GenerationConfig(**(known | options))
        self.writing_room: int | None = None
        self.writing_vocabulary, self.token_bytes = VOCAB, 8
        self.seed, self.noise = seed, noise
        self.steps, self.rows = 0, 0

    def start(self, batch: dict[str, Tensor], max_length: int) -> Recompute:
        self.room = max_length
        source = None
        if self.config.is_encoder_decoder:
            source = source_state(batch["input_ids"], batch["attention_mask"], self.seed)
        return Recompute(len(batch["input_ids"]), source)

    def step(
        self,
        ids: Tensor,
        state: Recompute,
        lengths: Tensor | None = None,
        *,
        every: bool = False,
        hidden: bool = False,
    ) -> Step:
        rows, width = ids.shape
        assert rows == len(state.ids)
        self.steps, self.rows = self.steps + 1, self.rows + rows
        counts = [width] * rows if lengths is None else lengths.tolist()
        assert min(counts) > 0 and max(counts) == width
        for row, (new, count) in enumerate(zip(ids.tolist(), counts, strict=True)):
            state.ids[row] += new[:count]
        longest = max(map(len, state.ids))
        assert longest <= self.room
        whole = torch.tensor([row + [PAD] * (longest - len(row)) for row in state.ids])
        mask = torch.arange(longest) < state.lengths[:, None]
        out = states(embed(whole, self.seed), mask, state.source, self.seed)
        begin = (state.lengths - torch.tensor(counts))[:, None]
        new = (begin + torch.arange(width)).clamp(max=longest - 1)
        out = out.gather(1, new[:, :, None].expand(-1, -1, WIDTH))
        if not every:
            out = out[torch.arange(rows), torch.tensor(counts) - 1]
        return Step(self.scores(out), out if hidden else None)

    def scores(self, out: Tensor) -> Tensor:
        scores = head(out, self.seed)
        if self.noise:
            scores = scores + self.noise * head(out, self.seed + 1)
        return scores
