"""LoRA: a small correction beside frozen weights, saved alone and merged into plain ones."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
import torch

import lamina
from lamina.errors import CheckpointError, TrainingError
from lamina.training import add_lora, load_adapter, merge_lora, save_adapter
from lamina.training.lora import adapted, merged, trainable_share

from .tiny import bert, collate, difference, equal, gpt2, sentences, t5, trainer, weights

BATCH = collate(sentences(4))


def logits(model: torch.nn.Module) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model.eval()(**BATCH).logits
    return found


def trained(folder: Path) -> torch.nn.Module:
    run = trainer(folder, add_lora(bert(), rank=4, dropout=0.1), learning_rate=1e-2)
    run.train()
    return run.model


def test_it_starts_as_the_model_alone():
    assert torch.equal(logits(bert()), logits(add_lora(bert())))


def test_only_corrections_and_the_head_are_trained(tmp_path: Path):
    before, model = weights(bert()), trained(tmp_path)
    after = weights(model)
    moved = {name for name, tensor in before.items() if not torch.equal(tensor, after.get(name, tensor))}
    assert moved == {name for name in before if name.startswith(("head.", "pooler."))}
    assert all(not torch.equal(after[name], torch.zeros_like(after[name])) for name in after if name.endswith(".up"))
    some, all_of_it = trainable_share(model)
    assert 0 < some < all_of_it / 4


def test_merged_weights_compute_the_same(tmp_path: Path):
    model = trained(tmp_path)
    held, wanted = weights(model), logits(model)
    with merged(model):
        assert not adapted(model)
        torch.testing.assert_close(logits(model), wanted, atol=1e-6, rtol=1e-5)
    assert equal(weights(model), held)
    plain = merge_lora(model)
    torch.testing.assert_close(logits(plain), wanted, atol=1e-6, rtol=1e-5)
    assert weights(plain).keys() == weights(bert()).keys()
    assert all(parameter.requires_grad for parameter in plain.parameters())


def test_a_saved_model_is_plain_and_its_adapter_lies_beside_it(tmp_path: Path):
    run = trainer(tmp_path, add_lora(bert(), rank=4), learning_rate=1e-2)
    run.train()
    run.save_model(tmp_path / "model")
    loaded = lamina.BertForSequenceClassification.from_pretrained(tmp_path / "model")
    torch.testing.assert_close(logits(loaded), logits(run.model), atol=1e-6, rtol=1e-5)
    again = load_adapter(bert(), tmp_path / "model" / "adapter")
    assert torch.equal(logits(again), logits(run.model))


def test_a_model_that_cannot_be_written_leaves_its_adapter_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    run = trainer(tmp_path, add_lora(bert(), rank=4))
    run.save_model(tmp_path / "model")
    before = {path: path.read_bytes() for path in (tmp_path / "model").rglob("*") if path.is_file()}
    with torch.no_grad():
        next(parameter for parameter in run.model.parameters() if parameter.requires_grad).add_(1)

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("lamina.families.config.PretrainedConfig.save_pretrained", full)
    for folder in (tmp_path / "model", tmp_path / "new"):
        with pytest.raises(CheckpointError, match="No space left"):
            run.save_model(folder)
    assert {path: path.read_bytes() for path in (tmp_path / "model").rglob("*") if path.is_file()} == before
    assert not (tmp_path / "new").exists() and len(before) > 3


def test_an_adapter_of_another_model_is_refused(tmp_path: Path):
    save_adapter(add_lora(bert()), tmp_path)
    with pytest.raises(CheckpointError, match="does not fit"):
        load_adapter(bert(hidden_size=32), tmp_path)
    (tmp_path / "lamina_adapter.json").write_text('{"rang": 3}')
    with pytest.raises(CheckpointError, match="no adapter of ours"):
        load_adapter(bert(), tmp_path)


@pytest.mark.parametrize("make", [bert, gpt2, t5])
def test_every_kind_of_stack_has_attention_to_adapt(make):
    model = add_lora(make(), rank=2)
    assert adapted(model)
    assert difference(weights(merge_lora(model)), weights(make())) == 0


def test_mistakes():
    with pytest.raises(TrainingError, match=r"this model has .*qkv"):
        add_lora(bert(), targets=["query"])
    with pytest.raises(TrainingError, match="already"):
        add_lora(add_lora(bert()))
    with pytest.raises(TrainingError, match="rank"):
        add_lora(bert(), rank=0)
    with pytest.raises(TrainingError, match="shares its weight"):
        add_lora(gpt2(), targets=["project"])
