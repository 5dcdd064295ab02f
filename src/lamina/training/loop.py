"""The loop: epochs of batches, a step for each few of them, and what happens between two steps."""

from __future__ import annotations

import logging
import math
import time
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import TrainingInterrupted
from .engine import Engine
from .loading import load
from .signals import Signals

logger = logging.getLogger("lamina")

if TYPE_CHECKING:
    from .trainer import Trainer


class Loop:
    """One run of a trainer, from where its state says to the end."""

    def __init__(self, trainer: Trainer, engine: Engine, batches: int, signals: Signals):
        """`batches` are those of one epoch for one process."""
        self.trainer, self.engine, self.batches, self.signals = trainer, engine, batches, signals
        self.args, self.state, self.control = trainer.args, trainer.state, trainer.control
        self.began = self.started = time.perf_counter()
        self.first = self.state.global_step, self.state.epoch
        self.saved = -1  # the step of the last checkpoint
        self.every = {
            name: self.args.every(f"{name}_steps", self.state.max_steps) if getattr(self.args, f"{name}_steps") else 0
            for name in ("logging", "eval", "save")
        }

    def run(self) -> None:
        """Train until the last step, or until a callback or a signal ends it."""
        self.trainer.call("on_train_begin")
        if self.args.eval_on_start and self.state.global_step == 0:
            self.trainer.evaluate_between()
        while not self._done():
            self._epoch()
        self._finish_log()
        self.trainer.prune_checkpoints()
        self.trainer.call("on_train_end")

    def _done(self) -> bool:
        """Not before the end of an epoch whose last step a checkpoint already has."""
        state = self.state
        if self.control.should_training_stop:
            return True
        return state.global_step >= state.max_steps and state.position < state.epoch_batches

    def _epoch(self) -> None:
        state, control = self.state, self.control
        control.should_epoch_stop = False
        if state.position == 0:
            self.trainer.call("on_epoch_begin")
        source = self.trainer.epoch(state.epoch_number)
        state.epoch_batches = len(source)
        workers, pin = self.args.dataloader_num_workers, self.args.dataloader_pin_memory
        loader = load(source, state.position, workers, pin and self.args.device.type == "cuda")
        size = self.args.gradient_accumulation_steps
        while group := list(islice(loader, size)):
            rows = [row for batch in source.plan[state.position : state.position + len(group)] for row in batch]
            self.trainer.call("on_step_begin")
            self.engine.update(group, rows, state.global_step + 1, bool(self.signals.number))
            state.global_step += 1
            state.position += len(group)
            self.trainer.call("on_step_end")
            self._ask_after_step()
            self._between()
            self._obey_signals()
            if self._stopped():
                break
        if state.position >= state.epoch_batches or control.should_epoch_stop:
            self._end_epoch()

    def _stopped(self) -> bool:
        control = self.control
        return (
            control.should_training_stop or control.should_epoch_stop or self.state.global_step >= self.state.max_steps
        )

    def _end_epoch(self) -> None:
        state, args, control = self.state, self.args, self.control
        state.epoch_number, state.position = state.epoch_number + 1, 0
        self.trainer.call("on_epoch_end")
        control.should_log |= args.logging_strategy == "epoch"
        control.should_evaluate |= args.eval_strategy == "epoch"
        control.should_save |= args.save_strategy == "epoch"
        self._between()
        self._obey_signals()

    def _ask_after_step(self) -> None:
        """Set the switches that the arguments set at this step."""
        step, args, control = self.state.global_step, self.args, self.control
        if (args.logging_strategy == "steps" and step % self.every["logging"] == 0) or (
            args.logging_first_step and step == 1
        ):
            control.should_log = True
        if args.eval_strategy == "steps" and step % self.every["eval"] == 0:
            control.should_evaluate = True
        if args.save_strategy == "steps" and (step % self.every["save"] == 0 or step == self.state.max_steps):
            control.should_save = True

    def _between(self) -> None:
        """Log, evaluate, save: whatever is asked for, in this order."""
        control = self.control
        if control.should_log:
            control.should_log = False
            self.log()
        paused = time.perf_counter()
        if control.should_evaluate:
            control.should_evaluate = False
            better = self.trainer.evaluate_between()
            control.should_save |= better and self.args.save_strategy == "best"
        if control.should_save:
            control.should_save = False
            self._save()
        self.began += time.perf_counter() - paused  # speed is that of training

    def _save(self) -> Path:
        self._settle()
        self.saved = self.state.global_step
        return self.trainer.save_checkpoint()

    def _settle(self) -> None:
        """Put into the state what the engine holds apart."""
        self.state.loss_since_log += self.engine.take_loss()

    def log(self) -> None:
        """The mean loss since the last time, and the speed."""
        state = self.state
        steps = state.global_step - state.logged_step
        self._settle()
        if not steps:
            return
        now = time.perf_counter()
        seconds = max(now - self.began, 1e-9)
        values: dict[str, float] = {
            "loss": state.loss_since_log / steps,
            "grad_norm": float(self.engine.norm),
            "learning_rate": float(self.engine.scheduler.get_last_lr()[0]),
            "tokens_per_second": round(self.engine.tokens / seconds, 1),
        }
        used = self.engine.utilization(seconds)
        if used is not None:
            values["mfu"] = round(used, 4)
        state.loss_sum += state.loss_since_log
        state.loss_since_log, state.logged_step = 0.0, state.global_step
        self.engine.tokens, self.began = 0, now
        self.trainer.log({name: value for name, value in values.items() if math.isfinite(value)})

    def _finish_log(self) -> None:
        self._settle()
        skipped, empty = int(self.engine.skipped), self.engine.empty
        if skipped:
            logger.warning(
                "%d steps had a loss or gradient that is not finite: they were not taken, and count as 0", skipped
            )
        if empty:
            logger.warning("%d steps had no target at all: every label of theirs is missing or ignored", empty)

    def _obey_signals(self) -> None:
        if not (self.engine.interrupted or self.signals.number) or (
            self.args.world_size > 1 and not self.engine.interrupted
        ):
            return
        step = self.state.global_step
        folder = Path(self.args.output_dir) / f"checkpoint-{step}" if self.saved == step else self._save()
        number = self.signals.number or 15
        raise TrainingInterrupted(
            f"training was asked to end at step {step} of {self.state.max_steps}; resume from {folder}",
            128 + number,
        )

    def summary(self) -> dict[str, float]:
        """What became of the run, under the reference's names; speeds are those since it began or went on."""
        args, state = self.args, self.state
        seconds = max(time.perf_counter() - self.started, 1e-9)
        steps, epochs = state.global_step - self.first[0], state.epoch - self.first[1]
        rows = steps * args.per_device_train_batch_size * args.gradient_accumulation_steps * args.world_size
        rows = min(rows, math.ceil(epochs * len(self.trainer.train_dataset)))
        return {
            "train_runtime": round(seconds, 4),
            "train_samples_per_second": round(rows / seconds, 3),
            "train_steps_per_second": round(steps / seconds, 3),
            "train_loss": (state.loss_sum + state.loss_since_log) / max(1, state.global_step),
            "epoch": state.epoch,
        }


def steps_of(batches: int, accumulation: int, epochs: float, max_steps: int) -> tuple[int, int]:
    """Steps and epochs of a whole run, `batches` an epoch."""
    per_epoch = math.ceil(batches / accumulation)
    if max_steps > 0:
        return max_steps, math.ceil(max_steps / per_epoch)
    return math.ceil(epochs * per_epoch), math.ceil(epochs)
