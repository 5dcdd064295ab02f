"""What a call returns: the reference's fields in its order, by name, key and position, or as a plain tuple."""

from __future__ import annotations

import pytest
import torch

from .goldens import ACTIVE, call, golden, load

each = pytest.mark.parametrize("row", ACTIVE, ids=lambda row: row.id)


@each
def test_fields_come_in_the_reference_order(row, checkpoint):
    answer = golden(row)
    with torch.no_grad():
        outputs = call(
            row,
            load(row, checkpoint(row)),
            answer.inputs,
            output_hidden_states=answer.hidden,
            output_attentions=row.attentions,
        )
    for output, keys in zip(outputs, answer.keys, strict=True):
        assert [key for key in output.keys() if key != "past_key_values"] == keys  # noqa: SIM118 (a contract)


@pytest.mark.parametrize("row", [row for row in ACTIVE if row.segments == 1], ids=lambda row: row.id)
def test_fields_answer_by_name_key_and_position(row, checkpoint):
    answer = golden(row)
    model = load(row, checkpoint(row))
    with torch.no_grad():
        output = call(row, model, answer.inputs)[-1]
        plain = call(row, model, answer.inputs, return_dict=False)[-1]
    keys = list(output.keys())
    assert isinstance(plain, tuple)
    assert len(plain) == len(keys) == len(output) == len(output.to_tuple())
    for position, key in enumerate(keys):
        value = output[position]
        assert output[key] is value
        assert getattr(output, key) is value
        assert key in output
        if torch.is_tensor(value):
            torch.testing.assert_close(plain[position], value)
    assert output[:1] == output.to_tuple()[:1]
    with pytest.raises(KeyError):
        output["no_such_field"]
