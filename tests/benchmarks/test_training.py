"""What the training benchmark counts, and that both sides are given the same batches."""

from __future__ import annotations

import pytest

from benchmarks.peers.rows import collate, dataset, losses
from benchmarks.training import SIZE, bound, contenders, order


def test_operations_are_three_times_those_of_reading() -> None:
    rows = [[0] * 4, [0] * 6]
    weights = 2 * (4 * 8 * 8 + 2 * 8 * 32)
    wanted = 3 * (weights * 10 + 2 * 2 * 8 * (16 + 36))
    assert bound(rows, 2, 8, 32).multiplications == wanted
    assert bound(rows, 2, 8, 32, vocabulary=100).multiplications == wanted + 3 * 800 * 10


def test_every_row_comes_once_in_whole_batches() -> None:
    assert sorted(order(6 * SIZE)) == list(range(6 * SIZE))


def test_rows_are_padded_batch_by_batch() -> None:
    rows = dataset({"ids": [[5, 6, 7], [8]], "labels": [1, 0]})
    batch = collate(rows)
    assert batch["input_ids"].tolist() == [[5, 6, 7], [8, 0, 0]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    assert batch["labels"].tolist() == [1, 0]
    assert dataset({"ids": [[5, 6]], "labels": None})[0]["labels"] == [5, 6]
    assert losses([{"loss": 1.0}, {"eval_loss": 2.0}, {"loss": 0.5}]) == {"scores": [1.0, 0.5]}


@pytest.mark.parametrize(("dropout", "wanted"), [("dropout as published", 1.9), ("attention dropout off", 2.7)])
def test_what_is_promised(dropout: str, wanted: float) -> None:
    found = {each.name: each for each in contenders(dropout)}
    assert found["lamina, packed"].wanted == wanted and not found["lamina, packed"].options.get("bf16")
    assert next(iter(found)) == "transformers Trainer"
