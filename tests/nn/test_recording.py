"""Graphs that outlive the call they were made from: right for other masks, lengths and batches, or refused aloud."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.export import Dim

import lamina
from lamina.errors import InputError

BERT = {
    "vocab_size": 61,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 24,
    "initializer_range": 0.5,
}
GPT = {"vocab_size": 61, "n_embd": 16, "n_layer": 2, "n_head": 4, "n_positions": 40, "initializer_range": 0.5}
T5 = {"vocab_size": 61, "d_model": 16, "d_kv": 4, "d_ff": 24, "num_layers": 2, "num_heads": 4, "pad_token_id": 0}
SIDES = {"encoder_layers": 2, "decoder_layers": 2, "encoder_ffn_dim": 24, "decoder_ffn_dim": 24, "d_model": 16}
BART = {"vocab_size": 61, "encoder_attention_heads": 2, "decoder_attention_heads": 2, "pad_token_id": 0, **SIDES}
XL = {"vocab_size": 61, "cutoffs": [20, 40], "d_model": 16, "d_embed": 16, "n_head": 4, "d_head": 4, "d_inner": 24}
SINGLE = [
    ("BertModel", BERT),
    ("BertForMaskedLM", BERT),
    ("BertForQuestionAnswering", BERT),
    ("RobertaForSequenceClassification", BERT),
    ("AlbertModel", BERT),
    ("ElectraForPreTraining", BERT),
    ("DistilBertForTokenClassification", {"vocab_size": 61, "dim": 16, "n_layers": 2, "n_heads": 4, "hidden_dim": 24}),
    ("GPT2LMHeadModel", GPT),
    ("GPT2ForSequenceClassification", GPT | {"pad_token_id": 0}),
    ("CTRLLMHeadModel", GPT | {"dff": 24}),
    ("T5EncoderModel", T5),
]
PAIRED = [
    ("BartForConditionalGeneration", BART),
    ("BartForSequenceClassification", BART),
    ("MarianMTModel", BART),
    ("T5ForConditionalGeneration", T5),
]
IDS = torch.tensor([[5, 6, 7, 2, 0, 0], [8, 9, 10, 11, 12, 2]])
MASK = (IDS != 0).long()
pytestmark = [  # torch would rather have models exported than traced; users trace them all the same
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
    pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning"),
]
named = {"ids": lambda value: value if isinstance(value, str) else ""}


def make(name: str, options: dict[str, Any], **more: Any) -> Any:
    kind = getattr(lamina, name)
    torch.manual_seed(0)
    model = kind(kind.config_class(**options | more)).eval()
    for parameter in model.parameters():
        if parameter.dim() > 1:
            parameter.data.mul_(3)  # wide enough for a mask to matter
    return model


def real(output: torch.Tensor) -> torch.Tensor:
    return output[MASK.bool()] if output.shape[:2] == MASK.shape else output


@pytest.mark.parametrize("length", [1, 4])
@pytest.mark.parametrize(("name", "options"), SINGLE, **named)
def test_a_trace_reads_the_mask_it_is_given(name: str, options: dict[str, Any], length: int) -> None:
    model = make(name, options, torchscript=True)
    example = torch.tensor([[9, 8, 7, 2]])[:, :length]
    with torch.no_grad():
        graph = torch.jit.trace(model, (example, torch.ones_like(example)), check_trace=False)
        found, wanted, blind = graph(IDS, MASK)[0], model(IDS, MASK)[0], model(IDS, torch.ones_like(MASK))[0]
    torch.testing.assert_close(real(found), real(wanted))
    if not name.startswith(("GPT2", "CTRL")):  # where padding on the right is out of sight anyhow
        assert (real(blind) - real(wanted)).abs().max() > 1e-3


@pytest.mark.parametrize(("name", "options"), PAIRED, **named)
def test_a_trace_of_two_sides(name: str, options: dict[str, Any]) -> None:
    model = make(name, options, torchscript=True)
    example = torch.tensor([[9, 8, 2]])
    with torch.no_grad():
        graph = torch.jit.trace(model, (example, torch.ones_like(example), example), check_trace=False)
        found, wanted = graph(IDS, MASK, IDS)[0], model(IDS, MASK, IDS)[0]
    torch.testing.assert_close(real(found), real(wanted))


def test_torchscript_returns_tuples_and_ties_nothing(tmp_path: Any) -> None:
    plain = make("BertForMaskedLM", BERT)
    plain.save_pretrained(tmp_path)
    for model in (
        make("BertForMaskedLM", BERT, torchscript=True),
        type(plain).from_pretrained(tmp_path, torchscript=True),
    ):
        table, projection = model.get_input_embeddings().weight, model.get_output_embeddings().weight
        assert table is not projection and torch.equal(table, projection)
        assert isinstance(model(IDS), tuple) and not isinstance(model(IDS, return_dict=True), tuple)
    assert plain.get_input_embeddings().weight is plain.get_output_embeddings().weight


@pytest.mark.parametrize(("name", "options"), [row for row in SINGLE if row[0] != "AlbertModel"], **named)
def test_an_exported_model_takes_any_batch_and_length(name: str, options: dict[str, Any]) -> None:
    model, example = make(name, options), torch.tensor([[9, 8, 7], [7, 8, 9]])
    sizes = {0: Dim("batch", max=64), 1: Dim("tokens", min=2, max=38)}
    graph = torch.export.export(
        model, (example, torch.ones_like(example)), dynamic_shapes=(sizes, sizes), strict=False
    ).module()
    with torch.no_grad():
        found, wanted = graph(IDS, MASK), model(IDS, MASK)
    assert type(found) is type(wanted)
    assert found.keys() == [key for key in wanted.keys() if key != "past_key_values"]  # noqa: SIM118 (a contract)
    for key in found.keys():  # noqa: SIM118
        torch.testing.assert_close(real(found[key]), real(wanted[key]))


@pytest.mark.parametrize("kind", ["BertModel", "GPT2LMHeadModel"])
def test_outputs_are_trees_of_their_filled_fields(kind: str) -> None:
    from torch.utils import _pytree

    output = make(kind, BERT if kind == "BertModel" else GPT)(IDS, use_cache=False)
    leaves, tree = _pytree.tree_flatten(output)
    assert len(leaves) == len(output) and type(_pytree.tree_unflatten(leaves, tree)) is type(output)


def test_transformer_xl_refuses_to_be_traced() -> None:
    model = make("TransfoXLModel", XL)
    with pytest.raises(InputError, match="cannot be traced"):
        torch.jit.trace(model, (IDS,), check_trace=False)
