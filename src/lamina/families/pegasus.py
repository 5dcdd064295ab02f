"""PEGASUS (Zhang et al., 2019): BART with the norms before each branch and sinusoidal positions."""

from __future__ import annotations

from ..spec import ModelSpec, Shift, SinusoidalPositions
from . import bart
from .family import Config, Family


def spec(c: Config) -> ModelSpec:
    """Both sides; the padding token starts a summary. Files hold the sines, which are read from them."""
    positions = SinusoidalPositions(c["max_position_embeddings"], stored=True)
    shift = Shift(c["pad_token_id"], c["decoder_start_token_id"])
    return bart.spec(c, order="pre-norm", shift=shift, positions=positions, norm=None)


FAMILY = Family(
    "pegasus",
    "model.",
    spec,
    bart.names,
    bart.tasks("Pegasus")[:3],
    {
        **bart.DEFAULTS,
        "pad_token_id": 0,
        "bos_token_id": None,
        "eos_token_id": 1,
        "decoder_start_token_id": 0,
        "forced_eos_token_id": 1,
        "num_labels": 2,
    },
    tokenizer="pegasus",
    aliases=bart.ALIASES,
    meant=bart.meant,
    fixed={**bart.PRE_NORM, "static_position_embeddings": True},
    fitted=bart.fitted,
    ignored=bart.IGNORED[:2],
    paired=True,
)
