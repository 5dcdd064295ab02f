"""Which parameters decay, and learning rates step by step, against stored ones of the reference's schedules."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from lamina.errors import TrainingError
from lamina.training.optimization import create_optimizer, create_scheduler, parameter_groups
from lamina.training.sampling import epoch_batches, own_share

from .tiny import arguments, bert

# get_scheduler(...) of transformers 4.57.6: rate 10.0, 10 steps of which 2 are warm-up
SCHEDULES = {
    "linear": ({}, [0.0, 5.0, 10.0, 8.75, 7.5, 6.25, 5.0, 3.75, 2.5, 1.25]),
    "cosine": (
        {},
        [0.0, 5.0, 10.0, 9.6193976626, 8.5355339059, 6.9134171618, 5.0, 3.0865828382, 1.4644660941, 0.3806023374],
    ),
    "polynomial": (
        {"power": 2.0, "lr_end": 1.0},
        [0.0, 5.0, 10.0, 7.890625, 6.0625, 4.515625, 3.25, 2.265625, 1.5625, 1.140625],
    ),
    "constant": ({}, [10.0] * 10),
    "constant_with_warmup": ({}, [0.0, 5.0] + [10.0] * 8),
}


@pytest.mark.parametrize("kind", SCHEDULES)
def test_schedules(kind: str, tmp_path: Path):
    options, wanted = SCHEDULES[kind]
    args = arguments(tmp_path, learning_rate=10.0, lr_scheduler_type=kind, warmup_steps=2, lr_scheduler_kwargs=options)
    optimizer = create_optimizer(bert(), args)
    scheduler = create_scheduler(optimizer, args, 10)
    found = []
    for _ in range(10):
        found.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    assert found == pytest.approx(wanted, abs=1e-9)


def test_unknown_options_of_a_schedule_are_refused(tmp_path: Path):
    args = arguments(tmp_path, lr_scheduler_kwargs={"power": 2})
    with pytest.raises(TrainingError, match="lr_scheduler_kwargs"):
        create_scheduler(create_optimizer(bert(), args), args, 10)


def test_biases_and_norms_do_not_decay():
    model = bert()
    decaying, spared = parameter_groups(model, 0.1)
    assert decaying["weight_decay"] == 0.1 and spared["weight_decay"] == 0.0
    assert all(parameter.dim() == 2 for parameter in decaying["params"])
    assert all(parameter.dim() == 1 for parameter in spared["params"])
    assert len(decaying["params"]) + len(spared["params"]) == len(list(model.parameters()))


def test_nothing_to_train_is_refused():
    with pytest.raises(TrainingError, match="no parameter to train"):
        parameter_groups(bert().requires_grad_(False), 0.0)


def test_order_is_a_function_of_seed_and_epoch():
    lengths = torch.randint(1, 100, (1000,), generator=torch.Generator().manual_seed(0)).tolist()
    for given in (None, lengths):
        first, again = (epoch_batches(1000, 16, 3, 1, given) for _ in range(2))
        assert first == again
        assert sorted(row for batch in first for row in batch) == list(range(1000))
        assert first != epoch_batches(1000, 16, 3, 2, given) != epoch_batches(1000, 16, 4, 1, given)
    padded = sum(len(batch) * max(lengths[row] for row in batch) for batch in first)
    plain = sum(len(batch) * max(lengths[row] for row in batch) for batch in epoch_batches(1000, 16, 3, 1))
    assert padded < sum(lengths) * 1.1 < plain
    assert max(lengths) in {lengths[row] for row in first[0]}


def test_ranks_share_every_batch():
    batches = epoch_batches(21, 4, 0, 0)
    shares = [own_share(batches, rank, 2) for rank in range(2)]
    assert len(shares[0]) == len(shares[1]) == 5  # the last row alone cannot be shared
    for batch, *parts in zip(batches, *shares, strict=False):
        assert sorted(batch) == sorted(row for part in parts for row in part)
