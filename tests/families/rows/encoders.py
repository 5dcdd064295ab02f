"""ALBERT, BERT, DistilBERT, ELECTRA, RoBERTa."""

from __future__ import annotations

from ..inputs import embeds, positions, replaced, row_label, source, text, token_labels, types
from .row import classifying, common_heads, named

CROSS = {"is_decoder": True, "add_cross_attention": True}

ALBERT = [
    *named(
        "albert",
        "AlbertModel",
        plain=(text(), "attentions"),
        right=(text("right"), types()),
        left=(text("left"),),
        holes=(text("holes"),),
        groups=(text("right"), {"num_hidden_layers": 4, "num_hidden_groups": 2, "inner_group_num": 2}),
        uneven=(text("right"), {"num_hidden_layers": 5, "num_hidden_groups": 3}),
        wide=(text(), {"embedding_size": 32}),
        gelu=(text(), types(3), {"hidden_act": "gelu", "type_vocab_size": 3}),
        positions=(text(), positions),
        embeds=(text("right"), embeds()),
    ),
    *named(
        "albert", "AlbertForPreTraining", labels=(text("right"), token_labels(), row_label(2, "sentence_order_label"))
    ),
    *named(
        "albert",
        "AlbertForMaskedLM",
        labels=(text("right"), token_labels()),
        untied=(text(), token_labels(), {"tie_word_embeddings": False, "hidden_act": "relu"}),
    ),
    *classifying("albert", "AlbertForSequenceClassification"),
    *common_heads("albert", "Albert", "TQM"),
]

BERT = [
    *named(
        "bert",
        "BertModel",
        plain=(text(), "attentions"),
        right=(text("right"), types()),
        left=(text("left"),),
        holes=(text("holes"),),
        three_types=(text("right"), types(3), {"type_vocab_size": 3}),
        positions=(text(), positions),
        embeds=(text("right"), embeds()),
        relu=(text(), {"hidden_act": "relu", "layer_norm_eps": 1e-5}),
        gelu_new=(text(), {"hidden_act": "gelu_new"}),
        silu=(text(), {"hidden_act": "silu", "num_hidden_layers": 3}),
        decoder=(text("right"), {"is_decoder": True}),
        cross=(text("right"), source, CROSS, "attentions"),
    ),
    *named("bert", "BertForPreTraining", labels=(text("right"), token_labels(), row_label(2, "next_sentence_label"))),
    *named(
        "bert",
        "BertForMaskedLM",
        labels=(text("right"), types(), token_labels()),
        untied=(text(), token_labels(), {"tie_word_embeddings": False, "hidden_act": "relu"}),
    ),
    *named(
        "bert",
        "BertLMHeadModel",
        labels=(text("right"), token_labels(), {"is_decoder": True}),
        cross=(text("right"), source, token_labels(), CROSS),
    ),
    *named("bert", "BertForNextSentencePrediction", labels=(text("right"), types(), row_label(2))),
    *classifying("bert", "BertForSequenceClassification"),
    *common_heads("bert", "Bert", "TQM"),
]

DISTILBERT = [
    *named(
        "distilbert",
        "DistilBertModel",
        plain=(text(), "attentions"),
        right=(text("right"),),
        left=(text("left"),),
        holes=(text("holes"),),
        sines=(text("right"), {"sinusoidal_pos_embds": True}),
        embeds=(text("right"), embeds()),
        relu=(text(), {"activation": "relu"}),
    ),
    *named(
        "distilbert",
        "DistilBertForMaskedLM",
        labels=(text("right"), token_labels()),
        untied=(text(), token_labels(), {"tie_word_embeddings": False, "activation": "relu"}),
    ),
    *classifying("distilbert", "DistilBertForSequenceClassification"),
    *common_heads("distilbert", "DistilBert", "TQM"),
]

ELECTRA = [
    *named(
        "electra",
        "ElectraModel",
        plain=(text(), "attentions"),
        right=(text("right"), types()),
        left=(text("left"),),
        holes=(text("holes"),),
        wide=(text("right"), {"embedding_size": 32, "hidden_act": "relu"}),
        positions=(text(), positions),
        embeds=(text("right"), embeds()),
        cross=(text("right"), source, CROSS),
    ),
    *named(
        "electra",
        "ElectraForPreTraining",
        labels=(text("right"), replaced),
        unmasked=(text(), replaced, {"hidden_act": "relu"}),
    ),
    *named(
        "electra",
        "ElectraForMaskedLM",
        labels=(text("right"), token_labels()),
        relu=(text(), token_labels(), {"hidden_act": "relu", "embedding_size": 32}),
    ),
    *named("electra", "ElectraForCausalLM", labels=(text("right"), token_labels(), {"is_decoder": True})),
    *classifying("electra", "ElectraForSequenceClassification"),
    *common_heads("electra", "Electra", "TQM"),
]

ROBERTA = [
    *named(
        "roberta",
        "RobertaModel",
        plain=(text(), "attentions"),
        right=(text("right"),),
        left=(text("left"),),
        holes=(text("holes"),),
        one_type=(text("right"), {"type_vocab_size": 1, "layer_norm_eps": 1e-5}),
        positions=(text(), positions),
        embeds=(text("right"), embeds()),
        cross=(text("right"), source, CROSS),
    ),
    *named(
        "roberta",
        "RobertaForMaskedLM",
        labels=(text("right"), token_labels()),
        untied=(text(), token_labels(), {"tie_word_embeddings": False, "hidden_act": "relu"}),
    ),
    *named("roberta", "RobertaForCausalLM", labels=(text("right"), token_labels(), {"is_decoder": True})),
    *classifying("roberta", "RobertaForSequenceClassification"),
    *common_heads("roberta", "Roberta", "TQM"),
]
