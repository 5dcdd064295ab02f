"""The harness's arithmetic, and one row run from end to end with contenders that need no engine."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import pytest

from benchmarks.compare import Bound, closeness, cosine, same_places, summary, wording
from benchmarks.harness import Contender, Row, judge, parse, run_row, write
from benchmarks.peers.batches import arrange, padded
from benchmarks.table import overview, table


def test_rounds_become_a_median_and_disturbed_ones_are_counted() -> None:
    found = summary([{"seconds": s, "others": o} for s, o in ((3.0, 0.0), (1.0, 0.5), (2.0, 0.01))])
    assert found == {"median_s": 2.0, "min_s": 1.0, "max_s": 3.0, "rounds": 3, "dirty": 1}


def test_cosine_of_known_vectors() -> None:
    assert cosine([1.0, 0.0], [1.0, 1.0]) == pytest.approx(math.sqrt(0.5))
    found = closeness({"vectors": [[1.0, 0.0], [0.0, 2.0]]}, {"vectors": [[1.0, 1.0], [0.0, 1.0]]})
    assert found["cosine_min"] == pytest.approx(math.sqrt(0.5))
    assert found["cosine"] == pytest.approx((1 + math.sqrt(0.5)) / 2)


def test_ids_that_one_side_lacks_count_as_different() -> None:
    assert same_places([[1, 2, 3], [4]], [[1, 9], [4]]) == 0.5
    assert same_places([[1]], [[1], [2]]) == 0.0
    assert wording(closeness({"ids": [[1, 2]]}, {"ids": [[1, 2]]})) == "same ids"


@pytest.mark.parametrize(
    ("bound", "precision", "seconds"),
    [
        (Bound(5e9), "fp32", 0.1),  # 10 GFLOP at 100 GFLOP/s
        (Bound(1, weights=1e9, passes=2), "fp32", 0.8),  # 8 GB at 10 GB/s
        (Bound(1, weights=1e9, passes=2), "int8", 0.2),
        (Bound(5e9), "bf16", None),
    ],
)
def test_least_seconds_by_what_the_machine_can_do(bound: Bound, precision: str, seconds: float | None) -> None:
    limits = {"fp32_gflops": 100, "int8_gflops": 400, "memory_gbs": 10}
    assert bound.seconds(limits, precision) == (None if seconds is None else pytest.approx(seconds))


def test_every_policy_reads_every_row_once_and_the_budget_holds() -> None:
    rows = [[1] * length for length in (40, 700, 5, 400, 40, 3, 600, 2000)]
    for policy in ("arrival", "sorted", "budget"):
        assert sorted(number for batch in arrange(rows, policy) for number in batch) == list(range(8))
    for batch in arrange(rows, "budget"):
        assert len(batch) == 1 or len(batch) * max(len(rows[number]) for number in batch) <= 1024
    assert padded([[1, 2], [3]], [0, 1], filler=9) == ([[1, 2], [3, 9]], [[1, 1], [1, 0]])


def test_a_promise_may_be_made_against_another_contender() -> None:
    row = Row("r", {}, [Contender("a", "m:f"), Contender("b", "m:f"), Contender("c", "m:f", wanted=2, against="b")])
    lines = {"a": {"median_s": 9.0}, "b": {"median_s": 3.0}, "c": {"median_s": 1.0}}
    judge(row, lines)
    assert (lines["c"]["found"], lines["c"]["met"]) == (3.0, True)
    lines["c"]["median_s"] = 2.0
    judge(row, lines)
    assert lines["c"]["met"] is False


def test_a_fast_answer_that_is_too_far_off_keeps_no_promise() -> None:
    row = Row("r", {}, [Contender("a", "m:f"), Contender("b", "m:f", wanted=2, cosine=0.99)])
    for cosine_found, met in ((0.995, True), (0.98, False)):
        lines = {"a": {"median_s": 9.0}, "b": {"median_s": 1.0, "accuracy": {"cosine": cosine_found}}}
        judge(row, lines)
        assert lines["b"]["met"] is met


def command(*arguments: str) -> dict[str, object]:
    return {"python": sys.executable, "arguments": list(arguments)}


def test_a_row_from_end_to_end(tmp_path: Path) -> None:
    say = 'print(\'{"output": {"label": "x", "score": %s}}\')'
    row = Row(
        "starts",
        {"folder": "", "text": ""},
        [
            Contender("transformers", "process:start", command("-c", say % 0.5)),
            Contender("lamina", "process:start", command("-c", say % 0.25), wanted=0.01),
            Contender("broken", "process:start", command("-c", "raise SystemExit(3)")),
            Contender("missing", "process:start", {"python": str(tmp_path / "none"), "arguments": []}),
            Contender("unknown", "no_such_engine:encode"),
        ],
    )
    options = parse("starts", ["--rounds", "2", "--no-realtime", "--peers", sys.executable])
    found = run_row(row, options)
    lines = found["lines"]
    assert lines["transformers"]["rounds"] == 2
    assert lines["lamina"]["accuracy"] == {"ids": 1.0, "difference": 0.25}
    assert lines["lamina"]["ratio"] > 0
    assert lines["lamina"]["met"] is True
    assert "failed" in lines["broken"]
    assert "absent" in lines["missing"]
    assert "absent" in lines["unknown"]
    text = table(row.name, found)
    assert "same ids" in text
    assert "| missing | absent" in text
    assert len(list(overview({row.name: found}))) == 1


def test_rows_of_a_file_are_replaced_by_name(tmp_path: Path) -> None:
    file = tmp_path / "results" / "x.json"
    for name, value in (("a", 1), ("b", 2), ("a", 3)):
        write(file, name, {"value": value})
    assert json.loads(file.read_text()) == {"a": {"value": 3}, "b": {"value": 2}}
