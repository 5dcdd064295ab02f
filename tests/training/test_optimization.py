"""Which parameters decay, and learning rates step by step, against stored ones of the reference's schedules."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
import torch

from lamina.errors import TrainingError
from lamina.training.assembly import make_engine
from lamina.training.optimization import create_optimizer, create_scheduler, parameter_groups
from lamina.training.sampling import epoch_batches, own_share

from .test_loop import QUIET
from .tiny import arguments, bert, collate, difference, equal, sentences, trainer, weights

STORED = json.loads((Path(__file__).parent / "golden" / "schedules.json").read_text())


@pytest.mark.parametrize("name", STORED["cases"])
def test_schedules_are_the_reference_s(name: str, tmp_path: Path):
    case, rate = STORED["cases"][name], STORED["rate"]
    options = {"lr_scheduler_type": case["kind"], "lr_scheduler_kwargs": case["options"]}
    args = arguments(tmp_path, learning_rate=rate, warmup_steps=STORED["warmup"], **options)
    optimizer = create_optimizer(bert(), args)
    scheduler = create_scheduler(optimizer, args, STORED["steps"])
    found = []
    for _ in case["rates"]:
        found.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    assert found == pytest.approx(case["rates"], abs=1e-9)


def test_clipping_inside_the_fused_step_is_torch_s_own(tmp_path: Path):
    rows, limit = sentences(8), 0.05
    ours = trainer(tmp_path, bert(**QUIET), rows, per_device_train_batch_size=8, max_steps=3, max_grad_norm=limit)
    order = [ours.epoch(number).plan[0] for number in range(3)]
    ours.train()
    model = bert(**QUIET).train()
    optimizer = create_optimizer(model, ours.args)
    scheduler = create_scheduler(optimizer, ours.args, 3)
    norms = []
    for batch in order:
        model(**collate([rows[number] for number in batch])).loss.backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_(model.parameters(), limit)))
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()
    assert min(norms) > limit
    assert [entry["grad_norm"] for entry in ours.state.log_history[:3]] == pytest.approx(norms, rel=1e-4)
    assert difference(weights(model), weights(ours.model)) < 1e-6


@pytest.mark.parametrize("optim", ["adamw_torch_fused", "adamw_torch", "sgd"])
def test_a_step_on_no_numbers_changes_nothing(optim: str, tmp_path: Path):
    model = bert()
    engine = make_engine(model, arguments(tmp_path, optim=optim, learning_rate=0.1), None, None, 8)
    engine.update([collate(sentences(4))], [0], 1)
    before, held = weights(model), copy.deepcopy(engine.optimizer.state_dict()["state"])
    bad = collate(sentences(4, 1))
    model.head.project.register_forward_hook(lambda module, given, found: found * float("nan"))
    engine.update([bad], [0], 2)
    assert equal(before, weights(model))
    after = engine.optimizer.state_dict()["state"]
    for number, values in held.items():
        assert all(value is None or torch.equal(value, after[number][key]) for key, value in values.items())


def test_unknown_options_of_a_schedule_are_refused(tmp_path: Path):
    for kind, options in (
        ("linear", {"power": 2}),
        ("warmup_stable_decay", {}),
        ("warmup_stable_decay", {"num_decay_steps": 2, "decay_type": "steep"}),
    ):
        args = arguments(tmp_path, lr_scheduler_type=kind, lr_scheduler_kwargs=options)
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
