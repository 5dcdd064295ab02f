"""What a call returns: the reference's fields in its order, by name, key and position, or as a plain tuple."""

from __future__ import annotations

import pytest
import torch

from .goldens import CLASSES, arguments, golden, load


@pytest.mark.parametrize("row", CLASSES, ids=lambda row: row.architecture)
def test_fields_answer_by_name_key_and_position(row, checkpoint):
    answer = golden(row)
    model = load(row, checkpoint(row))
    with torch.no_grad():
        output = model(**arguments(answer.inputs))
        plain = model(**arguments(answer.inputs), return_dict=False)
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
