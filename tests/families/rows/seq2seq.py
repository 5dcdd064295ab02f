"""BART, mBART, Marian, PEGASUS, Blenderbot, M2M-100, T5, mT5, UMT5."""

from __future__ import annotations

from typing import Any

from ..inputs import embeds, ending, source, span, target_labels, text, token_labels
from .row import Row, classifying, named


def _seq2seq_body(family: str, architecture: str, **more: tuple[Any, ...]) -> list[Row]:
    """Source and target, with and without padding on either side."""
    return named(
        family,
        architecture,
        plain=(text(), text(side="decoder_", length=6), "attentions"),
        right=(text("right"), text("right", length=7, side="decoder_")),
        left=(text("left"), text(length=6, side="decoder_")),
        holes=(text("holes"), text(length=6, side="decoder_")),
        embeds=(text("right"), embeds(), text(length=6, side="decoder_"), embeds("decoder_")),
        **more,
    )


def _bart_kin(family: str, stem: str, **body: tuple[Any, ...]) -> list[Row]:
    """The heads that BART and mBART share."""
    answer = (text("right"), ending(2))
    return [
        *_seq2seq_body(
            family,
            f"{stem}Model",
            shifted=(text("right"), ending(2)),
            scaled=(text("right"), text(side="decoder_", length=6), {"scale_embedding": True}),
            relu=(text(), text(side="decoder_", length=6), {"activation_function": "relu"}),
            **body,
        ),
        *named(
            family,
            f"{stem}ForConditionalGeneration",
            labels=(text("right"), target_labels(1)),
            scaled=(text("right"), target_labels(1), {"scale_embedding": True}),
        ),
        *classifying(family, f"{stem}ForSequenceClassification", *answer),
        *named(family, f"{stem}ForQuestionAnswering", span=(*answer, span)),
        *named(
            family,
            f"{stem}ForCausalLM",
            labels=(text("right"), token_labels()),
            cross=(text("right"), source, token_labels(), {"scale_embedding": True}),
        ),
    ]


BART = _bart_kin("bart", "Bart")

MBART = _bart_kin("mbart", "MBart")

_APART = {"share_encoder_decoder_embeddings": False, "decoder_vocab_size": 99}
# The reference sizes the target's table by vocab_size whatever decoder_vocab_size says, which sizes the head alone.
_WIDER = {**_APART, "vocab_size": 130, "tie_word_embeddings": False}
_NARROWER = {**_APART, "decoder_vocab_size": 120, "tie_word_embeddings": False}

MARIAN = [
    *_seq2seq_body(
        "marian",
        "MarianModel",
        scaled=(text("right"), text(side="decoder_", length=6), {"scale_embedding": True}),
        swish=(text(), text(side="decoder_", length=6), {"activation_function": "swish"}),
        apart=(text("right"), text(side="decoder_", length=6), {**_APART, "scale_embedding": True}),
        wider=(text("right"), text(side="decoder_", length=6), _WIDER),
    ),
    *named(
        "marian",
        "MarianMTModel",
        labels=(text("right"), target_labels(98)),
        published=(text("right"), target_labels(98), {"scale_embedding": True, "activation_function": "swish"}),
        apart=(text("right"), target_labels(98), _APART),
        apart_untied=(text("right"), target_labels(98), {**_APART, "tie_word_embeddings": False}),
        wider=(text("right"), target_labels(98), _WIDER),
        narrower=(text("right"), target_labels(98), _NARROWER),
        shared=(text("right"), text(side="decoder_", length=6), {"decoder_vocab_size": 71}),  # which then says nothing
        shared_untied=(
            text("right"),
            text(side="decoder_", length=6),
            {"decoder_vocab_size": 71, "tie_word_embeddings": False},
        ),
    ),
    *named(
        "marian",
        "MarianForCausalLM",
        labels=(text("right"), token_labels()),
        cross=(text("right"), source, token_labels(), {"scale_embedding": True}),
        narrower=(text("right"), {"vocab_size": 130}),
        narrower_untied=(text("right"), token_labels(), {"vocab_size": 130, "tie_word_embeddings": False}),
    ),
]

_SCALED = (text("right"), text(side="decoder_", length=6))

PEGASUS = [
    *_seq2seq_body(
        "pegasus",
        "PegasusModel",
        scaled=(*_SCALED, {"scale_embedding": True}),
        relu=(text(), text(side="decoder_", length=6), {"activation_function": "relu"}),
    ),
    *named(
        "pegasus",
        "PegasusForConditionalGeneration",
        labels=(text("right"), target_labels(0)),
        published=(text("right"), target_labels(0), {"scale_embedding": True, "activation_function": "relu"}),
        untied=(text("right"), target_labels(0), {"tie_word_embeddings": False}),
    ),
    *named(
        "pegasus",
        "PegasusForCausalLM",
        labels=(text("right"), token_labels()),
        cross=(text("right"), source, token_labels(), {"scale_embedding": True}),
    ),
]

BLENDERBOT = [
    *_seq2seq_body(
        "blenderbot",
        "BlenderbotModel",
        scaled=(*_SCALED, {"scale_embedding": True}),
        relu=(text(), text(side="decoder_", length=6), {"activation_function": "relu"}),
    ),
    *named(
        "blenderbot",
        "BlenderbotForConditionalGeneration",
        labels=(text("right"), target_labels(0)),
        published=(text("right"), target_labels(0), {"scale_embedding": True, "encoder_no_repeat_ngram_size": 3}),
        untied=(text("right"), target_labels(0), {"tie_word_embeddings": False}),
    ),
    *named(
        "blenderbot",
        "BlenderbotForCausalLM",
        labels=(text("right"), token_labels()),
        cross=(text("right"), source, token_labels(), {"scale_embedding": True}),
    ),
]

M2M100 = [
    *_seq2seq_body(
        "m2m_100",
        "M2M100Model",
        unscaled=(*_SCALED, {"scale_embedding": False}),
        gelu=(text(), text(side="decoder_", length=6), {"activation_function": "gelu"}),
    ),
    *named(
        "m2m_100",
        "M2M100ForConditionalGeneration",  # untied ones the reference does not read back itself
        labels=(text("right"), target_labels(1)),
        far=(
            text("right", length=400),
            target_labels(1),
            {"max_position_embeddings": 400, "encoder_layers": 1, "decoder_layers": 1, "d_model": 4},
        ),
    ),
]

_FLAN = {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}


def _t5_kin(family: str, stem: str) -> list[Row]:
    """The heads that T5, mT5 and UMT5 share."""
    return [
        *_seq2seq_body(
            family,
            f"{stem}Model",
            buckets=(
                text("right", batch=2, length=20),
                text(side="decoder_", batch=2, length=18),
                {"relative_attention_num_buckets": 8, "relative_attention_max_distance": 20},
            ),
            far=(
                text(batch=1, length=140),
                text(side="decoder_", batch=1, length=140),
                {"num_layers": 1, "num_decoder_layers": 1, "d_model": 8},
            ),
            gated=(text("right"), text(side="decoder_", length=6), {"feed_forward_proj": "gated-gelu"}),
            gated_silu=(text(), text(side="decoder_", length=6), {"feed_forward_proj": "gated-silu"}),
            exact=(
                text(),
                text(side="decoder_", length=6),
                {"feed_forward_proj": "gated-gelu", "dense_act_fn": "gelu"},
            ),
            gelu=(text(), text(side="decoder_", length=6), {"feed_forward_proj": "gelu", "layer_norm_epsilon": 1e-5}),
        ),
        *named(
            family,
            f"{stem}ForConditionalGeneration",
            labels=(text("right"), target_labels(0)),
            untied=(text("right"), target_labels(0), {"tie_word_embeddings": False}),
            tied=(text("right"), target_labels(0), {"tie_word_embeddings": True}),
            flan=(text("right"), target_labels(0), _FLAN),
        ),
        *named(
            family,
            f"{stem}EncoderModel",
            plain=(text(), "attentions"),
            right=(text("right"),),
            left=(text("left"),),
            holes=(text("holes"), _FLAN),
        ),
        *classifying(family, f"{stem}ForSequenceClassification", text("right"), ending(1)),
        *named(family, f"{stem}ForTokenClassification", labels=(text("right"), token_labels(4), {"num_labels": 4})),
        *named(family, f"{stem}ForQuestionAnswering", span=(text("right"), ending(1), span)),
    ]


T5 = [row for row in _t5_kin("t5", "T5") if row.name != "tied"]

_AS_IT_COMES = ("MT5Model-gated", "MT5ForConditionalGeneration-labels", "MT5ForConditionalGeneration-flan")
MT5 = [row for row in _t5_kin("mt5", "MT5") if row.id not in _AS_IT_COMES]

UMT5 = [row for row in _t5_kin("umt5", "UMT5") if row.name not in ("gated", "tied")]
