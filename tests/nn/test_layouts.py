"""Every layout gives the same answer: packed rows equal padded ones, recorded ones equal fast ones."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import lamina
from lamina.errors import InputError
from lamina.nn.model import packable, read_packed

BERT = {
    "vocab_size": 61,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 24,
    "max_position_embeddings": 40,
    "initializer_range": 0.3,
    "num_labels": 3,
}
GPT = {"vocab_size": 61, "n_embd": 16, "n_layer": 2, "n_head": 4, "n_positions": 40, "initializer_range": 0.3}
T5 = {"vocab_size": 61, "d_model": 16, "d_kv": 4, "d_ff": 24, "num_layers": 2, "num_heads": 4}
ALBERT = {"embedding_size": 8, "num_hidden_groups": 2, "inner_group_num": 2}
DEBERTA = {"relative_attention": True, "position_buckets": 4, "pos_att_type": "p2c|c2p", "share_att_key": True}
MODERN = {"local_attention": 4, "classifier_pooling": "mean", "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
ROWS = [
    ("BertModel", BERT),
    ("BertForMaskedLM", BERT),
    ("BertForPreTraining", BERT),
    ("BertForSequenceClassification", BERT),
    ("BertForTokenClassification", BERT),
    ("BertForQuestionAnswering", BERT | {"num_labels": 2}),
    ("BertLMHeadModel", BERT | {"is_decoder": True}),
    ("AlbertForSequenceClassification", BERT | ALBERT),
    ("ElectraForPreTraining", BERT | {"embedding_size": 8}),
    ("RobertaForSequenceClassification", BERT | {"pad_token_id": 1}),
    (
        "DistilBertForSequenceClassification",
        {"vocab_size": 61, "dim": 16, "n_layers": 2, "n_heads": 4, "hidden_dim": 24},
    ),
    ("GPT2LMHeadModel", GPT),
    ("GPT2ForSequenceClassification", GPT | {"pad_token_id": 0}),
    ("OpenAIGPTLMHeadModel", GPT),
    ("CTRLLMHeadModel", GPT | {"dff": 24}),
    ("T5EncoderModel", T5),
    ("XLMRobertaForTokenClassification", BERT | {"pad_token_id": 1}),
    ("CamembertForSequenceClassification", BERT | {"pad_token_id": 1}),
    ("MPNetModel", BERT | {"pad_token_id": 1}),
    ("DebertaV2Model", BERT | DEBERTA),
    ("DebertaV2ForSequenceClassification", BERT | DEBERTA | {"conv_kernel_size": 3, "share_att_key": False}),
    ("DebertaV2ForQuestionAnswering", BERT | {"num_labels": 2, "conv_kernel_size": 3}),
    ("ModernBertForMaskedLM", BERT | MODERN),
    ("ModernBertForSequenceClassification", BERT | MODERN),
    ("ModernBertForTokenClassification", BERT | MODERN | {"global_attn_every_n_layers": 2}),
    ("T5ForTokenClassification", T5),
]
PER_ROW = ("SequenceClassification",)


def make(architecture: str, options: dict[str, object]):
    cls = getattr(lamina, architecture)
    torch.manual_seed(0)
    return cls(cls.config_class(**options)).eval()


@pytest.mark.parametrize(("architecture", "options"), ROWS, ids=[row[0] for row in ROWS])
@torch.no_grad()
def test_packed_equals_padded(architecture, options):
    model = make(architecture, options)
    lengths = [3, 5, 5, 1, 9, 9]
    rows = [torch.randint(3, 59, (n,)) for n in lengths]
    padding = model.config.pad_token_id or 0
    ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=padding)
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    padded = model(ids, attention_mask=mask.long())
    packed = read_packed(model, torch.cat(rows), lengths)
    for key in packed.keys():  # noqa: SIM118  (an output, not a dict)
        if key == "past_key_values":
            continue
        expected = padded[key]
        if expected.shape[:2] == ids.shape:
            expected = expected[mask][None]
        torch.testing.assert_close(packed[key], expected, atol=1e-5, rtol=1e-5)


def test_boundaries_matter():
    """The control: rows read as one long row answer otherwise."""
    model = make("BertForTokenClassification", BERT)
    ids = torch.randint(3, 59, (8,))
    apart, together = read_packed(model, ids, [4, 4]).logits, read_packed(model, ids, [8]).logits
    assert not torch.allclose(apart, together, atol=1e-3)


@settings(max_examples=20)
@given(st.lists(st.integers(1, 7), min_size=1, max_size=6))
def test_any_mix_of_lengths(lengths):
    model = make("BertForSequenceClassification", BERT)
    rows = [torch.arange(3, 3 + n) for n in lengths]
    with torch.no_grad():
        packed = read_packed(model, torch.cat(rows), lengths).logits
        alone = torch.cat([model(row[None]).logits for row in rows])
    torch.testing.assert_close(packed, alone, atol=1e-5, rtol=1e-5)


def test_gradients_are_those_of_padded_rows():
    model = make("BertForMaskedLM", BERT)
    rows = [torch.arange(3, 3 + n) for n in (2, 5)]
    weight = model.encoder.embeddings.tokens.weight
    ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    mask = (ids != 0).long()
    model(ids, attention_mask=mask).logits[mask.bool()].pow(2).sum().backward()
    expected, weight.grad = weight.grad.clone(), None
    read_packed(model, torch.cat(rows), [2, 5]).logits.pow(2).sum().backward()
    torch.testing.assert_close(weight.grad, expected, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("lengths", [[3], [3, 0, 2], []])
def test_lengths_that_do_not_fit_are_refused(lengths):
    with pytest.raises(InputError, match="add up to"):
        read_packed(make("BertModel", BERT), torch.arange(3, 8), lengths)


def test_two_stacks_are_not_packed():
    model = make("T5Model", T5)
    assert not packable(model)
    with pytest.raises(InputError, match="no plain stack"):
        read_packed(model, torch.arange(3), [3])


@pytest.mark.parametrize("architecture", ["BertModel", "GPT2LMHeadModel", "T5EncoderModel"])
@torch.no_grad()
def test_recorded_attention_changes_nothing_and_sums_to_one(architecture):
    model = make(architecture, dict(ROWS)[architecture])
    ids = torch.randint(3, 59, (2, 6))
    mask = torch.tensor([[1] * 6, [1] * 4 + [0] * 2])
    plain, recorded = model(ids, mask), model(ids, mask, output_attentions=True)
    torch.testing.assert_close(plain[0], recorded[0], atol=1e-5, rtol=1e-5)
    for attention in recorded.attentions:
        torch.testing.assert_close(attention.sum(-1), torch.ones(2, 4, 6))
        assert not attention[1, :, :4, 4:].any()
