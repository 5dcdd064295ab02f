"""One optimizer step: some micro-batches forward and backward as if they were one batch, then the update."""

from __future__ import annotations

import math
import warnings
from collections import deque
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from ..errors import TrainingDiverged, TrainingError
from ..files.shown import cause
from .arguments import TrainingArguments
from .arithmetic import Arithmetic, peak
from .objective import Objective, count_targets, count_tokens

LOOKS = 16  # steps between two looks at an accelerator's losses, since a look waits for it


class Engine:
    """Model, optimizer and schedule of a run. Nothing here waits for an accelerator, except every `LOOKS` steps."""

    def __init__(self, objective: Objective, optimizer: Optimizer, scheduler: Any, args: TrainingArguments):
        """`objective` is compiled and, among several processes, wrapped here; where it is sharded it comes so."""
        self.objective, self.optimizer, self.scheduler, self.args = objective, optimizer, scheduler, args
        self.model, self.ranks, self.device = objective.model, args.ranks, args.device
        if args.torch_compile:
            try:
                objective.compile(backend=args.torch_compile_backend or "inductor", mode=args.torch_compile_mode)
            except RuntimeError as problem:
                raise TrainingError(f"torch_compile_backend or torch_compile_mode: {cause(problem)}") from problem
        self.module: nn.Module = objective
        if self.ranks.count > 1 and not args.fsdp:
            unused = args.ddp_find_unused_parameters
            unused = not args.gradient_checkpointing if unused is None else unused
            self.module = DistributedDataParallel(objective, find_unused_parameters=unused)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=args.fp16)
        self.parameters = [p for group in optimizer.param_groups for p in group["params"]]
        # A fused optimizer scales gradients and skips a step by itself, without a pass over them and without a wait.
        self.fused = (
            bool(optimizer.defaults.get("fused"))
            and self.device.type in ("cpu", "cuda")
            and not (args.fp16 or args.fsdp)
        )
        self.loss = torch.zeros((), dtype=torch.float64 if self.device.type != "mps" else None, device=self.device)
        self.norm = torch.zeros((), device=self.device)
        self.tokens, self.operations = 0, 0.0
        rate = args.peak_tflops * 1e12 if args.peak_tflops else peak(self.device)
        self.peak = rate * self.ranks.count if rate else None
        self.arithmetic = Arithmetic(self.model) if rate else None
        self.interrupted = False
        self.skipped = torch.zeros((), dtype=torch.long, device=self.device)  # steps without a finite loss and gradient
        self.empty = 0  # steps without a target
        self._bad = torch.zeros(4, dtype=torch.long, device=self.device)  # steps in a row, the first; the longest such
        self._looks = 1 if self.device.type == "cpu" else max(LOOKS, args.nan_patience)
        self._recent: deque[tuple[int, list[int]]] = deque(maxlen=2 * self._looks + args.nan_patience)

    def update(self, group: list[dict[str, Any]], rows: list[int], step: int, interrupted: bool = False) -> None:
        """Take one step on the micro-batches of `group`, made of `rows`; the loss is a mean over all their targets.

        `interrupted` says that this process was asked to end; afterwards it says so of any.
        """
        counts = [count_targets(self.model, batch) for batch in group]
        own: list[float] = [sum(counts), sum(map(count_tokens, group)), int(interrupted)]
        if self.arithmetic:
            own.append(sum(map(self.arithmetic.operations, group)))
        targets, tokens, asked, *operations = self.ranks.add(torch.tensor(own, dtype=torch.float64)).tolist()
        self.interrupted = bool(asked)
        self.tokens += int(tokens)
        self.empty += not targets
        self.operations += sum(operations)
        total = torch.zeros_like(self.loss)
        with explained(group):
            for number, (batch, count) in enumerate(zip(group, counts, strict=True)):
                with self._unshared(number < len(group) - 1):
                    total += self._backward(batch, count / max(1, targets))
            self._apply(total, step, rows)
        self._advance(step)

    def _unshared(self, more: bool) -> AbstractContextManager[Any]:
        """Gradients of all but the last micro-batch stay with their process."""
        return self.module.no_sync() if more and isinstance(self.module, DistributedDataParallel) else nullcontext()

    def _backward(self, batch: dict[str, Any], weight: float) -> Tensor:
        ready = self.objective.prepare(batch, self.device)
        loss: Tensor = self.module(ready)["loss"]
        if weight == 0:
            loss = loss.nan_to_num()  # a mean over nothing
        share = loss * weight
        self.scaler.scale(share * self.ranks.count).backward()  # the processes' gradients become their mean
        return share.detach()

    def _apply(self, loss: Tensor, step: int, rows: list[int]) -> None:
        if self.args.fp16:
            self.scaler.unscale_(self.optimizer)
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        self.norm = nn.utils.get_total_norm(gradients)
        if hasattr(self.norm, "full_tensor"):  # each process has had a part
            self.norm = self.norm.full_tensor()
        bad = ~torch.isfinite(loss)
        if self.args.fp16:
            self._clip()
            self.scaler.step(self.optimizer)
            self.scaler.update()
        else:
            hollow = ~torch.isfinite(self.norm)  # the same in all processes
            self._step_unless(hollow)
            bad = bad | hollow
        self.optimizer.zero_grad(set_to_none=True)
        self.loss += loss.nan_to_num()
        self._watch(bad, step, rows)

    def _clip(self) -> None:
        if self.args.max_grad_norm:
            nn.utils.clip_grads_with_norm_(self.parameters, self.args.max_grad_norm, self.norm)

    def _step_unless(self, bad: Tensor) -> None:
        """A step with gradients that are NaN or infinite would ruin the weights for good."""
        if self.fused:
            limit = self.args.max_grad_norm or math.inf
            self.optimizer.grad_scale = ((self.norm + 1e-6) / limit).clamp(min=1.0).float()  # type: ignore[attr-defined]
            self.optimizer.found_inf = bad.float()  # type: ignore[attr-defined]
            self.optimizer.step()
        elif not bool(bad):
            self._clip()
            self.optimizer.step()

    def _advance(self, step: int) -> None:
        """The next learning rate; torch warns of a first step that was skipped as of a mistake."""
        with warnings.catch_warnings() if step == 1 else nullcontext():
            if step == 1:
                warnings.filterwarnings("ignore", r"Detected call of `lr_scheduler.step\(\)`", UserWarning)
            self.scheduler.step()

    def _watch(self, bad: Tensor, step: int, rows: list[int]) -> None:
        """Count consecutive steps whose loss was NaN or infinite, and stop after too many."""
        self._recent.append((step, rows))
        self.skipped += bad
        count, first, most, began = self._bad
        first = torch.where(count == 0, torch.full_like(first, step), first)
        count = torch.where(bad, count + 1, torch.zeros_like(count))
        began = torch.where(count > most, first, began)
        self._bad = torch.stack([count, first, torch.maximum(count, most), began])
        if step % self._looks:
            return
        _, _, longest, start = self._bad.tolist()
        if longest >= self.args.nan_patience:
            named = dict(self._recent).get(start, [])
            raise TrainingDiverged(
                f"the loss or its gradient was NaN or infinite for {longest} steps in a row, from step {start} on; the "
                f"batch of that step had the rows {named[:32]}{'...' if len(named) > 32 else ''}. No such step was "
                "taken: lower learning_rate or max_grad_norm, or look at those rows"
            )

    def take_loss(self) -> float:
        """The sum over steps of the loss since this was last asked, over all processes; waits."""
        found = float(self.ranks.add(self.loss.cpu()))
        self.loss.zero_()
        return found

    def utilization(self, seconds: float) -> float | None:
        """The part of the hardware's peak that was used since this was last asked; None where that is not known."""
        done, self.operations = self.operations, 0.0
        return None if self.peak is None else done / max(seconds, 1e-9) / self.peak


@contextmanager
def explained(group: list[dict[str, Any]]) -> Iterator[None]:
    """Say what to lower where memory runs out inside."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as problem:
        full = isinstance(problem, (torch.OutOfMemoryError, MemoryError)) or "can't allocate memory" in str(problem)
        if not full:
            raise
        largest = max(group, key=lambda batch: batch["input_ids"].numel() if "input_ids" in batch else 0)
        shape = list(largest["input_ids"].shape) if "input_ids" in largest else "unknown"
        raise TrainingError(
            f"out of memory on a batch of {count_tokens(largest):,} tokens (input_ids {shape}): lower "
            "per_device_train_batch_size and raise gradient_accumulation_steps by as much, or set "
            "gradient_checkpointing=True, bf16=True or padding_free=True"
        ) from problem
