"""A progress bar of training on terminals: step, loss, learning rate, tokens per second, time left."""

from __future__ import annotations

import sys
from typing import Any

from .arguments import TrainingArguments
from .callbacks import TrainerCallback, TrainerControl
from .state import TrainerState


class ProgressCallback(TrainerCallback):
    """Drawn on standard error; numbers change whenever they are logged."""

    def __init__(self) -> None:
        self.bar: Any = None
        self.row: Any = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: Any
    ) -> None:
        hidden = not sys.stderr.isatty() if args.disable_tqdm is None else args.disable_tqdm
        if hidden or not state.is_world_process_zero:
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self.bar = Progress(
            TextColumn("training"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
            TextColumn("{task.fields[numbers]}"), console=Console(stderr=True),
        )  # fmt: skip
        self.row = self.bar.add_task("", total=state.max_steps, completed=state.global_step, numbers="")
        self.bar.start()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: Any) -> None:
        if self.bar is not None:
            self.bar.update(self.row, completed=state.global_step)

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: Any) -> None:
        """Show the newest numbers; results of evaluations stay above the bar."""
        values = more["logs"]
        if self.bar is None:
            return
        shown = {
            "loss": "loss {:.4f}",
            "learning_rate": "lr {:.2e}",
            "tokens_per_second": "{:,.0f} tokens/s",
            "mfu": "MFU {:.0%}",
        }
        parts = [text.format(values[name]) for name, text in shown.items() if name in values]
        if parts:
            self.bar.update(self.row, numbers="  ".join(parts))
        results = {k: v for k, v in values.items() if k.startswith("eval_") and not k.endswith(("_runtime", "_second"))}
        if results:
            text = "  ".join(f"{name} {value:.4f}" for name, value in results.items())
            self.bar.console.print(f"epoch {state.epoch:.2f}  {text}", highlight=False)

    def close(self) -> None:
        """Leave the last state on the screen; also where training ends early."""
        if self.bar is not None:
            self.bar.stop()
            self.bar = None
