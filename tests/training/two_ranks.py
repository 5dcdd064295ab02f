"""What each of two processes does in test_ranks.py: train in several ways, and write down what came of each."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import lamina
from lamina.training import TrainerCallback
from lamina.training.folders import newest
from lamina.training.sharding import gathered, sharded
from tests.training.test_loop import QUIET, SGD, losses
from tests.training.tiny import bert, equal, sentences, trainer, weights

WAYS = {"ddp": "", "full_shard": "full_shard"}
PACKED, RECOMPUTED, NARROW = {"padding_free": True}, {"gradient_checkpointing": True}, {"bf16": True}
MIXTURES: dict[str, dict[str, Any]] = {
    "packed": PACKED,
    "recomputed": RECOMPUTED,
    "narrow": NARROW,
    "all": PACKED | RECOMPUTED | NARROW,
}
OPTIONS: dict[str, Any] = {**SGD, "gradient_accumulation_steps": 2, "per_device_train_batch_size": 2}
SAVING = {"save_strategy": "steps", "save_steps": 2, "optim": "adamw_torch_fused", "learning_rate": 1e-3}


class Dying(TrainerCallback):
    """The second process is gone after a step."""

    def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        if state.global_step == 5 and args.process_index == 1:
            os._exit(9)


def digest(model: Any, split: bool) -> str:
    """Of all weights; empty in the second process where they are split."""
    tensors = gathered(model) if split else weights(model)
    return hashlib.sha256(
        b"".join(tensors[name].contiguous().numpy().tobytes() for name in sorted(tensors))
    ).hexdigest()


def plain(folder: Path, way: str) -> dict[str, Any]:
    """Without dropout, so that one process can be compared."""
    rows = sentences(7, 1)
    run = trainer(folder, bert(**QUIET), sentences(24), eval_dataset=rows, fsdp=way, **OPTIONS)
    run.train()
    run.save_model(folder / "model")
    run.args.ranks.wait()
    found = {"losses": losses(run), "eval_loss": run.evaluate()["eval_loss"]}
    if sharded(run.model):
        held = gathered(run.model)
        loaded = lamina.BertForSequenceClassification.from_pretrained(folder / "model")
        found["saved"] = run.args.process_index == 1 or equal(held, weights(loaded))
    return found


def mixed(folder: Path, options: dict[str, Any]) -> dict[str, Any]:
    """Split weights with what saves time or memory, and no dropout; the second half goes on from a checkpoint."""
    chosen = {**OPTIONS, **options, "save_strategy": "steps", "save_steps": 4, "fsdp": "full_shard"}
    trainer(folder, bert(**QUIET), sentences(24), **chosen).train()
    run = trainer(folder, bert(**QUIET), sentences(24), **chosen)
    run.train(resume_from_checkpoint=folder / "checkpoint-4")
    return {"losses": losses(run), "eval_loss": run.evaluate(sentences(7, 1))["eval_loss"]}


def saving(folder: Path, way: str, dying: bool) -> dict[str, Any]:
    """With dropout; goes on from what is there. `dying` ends the second process in the middle of the first start."""
    start = newest(folder)
    began = 0 if start is None else int(start.name.rpartition("-")[2])
    callbacks = [Dying()] if dying and start is None else []
    run = trainer(folder, bert(), sentences(24), callbacks=callbacks, fsdp=way, **OPTIONS | SAVING)
    run.train(resume_from_checkpoint=start)
    return {"losses": losses(run), "weights": digest(run.model, bool(way)), "began": began}


def main(folder: Path, kind: str) -> None:
    """`kind` is "whole" for all ways, or the one in which a process dies, and then goes on."""
    found: dict[str, Any] = {}
    for name, way in WAYS.items():
        if kind == "whole":
            found[f"plain {name}"] = plain(folder / f"plain-{name}", way)
        if kind in ("whole", name):
            found[name] = saving(folder / name, way, kind == name)
    for name, options in MIXTURES.items() if kind == "whole" else ():
        found[name] = mixed(folder / name, options)
    if os.environ["RANK"] == "0":
        (folder / f"{kind}.json").write_text(json.dumps(found))
