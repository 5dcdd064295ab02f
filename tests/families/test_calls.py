"""What a call says of its inputs is honoured or refused by name: masks, positions, types, a forward of one's own."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import lamina
from lamina.errors import GenerationError, InputError
from lamina.nn.model import packable

from .rows.row import TINY

IDS = torch.tensor([[5, 6, 7, 8, 2], [9, 10, 11, 2, 1]])
MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 1, 0]])
ENCODERS = ("BertModel", "RobertaModel", "DistilBertModel", "AlbertModel", "ElectraModel", "T5EncoderModel")
DECODERS = ("GPT2Model", "CTRLModel", "OpenAIGPTModel")
PAIRS = ("BartModel", "MBartModel", "MarianModel", "T5Model")
REFUSED: list[tuple[str, tuple[str, ...], dict[str, Any], str]] = [
    ("mask of fractions", (*ENCODERS, *DECODERS, *PAIRS), {"attention_mask": MASK * 0.5}, "must hold 1"),
    ("mask of other numbers", (*ENCODERS, *DECODERS, *PAIRS), {"attention_mask": MASK * 2}, "must hold 1"),
    ("short mask", (*ENCODERS, *DECODERS, *PAIRS), {"attention_mask": MASK[:, :3]}, "does not fit"),
    ("long mask", (*ENCODERS, *DECODERS, *PAIRS), {"attention_mask": MASK.repeat(1, 2)}, "does not fit"),
    ("added weights", (*ENCODERS, *DECODERS), {"attention_mask": torch.full((2, 1, 5, 5), -0.5)}, "must hold 1"),
    ("far position", (*ENCODERS[:-1], *DECODERS), {"position_ids": torch.tensor([[0, 1, 2, 3, 40]])}, "0 to 39"),
    ("position from the end", DECODERS, {"position_ids": torch.tensor([[0, 1, 2, 3, -1]])}, "run from -1"),
    ("unknown type", ("BertModel", "ElectraModel"), {"token_type_ids": MASK * 2}, "the model has 0 to 1"),
    ("type of no token", ("GPT2Model", "CTRLModel"), {"token_type_ids": MASK * 99}, "the model has 0 to 98"),
    ("ids of fractions", (*ENCODERS, *DECODERS, *PAIRS), {"input_ids": IDS.float()}, "whole numbers"),
]


def model(architecture: str) -> Any:
    cls = getattr(lamina, architecture)
    torch.manual_seed(0)
    options = {**TINY[cls.family.model_type], "initializer_range": 0.3}
    return cls(cls.config_class(**{k: v for k, v in options.items() if k in cls.config_class().to_dict()})).eval()


@pytest.mark.parametrize(
    ("architecture", "inputs", "said"),
    [pytest.param(name, *row[2:], id=f"{name}-{row[0]}") for row in REFUSED for name in row[1]],
)
def test_what_no_table_or_mask_can_mean_is_refused(architecture: str, inputs: dict[str, Any], said: str):
    decoder = {"decoder_input_ids": IDS[:, :3]} if architecture in PAIRS else {}
    with pytest.raises(InputError, match=said):
        model(architecture)(**{"input_ids": IDS, "attention_mask": MASK, **decoder, **inputs})


@pytest.mark.parametrize("architecture", (*ENCODERS, *DECODERS))
@torch.no_grad()
def test_a_mask_of_four_axes_may_be_added_or_true(architecture: str):
    made, seen = model(architecture), torch.ones(5, 5).tril().bool().expand(2, 1, 5, 5) & MASK.bool()[:, None, None]
    wanted = made(IDS, attention_mask=seen).last_hidden_state
    for hidden in (-1e4, torch.finfo(torch.float).min, -torch.inf):
        added = torch.zeros(2, 1, 5, 5).masked_fill(~seen, hidden)
        torch.testing.assert_close(made(IDS, attention_mask=added).last_hidden_state, wanted)
    assert not torch.allclose(made(IDS, attention_mask=torch.ones(2, 5)).last_hidden_state, wanted, atol=1e-2)


class Own(lamina.GPT2LMHeadModel):
    """A user's subclass."""

    def forward(self, *inputs: Any, **options: Any) -> Any:
        return super().forward(*inputs, **options)


def hooked(made: Any) -> Any:
    made.register_forward_hook(lambda module, inputs, output: None)
    return made


def patched(made: Any) -> Any:
    made.forward = made.forward
    return made


@pytest.mark.parametrize("change", [hooked, patched, lambda made: Own(made.config).eval()])
def test_a_forward_of_one_s_own_is_not_passed_by_in_silence(change: Any):
    plain = model("GPT2LMHeadModel")
    assert packable(plain)
    made = change(plain)
    assert not packable(made)
    with pytest.raises(GenerationError, match=r"own forward|hook"):
        made.generate(IDS[:1], max_new_tokens=2)
