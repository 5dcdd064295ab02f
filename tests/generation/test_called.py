"""What a subclass, a patch or a hook says of writing is honoured, or refused by name: never passed over."""

from __future__ import annotations

from types import MethodType
from typing import Any

import pytest
import torch

import lamina
from lamina.errors import GenerationError
from tests.families.rows.row import TINY

IDS = torch.tensor([[5, 9, 14]])
OVERRIDES = ("forward", "__call__", "prepare_inputs_for_generation", "_update_model_kwargs_for_generation",
             "_get_logits_processor", "_sample", "_prepare_special_tokens")  # fmt: skip


def gpt2(**methods: Any) -> Any:
    torch.manual_seed(3)
    kind: Any = type("Mine", (lamina.GPT2LMHeadModel,), methods) if methods else lamina.GPT2LMHeadModel
    return kind(lamina.GPT2Config(**TINY["gpt2"])).eval()


def never(self: Any, *given: Any, **more: Any) -> Any:
    raise AssertionError("called")


@pytest.mark.parametrize("name", OVERRIDES)
@pytest.mark.parametrize("patched", [False, True])
def test_methods_that_would_not_be_called_are_refused(name: str, patched: bool) -> None:
    model = gpt2() if patched else gpt2(**{name: never})
    if patched:
        setattr(model, name, MethodType(never, model))
    with pytest.raises(GenerationError, match=f"its own {name}, which generate"):
        model.generate(IDS, max_new_tokens=2)


@pytest.mark.parametrize("register", ["register_forward_hook", "register_forward_pre_hook"])
def test_hooks_that_would_not_be_called_are_refused(register: str) -> None:
    model = gpt2()
    hook = getattr(model, register)(lambda *given: None)
    with pytest.raises(GenerationError, match="forward hooks"):
        model.generate(IDS, max_new_tokens=2)
    hook.remove()
    seen: list[int] = []
    model.head.register_forward_hook(lambda *given: seen.append(1))
    model.generate(IDS, max_new_tokens=2, eos_token_id=None)
    assert len(seen) == 2


def test_a_step_of_ones_own_and_other_methods_are_honoured() -> None:
    def step(self: Any, *given: Any, **more: Any) -> Any:
        output = lamina.GPT2LMHeadModel.step(self, *given, **more)
        output.logits[..., 50] += 100
        return output

    model = gpt2(step=step, forward=never, own=never)
    assert model.generate(IDS, max_new_tokens=3, eos_token_id=None)[0, 3:].tolist() == [50, 50, 50]


def test_arguments_may_be_given_by_place_as_in_the_reference() -> None:
    model = gpt2()
    config = lamina.GenerationConfig(max_length=7, eos_token_id=None)

    def fifty(ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        return scores.index_fill_(1, torch.tensor([50]), 1e4)

    out = model.generate(IDS, config, [fifty], None, lambda source, ids: [50, 51], False, None, None)
    assert out[0].tolist() == [5, 9, 14, 50, 50, 50, 50]
    with pytest.raises(GenerationError, match="synced_gpus"):
        model.generate(IDS, config, synced_gpus=True)


def test_only_a_config_can_be_a_models_options() -> None:
    model = gpt2()
    with pytest.raises(lamina.errors.ConfigError, match="must be a GenerationConfig"):
        model.generation_config = {"num_beams": 3}
