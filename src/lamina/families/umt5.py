"""UMT5 (Chung et al., 2023): mT5 whose layers each have a table of distances."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from . import mt5, t5
from .family import Config, renamed
from .names import Table


def names(c: Config) -> Table:
    """T5's, and a table in every layer."""
    table = "block.*.layer.0.SelfAttention.relative_attention_bias"
    rows = {key: way for key, way in t5.names(c).items() if ".relative." not in key}
    return {**rows, **{f"{side}.relative.tables.*": f"{side}.{table}" for side in ("encoder", "decoder")}}


FAMILY = replace(
    renamed(mt5.FAMILY, "umt5", "MT5", "UMT5", tie_word_embeddings=True),
    spec=partial(t5.spec, per_layer=True),
    names=names,
    meant=t5.meant,
    ignored=("decoder.block.*.layer.1.EncDecAttention.relative_attention_bias.weight",),
)
