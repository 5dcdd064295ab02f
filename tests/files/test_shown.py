"""Values of strangers are described in bounded time, memory and length."""

from __future__ import annotations

import pytest

from lamina.files.shown import LIMIT, shown


def doubled(levels: int) -> tuple[object, ...]:
    nested: tuple[object, ...] = ()
    for _ in range(levels):
        nested = (nested, nested)
    return nested


class Loud:
    def __repr__(self) -> str:
        raise AssertionError("the repr of an unknown class was called")


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("a name", "'a name'"),
        (7, "7"),
        (-1.5, "-1.5"),
        (None, "None"),
        (True, "True"),
        ((2, 3), "(2, 3)"),
        ({"a": [1]}, "{'a': [1]}"),
        (10**5000, "an integer of 16,610 bits"),
        ("x" * 10**6, "..."),
        (b"x" * 10**6, "..."),
        (list(range(10**6)), "[0, 1, 2, 3, ...]"),
        (doubled(60), "(((...), (...))"),
        (Loud(), "a Loud"),
        ([Loud()], "[a Loud]"),
        (Loud, "Loud"),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else type(value).__name__,
)
def test_descriptions(value: object, says: str):
    text = shown(value)
    assert says in text
    assert len(text) <= LIMIT
