"""The loop: what a step computes does not depend on how its batch was cut, padded or packed."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from lamina.errors import TrainingError, TrainingInterrupted
from lamina.nn.layouts import ByLength
from lamina.nn.model import Training
from lamina.training import TrainerCallback
from lamina.training.folders import newest

from .tiny import arguments, bert, collate, difference, equal, gpt2, sentences, t5, tagged, trainer, weights

QUIET = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
SILENT = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
SGD = {"optim": "sgd", "max_grad_norm": 0.0, "learning_rate": 0.1}  # Adam would blow differences of 1e-9 up


def losses(run: Any) -> list[float]:
    return [entry["loss"] for entry in run.state.log_history if "loss" in entry]


MODELS = {
    "tokens": (lambda: bert("BertForTokenClassification", num_labels=50, **QUIET), tagged),
    "masked": (lambda: bert("BertForMaskedLM", **QUIET), tagged),
    "causal": (lambda: gpt2(**SILENT), tagged),
    "sequences": (lambda: bert(**QUIET), sentences),
    "seq2seq": (lambda: t5(dropout_rate=0.0), tagged),
}


@pytest.mark.parametrize("kind", MODELS)
def test_micro_batches_equal_one_batch(kind: str, tmp_path: Path):
    make, data = MODELS[kind]
    whole = trainer(tmp_path / "a", make(), data(), per_device_train_batch_size=8, **SGD)
    parts = trainer(tmp_path / "b", make(), data(), per_device_train_batch_size=2, gradient_accumulation_steps=4, **SGD)
    whole_plan = [batch for epoch in range(3) for batch in whole.epoch(epoch).plan]
    again = [row for epoch in range(3) for batch in parts.epoch(epoch).plan for row in batch]
    assert [row for batch in whole_plan for row in batch] == again
    whole.train()
    parts.train()
    assert losses(whole) == pytest.approx(losses(parts), abs=1e-6)
    assert difference(weights(whole.model), weights(parts.model)) < 1e-6


@pytest.mark.parametrize("kind", ["tokens", "masked", "causal", "sequences"])
def test_packed_batches_equal_padded_ones(kind: str, tmp_path: Path):
    make, data = MODELS[kind]
    padded = trainer(tmp_path / "a", make(), data(), **SGD)
    packed = trainer(tmp_path / "b", make(), data(), padding_free=True, **SGD)
    padded.train()
    packed.train()
    assert losses(padded) == pytest.approx(losses(packed), abs=1e-5)
    assert difference(weights(padded.model), weights(packed.model)) < 1e-5


def test_packed_batches_may_be_read_in_one_call_where_nothing_is_dropped(tmp_path: Path, monkeypatch: Any):
    asked: list[tuple[torch.dtype, bool]] = []

    def choose(lengths: Any, causal: Any, bias: Any, device: Any, dtype: torch.dtype, dropping: bool, _: Any) -> Any:
        asked.append((dtype, dropping))
        return ByLength(lengths, causal, bias)

    monkeypatch.setattr("lamina.nn.layouts.choose", choose)
    for options in ({}, {"attention_probs_dropout_prob": 0.0}):
        run = trainer(tmp_path, bert(**options), padding_free=True, bf16=True, max_steps=1)
        run.train()
    assert asked == [(torch.bfloat16, True), (torch.bfloat16, False)]


def test_packed_batches_honor_attention_dropout(tmp_path: Path):
    runs = []
    for rate in (0.0, 0.5):
        model = bert(hidden_dropout_prob=0.0, attention_probs_dropout_prob=rate)
        runs.append(trainer(tmp_path / str(rate), model, padding_free=True, max_steps=1))
        runs[-1].train()
    assert losses(runs[0]) != losses(runs[1])


def test_packing_is_refused_where_it_cannot_be(tmp_path: Path):
    with pytest.raises(TrainingError, match="group_by_length"):
        trainer(tmp_path, t5(), tagged(), padding_free=True).train()


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", ["tokens", "masked", "causal", "seq2seq"])
def test_labelled_rows_alone_give_the_same(kind: str, packed: bool, tmp_path: Path):
    make, data = MODELS[kind]
    options = {**SGD, "padding_free": packed and kind != "seq2seq"}
    counts: dict[bool, list[int]] = {True: [], False: []}
    runs = []
    for alone in (False, True):
        run = trainer(tmp_path / str(alone), make(), data(), labelled_only=alone, **options)
        run.model.head.register_forward_hook(
            lambda module, given, found, alone=alone: counts[alone].append(found.shape[:-1].numel())
        )
        run.train()
        runs.append(run)
    assert losses(runs[0]) == pytest.approx(losses(runs[1]), abs=1e-6)
    assert difference(weights(runs[0].model), weights(runs[1].model)) < 1e-6
    assert sum(counts[True]) < 0.8 * sum(counts[False])


def test_checkpointed_activations_give_the_same(tmp_path: Path):
    kept, recomputed = trainer(tmp_path / "a"), trainer(tmp_path / "b", gradient_checkpointing=True)
    kept.train()
    recomputed.train()
    assert losses(kept) == pytest.approx(losses(recomputed), abs=1e-6)
    assert recomputed.model.encoder.checkpointing


def test_compiled_steps_give_the_same(tmp_path: Path):
    small = {**QUIET, "num_hidden_layers": 1}
    plain = trainer(tmp_path / "a", bert(**small), max_steps=3)
    ways = {"torch_compile": True, "torch_compile_backend": "eager"}
    compiled = trainer(tmp_path / "b", bert(**small), max_steps=3, **ways)
    plain.train()
    compiled.train()
    assert losses(plain) == pytest.approx(losses(compiled), abs=1e-5)


def test_bfloat16_stays_close(tmp_path: Path):
    full, half = trainer(tmp_path / "a", bert(**QUIET)), trainer(tmp_path / "b", bert(**QUIET), bf16=True)
    full.train()
    half.train()
    assert losses(full) != losses(half)
    assert losses(full) == pytest.approx(losses(half), abs=0.02)
    assert half.model.dtype == torch.float32


@pytest.mark.parametrize("faster", [True, False])
def test_a_processor_that_is_slower_in_bfloat16_is_told_of(
    faster: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr("lamina.training.arguments.has", lambda feature: faster)
    arguments(tmp_path, bf16=True)
    assert ("in bfloat16 more slowly" in caplog.text) is not faster


def test_smoothed_labels(tmp_path: Path):
    model = bert(**QUIET)
    batch = collate(sentences(4))
    model.train()
    smoothing = Training(smoothing=0.2)
    output = model(**batch, training=smoothing)
    logs = output.logits.log_softmax(-1)
    own = -logs.gather(1, batch["labels"][:, None]).mean()
    wanted = (0.8 * own - 0.2 * logs.mean()).item()
    assert output.loss.item() == pytest.approx(wanted, abs=1e-6)
    assert model.eval()(**batch, training=smoothing).loss.item() == pytest.approx(own.item(), abs=1e-6)
    smoothed = trainer(tmp_path, bert(**QUIET), label_smoothing_factor=0.2, max_steps=1)
    smoothed.train()
    plain = trainer(tmp_path / "plain", bert(**QUIET), max_steps=1)
    plain.train()
    assert losses(smoothed) != losses(plain)


def test_it_learns(tmp_path: Path):
    run = trainer(tmp_path, max_steps=80, learning_rate=1e-2, rows=sentences(32))
    found = run.train()
    assert found.global_step == 80 and losses(run)[0] > 0.5 and sum(losses(run)[-5:]) / 5 < 0.2
    assert found.training_loss == pytest.approx(sum(losses(run)) / 80, abs=1e-6)


def test_a_batch_that_is_no_number_is_named_and_leaves_the_weights(tmp_path: Path):
    class Poisoned(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(1, 1)

        def forward(self, x: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"loss": (self.layer(x) - labels).square().mean()}

    rows = [{"x": [float("nan") if number == 5 else 1.0], "labels": [1.0]} for number in range(8)]

    def stack(found: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        return {key: torch.tensor([row[key] for row in found]) for key in ("x", "labels")}

    run = trainer(
        tmp_path, Poisoned(), rows, data_collator=stack, per_device_train_batch_size=1, nan_patience=1, max_steps=8
    )
    with pytest.raises(TrainingError, match=r"rows \[5\]"):
        run.train()
    assert all(bool(torch.isfinite(p).all()) for p in run.model.parameters())
    patient = trainer(
        tmp_path, Poisoned(), rows, data_collator=stack, per_device_train_batch_size=1, nan_patience=2, max_steps=8
    )
    assert patient.train().global_step == 8
    assert all(bool(torch.isfinite(p).all()) for p in patient.model.parameters())


def test_memory_that_runs_out_says_what_to_lower(tmp_path: Path):
    class Full(torch.nn.Linear):
        def forward(self, input_ids: torch.Tensor, attention_mask: Any = None, labels: Any = None) -> Any:
            raise torch.OutOfMemoryError("no memory")

    run = trainer(tmp_path, Full(1, 1))
    with pytest.raises(TrainingError, match=r"\d+ tokens .*per_device_train_batch_size"):
        run.train()

    class Larger(torch.nn.Linear):
        def forward(self, input_ids: torch.Tensor, attention_mask: Any = None, labels: Any = None) -> Any:
            return {"loss": torch.empty(1 << 60, dtype=torch.uint8).sum()}

    with pytest.raises(TrainingError, match="out of memory on a batch"):
        trainer(tmp_path, Larger(1, 1)).train()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_run_between_steps_with_a_checkpoint(number: int, tmp_path: Path):
    class Sender(TrainerCallback):
        def on_step_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            if state.global_step == 3:
                os.kill(os.getpid(), number)

    whole = trainer(tmp_path / "whole")
    whole.train()
    run = trainer(tmp_path / "cut", callbacks=[Sender()])
    with pytest.raises(TrainingInterrupted, match="step 4 of 8") as caught:
        run.train()
    assert caught.value.code == 128 + number and isinstance(caught.value, SystemExit)
    assert newest(tmp_path / "cut") == tmp_path / "cut" / "checkpoint-4"
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    resumed = trainer(tmp_path / "cut", bert("BertForSequenceClassification", initializer_range=0.5))
    resumed.train(resume_from_checkpoint=True)
    assert equal(weights(whole.model), weights(resumed.model))
    assert losses(whole) == losses(resumed)


def test_the_log_holds_every_entry(tmp_path: Path):
    run = trainer(tmp_path, max_steps=4, logging_steps=2, eval_dataset=sentences(8, 1), eval_strategy="steps")
    run.train()
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 2, 4, 4]
    assert {"loss", "grad_norm", "learning_rate", "tokens_per_second", "epoch", "step"} == set(lines[0])
    assert "eval_loss" in lines[1]


def test_arguments_of_a_part_of_the_run(tmp_path: Path):
    args = arguments(tmp_path, logging_steps=0.25, warmup_steps=0.1)
    assert args.every("logging_steps", 100) == 25 and args.warmup(100) == 10
