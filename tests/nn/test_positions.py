"""What a spec says of positions holds however tokens come: padded, end to end, in pieces, one by one, in beams."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

import lamina
from lamina.errors import ConfigError
from lamina.inference.compile import GraphedSteps
from lamina.nn.distances import DistanceScores, TurningLayout
from lamina.nn.layouts import KeyValueCache, PaddedBatch
from lamina.nn.model import SingleStackModel, read_packed
from lamina.spec import (
    BlockSpec,
    Convolution,
    Disentangled,
    EmbeddingSpec,
    HeadSpec,
    ModelSpec,
    NormalInit,
    RelativeBuckets,
    Rotary,
    StackSpec,
)

LAYERS, WIDTH, HEADS = 3, 16, 4
VALUES: dict[str, dict[str, Any]] = {
    "rotary": {"rotary": Rotary(4)},
    "rotary, a share, each layer its base": {"rotary": Rotary(2, (100.0, 7.0, 100.0))},
    "rotary, neighbors": {"rotary": Rotary(4, (50.0,), interleaved=True)},
    "windows": {"windows": (None, 2, 1)},
    "windows, all narrow": {"windows": (2, 2, 2)},
    "a table of distances": {"relative": RelativeBuckets(8, 12)},
    "tables of distances": {"relative": RelativeBuckets(8, 12, per_layer=True)},
    "all of them": {"relative": RelativeBuckets(8, 12, per_layer=True), "windows": (None, 3, 1), "rotary": Rotary(4)},
}
BOTH_WAYS: dict[str, dict[str, Any]] = {
    name: {"blank_padding": True, **values}
    for name, values in {
        "content and distance": {"relative": Disentangled(6)},
        "content to distance, others": {"relative": Disentangled(4, 9, ("c2p",), shared=False, norm=True)},
        "distance to content": {"relative": Disentangled(4, 9, ("p2c",), shared=False)},
        "neither": {"relative": Disentangled(4, kinds=())},
        "blank": {},
        "neighbors": {"convolution": Convolution(3, 2, "tanh", 0.0)},
    }.items()
}
BLOCKS = {"order": {"order": "parallel"}, "norm": {"norm": "unbiased"}, "biases": {"biased": ("out", "down")}}
named = pytest.mark.parametrize("name", VALUES)


def model(causal: bool, block: dict[str, Any] | None = None, **values: Any) -> SingleStackModel:
    """A tiny model of one stack, wide enough for positions to matter."""
    embedding = EmbeddingSpec(61, WIDTH, norm="unbiased")
    made = BlockSpec(WIDTH, HEADS, 24, **(block or {}))
    stack = StackSpec(embedding, made, LAYERS, causal=causal, **values)
    spec = ModelSpec(init=NormalInit(0.3), head=HeadSpec(WIDTH, 61, tied=True, norm="rms"))
    spec = replace(spec, decoder=stack) if causal else replace(spec, encoder=stack)
    torch.manual_seed(0)
    found = SingleStackModel(spec, "causal-lm" if causal else "masked-lm", lamina.GPT2Config(use_cache=False))
    found.initialize()
    return found.eval()


def texts(*lengths: int) -> list[Tensor]:
    torch.manual_seed(1)
    return [torch.randint(3, 59, (length,)) for length in lengths]


def alone(made: SingleStackModel, row: Tensor) -> Tensor:
    return made(row[None]).logits[0]


def near(found: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(found, wanted, atol=2e-5, rtol=2e-5)


@pytest.mark.parametrize(
    ("name", "causal"), [*((name, False) for name in [*VALUES, *BOTH_WAYS]), *((name, True) for name in VALUES)]
)
@torch.no_grad()
def test_padded_and_packed_rows_answer_as_they_do_alone(name: str, causal: bool) -> None:
    made, rows = model(causal, **(VALUES | BOTH_WAYS)[name]), texts(1, 9, 9, 4, 6)
    wanted = [alone(made, row) for row in rows]
    ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    mask = torch.nn.utils.rnn.pad_sequence([torch.ones_like(row) for row in rows], batch_first=True)
    for attentions in (False, True):
        padded = made(ids, mask, output_attentions=attentions)
        for row, answer in zip(padded.logits, wanted, strict=True):
            near(row[: len(answer)], answer)
    assert len(padded.attentions) == LAYERS
    near(read_packed(made, torch.cat(rows), [len(row) for row in rows]).logits[0], torch.cat(wanted))


@named
@torch.no_grad()
def test_pieces_steps_and_recordings_continue_where_the_text_stands(name: str) -> None:
    made, (row,) = model(True, **VALUES[name]), texts(11)
    wanted = alone(made, row)
    cache = KeyValueCache(LAYERS)
    for start, end in ((0, 5), (5, 6), (6, 11)):
        near(made(row[None, start:end], past_key_values=cache).logits[0], wanted[start:end])
    for step in (made.step, GraphedSteps(made, lambda run: run)):
        state = made.start({"input_ids": row[None, :1]}, 16)
        near(made.step(row[None, :6], state, every=True).logits[0], wanted[:6])
        for at in range(6, 11):
            near(step(row[None, at : at + 1], state).logits[0], wanted[at])


@named
@torch.no_grad()
def test_beams_and_rows_of_different_lengths_step_as_each_does_alone(name: str) -> None:
    made, rows = model(True, **VALUES[name]), texts(8, 5)
    state = made.start({"input_ids": torch.zeros(2, 1, dtype=torch.long)}, 32)
    ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    made.step(ids, state, torch.tensor([8, 5]))
    state.reorder(torch.tensor([0, 0, 1, 1]))
    written = [rows[0], rows[0], rows[1], rows[1]]
    for _ in range(4):
        new = torch.randint(3, 59, (4, 1))
        written = [torch.cat([row, one]) for row, one in zip(written, new, strict=True)]
        found = made.step(new, state).logits
        for answer, row in zip(found, written, strict=True):
            near(answer, alone(made, row)[-1])


@named
@torch.no_grad()
def test_each_value_changes_the_answer(name: str) -> None:
    (row,) = texts(9)
    assert not torch.allclose(alone(model(True, **VALUES[name]), row), alone(model(True), row), atol=1e-2)


@pytest.mark.parametrize("block", BLOCKS)
@torch.no_grad()
def test_each_value_of_a_block_changes_the_answer(block: str) -> None:
    (row,) = texts(9)
    made, plain = model(True, BLOCKS[block]), model(True)
    for name, parameter in plain.named_parameters():
        parameter.add_(0.1) if name.endswith("bias") else None
    assert not torch.allclose(alone(made, row), alone(plain, row), atol=1e-2)


@torch.no_grad()
def test_turning_is_a_product_of_complex_numbers() -> None:
    spec = Rotary(6, (10.0,))
    q, k = torch.randn(2, 1, 7, HEADS, 8)
    asked: dict[str, Tensor] = {}

    class Inner:
        def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float | None, dropout: float) -> Tensor:
            asked.update(q=q, k=k)
            return v

    positions = torch.tensor([[0, 1, 5, 2, 9, 9, 3]])
    for interleaved in (False, True):
        TurningLayout(Inner(), replace(spec, interleaved=interleaved), positions).attend(0, q, k, k, None, 0.0)
        turn = torch.polar(torch.ones(7, 3), positions[0, :, None] * 10.0 ** (-torch.arange(0, 6, 2) / 6))
        for name, given in (("q", q), ("k", k)):
            part = given[..., :6].unflatten(-1, (3, 2) if interleaved else (2, 3))
            part = part if interleaved else part.transpose(-1, -2)
            turned = torch.view_as_real(torch.view_as_complex(part.contiguous()) * turn[:, None])
            near(asked[name][..., :6], (turned if interleaved else turned.transpose(-1, -2)).flatten(-2))
            assert torch.equal(asked[name][..., 6:], given[..., 6:])


def test_content_meets_the_distance_from_query_to_key() -> None:
    q, k = torch.randn(2, 2, 5, HEADS, 4)
    far_query, far_key = torch.randn(2, 9, HEADS, 4)
    steps = torch.arange(5)
    found = DistanceScores(steps[:, None] - steps + 4, lambda layer: (far_query, far_key))(0)(q, k)
    for i in range(5):
        for j in range(5):
            content = (q[:, i] * far_key[i - j + 4]).sum(-1)
            near(found[:, :, i, j], content + (k[:, j] * far_query[i - j + 4]).sum(-1))


@pytest.mark.parametrize("causal", [False, True])
@torch.no_grad()
def test_a_window_ends_where_it_says(causal: bool) -> None:
    made = model(causal, windows=(None, 2, 3))
    maps = made(texts(8)[0][None], output_attentions=True).attentions
    for seen, window in zip(maps, (8, 2, 3), strict=True):
        for query in range(8):
            first, last = max(query - window, 0), query if causal else min(query + window, 7)
            assert (seen[0, :, query].nonzero()[:, 1].unique() == torch.arange(first, last + 1)).all()


@torch.no_grad()
def test_position_ids_turn_queries_and_keys() -> None:
    made, (row,) = model(False, rotary=Rotary(4)), texts(6)
    plain, shuffled = torch.arange(6), torch.tensor([5, 4, 1, 0, 2, 3])
    near(made(row[None], position_ids=plain[None]).logits, made(row[None]).logits)
    near(made(row[None], position_ids=plain[None] + 3).logits, made(row[None]).logits)
    order = shuffled.argsort()
    near(made(row[None], position_ids=shuffled[None]).logits[0][order], made(row[order][None]).logits[0])


def test_what_reads_both_ways_cannot_write() -> None:
    with pytest.raises(ConfigError, match="both ways"):
        model(True, blank_padding=True)


def test_gradients_reach_what_scores_distance() -> None:
    for values in (VALUES["tables of distances"], *BOTH_WAYS.values()):
        made = model(False, **values)
        made.train()
        made(texts(9)[0][None]).logits.square().sum().backward()
        missing = [name for name, parameter in made.named_parameters() if parameter.grad is None]
        assert not missing or values == BOTH_WAYS["neither"]


def test_one_layout_serves_layers_that_see_alike() -> None:
    made = model(False, windows=(None, 5, 5))
    layout = made.encoder.layout(PaddedBatch(torch.zeros(1, 9, dtype=torch.long)))
    assert layout.layers[1] is layout.layers[2] is not layout.layers[0]
    assert type(model(False).encoder.layout(PaddedBatch(torch.zeros(1, 9, dtype=torch.long)))).__name__ == "DenseLayout"


def test_recomputed_layers_have_the_same_gradients() -> None:
    found: list[list[Tensor]] = []
    for checkpointing in (False, True):
        made = model(False, **BOTH_WAYS["content to distance, others"])
        made.train()
        if checkpointing:
            made.gradient_checkpointing_enable()
        rows = texts(4, 4, 7)
        read_packed(made, torch.cat(rows), [4, 4, 7]).logits.square().sum().backward()
        found.append([parameter.grad for parameter in made.parameters() if parameter.grad is not None])
    for plain, again in zip(*found, strict=True):
        near(again, plain)
