"""Passes side by side: the same answers in the same order, on threads of one, and nothing changed for anybody else."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from threading import Barrier, get_ident

import pytest
import torch

import lamina
from lamina.inference.batching import runs_apart, side_by_side, workers


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_batches_run_at_once_on_one_thread_each() -> None:
    meeting = Barrier(2, timeout=300)

    def run(number: int) -> tuple[int, int, int]:
        meeting.wait()  # broken unless two are there
        return number, torch.get_num_threads(), get_ident()

    found = list(side_by_side(run, range(4)))
    assert [number for number, *_ in found] == [0, 1, 2, 3]
    assert {threads for _, threads, _ in found} == {1}
    assert get_ident() not in {who for *_, who in found}


def test_what_is_left_over_runs_on_all_threads() -> None:
    found = list(side_by_side(lambda number: (torch.get_num_threads(), get_ident()), range(5)))
    assert [threads for threads, _ in found] == [1, 1, 1, 1, 2]
    assert found[-1][1] == get_ident()


@pytest.mark.parametrize("threads", [1, 4])
def test_too_few_batches_run_one_after_another(threads: int) -> None:
    torch.set_num_threads(threads)
    found = list(side_by_side(lambda number: (number, torch.get_num_threads(), get_ident()), range(3)))
    assert found == [(number, threads, get_ident()) for number in range(3)]


def test_autocast_belongs_to_the_caller() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        assert all(side_by_side(lambda _: torch.is_autocast_enabled("cpu"), range(4)))


def test_other_threads_compute_as_before() -> None:
    list(side_by_side(lambda number: number, range(4)))
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert [*found, torch.get_num_threads()] == [2, 2]


def test_a_failure_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        list(side_by_side(lambda number: 1 // number, range(4)))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_has_threads_of_its_own() -> None:
    list(side_by_side(lambda number: number, range(2)))
    child = os.fork()
    if child == 0:
        workers(2)
        os._exit(list(side_by_side(lambda number: number, range(4))) != [0, 1, 2, 3])
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_compiled_model_runs_by_itself() -> None:
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    model = lamina.BertForSequenceClassification(lamina.BertConfig(vocab_size=50, **sizes))
    assert runs_apart(model)
    lamina.compile(model, backend="eager", warm_up=False)
    assert not runs_apart(model)
