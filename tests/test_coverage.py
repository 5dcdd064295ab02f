"""The table of checkpoints in docs/families.md says what their tiny folders do."""

from __future__ import annotations

import pytest

from scripts.coverage import KOREAN_TASKS, PAGE, TASKS, page, table, tried

FEWEST = {False: 70, True: 24}  # that run: never fewer again


@pytest.fixture(scope="module")
def found():
    return tried()


def test_every_checkpoint_of_the_list_is_tried():
    assert [sum(map(len, tasks.values())) for tasks in (TASKS, KOREAN_TASKS)] == [74, 26]


def test_as_many_run_as_ever_did(found):
    runs = {
        korean: sum(why is None for rows in tasks.values() for why in rows.values()) for korean, tasks in found.items()
    }
    assert all(runs[korean] >= fewest for korean, fewest in FEWEST.items()), runs


def test_the_page_says_so(found):
    text = PAGE.read_text(encoding="utf-8")
    assert page(text, table(found)) == text, "run python -m scripts.coverage --write"
