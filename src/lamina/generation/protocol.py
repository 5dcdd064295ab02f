"""What decoding asks of a model: three calls, on which everything else in this package stands; and what it returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from ..nn.outputs import ModelOutput


class State(Protocol):
    """What a model remembers of the rows it is writing. Owned by the caller, changed by every call below."""

    @property
    def lengths(self) -> Tensor:
        """Tokens that each row holds so far, on the decoder's side: [rows], int64."""

    def reorder(self, rows: Tensor) -> None:
        """Row i goes on as what row `rows[i]` was: fewer rows drop the others, repeated ones fork."""

    def truncate(self, lengths: Tensor) -> None:
        """Forget what each row holds beyond `lengths` tokens."""

    def join(self, other: State) -> None:
        """Take in the rows of another state behind these."""


class StepOutput(Protocol):
    """What one step returns."""

    @property
    def logits(self) -> Tensor:
        """Scores of what follows: [rows, vocab] after each row's last token, [rows, tokens, vocab] after every one."""

    @property
    def hidden(self) -> Tensor | None:
        """What the head read, [rows, hidden] or [rows, tokens, hidden], where it was asked for."""


class Decodes(Protocol):
    """A model that can write."""

    @property
    def config(self) -> Any:
        """The model's configuration."""

    @property
    def generation_config(self) -> Any:
        """How this model writes unless told otherwise."""

    @property
    def device(self) -> torch.device:
        """Where its weights lie."""

    @property
    def writing_room(self) -> int | None:
        """Tokens of a row at most, its prompt included; None where positions have no end."""

    @property
    def writing_vocabulary(self) -> int:
        """How many tokens there are to choose from."""

    @property
    def token_bytes(self) -> int:
        """Bytes that a state keeps for each token of a row."""

    def start(self, batch: dict[str, Tensor], max_length: int) -> State:
        """Room for one row per source, `max_length` tokens each; an encoder reads the sources here, once.

        `batch` holds `input_ids` and `attention_mask`, [sources, tokens]. No decoder token is consumed.
        """

    def step(
        self, ids: Tensor, state: State, lengths: Tensor | None = None, *, every: bool = False, hidden: bool = False
    ) -> StepOutput:
        """Append `ids` [rows, tokens] to the rows and score what follows.

        `lengths` [rows] says how many of each row's tokens are real, the rest being padding on the right; None: all.
        `every` scores what follows each token, not only the last; `hidden` returns what the head read as well.
        """


class Decodable(Protocol):
    """The one thing asked of a tokenizer here."""

    def decode(self, token_ids: Any, **options: Any) -> str:
        """Text of one sequence of ids."""


class Streamer(Protocol):
    """Takes tokens as they are chosen: first the prompt [rows, tokens], then one per row at a time."""

    def put(self, value: Tensor) -> None:
        """Take them."""

    def end(self) -> None:
        """No more will come."""


@dataclass
class GenerateDecoderOnlyOutput(ModelOutput):
    """Sequences [rows, tokens]; scores and logits, one [rows, vocab] per step, after and before the processors."""

    sequences: Tensor | None = None
    scores: tuple[Tensor, ...] | None = None
    logits: tuple[Tensor, ...] | None = None


@dataclass
class GenerateEncoderDecoderOutput(GenerateDecoderOnlyOutput):
    """The same of a model with an encoder."""


@dataclass
class GenerateBeamDecoderOnlyOutput(ModelOutput):
    """As without beams, with the sequences' scores [rows] and which beam each token came from [rows, steps], -1 after
    the end.
    """

    sequences: Tensor | None = None
    sequences_scores: Tensor | None = None
    scores: tuple[Tensor, ...] | None = None
    logits: tuple[Tensor, ...] | None = None
    beam_indices: Tensor | None = None


@dataclass
class GenerateBeamEncoderDecoderOutput(GenerateBeamDecoderOnlyOutput):
    """The same of a model with an encoder."""


GenerateOutput = GenerateDecoderOnlyOutput | GenerateBeamDecoderOnlyOutput
