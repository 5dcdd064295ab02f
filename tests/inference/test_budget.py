"""The token budget: a default, what was measured here, and no trust in a damaged note."""

from __future__ import annotations

from pathlib import Path

import pytest

from lamina.errors import InputError
from lamina.inference import batching as budget
from lamina.inference.batching import ACCELERATOR_TOKENS, keep_budget, measure_budget, token_budget


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    return tmp_path


def test_a_machine_that_was_never_measured_takes_the_defaults() -> None:
    assert token_budget("cpu") == 1024
    assert token_budget("cuda") == ACCELERATOR_TOKENS
    assert not budget.budget_file().exists()


def test_what_was_measured_is_used_from_then_on() -> None:
    assert keep_budget("cpu", 512).is_file()
    keep_budget("cuda", 4096)
    assert (token_budget("cpu"), token_budget("cuda")) == (512, 4096)


@pytest.mark.parametrize("text", ["", "[1]", '{"cuda": "many"}', '{"cuda": 0}', '{"cuda": 1e99}', "\x00"])
def test_a_damaged_note_is_passed_over(text: str) -> None:
    budget.budget_file().parent.mkdir(parents=True)
    budget.budget_file().write_text(text)
    assert token_budget("cuda") == ACCELERATOR_TOKENS


def test_absurd_budgets_are_refused() -> None:
    with pytest.raises(InputError, match="64 to"):
        keep_budget("cpu", 1)


def test_the_fastest_budget_wins_and_a_tie_goes_to_the_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    costs = {256: 2.0, 512: 1.0, 1024: 0.99, 2048: 1.5, 4096: 3.0}

    def run(tokens: int) -> None:
        clock[0] += costs[tokens]

    monkeypatch.setattr(budget.time, "perf_counter", lambda: clock[0])
    assert measure_budget(run) == 512
