"""Swapped models are copied, pickled, sent to other processes and given states, or refuse aloud what would be wrong."""

from __future__ import annotations

import copy
import io
import multiprocessing
import pickle
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

import lamina
from lamina.errors import InputError

from .test_quantize import SWAPPED, answer, make

each = pytest.mark.parametrize("precision", SWAPPED)
names = pytest.mark.parametrize("name", ["BertForMaskedLM", "GPT2LMHeadModel"])


def through_torch(model: Any) -> Any:
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


@each
@names
@pytest.mark.parametrize("way", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model)), through_torch])
def test_copies_answer_as_the_original(name: str, precision: str, way: Any) -> None:
    model = make(name).quantize(precision)
    again = way(model)
    assert again.precision == precision and not again.training
    assert torch.equal(answer(again), answer(model))


@pytest.mark.parametrize("name", ["BertForMaskedLM", "GPT2LMHeadModel"])
def test_a_copy_is_swapped_as_its_original_is(name: str) -> None:
    model = make(name)
    again = pickle.loads(pickle.dumps(model)).quantize("fp32-packed")
    model.quantize("fp32-packed")
    fused = [[getattr(layer, "post", None) for layer in each._frozen()] for each in (model, again)]
    assert fused[0] == fused[1] and torch.equal(answer(again), answer(model))


class Scores(Dataset[Any]):
    """Rows scored by models that travel to each worker."""

    def __init__(self, models: list[Any]):
        self.models = models

    def __len__(self) -> int:
        return len(self.models)

    def __getitem__(self, number: int) -> torch.Tensor:
        return answer(self.models[number])


def test_workers_that_are_spawned() -> None:
    models = [make("BertForMaskedLM").quantize(precision) for precision in ("int8", "bf16")]
    context = multiprocessing.get_context("spawn")
    found = torch.cat(list(DataLoader(Scores(models), num_workers=1, multiprocessing_context=context)))
    torch.testing.assert_close(found, torch.stack(list(map(answer, models))))


@each
@names
def test_its_own_state_is_taken_and_plain_ones_are_not(name: str, precision: str) -> None:
    model, other = make(name).quantize(precision), make(name)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(1.5)
    other.quantize(precision)
    assert not torch.equal(answer(other), answer(model))
    other.load_state_dict(model.state_dict())
    assert torch.equal(answer(other), answer(model))
    if precision in ("fp32-packed", "bf16"):
        return
    with pytest.raises(RuntimeError, match="before quantize"):
        model.load_state_dict(make(name).state_dict(), strict=False)
    plain = make(name)
    with pytest.raises(InputError, match="codes of a quantized model"):
        plain.load_state_dict(model.state_dict(), strict=False)
    assert torch.equal(answer(plain), answer(make(name)))


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@each
def test_what_would_be_wrong_in_silence_is_refused(precision: str) -> None:
    model = make("BertForMaskedLM").quantize(precision)
    ids = torch.tensor([[5, 6, 7]])
    before = answer(model)
    other = torch.float16 if precision == "bf16" else torch.bfloat16
    for change in (lambda: model.to(other), model.half, model.double):
        with pytest.raises(InputError, match="keep their type"):
            change()
    with pytest.raises(InputError, match="no gradients"):
        model.requires_grad_()
    vectors = model.get_input_embeddings()(ids).detach().requires_grad_()
    with pytest.raises(InputError, match="no gradients"):
        model(inputs_embeds=vectors)
    with pytest.raises(InputError, match="cannot be traced or exported"):
        torch.jit.trace(model, (ids,), check_trace=False)
    with pytest.raises((InputError, AttributeError)):  # torch itself refuses to look into int8's packed weights
        torch.export.export(model, (ids,), strict=False)
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert torch.equal(answer(model.to(model.dtype).to("cpu")), before)


@pytest.mark.parametrize("name", ["BertForMaskedLM", "T5ForConditionalGeneration"])
def test_plain_models_do_all_of_it(name: str) -> None:
    model = make(name)
    again = pickle.loads(pickle.dumps(model))
    assert torch.equal(answer(again), answer(model))
    assert again.half().dtype == torch.float16 and again.float().train().training
    assert isinstance(model, lamina.PreTrainedModel) and all(p.requires_grad for p in model.parameters())
