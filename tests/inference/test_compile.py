"""Compiled models: as many graphs as promised and no more, and the answers of the plain model."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._dynamo.testing import CompileCounter

import lamina
from lamina.errors import InputError
from lamina.inference.compile import LAYOUTS
from lamina.nn.model import read_packed

SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
BART = {
    "d_model": 16,
    "encoder_layers": 1,
    "decoder_layers": 2,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 24,
    "decoder_ffn_dim": 24,
    "max_position_embeddings": 64,
}


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    assert not LAYOUTS
    torch._dynamo.reset()


def make(name: str, config: Any) -> Any:
    torch.manual_seed(0)
    return getattr(lamina, name)(config).eval()


def bert() -> Any:
    return make("BertForMaskedLM", lamina.BertConfig(vocab_size=50, **SIZES))


def ids(*shape: int) -> Tensor:
    return torch.randint(1, 50, shape, generator=torch.Generator().manual_seed(3))


def test_an_encoder_is_one_graph_for_every_shape_and_layout() -> None:
    plain, counter = bert(), CompileCounter()
    model = lamina.compile(copy.deepcopy(plain), backend=counter)
    assert counter.frame_count == 1
    with torch.inference_mode():
        for lengths in ([3], [4, 4, 9], [17] * 5, [2, 30, 31]):
            packed = ids(sum(lengths))
            assert torch.allclose(
                read_packed(model, packed, lengths).logits, read_packed(plain, packed, lengths).logits, atol=1e-5
            )
        for rows, tokens in ((1, 5), (2, 7), (6, 20)):
            mask = torch.ones(rows, tokens, dtype=torch.long)
            mask[:, tokens - rows :] = 0
            for kept in (None, mask):
                both = [each(ids(rows, tokens), attention_mask=kept).logits for each in (model, plain)]
                assert torch.allclose(*both, atol=1e-5)
    assert counter.frame_count == 1


def test_a_decoder_is_two_graphs_whatever_it_writes() -> None:
    plain = make("GPT2LMHeadModel", lamina.GPT2Config(vocab_size=50, n_embd=16, n_layer=2, n_head=2, n_positions=64))
    counter = CompileCounter()
    model = lamina.compile(copy.deepcopy(plain), backend=counter)
    assert counter.frame_count == 2  # several tokens, and a single one
    for options in ({}, {"num_beams": 3}, {"num_return_sequences": 2, "do_sample": True}):
        for rows, tokens in ((1, 4), (3, 9)):
            written = []
            for each in (model, plain):
                torch.manual_seed(1)
                written.append(each.generate(ids(rows, tokens), max_new_tokens=5, pad_token_id=0, **options))
            assert torch.equal(*written)
    assert counter.frame_count == 2


@pytest.mark.parametrize("name", ["BartForConditionalGeneration", "T5ForConditionalGeneration"])
def test_two_stacks_with_sources_and_biases(name: str) -> None:
    t5 = {"d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 1, "num_heads": 2}
    config = (
        lamina.BartConfig(vocab_size=50, **BART) if name.startswith("Bart") else lamina.T5Config(vocab_size=50, **t5)
    )
    plain, counter = make(name, config), CompileCounter()
    model = lamina.compile(copy.deepcopy(plain), backend=counter)
    count = counter.frame_count
    assert count == 3  # the encoder, and two for the decoder
    mask = torch.ones(3, 9, dtype=torch.long)
    mask[1, 6:] = 0
    for options in ({"num_beams": 2}, {}):
        both = [each.generate(ids(3, 9), attention_mask=mask, max_new_tokens=5, **options) for each in (model, plain)]
        assert torch.equal(*both)
    assert counter.frame_count == count


def test_gradients_and_hidden_states_take_the_plain_way() -> None:
    counter = CompileCounter()
    model = lamina.compile(bert(), backend=counter, warm_up=False)
    model(input_ids=ids(2, 5)).logits.sum().backward()
    with torch.inference_mode():
        assert len(model(input_ids=ids(2, 5), output_hidden_states=True).hidden_states) == 3
    assert counter.frame_count == 0


def test_what_cannot_be_compiled_is_refused() -> None:
    with pytest.raises(InputError, match="quantized"):
        lamina.compile(bert().quantize("int8"))
    model = lamina.compile(bert(), backend="eager", warm_up=False)
    with pytest.raises(InputError, match="already"):
        lamina.compile(model)


def test_a_machine_without_a_compiler_is_told_so_and_keeps_its_model() -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError("no g++ found\nand more")

    model = bert()
    wanted = model(input_ids=ids(2, 5)).logits
    with pytest.raises(InputError, match="C\\+\\+ compiler"):
        lamina.compile(model, backend=broken)
    with torch.inference_mode():
        assert torch.equal(model(input_ids=ids(2, 5)).logits, wanted)
