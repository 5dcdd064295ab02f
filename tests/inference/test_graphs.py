"""Recorded decoding steps, replayed by running them again where there is no CUDA: states, buffers and owners."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import lamina
from lamina.errors import InputError
from lamina.inference import compile as graphs
from lamina.inference.compile import GraphedSteps

GPT = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 128}
BART = {
    "d_model": 16,
    "encoder_layers": 1,
    "decoder_layers": 2,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 24,
    "decoder_ffn_dim": 24,
    "max_position_embeddings": 96,
}
T5 = {"d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 2, "num_heads": 2}
MODELS = {
    "GPT2LMHeadModel": ("GPT2Config", GPT),
    "BartForConditionalGeneration": ("BartConfig", BART),
    "T5ForConditionalGeneration": ("T5Config", T5),
}


def again(run: Callable[[], None]) -> Callable[[], None]:
    """What a recorder does, without CUDA: the run that would be recorded, and then each replay."""
    run()
    return run


def pair(name: str) -> tuple[Any, Any, GraphedSteps]:
    """A plain model, the same one recorded, and its recorder."""
    torch.manual_seed(0)
    config, sizes = MODELS[name]
    plain = getattr(lamina, name)(getattr(lamina, config)(vocab_size=50, **sizes)).eval()
    model = copy.deepcopy(plain)
    model.step = steps = GraphedSteps(model, again)
    return plain, model, steps


def ids(*shape: int, seed: int = 3) -> Tensor:
    return torch.randint(3, 50, shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("options", [{}, {"num_beams": 2}, {"num_return_sequences": 2, "do_sample": True}])
@pytest.mark.parametrize("name", MODELS)
def test_a_recorded_model_writes_what_a_plain_one_writes(name: str, options: dict[str, Any]) -> None:
    plain, model, _ = pair(name)
    mask = torch.ones(3, 7, dtype=torch.long)
    mask[0, :3] = 0  # rows of different lengths: plain steps at first, in every family
    for given in (None, mask):
        written = []
        for each in (model, plain):
            torch.manual_seed(1)
            written.append(each.generate(ids(3, 7), attention_mask=given, max_new_tokens=9, pad_token_id=1, **options))
        assert torch.equal(*written)


def test_a_second_text_of_the_same_shape_is_not_recorded_anew() -> None:
    plain, model, steps = pair("GPT2LMHeadModel")
    for seed in range(3):
        prompt = ids(2, 5, seed=seed)
        assert torch.equal(*(each.generate(prompt, max_new_tokens=6, pad_token_id=0) for each in (model, plain)))
    assert [len(kept) for kept in steps.recordings.values()] == [1]


@pytest.mark.parametrize("name", MODELS)
@torch.inference_mode()
def test_two_texts_written_in_turns_do_not_meet(name: str) -> None:
    plain, model, steps = pair(name)
    sources = [{"input_ids": ids(2, 5, seed=seed)} for seed in (5, 6)]
    states = [[each.start(source, 64) for source in sources] for each in (model, plain)]
    for turn in range(6):
        for which in (0, 1):
            tokens = ids(2, 3 if turn == 0 else 1, seed=10 * turn + which)
            found, wanted = (each.step(tokens, own[which]).logits
                             for each, own in zip((model, plain), states, strict=True))  # fmt: skip
            assert torch.allclose(found, wanted, atol=1e-5)
    assert [len(kept) for kept in steps.recordings.values()] == [2]


@torch.inference_mode()
def test_rows_that_leave_take_their_keys_with_them() -> None:
    plain, model, _ = pair("GPT2LMHeadModel")
    states = [each.start({"input_ids": ids(3, 4)}, 200) for each in (model, plain)]
    for turn in range(80):  # past the first buffer
        tokens = ids(3 if turn < 2 else 2, 4 if turn == 0 else 1, seed=turn)
        if turn == 2:
            for state in states:
                state.reorder(torch.tensor([0, 2]))
        found, wanted = (each.step(tokens, state).logits for each, state in zip((model, plain), states, strict=True))
        assert torch.allclose(found, wanted, atol=1e-5)


@torch.inference_mode()
def test_no_more_recordings_are_kept_than_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphs, "MOST_RECORDINGS", 2)
    _, model, steps = pair("GPT2LMHeadModel")
    for rows in range(1, 7):
        model.generate(ids(rows, 4), max_new_tokens=3, pad_token_id=0)
    assert sum(map(len, steps.recordings.values())) <= 2


@torch.inference_mode()
def test_the_end_of_the_table_is_still_an_error() -> None:
    _, model, _ = pair("GPT2LMHeadModel")
    state = model.start({"input_ids": ids(1, 4)}, 200)
    model.step(ids(1, 128), state)
    with pytest.raises(InputError, match="128"):
        model.step(ids(1, 1), state)
