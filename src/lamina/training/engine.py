"""One optimizer step: some micro-batches forward and backward as if they were one batch, then the update."""

from __future__ import annotations

import math
from collections import deque
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from ..errors import TrainingError
from .arguments import TrainingArguments
from .objective import Objective, count_targets, count_tokens, loss_of


class Engine:
    """Model, optimizer and schedule of a run. Nothing here waits for an accelerator, except every `nan_patience` steps."""

    def __init__(self, model: nn.Module, optimizer: Optimizer, scheduler: Any, args: TrainingArguments):
        self.model, self.optimizer, self.scheduler, self.args = model, optimizer, scheduler, args
        self.ranks, self.device = args.ranks, args.device
        dtype = torch.bfloat16 if args.bf16 else torch.float16 if args.fp16 else None
        self.objective = Objective(model, args.padding_free, dtype)
        if args.torch_compile:
            self.objective.compile(backend=args.torch_compile_backend or "inductor", mode=args.torch_compile_mode)
        self.module: nn.Module = self.objective
        if self.ranks.count > 1:
            unused = args.ddp_find_unused_parameters
            unused = not args.gradient_checkpointing if unused is None else unused
            self.module = DistributedDataParallel(self.objective, find_unused_parameters=unused)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=args.fp16)
        self.parameters = [p for group in optimizer.param_groups for p in group["params"]]
        self.guarded = bool(optimizer.defaults.get("fused"))  # skips a step by itself, without a wait
        self.loss = torch.zeros((), dtype=torch.float64 if self.device.type != "mps" else None, device=self.device)
        self.norm = torch.zeros((), device=self.device)
        self.tokens = 0
        self.interrupted = False
        self._bad = torch.zeros(2, dtype=torch.long, device=self.device)  # bad steps in a row, first of them
        self._recent: deque[tuple[int, list[int]]] = deque(maxlen=2 * args.nan_patience + 1)

    def update(self, group: list[dict[str, Any]], rows: list[int], step: int, interrupted: bool = False) -> None:
        """Take one step on the micro-batches of `group`, made of `rows`; the loss is a mean over all their targets.

        `interrupted` says that this process was asked to end; afterwards it says so of any.
        """
        counts = [count_targets(self.model, batch) for batch in group]
        tokens = sum(count_tokens(batch) for batch in group)
        targets, tokens, asked = self.ranks.add(torch.tensor([sum(counts), tokens, int(interrupted)])).tolist()
        self.interrupted = bool(asked)
        self.tokens += tokens
        total = torch.zeros_like(self.loss)
        for number, (batch, count) in enumerate(zip(group, counts, strict=True)):
            with self._unshared(number < len(group) - 1):
                share = self._backward(batch, count / max(1, targets))
            total += share
        self._apply(total, step, rows)
        self.scheduler.step()

    def _unshared(self, more: bool) -> AbstractContextManager[Any]:
        """Gradients of all but the last micro-batch stay with their process."""
        return self.module.no_sync() if more and isinstance(self.module, DistributedDataParallel) else nullcontext()

    def _backward(self, batch: dict[str, Any], weight: float) -> Tensor:
        ready = self.objective.prepare(batch, self.device)
        try:
            loss = loss_of(self.module(ready))
            if weight == 0:
                loss = loss.nan_to_num()  # a mean over nothing
            share = loss * weight
            self.scaler.scale(share * self.ranks.count).backward()  # DDP takes the mean of the processes' gradients
        except torch.OutOfMemoryError as problem:
            shape = list(batch["input_ids"].shape) if "input_ids" in batch else "unknown"
            raise TrainingError(
                f"out of memory on a batch of {count_tokens(batch):,} tokens (input_ids {shape}): lower "
                "per_device_train_batch_size and raise gradient_accumulation_steps by as much, or set "
                "gradient_checkpointing=True, bf16=True or padding_free=True"
            ) from problem
        return share.detach()

    def _apply(self, loss: Tensor, step: int, rows: list[int]) -> None:
        if self.args.fp16:
            self.scaler.unscale_(self.optimizer)
        limit = self.args.max_grad_norm or math.inf
        self.norm = nn.utils.clip_grad_norm_(self.parameters, limit)
        bad = ~torch.isfinite(loss)
        if self.args.fp16:
            self.scaler.step(self.optimizer)
            self.scaler.update()
        else:
            hollow = ~torch.isfinite(self.norm)  # the same in all processes
            self._step_unless(hollow)
            bad = bad | hollow
        self.optimizer.zero_grad(set_to_none=True)
        self.loss += loss.nan_to_num()
        self._watch(bad, step, rows)

    def _step_unless(self, bad: Tensor) -> None:
        """A step on gradients that are no numbers would ruin the weights for good."""
        if self.guarded:
            self.optimizer.found_inf = bad.float()  # type: ignore[attr-defined]
            self.optimizer.step()
        elif not bool(bad):
            self.optimizer.step()

    def _watch(self, bad: Tensor, step: int, rows: list[int]) -> None:
        self._recent.append((step, rows))
        first = torch.where(self._bad[0] == 0, torch.full_like(self._bad[1], step), self._bad[1])
        self._bad = torch.stack([torch.where(bad, self._bad[0] + 1, 0), first])
        if self.device.type != "cpu" and step % self.args.nan_patience:
            return
        count, began = self._bad.tolist()
        if count >= self.args.nan_patience:
            named = dict(self._recent).get(began, [])
            raise TrainingError(
                f"the loss or its gradient was no number for {count} steps in a row, from step {began} on; the batch "
                f"of that step had the rows {named[:32]}{'...' if len(named) > 32 else ''}. No such step was taken: "
                "lower learning_rate or max_grad_norm, or look at those rows"
            )

    def take_loss(self) -> float:
        """The sum over steps of the loss since this was last asked, over all processes; waits."""
        found = float(self.ranks.add(self.loss.cpu()))
        self.loss.zero_()
        return found
