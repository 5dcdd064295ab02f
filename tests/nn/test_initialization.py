"""Drawing what a checkpoint lacks leaves the rest alone, to the bit."""

from __future__ import annotations

import pytest
import torch

import lamina

SIZES = {"vocab_size": 61, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 24}
T5 = {"vocab_size": 61, "d_model": 16, "d_kv": 4, "d_ff": 24, "num_layers": 2, "num_heads": 4}
DISTIL = {"vocab_size": 61, "dim": 16, "n_layers": 2, "n_heads": 4, "hidden_dim": 24, "sinusoidal_pos_embds": True}


@pytest.mark.parametrize(
    ("architecture", "options", "lacking"),
    [
        ("BertForSequenceClassification", SIZES, {"head.project.weight", "head.project.bias"}),
        ("BertForMaskedLM", SIZES, {"head.dense.weight", "head.norm.bias"}),
        ("BertModel", SIZES, {"encoder.layers.1.attn.out.bias"}),
        (
            "GPT2LMHeadModel",
            {"vocab_size": 61, "n_embd": 16, "n_layer": 2, "n_head": 4},
            {"decoder.layers.0.ffn.up.weight"},
        ),
        ("T5ForConditionalGeneration", T5, {"encoder.relative.tables.0.weight", "decoder.layers.1.cross.kv.weight"}),
        ("DistilBertModel", DISTIL, {"encoder.embeddings.norm.weight"}),
    ],
)
def test_only_what_is_lacking_is_drawn(architecture, options, lacking):
    cls = getattr(lamina, architecture)
    model = cls(cls.config_class(**options))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(7.0)
    model.initialize(lacking)
    for name, parameter in model.named_parameters():
        assert bool((parameter == 7.0).all()) == (name not in lacking), name


def test_nothing_whole_is_copied(monkeypatch):
    model = lamina.BertForSequenceClassification(lamina.BertConfig(**SIZES))
    copied = 0
    clone = torch.Tensor.clone

    def counted(tensor, *args, **options):
        nonlocal copied
        copied += tensor.numel()
        return clone(tensor, *args, **options)

    monkeypatch.setattr(torch.Tensor, "clone", counted)
    model.initialize({"head.project.weight"})
    assert copied <= model.head.project.bias.numel()
