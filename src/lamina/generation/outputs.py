"""What `generate` returns where a dictionary is asked for, under the reference's names."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ..nn.outputs import ModelOutput


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
