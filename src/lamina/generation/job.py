"""One call of `generate`, resolved: what every search is given."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from ..errors import GenerationError
from .config import GenerationConfig
from .inputs import Prompt
from .logits import Processors
from .outputs import (
    GenerateBeamDecoderOnlyOutput,
    GenerateBeamEncoderDecoderOutput,
    GenerateDecoderOnlyOutput,
    GenerateEncoderDecoderOutput,
    GenerateOutput,
)
from .protocol import Decodes, State
from .stopping import Stopping


class Streamer(Protocol):
    """Takes tokens as they are chosen: first the prompt [rows, tokens], then one per row at a time."""

    def put(self, value: Tensor) -> None:
        """Take them."""

    def end(self) -> None:
        """No more will come."""


class Record:
    """Scores of every step, kept where they were asked for."""

    def __init__(self, config: GenerationConfig):
        asked = config.return_dict_in_generate
        self.scores: list[Tensor] | None = [] if asked and config.output_scores else None
        self.logits: list[Tensor] | None = [] if asked and config.output_logits else None

    @property
    def wanted(self) -> bool:
        """Whether anything is kept."""
        return self.scores is not None or self.logits is not None

    def before(self, logits: Tensor) -> None:
        """Keep the model's own scores; a copy, as processors change them."""
        if self.logits is not None:
            self.logits.append(logits.clone())

    def after(self, scores: Tensor) -> None:
        """Keep the processed scores."""
        if self.scores is not None:
            self.scores.append(scores.clone())

    def kept(self) -> dict[str, Any]:
        """What the output shows of them."""
        return {
            "scores": None if self.scores is None else tuple(self.scores),
            "logits": None if self.logits is None else tuple(self.logits),
        }


@dataclass
class Job:
    """Everything a search needs."""

    model: Decodes
    config: GenerationConfig
    prompt: Prompt
    stopping: Stopping
    max_length: int
    eos: tuple[int, ...]
    pad: int | None
    streamer: Streamer | None = None
    readable: int | None = None  # the vocabulary, where finished rows are filled with what is no token of it
    processors: Processors = field(default_factory=Processors)

    def begin(self, copies: int = 1) -> tuple[State, Tensor]:
        """Consume the prompt, once per source, then fork every row: the state and the logits, `copies` of each row."""
        state = self.prompt.start(self.model, self.max_length)
        logits = self.model.step(self.prompt.tokens, state, self.prompt.lengths).logits.float()
        if copies > 1:
            rows = self.sources(copies)
            state.reorder(rows)
            logits = logits.index_select(0, rows)
        return state, logits

    def sources(self, copies: int) -> Tensor:
        """The source of each row where every source has `copies` rows."""
        return torch.arange(self.prompt.size, device=self.prompt.input_ids.device).repeat_interleave(copies)

    def step(self, tokens: Tensor, state: State) -> Tensor:
        """Append one token to every row and score what follows: [rows, vocab]."""
        if self.readable is not None:
            tokens = tokens.clamp(0, self.readable - 1)
        return self.model.step(tokens[:, None], state).logits.float()

    def buffer(self, copies: int = 1, filler: int | None = None) -> Tensor:
        """Room for the sequences, [rows, max_length], the prompt in place and the rest padding."""
        ids = self.prompt.input_ids.repeat_interleave(copies, 0)
        room = ids.new_full((len(ids), self.max_length), self.filler if filler is None else filler)
        room[:, : ids.shape[1]] = ids
        return room

    @property
    def filler(self) -> int:
        """What stands after the end of a sequence."""
        return self.pad if self.pad is not None else 0

    def answer(self, sequences: Tensor, record: Record) -> Tensor | GenerateOutput:
        """What a search without beams returns."""
        if not self.config.return_dict_in_generate:
            return sequences
        encoder_decoder = getattr(self.model.config, "is_encoder_decoder", False)
        kind = GenerateEncoderDecoderOutput if encoder_decoder else GenerateDecoderOnlyOutput
        return kind(sequences=sequences, **record.kept())

    def beam_answer(
        self, sequences: Tensor, scores: Tensor, beam_indices: Tensor | None, record: Record
    ) -> Tensor | GenerateOutput:
        """What a search with beams returns."""
        if not self.config.return_dict_in_generate:
            return sequences
        encoder_decoder = getattr(self.model.config, "is_encoder_decoder", False)
        kind = GenerateBeamEncoderDecoderOutput if encoder_decoder else GenerateBeamDecoderOnlyOutput
        shown = scores if self.config.output_scores else None
        return kind(sequences=sequences, sequences_scores=shown, beam_indices=beam_indices, **record.kept())


def require_sound(best: Tensor) -> None:
    """Raise `GenerationError` where the best score of a row is NaN: the model's own doing."""
    if bool(best.isnan().any()):
        raise GenerationError(
            "The model's scores are NaN; run it in float32 or bfloat16, or set remove_invalid_values=True."
        )
