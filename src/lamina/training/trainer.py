"""The Trainer that scripts know: a model, data and arguments in; a trained model, numbers and checkpoints out."""

from __future__ import annotations

import inspect
import logging
import math
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader

from ..errors import CheckpointError, TrainingError, TrainingInterrupted
from ..files.atomic import staged
from ..generation.generate import set_seed
from ..inference.batching import freed_kept
from . import checkpointing, folders, sharding
from .arguments import TrainingArguments
from .assembly import check_model, make_engine
from .callbacks import TrainerCallback, TrainerControl, find_metric
from .chance import seed_of, undisturbed
from .engine import Engine
from .evaluator import Evaluator
from .loading import Batches, Collator, check_rows, load
from .lora import adapted, merged, save_adapter
from .objective import Objective
from .progress import ProgressCallback
from .sampling import epoch_batches, own_share, row_lengths
from .signals import Signals
from .state import BestRun, TrainerState, TrainOutput

ADAPTER = "adapter"
PACKAGE = __name__.rpartition(".")[0]
UNCALLED = frozenset({  # methods by which subclasses of the reference's Trainer change training
    "compute_loss", "training_step", "prediction_step", "evaluation_loop", "prediction_loop", "create_optimizer",
    "create_scheduler", "create_optimizer_and_scheduler", "get_optimizer_cls_and_kwargs", "get_decay_parameter_names",
    "get_train_dataloader", "get_eval_dataloader", "get_test_dataloader", "get_batch_samples", "call_model_init",
    "compute_loss_context_manager", "autocast_smart_context_manager", "optimizer_step", "setup_low_rank_optimizer",
    "_get_train_sampler", "_get_eval_sampler", "_prepare_inputs", "_prepare_input", "_inner_training_loop", "_save",
    "_save_checkpoint", "_load_best_model", "_load_from_checkpoint", "_wrap_model", "_maybe_log_save_evaluate",
    "_rotate_checkpoints", "_determine_best_metric", "_remove_unused_columns", "_set_signature_columns_if_needed",
    "_get_collator_with_removed_columns", "_get_num_items_in_batch", "_save_optimizer_and_scheduler",
})  # fmt: skip
logger = logging.getLogger("lamina")


class Trainer(Evaluator):
    """Trains, evaluates and predicts; names and arguments are those of the reference, in both spellings.

    Datasets have `__len__` and `__getitem__` and give dicts. `compute_metrics` is a function over EvalPrediction, or
    an object with `update(predictions, labels)` and `compute()`, for which scores of all rows are never kept.
    """

    generates = False  # whether evaluation may write text
    _engine: Engine | None = None

    def __init__(
        self,
        model: nn.Module | None = None,
        args: TrainingArguments | None = None,
        data_collator: Collator | None = None,
        train_dataset: Any = None,
        eval_dataset: Any = None,
        processing_class: Any = None,
        model_init: Callable[..., nn.Module] | None = None,
        compute_metrics: Any = None,
        callbacks: Sequence[TrainerCallback | type[TrainerCallback]] | None = None,
        optimizers: tuple[Optimizer | None, Any] = (None, None),
        preprocess_logits_for_metrics: Callable[..., Any] | None = None,
        *,
        tokenizer: Any = None,
    ):
        self.args = args if args is not None else TrainingArguments()
        self._check_class()
        set_seed(self.args.seed, self.args.full_determinism)
        if model is None and model_init is None:
            raise TrainingError("a Trainer needs a model, or model_init, a function that makes one")
        if processing_class is not None and tokenizer is not None:
            raise TrainingError("processing_class and tokenizer are one setting, given two values")
        if model_init is not None and optimizers[0] is not None:
            raise TrainingError("an optimizer is over the parameters of one model, and model_init makes another: "
                                "name it by optim=, or pass the model itself")  # fmt: skip
        if model is not None and model_init is not None:
            logger.warning("model and model_init are both given: train() starts with a model of model_init")
        self.model_init = model_init
        self.trial: Any = None  # of a search
        given = processing_class if processing_class is not None else tokenizer
        super().__init__(
            model if model is not None else self._made(),
            self.args,
            data_collator,
            eval_dataset,
            given,
            compute_metrics,
            preprocess_logits_for_metrics,
        )
        self._check_functions()
        self.train_dataset = train_dataset
        self.optimizer, self.lr_scheduler = optimizers
        self.callbacks.append(ProgressCallback())
        for callback in callbacks or ():
            self.add_callback(callback)
        self._lengths: list[int] | None = None
        self._fingerprint = ""
        self.call("on_init_end")

    def _check_class(self) -> None:
        """Refuse what would be passed over: arguments of another class, and methods that nothing calls."""
        args, kind = self.args, type(self)
        if not isinstance(args, TrainingArguments):
            raise TrainingError(f"args must be TrainingArguments, not a {type(args).__name__}")
        own = [each for each in kind.__mro__ if issubclass(each, Trainer) and not each.__module__.startswith(PACKAGE)]
        hooks = sorted({name for each in own for name in vars(each)} & UNCALLED)
        if hooks:
            raise TrainingError(
                f"{kind.__name__} overrides {', '.join(hooks)}, which is never called here: write a loss into the "
                "model's forward, and pass optimizers=, data_collator=, callbacks= or another dataset for the rest"
            )
        if getattr(args, "predict_with_generate", False) and not self.generates:
            raise TrainingError("predict_with_generate=True: it is Seq2SeqTrainer that generates, not Trainer")

    def _check_functions(self) -> None:
        """What evaluation and training will call or read, before either has begun."""
        args, metrics = self.args, self.compute_metrics
        if not callable(self.data_collator):
            raise TrainingError(f"data_collator must be a function of rows, not a {type(self.data_collator).__name__}")
        if metrics is not None and not (
            callable(metrics) or (hasattr(metrics, "update") and hasattr(metrics, "compute"))
        ):
            raise TrainingError(
                f"compute_metrics must be a function or have update() and compute(), not a {type(metrics).__name__}"
            )
        if self.eval_dataset is None and (args.eval_strategy != "no" or args.eval_on_start):
            setting = "eval_on_start=True" if args.eval_strategy == "no" else f"eval_strategy={args.eval_strategy!r}"
            raise TrainingError(f"{setting} needs an eval_dataset: pass it to the Trainer")

    def told(self) -> dict[str, Any]:
        """As for evaluation, and what the run that is under way has made."""
        engine = self._engine
        made = {} if engine is None else {"optimizer": engine.optimizer, "lr_scheduler": engine.scheduler}
        return {**super().told(), "lr_scheduler": self.lr_scheduler, **made}

    def train(self, resume_from_checkpoint: str | Path | bool | None = None) -> TrainOutput:
        """Train to the end; from a checkpoint where one is named, or the newest whole one of output_dir for True.

        Ctrl-C and SIGTERM end it between two steps with a checkpoint and TrainingInterrupted.
        """
        args = self.args
        check_rows(self.train_dataset, "train_dataset")
        resume = resume_from_checkpoint if resume_from_checkpoint is not None else args.resume_from_checkpoint
        with folders.occupied(Path(args.output_dir), args.ranks):
            folder = self._resume_folder(resume)
            set_seed(args.seed, args.full_determinism)
            if self.model_init is not None:
                self.model = self._made().to(args.device)
            with Signals() as signals, freed_kept(args.device):
                loop = self._begin(folder, signals)
                try:
                    loop.run()
                finally:
                    self._end()
            if args.load_best_model_at_end and self.state.best_model_checkpoint is not None:
                checkpointing.load_model(self.model, Path(args.output_dir) / self.state.best_model_checkpoint)
                args.ranks.wait()
        metrics = loop.summary()
        self.state.log_history.append({**metrics, "step": self.state.global_step})
        return TrainOutput(self.state.global_step, metrics["train_loss"], metrics)

    def _made(self) -> nn.Module:
        assert self.model_init is not None
        asks = len(inspect.signature(self.model_init).parameters) == 1  # for the trial that it is made for
        return self.model_init(self.trial) if asks else self.model_init()

    def _resume_folder(self, resume: str | Path | bool | None) -> Path | None:
        if resume is None or resume is False:
            return None
        if resume is not True:
            return Path(resume)
        found = folders.newest(self.args.output_dir)
        if found is None:
            raise TrainingError(f"{self.args.output_dir} has no whole checkpoint to resume from: train without resume")
        return found

    def _begin(self, folder: Path | None, signals: Signals) -> Loop:
        """Everything that a run needs, as new or as a checkpoint has it."""
        args = self.args
        check_model(self.model, args)
        self._lengths = row_lengths(self.train_dataset, args.length_column_name) if args.group_by_length else None
        batches = len(self.epoch(0))
        if batches == 0:
            raise TrainingError("train_dataset has fewer rows than one batch, and dataloader_drop_last=True")
        self._fingerprint = checkpointing.fingerprint(self.train_dataset)
        steps, epochs = steps_of(batches, args.gradient_accumulation_steps, args.num_train_epochs, args.max_steps)
        self.state = TrainerState(max_steps=steps, num_train_epochs=epochs, is_world_process_zero=args.ranks.first)
        self.control = TrainerControl()
        self.model.train()
        self._engine = make_engine(self.model, args, self.optimizer, self.lr_scheduler, steps)
        if args.world_size > 1:
            torch.manual_seed(seed_of(args.seed, "rank", args.process_index))
        if folder is not None:
            self._snapshot().load(folder)
        elif args.ranks.first and not args.overwrite_output_dir:
            self._tell_of_older()
        if args.ranks.first:
            for logger in self.loggers:
                logger.begin(args, self.state.log_history)
            self._logging = True
        return Loop(self, self._engine, batches, signals)

    def objective(self, dtype: torch.dtype | None) -> Objective:
        """What reads a batch in evaluation; weights that are split are gathered by the one that trains."""
        if self._engine is not None and sharding.sharded(self.model):
            return self._engine.objective
        return super().objective(dtype)

    def _tell_of_older(self) -> None:
        """A run that starts anew where another has left checkpoints is warned: both will be there, mixed."""
        older = folders.checkpoints(self.args.output_dir)
        if older:
            logger.warning("%s holds checkpoints of another run, up to %s", self.args.output_dir, older[-1].name)

    def _end(self) -> None:
        self.model.eval()
        for callback in self.callbacks:
            if isinstance(callback, ProgressCallback):
                callback.close()
        if self._logging:
            self._logging = False
            for logger in self.loggers:
                logger.end()

    def epoch(self, number: int) -> Batches:
        """The training batches of one epoch that this process reads."""
        args = self.args
        seed = args.seed if args.data_seed is None else args.data_seed
        size = args.per_device_train_batch_size * args.world_size
        plan = epoch_batches(len(self.train_dataset), size, seed, number, self._lengths, args.dataloader_drop_last)
        shared = own_share(plan, args.process_index, args.world_size)
        return Batches(self.train_dataset, shared, self.data_collator, self._columns(), (seed, "batch", number))

    def get_train_dataloader(self) -> DataLoader[Any]:
        """The batches of the first epoch, to look at."""
        check_rows(self.train_dataset, "train_dataset")
        return DataLoader(self.epoch(0), batch_size=None)

    def _snapshot(self) -> checkpointing.Snapshot:
        engine = self._engine
        assert engine is not None
        kept = {
            f"{i}.{type(c).__name__}": c for i, c in enumerate(self.callbacks) if not isinstance(c, ProgressCallback)
        }
        config = getattr(self.model, "config", None)
        shape = {name: list(p.shape) for name, p in self.model.named_parameters() if p.requires_grad}
        identity = {
            **self.args.trajectory(),
            "dataset": self._fingerprint,
            "model": f"{type(self.model).__name__} of {seed_of(repr(sorted(shape.items()))):x}",
            "model_type": getattr(config, "model_type", None),
        }
        return checkpointing.Snapshot(
            self.model, self.state, engine.optimizer, engine.scheduler, engine.scaler, kept, identity, self.args.ranks
        )

    def save_checkpoint(self) -> Path:
        """Write checkpoint-N into output_dir, and remove what `save_total_limit` leaves no room for."""
        output, args = Path(self.args.output_dir), self.args
        if self.state.best_global_step == self.state.global_step:
            self.state.best_model_checkpoint = f"checkpoint-{self.state.global_step}"
        folder = self._snapshot().save(output, self.processing_class, args.to_dict(), args.save_only_model)
        self.prune_checkpoints()
        self.call("on_save")
        return folder

    def prune_checkpoints(self) -> None:
        """Remove what `save_total_limit` leaves no room for; a run killed between saving and this left one too many."""
        if self.args.ranks.first:
            best, state = self.state.best_model_checkpoint, self.state
            folders.prune(Path(self.args.output_dir), self.args.save_total_limit, best, state.global_step, state.run)

    def evaluate_between(self) -> bool:
        """Evaluate while training, without a trace in its random numbers; whether this is the best so far."""
        with undisturbed():
            metrics = self.evaluate()
        self.model.train()
        args, state = self.args, self.state
        if args.metric_for_best_model is None:
            return False
        value = find_metric(metrics, args.metric_for_best_model)
        if math.isnan(value):
            return False
        better = state.best_metric is None or (value > state.best_metric) == bool(args.greater_is_better)
        if better and value != state.best_metric:
            state.best_metric, state.best_global_step = value, state.global_step
            return True
        return False

    def save_model(self, output_dir: str | Path | None = None) -> None:
        """Write model and tokenizer so that `pipeline(task, folder)` reads them; LoRA merged, its adapter beside it."""
        folder = Path(output_dir or self.args.output_dir)
        if sharding.sharded(self.model):
            tensors = sharding.gathered(self.model)
            if self.args.ranks.first:
                checkpointing.save_model(sharding.whole(self.model, tensors), folder, self.processing_class)
            return
        if not self.args.ranks.first:
            return
        with ExitStack() as saves:
            if adapted(self.model):  # neither folder changes before both are written
                for part in (folder, folder / ADAPTER):
                    saves.enter_context(staged(part, CheckpointError))
                save_adapter(self.model, folder / ADAPTER)
            with merged(self.model):
                checkpointing.save_model(self.model, folder, self.processing_class)

    def hyperparameter_search(
        self,
        hp_space: Callable[[Any], dict[str, Any]] | None = None,
        compute_objective: Callable[[dict[str, float]], float] | None = None,
        n_trials: int = 20,
        direction: str = "minimize",
        backend: str | None = None,
        hp_name: Callable[[Any], str] | None = None,
        **study: Any,
    ) -> BestRun:
        """Train `n_trials` times with other settings, chosen by Optuna (the extra `search`), and tell the best.

        `hp_space` and `compute_objective` default to the reference's; `study` goes to Optuna, such as `pruner`.
        """
        from .search import Search

        return Search(self, hp_space, compute_objective, direction, backend, hp_name).run(n_trials, study)

    def push_to_hub(self, *arguments: Any, **options: Any) -> NoReturn:
        """Not offered."""
        raise TrainingError(
            "nothing is uploaded from here: save_model() writes a folder that `hf upload` takes as it is"
        )


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
