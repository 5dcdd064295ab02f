"""`lamina bench`: every precision beside float32, in a process of its own, as a table or as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lamina.cli import bench
from lamina.inference import batching as budget
from tests.cli.conftest import Finished

Lamina = Callable[..., Finished]
Checkpoint = Callable[[str], str]


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trials in this process: a fresh one would spend its time on importing torch."""
    monkeypatch.setattr(bench, "in_own_process", bench.run_trial)


def results(finished: Finished) -> dict[str, dict[str, Any]]:
    assert finished.status == 0, finished.err
    return {each["precision"]: each for each in json.loads(finished.out)["results"]}


def test_a_classifier_in_each_precision(lamina: Lamina, checkpoint: Checkpoint, here: None) -> None:
    found = results(lamina("bench", checkpoint("bert-moods"), "--threads", "1", "--json"))
    assert list(found) == ["fp32", "fp32-packed", "int8", "int8-accurate"]
    for each in found.values():
        assert each["tokens_per_second"] > 0 and each["latency_ms"] > 0 and each["peak_bytes"] > 1e7
        assert each["cosine"] > 0.98 and each["agreement"] >= 0.9
    assert found["fp32"]["speedup"] == 1 and found["fp32"]["agreement"] == 1
    assert found["fp32-packed"]["cosine"] == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("name", ["gpt2", "t5"])
def test_a_model_that_writes(lamina: Lamina, writer: Checkpoint, here: None, name: str) -> None:
    found = results(lamina("bench", writer(name), "-p", "int8", "--threads", "1", "--json"))
    assert list(found) == ["fp32", "int8"]
    assert found["int8"]["single_tokens_per_second"] > 0
    assert found["int8"]["cosine"] > 0.9 and 0 <= found["int8"]["agreement"] <= 1


def test_a_table_for_people_and_texts_of_ones_own(
    lamina: Lamina, checkpoint: Checkpoint, here: None, tmp_path: Path
) -> None:
    (tmp_path / "texts.txt").write_text("one text\nanother, longer text\n", encoding="utf-8")
    finished = lamina(
        "bench", checkpoint("bert-mask"), "-p", "int8", "-f", str(tmp_path / "texts.txt"), "--threads", "1"
    )
    words = " ".join(finished.out.split())  # a long path may break the first line
    assert "2 texts" in words and "1 threads on cpu" in words
    assert [line.split()[0] for line in finished.out.splitlines()[-2:]] == ["fp32", "int8"]
    assert "int8 done" in finished.err


def test_the_best_budget_is_kept(
    lamina: Lamina, checkpoint: Checkpoint, here: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    found = results(lamina("bench", checkpoint("bert-body"), "-p", "fp32-packed", "--threads", "1", "--tune", "--json"))
    assert budget.token_budget("cpu") == found["fp32"]["budget"]


def test_wrong_precisions_and_empty_files_are_refused(lamina: Lamina, checkpoint: Checkpoint, tmp_path: Path) -> None:
    finished = lamina("bench", checkpoint("bert-body"), "-p", "int3")
    assert finished.status == 2 and "int3" in finished.err
    (tmp_path / "empty.txt").write_text("")
    finished = lamina("bench", checkpoint("bert-body"), "-f", str(tmp_path / "empty.txt"))
    assert finished.status == 1 and "no texts" in finished.err


def test_a_process_of_its_own(checkpoint: Checkpoint) -> None:
    found = bench.in_own_process(bench.Trial(checkpoint("bert-body"), "int8", [[5, 6, 7], [8, 9]], 1, "cpu"))
    assert len(found["vectors"]) == 2 and found["peak_bytes"] > 1e7


@pytest.mark.parametrize(("name", "usual"), [("gpt2", bench.WRITING_DEFAULTS), ("bert-mask", bench.DEFAULTS)])
def test_what_is_measured_unless_named_is_for_the_kind_of_model(
    lamina: Lamina, writer: Checkpoint, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch, name: str, usual: Any
) -> None:
    asked: list[list[str]] = []
    monkeypatch.setattr(bench, "run_all", lambda trial, precisions, shown: asked.append(precisions) or [{}])
    assert lamina("bench", (writer if name == "gpt2" else checkpoint)(name), "--json").status == 0
    assert asked == [usual]
