"""Names resolve both ways: every tensor of ours is spelled, every one of theirs is used, with or without the prefix."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

import lamina
from lamina.checkpoint.convert import export

from .goldens import CLASSES, MODELS, call, flatten, golden, load

PREFIXED = [row for row in CLASSES if getattr(lamina, row.architecture).family.prefix]

WHOLE = [row for row in PREFIXED if golden(row).labeled and not getattr(lamina, row.architecture).task.body]


def _same_answers(first, second, row):
    with torch.no_grad():
        answers = [flatten(call(row, model, golden(row).inputs)[-1]) for model in (first, second)]
    for key, array in answers[0].items():
        np.testing.assert_allclose(answers[1][key], array, rtol=1e-5, atol=1e-6, err_msg=key)


@pytest.mark.parametrize("row", MODELS, ids=lambda row: row.id)
def test_without_weights_names_and_shapes_are_the_reference_s(row):
    kind = getattr(lamina, row.architecture)
    with torch.device("meta"):
        model = kind(kind.config_class(**row.config))
    theirs = {name: tuple(tensor.shape) for name, tensor in export(model, model.table())}
    assert theirs == golden(row).shapes


@pytest.mark.parametrize("row", CLASSES, ids=lambda row: row.architecture)
def test_full_size_models_have_names(row):
    kind = getattr(lamina, row.architecture)
    with torch.device("meta"):
        model = kind(kind.config_class())
    names = [name for name, _ in export(model, model.table())]
    assert len(names) == len(set(names)) > 10


@pytest.mark.parametrize("row", PREFIXED, ids=lambda row: row.architecture)
def test_prefix_may_be_missing_or_there(row, checkpoint, tmp_path):
    folder = checkpoint(row)
    kind = getattr(lamina, row.architecture)
    prefix = kind.family.prefix
    tensors = load_file(folder / "model.safetensors")
    plain = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    if len(plain) < len(tensors) or plain == tensors:
        plain = {prefix + name: tensor for name, tensor in tensors.items()}
    save_file(plain, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    _same_answers(load(row, folder), load(row, tmp_path), row)


@pytest.mark.parametrize("row", WHOLE, ids=lambda row: row.architecture)
def test_body_loads_from_a_head_s_checkpoint_and_back(row, checkpoint, tmp_path):
    whole = load(row, checkpoint(row))
    prefix = type(whole).family.prefix
    body, report = lamina.AutoModel.from_pretrained(checkpoint(row), output_loading_info=True)
    assert not [name for name in report["missing_keys"] if "pooler" not in name]
    assert not report["mismatched_keys"]
    body.save_pretrained(tmp_path)
    again, report = type(whole).from_pretrained(tmp_path, output_loading_info=True)
    assert not [name for name in report["missing_keys"] if name.startswith(prefix) and "pooler" not in name]
    theirs = dict(export(whole, whole.table()))
    for name, tensor in export(again, again.table()):
        if name.startswith(prefix) and "pooler" not in name:
            torch.testing.assert_close(tensor, theirs[name], rtol=1e-6, atol=0)
