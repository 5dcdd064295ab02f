"""What a row of the table is, and the parts that many rows share."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..inputs import Array, Part, choices, row_flags, row_label, row_values, span, text, token_labels

_ENCODER = {
    "vocab_size": 99,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 37,
    "max_position_embeddings": 40,
    "pad_token_id": 0,
}
_DECODER = {"vocab_size": 99, "n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 40, "pad_token_id": 0}
_BART = {
    "vocab_size": 99,
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 3,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 37,
    "decoder_ffn_dim": 41,
    "max_position_embeddings": 40,
    "pad_token_id": 1,
}
_T5 = {
    "vocab_size": 99,
    "d_model": 32,
    "d_kv": 6,
    "d_ff": 37,
    "num_layers": 2,
    "num_decoder_layers": 3,
    "num_heads": 4,
    "pad_token_id": 0,
    "decoder_start_token_id": 0,
}

TINY: Mapping[str, Mapping[str, Any]] = {
    "albert": {**_ENCODER, "num_hidden_layers": 3, "embedding_size": 16},
    "bert": _ENCODER,
    "distilbert": {
        "vocab_size": 99,
        "dim": 32,
        "n_layers": 2,
        "n_heads": 4,
        "hidden_dim": 37,
        "max_position_embeddings": 40,
        "pad_token_id": 0,
    },
    "electra": {**_ENCODER, "embedding_size": 16},
    "roberta": {**_ENCODER, "pad_token_id": 1},
    "camembert": {**_ENCODER, "pad_token_id": 1},
    "deberta-v2": _ENCODER,
    "rembert": {**_ENCODER, "input_embedding_size": 16, "output_embedding_size": 24},
    "modernbert": {
        **_ENCODER,
        "num_hidden_layers": 4,
        "local_attention": 4,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "cls_token_id": 1,
        "sep_token_id": 2,
    },
    "mpnet": {**_ENCODER, "pad_token_id": 1},
    "xlm-roberta": {**_ENCODER, "pad_token_id": 1},
    "ctrl": {**_DECODER, "dff": 37},
    "openai-gpt": _DECODER,
    "gpt2": _DECODER,
    "transfo-xl": {
        "vocab_size": 99,
        "cutoffs": [20, 40, 80],
        "d_model": 32,
        "d_embed": 32,
        "n_head": 4,
        "d_head": 8,
        "d_inner": 37,
        "n_layer": 3,
        "mem_len": 8,
        "clamp_len": 10,
        "div_val": 2,
        "pad_token_id": 0,
    },
    "bart": _BART,
    "mbart": _BART,
    "marian": {
        **_BART,
        "pad_token_id": 98,
        "decoder_start_token_id": 98,
        "forced_eos_token_id": 0,
        "decoder_vocab_size": 99,
    },
    "blenderbot": {**_BART, "pad_token_id": 0},
    "pegasus": {**_BART, "pad_token_id": 0},
    "m2m_100": _BART,
    "t5": _T5,
    "mt5": _T5,
    "umt5": _T5,
    "bloom": {"vocab_size": 99, "hidden_size": 32, "n_layer": 3, "n_head": 4, "pad_token_id": 3},
    "gpt_neo": {
        "vocab_size": 99,
        "hidden_size": 32,
        "num_layers": 3,
        "num_heads": 4,
        "attention_types": [[["global", "local", "global"], 1]],
        "window_size": 4,
        "max_position_embeddings": 40,
        "pad_token_id": 0,
    },
    "gpt_neox": {
        "vocab_size": 99,
        "hidden_size": 32,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "intermediate_size": 37,
        "max_position_embeddings": 40,
        "pad_token_id": 0,
    },
    "opt": {
        "vocab_size": 99,
        "hidden_size": 32,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "ffn_dim": 37,
        "max_position_embeddings": 40,
        "pad_token_id": 1,
    },
}


@dataclass(frozen=True, eq=False)
class Row:
    """One tiny model and one call of it."""

    family: str
    architecture: str
    name: str
    parts: tuple[Part, ...]
    changes: Mapping[str, Any] = field(default_factory=dict)
    attentions: bool = False
    segments: int = 1  # Transformer-XL reads its input in so many pieces, memories in between

    @property
    def id(self) -> str:
        return f"{self.architecture}-{self.name}"

    @property
    def config(self) -> dict[str, Any]:
        return {**TINY[self.family], **self.changes}

    def inputs(self) -> dict[str, Array]:
        """The arrays of the call, the same on every machine."""
        random = np.random.RandomState(zlib.crc32(self.id.encode()))
        arrays: dict[str, Array] = {}
        for part in self.parts:
            part(random, arrays, self.config)
        return arrays


def named(family: str, architecture: str, **named: tuple[Any, ...]) -> list[Row]:
    """Rows of one class: name = (part, ..., {config changes})."""
    rows = []
    for name, what in named.items():
        changes = next((item for item in what if isinstance(item, dict)), {})
        parts = tuple(item for item in what if callable(item))
        rows.append(Row(family, architecture, name, parts, changes, attentions="attentions" in what))
    return rows


def classifying(family: str, architecture: str, *first: Part, **more: Any) -> list[Row]:
    """The three problem types that a sequence classifier tells apart."""
    first = first or (text("right"),)
    several = {"num_labels": 3, "problem_type": "regression"}
    return named(
        family,
        architecture,
        single=(*first, row_label(), {"num_labels": 3, **more}),
        regression=(*first, row_values(), {"num_labels": 1, **more}),
        regressions=(*first, row_values(3), {**several, **more}),
        multi=(*first, row_flags(), {"num_labels": 3, **more}),
    )


def common_heads(family: str, stem: str, tasks: str) -> list[Row]:
    """Token classification ("T"), question answering ("Q") and multiple choice ("M") as every family has them."""
    rows = []
    if "T" in tasks:
        name = f"{stem}ForTokenClassification"
        rows += named(family, name, labels=(text("right"), token_labels(4), {"num_labels": 4}))
    if "Q" in tasks:
        rows += named(family, f"{stem}ForQuestionAnswering", span=(text("right"), span))
    if "M" in tasks:
        rows += named(family, f"{stem}ForMultipleChoice", choice=(choices(), row_label(3)))
    return rows
