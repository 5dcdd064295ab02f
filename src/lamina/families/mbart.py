"""mBART (Liu et al., 2020): BART with the norms before each branch, targets that carry their language code."""

from __future__ import annotations

from ..spec import ModelSpec, Shift
from . import bart
from .family import Config, Family


def spec(c: Config) -> ModelSpec:
    """The last real token of the targets, the language code, is wrapped to the front."""
    return bart.spec(c, order="pre-norm", shift=Shift(c["pad_token_id"], from_source=True))


FAMILY = Family(
    "mbart",
    "model.",
    spec,
    bart.names,
    bart.tasks("MBart"),
    {**bart.DEFAULTS, "decoder_start_token_id": None, "num_labels": 2},
    tokenizer="mbart",
    tokenizers={"MBart50Tokenizer": "mbart50"},
    aliases=bart.ALIASES,
    meant=bart.meant,
    fixed={**bart.FIXED, "normalize_before": True, "add_final_layer_norm": True},
    fitted=bart.fitted,
    ignored=bart.IGNORED[:2],
    paired=True,
)
