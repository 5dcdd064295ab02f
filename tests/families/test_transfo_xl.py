"""Transformer-XL: what it writes, what it remembers, what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import lamina
from lamina.checkpoint.convert import export
from lamina.errors import ConfigError, GenerationError, InputError
from lamina.families import family
from lamina.generation.config import GenerationConfig
from lamina.generation.generate import generate

from .goldens import GOLDEN
from .rows.row import TINY
from .weights import fill

GOLD = json.loads((GOLDEN / "transfo_xl.json").read_text())
IDS = torch.tensor([[5, 25, 45, 85, 19, 20, 61, 7, 33, 90, 12, 50], [79, 80, 39, 40, 20, 6, 44, 5, 9, 21, 70, 8]])
ROWS = [[5, 25, 45], [85, 19, 20, 61, 7, 33, 90], [12], [50, 79, 80, 39, 40]]
WRITTEN = [(name, search) for name in GOLD["written"] for search in GOLD["searches"]]


def config(**changes: Any) -> Any:
    return lamina.TransfoXLConfig(**{**TINY["transfo-xl"], **changes})


def tiny(kind: str = "TransfoXLLMHeadModel", **changes: Any) -> Any:
    """A model of the goldens' weights."""
    model = getattr(lamina, kind)(config(**changes)).eval()
    with torch.no_grad():
        for name, tensor in export(model, model.table()):
            tensor.copy_(torch.from_numpy(fill(name, tuple(tensor.shape))))
    return model


def write(model: Any, ids: Any, **options: Any) -> Any:
    model.generation_config = GenerationConfig(pad_token_id=GOLD["pad"])
    return generate(model, torch.as_tensor(ids), **options)


def read(model: Any, ids: torch.Tensor, pieces: list[int], **options: Any) -> list[Any]:
    """The outputs of an input cut into segments of these lengths."""
    outputs: list[Any] = []
    with torch.no_grad():
        for piece in ids.split(pieces, 1):
            outputs.append(model(piece, mems=outputs[-1].mems if outputs else None, **options))
    return outputs


def same(ours: Any, theirs: Any) -> None:
    torch.testing.assert_close(ours, theirs, rtol=2e-5, atol=1e-5)


@pytest.mark.parametrize(("name", "search"), WRITTEN)
def test_writes_what_the_reference_writes(name, search):
    gold = GOLD["written"][name]
    output = write(
        tiny(**gold["config"]),
        GOLD["prompt"],
        max_new_tokens=GOLD["new_tokens"],
        eos_token_id=gold["eos"],
        return_dict_in_generate=True,
        output_scores=True,
        **GOLD["searches"][search],
    )
    assert output.sequences.tolist() == gold[search]["ids"]
    if "scores" in gold[search]:
        same(output.sequences_scores, torch.tensor(gold[search]["scores"]))


@pytest.mark.parametrize("name", GOLD["written"])
def test_writes_on_without_an_end(name):
    gold = GOLD["written"][name]
    ours = write(tiny(**gold["config"]), GOLD["prompt"], max_new_tokens=GOLD["new_tokens"], eos_token_id=None)
    assert ours.tolist() == gold["endless"]


@pytest.mark.parametrize("name", [name for name in GOLD["losses"] if name != "ids"])
def test_losses_at_the_corners(name):
    gold, ids = GOLD["losses"][name], torch.tensor(GOLD["losses"]["ids"])
    labels = torch.tensor(gold["labels"])
    with torch.no_grad():
        output = tiny()(ids, labels=labels)
    same(output.loss, torch.tensor(gold["loss"]))
    same(output.losses, torch.tensor(gold["losses"]))
    assert labels.tolist() == gold["labels"]
    assert output.prediction_scores == ()


@pytest.mark.parametrize("changes", [{}, {"mem_len": 3}, {"pre_lnorm": True}, {"untie_r": False, "clamp_len": 4}])
def test_segments_are_the_whole(changes):
    model = tiny("TransfoXLModel", **changes)
    (whole,) = read(model, IDS, [12], output_hidden_states=True)
    for pieces in ([5, 4, 3], [1] * 12, [11, 1]):
        parts = read(model, IDS, pieces, output_hidden_states=True)
        for layer, states in enumerate(whole.hidden_states):
            same(torch.cat([part.hidden_states[layer] for part in parts], 1), states)
        same(parts[-1].mems, whole.mems)


def test_memories_are_the_layers_inputs():
    model = tiny("TransfoXLModel")
    first, second = read(model, IDS, [6, 6], output_hidden_states=True)
    for layer, mem in enumerate(second.mems):
        inputs = torch.cat([first.hidden_states[layer], second.hidden_states[layer]], 1)
        assert mem.shape == (8, 2, 32)
        same(mem, inputs[:, -8:].transpose(0, 1))
    assert not any(mem.requires_grad for mem in model(IDS).mems)


def test_memory_length_can_be_reset():
    model = tiny("TransfoXLModel")
    model.reset_memory_length(3)
    assert [mem.shape for mem in model.init_mems(5)] == [(3, 5, 32)] * 3
    same(model(IDS).last_hidden_state, tiny("TransfoXLModel", mem_len=3)(IDS).last_hidden_state)
    model.reset_memory_length(0)
    assert model.init_mems(5) is None and model(IDS).mems is None


def padded(rows: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    longest = max(map(len, rows))
    ids = torch.tensor([row + [0] * (longest - len(row)) for row in rows])
    return ids, (torch.arange(longest) < torch.tensor([[len(row)] for row in rows])).long()


@pytest.mark.parametrize("changes", [{}, {"same_length": False}, {"pre_lnorm": True}])
def test_padding_on_the_right_is_never_seen(changes):
    model = tiny("TransfoXLModel", **changes)
    ids, mask = padded(ROWS)
    together = model(ids, attention_mask=mask)
    for row, real in enumerate(ROWS):
        alone = model(torch.tensor([real]))
        same(together.last_hidden_state[row, : len(real)], alone.last_hidden_state[0])
        for ours, theirs in zip(together.mems, alone.mems, strict=True):
            same(ours[:, row], theirs[:, 0])


@pytest.mark.parametrize("mask", [[[0, 1, 1]], [[1, 0, 1]], [[1, 1]], [[[1, 1, 1]]]])
def test_other_masks_are_refused(mask):
    with pytest.raises(InputError, match=r"padding on the right|does not fit"):
        tiny("TransfoXLModel")(torch.tensor([[5, 6, 7]]), attention_mask=torch.tensor(mask))


def test_rows_of_different_lengths_need_full_memories():
    model = tiny("TransfoXLModel")
    ids, mask = padded(ROWS)
    with pytest.raises(InputError, match="full length, 8 tokens, got 2"):
        model(ids, mems=[torch.zeros(2, 4, 32)] * 3, attention_mask=mask)


@pytest.mark.parametrize(
    "mems", [[torch.zeros(8, 2, 32)] * 2, [torch.zeros(8, 1, 32)] * 3, [torch.zeros(k, 2, 32) for k in (8, 8, 7)]]
)
def test_memories_must_fit(mems):
    with pytest.raises(InputError, match=r"mems must be 3 tensors \[tokens, 2, 32\]"):
        tiny("TransfoXLModel")(IDS, mems=mems)


def scores(model: Any, rows: list[list[int]]) -> torch.Tensor:
    """What follows each row, read alone and at once."""
    return torch.stack([model(torch.tensor([row])).logits[0, -1] for row in rows])


@pytest.mark.parametrize("changes", [{}, {"mem_len": 3}, {"pre_lnorm": True, "clamp_len": -1}])
@torch.no_grad()
def test_state_follows_its_rows(changes):
    model, rows = tiny(**changes), ROWS
    ids, mask = padded(rows)
    state = model.start({"input_ids": ids}, 40)
    same(model.step(ids, state, mask.sum(1)).logits, scores(model, rows))

    order = [3, 0, 0, 1]
    state.reorder(torch.tensor(order))
    rows = [rows[i] + [new] for i, new in zip(order, (8, 60, 95, 30), strict=True)]
    same(model.step(torch.tensor([row[-1:] for row in rows]), state).logits, scores(model, rows))

    drafted = torch.tensor([[4, 41, 88], [5, 42, 89], [6, 43, 90], [7, 44, 91]])
    every = model.step(drafted, state, every=True, hidden=True)
    assert every.hidden.shape == (4, 3, 32)
    full = [row + new for row, new in zip(rows, drafted.tolist(), strict=True)]
    same(every.logits[:, -1], scores(model, full))
    same(every.logits[:, 0], scores(model, [row[:-2] for row in full]))

    kept = torch.tensor([len(row) for row in rows]) + torch.tensor([0, 2, 1, 3])
    state.truncate(kept)
    assert state.lengths.tolist() == kept.tolist()
    rows = [[*row[:count], 77] for row, count in zip(full, kept.tolist(), strict=True)]
    same(model.step(torch.tensor([[77]] * 4), state).logits, scores(model, rows))

    other = model.start({"input_ids": IDS[:, :2]}, 10)
    model.step(IDS[:, :2], other)
    state.join(other)
    rows = [[*row, 9] for row in [*rows, *IDS[:, :2].tolist()]]
    same(model.step(torch.tensor([[9]] * 6), state).logits, scores(model, rows))
    assert state.lengths.tolist() == [len(row) for row in rows]


def test_prompts_of_different_lengths_are_written_as_alone():
    model = tiny()
    longest = max(map(len, ROWS))
    ids = [[0] * (longest - len(row)) + row for row in ROWS]
    mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in ROWS])
    for beams in (1, 3):
        together = write(model, ids, attention_mask=mask, num_beams=beams, max_new_tokens=6, eos_token_id=None)
        for row, answer in zip(ROWS, together.tolist(), strict=True):
            alone = write(model, [row], num_beams=beams, max_new_tokens=6, eos_token_id=None)
            assert answer[longest:] == alone[0, len(row) :].tolist()


def test_drafting_changes_nothing():
    model = tiny(mem_len=4)
    ids = IDS[:, :6]
    plain = write(model, ids, max_new_tokens=12, eos_token_id=None)
    drafted = write(model, ids, max_new_tokens=12, eos_token_id=None, prompt_lookup_num_tokens=3)
    assert drafted.tolist() == plain.tolist()


def test_writing_wants_a_head_and_something_to_see():
    with pytest.raises(GenerationError, match="no language-model head"):
        tiny("TransfoXLModel").start({"input_ids": IDS}, 20)
    with pytest.raises(GenerationError, match="set mem_len"):
        tiny(mem_len=0).start({"input_ids": IDS}, 20)
    model = tiny(mem_len=0, same_length=False)
    state = model.start({"input_ids": IDS}, 20)
    with pytest.raises(GenerationError, match="without memories"), torch.no_grad():
        model.step(IDS, state, torch.tensor([12, 5]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"attn_type": 2}, "attn_type 2"),
        ({"sample_softmax": 5}, "sample_softmax"),
        ({"cutoffs": [20, 20]}, "must be whole numbers that rise"),
        ({"cutoffs": [20, 99]}, "must be whole numbers that rise"),
        ({"cutoffs": [20, "40"]}, "must be whole numbers that rise"),
        ({"cutoffs": [0, 40]}, "must be whole numbers that rise"),
        ({"div_val": 8}, "cannot be divided"),
        ({"d_model": 33}, "must be even"),
        ({"init": "zeros"}, "'normal' or 'uniform'"),
    ],
)
def test_configs_that_cannot_be(changes, message):
    with pytest.raises(ConfigError, match=message):
        lamina.TransfoXLModel(config(**changes))


def test_weights_can_start_uniform():
    model = lamina.TransfoXLLMHeadModel(config(init="uniform", init_range=0.3, proj_init_std=5.0))
    weight = model.body.layers[0].attn.qkv.weight.detach()
    assert 0.28 < weight.abs().max() <= 0.3 and weight.std() == pytest.approx(0.3 / 3**0.5, rel=0.1)
    assert model.softmax.projections[0].detach().std() == pytest.approx(5.0, rel=0.2)


@pytest.mark.parametrize("changes", [{}, {"div_val": 1}, {"tie_word_embeddings": False}])
@pytest.mark.parametrize("size", [130, 90])
@torch.no_grad()
def test_the_last_cluster_grows_and_shrinks(changes, size, tmp_path):
    model = tiny(**changes)
    ids = IDS.clamp(max=85)
    before = model(ids).logits[..., :80]
    model.resize_token_embeddings(size)
    assert model.config.vocab_size == size == model.get_input_embeddings().num_embeddings
    after = model(ids, labels=ids)
    assert model(ids).logits.shape[-1] == size
    assert after.loss.isfinite()
    same(model(ids).logits[..., :80], before)  # the other clusters have not changed, nor has their share
    model.save_pretrained(tmp_path)
    again = lamina.TransfoXLLMHeadModel.from_pretrained(tmp_path)
    same(again(ids, labels=ids).losses, after.losses)
    same(model(torch.tensor([[size - 1]])).logits, again(torch.tensor([[size - 1]])).logits)


def test_the_last_cluster_keeps_a_token():
    with pytest.raises(InputError, match="which starts at 80"):
        tiny().resize_token_embeddings(80)


def test_old_files_hold_tied_tensors_twice_and_may_lack_rates(tmp_path):
    model = tiny(untie_r=False)
    model.save_pretrained(tmp_path)
    path = Path(tmp_path) / "model.safetensors"
    tensors = load_file(path)
    rates = tensors.pop("transformer.pos_emb.inv_freq")
    for i in range(4):
        tensors[f"crit.out_layers.{i}.weight"] = tensors[f"transformer.word_emb.emb_layers.{i}.weight"].clone()
        tensors[f"crit.out_projs.{i}"] = tensors.get(
            f"crit.out_projs.{i}", tensors[f"transformer.word_emb.emb_projs.{i}"]
        ).clone()
    for i in range(3):
        tensors[f"transformer.layers.{i}.dec_attn.r_w_bias"] = tensors["transformer.r_w_bias"].clone()
        tensors[f"transformer.layers.{i}.dec_attn.r_r_bias"] = tensors["transformer.r_r_bias"].clone()
    save_file(tensors, path)
    again, report = lamina.TransfoXLLMHeadModel.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(report.values()), report
    torch.testing.assert_close(again.body.rates, rates, rtol=1e-6, atol=0)
    with torch.no_grad():
        same(again(IDS).logits, model(IDS).logits)
    assert again.softmax.weights[1] is again.body.embeddings.tables[1].weight
    assert again.softmax.projections[1] is again.body.embeddings.projections[1]
    assert again.softmax.projections[0] is not again.body.embeddings.projections[0]


def test_half_precision_knows_distances():
    full, half = tiny("TransfoXLModel", clamp_len=-1), tiny("TransfoXLModel", clamp_len=-1).bfloat16()
    for ours, theirs in zip(
        half.body.distances(2000, torch.bfloat16), full.body.distances(2000, torch.float32), strict=True
    ):
        torch.testing.assert_close(ours.float(), theirs, rtol=0.05, atol=0.05)
    assert half(IDS).last_hidden_state.dtype == torch.bfloat16


def test_checkpointing_gradients_changes_nothing():
    gradients = []
    for saving in (False, True):
        model = tiny(dropout=0.0).train()
        if saving:
            model.gradient_checkpointing_enable()
        model(IDS, labels=IDS).loss.backward()
        gradients.append([parameter.grad for parameter in model.parameters()])
    same(gradients[1], gradients[0])


def test_tuples_can_put_the_loss_first():
    with torch.no_grad():
        named = tiny()(IDS, labels=IDS)
        old = tiny()(IDS, labels=IDS, return_dict=False)
        new = tiny(trainer_compatible=True)(IDS, labels=IDS, return_dict=False)
    assert [old[0].shape, old[1], old[-1]] == [(2, 11), (), named.loss]
    assert [new[0], new[1], new[2].shape] == [named.loss, (), (2, 11)]
    assert len(old) == len(new) == 4


@pytest.mark.parametrize(
    ("labels", "message"),
    [(IDS + 50, "is not a token"), (-IDS, "is not a token"), (IDS[:, 1:], "must be as input_ids")],
)
def test_labels_must_be_tokens(labels, message):
    with pytest.raises(InputError, match=message):
        tiny()(IDS, labels=labels)


def test_one_token_has_nothing_to_predict():
    with pytest.raises(InputError, match="two tokens or more"):
        tiny()(IDS[:, :1], labels=IDS[:, :1])


def test_projections_are_tied_as_the_config_says():
    assert config(cutoffs=[30], proj_share_all_but_first=False).values()["tie_projs"] == [False, False]
    assert config(cutoffs=[30]).values()["tie_projs"] == [False, True]
    spec = family("transfo-xl").spec(config(tie_projs=[True, False]).values())
    assert spec.vocabulary.tied_projections == (True, False, False, False)
