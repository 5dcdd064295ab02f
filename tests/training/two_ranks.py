"""What each of two processes does in test_ranks.py: train, and print what came out."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

from lamina.training import TrainerCallback
from tests.training.test_loop import QUIET, SGD, losses
from tests.training.tiny import bert, sentences, trainer, weights


class Dying(TrainerCallback):
    """The second process is gone after a step."""

    def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        if state.global_step == 5 and args.process_index == 1:
            os._exit(9)


def main(folder: Path, way: str) -> None:
    """`way` is "plain", or "whole", "dying" and "resumed", which save."""
    options: dict[str, Any] = {**SGD, "gradient_accumulation_steps": 2, "per_device_train_batch_size": 2}
    if way != "plain":
        options |= {"save_strategy": "steps", "save_steps": 2}
    callbacks = [Dying()] if way == "dying" else []
    model = bert(**QUIET) if way == "plain" else bert()
    run = trainer(folder, model, sentences(24), eval_dataset=sentences(7, 1), callbacks=callbacks, **options)
    run.train(resume_from_checkpoint=way == "resumed")
    loss = run.evaluate()["eval_loss"]
    if run.args.process_index == 0:
        digest = hashlib.sha256(b"".join(tensor.numpy().tobytes() for tensor in weights(run.model).values()))
        print(json.dumps({"losses": losses(run), "eval_loss": loss, "weights": digest.hexdigest()}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
