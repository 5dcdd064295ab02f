"""The table itself: no family or head without a row, no row without its golden, no golden out of date."""

from __future__ import annotations

import numpy as np
import pytest

import lamina
from lamina.families import MODULES, family

from .goldens import ACTIVE, GOLDEN, golden
from .rows import FAMILIES, ROWS

VERSIONS = {"transfo-xl": "4.37.2"}


def test_every_family_has_rows():
    assert set(MODULES) <= set(FAMILIES)


@pytest.mark.parametrize("model_type", MODULES)
def test_every_head_has_a_row(model_type: str):
    heads = {task.architecture for task in family(model_type).tasks}
    assert heads == {row.architecture for row in FAMILIES[model_type]}


def test_every_row_has_a_class():
    missing = {row.architecture for row in ACTIVE if not hasattr(lamina, row.architecture)}
    assert not missing


def test_rows_are_told_apart():
    assert len({row.id for row in ROWS}) == len(ROWS)


def test_no_golden_is_left_over():
    assert {path.stem for path in GOLDEN.glob("*.safetensors")} == {row.id for row in ROWS}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_golden_answers_the_row_as_it_stands(row):
    answer = golden(row)
    assert answer.reference == VERSIONS.get(row.family, "4.57.6")
    assert answer.changes == row.changes
    inputs = row.inputs()
    assert list(sorted(answer.inputs)) == sorted(inputs)
    for name, array in inputs.items():
        np.testing.assert_array_equal(answer.inputs[name], array, err_msg=name)
    assert (GOLDEN / f"{row.id}.safetensors").stat().st_size < 60_000
