"""Every setting of a training run, under the names that scripts for the reference's Trainer use."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from numbers import Integral, Real
from typing import Any

import torch

from ..errors import TrainingError
from ..files.shown import shown
from ..inference.capabilities import has
from .ranks import Ranks

logger = logging.getLogger("lamina")

STRATEGIES = ("no", "steps", "epoch")
SCHEDULES = (
    "linear", "cosine", "cosine_with_restarts", "polynomial", "constant", "constant_with_warmup", "inverse_sqrt",
    "warmup_stable_decay",
)  # fmt: skip
OPTIMIZERS = ("adamw_torch_fused", "adamw_torch", "sgd")
SHARDINGS = ("", "full_shard", "shard_grad_op")
TRAJECTORY = (  # what the weights after n steps depend on: a run goes on only under the same
    "per_device_train_batch_size", "gradient_accumulation_steps", "learning_rate", "weight_decay", "adam_beta1",
    "adam_beta2", "adam_epsilon", "max_grad_norm", "num_train_epochs", "max_steps", "lr_scheduler_type",
    "lr_scheduler_kwargs", "warmup_ratio", "warmup_steps", "optim", "seed", "data_seed", "bf16", "fp16",
    "label_smoothing_factor", "group_by_length", "padding_free", "dataloader_drop_last", "labelled_only",
    "gradient_checkpointing", "fsdp",
)  # fmt: skip
TYPES: Mapping[str, tuple[str, Callable[[Any], bool]]] = {  # by the names that fields are annotated with
    "bool": ("True or False", lambda value: isinstance(value, bool)),
    "int": ("a whole number", lambda value: isinstance(value, Integral) and not isinstance(value, bool)),
    "float": ("a number", lambda value: isinstance(value, Real) and not isinstance(value, bool)),
    "str": ("a string", lambda value: isinstance(value, (str, os.PathLike))),
    "list[str]": ("a list of strings", lambda value: _strings(value)),
    "dict[str, Any]": ("a dict", lambda value: isinstance(value, dict)),
    "None": ("None", lambda value: value is None),
}
LIMITS: tuple[tuple[str, Callable[[Any], bool], tuple[str, ...]], ...] = (
    (
        "a whole number from 1 on",
        lambda value: isinstance(value, int) and value >= 1,
        ("per_device_train_batch_size", "per_device_eval_batch_size", "gradient_accumulation_steps", "nan_patience",
         "save_total_limit"),
    ),
    (
        "a whole number of steps or a part below 1 of all",
        lambda value: value > 0 and (value < 1 or value == value // 1),
        ("save_steps", "logging_steps", "eval_steps"),
    ),
    (
        "a whole number of steps, or a part below 1 of all, or 0",
        lambda value: value >= 0 and (value < 1 or value == value // 1),
        ("warmup_steps",),
    ),
    ("a whole number from 0 on", lambda value: value >= 0, ("dataloader_num_workers",)),
    ("a whole number from 0 to 4294967295", lambda value: 0 <= value < 2**32, ("seed",)),
    (
        "a number from 0 on",
        lambda value: math.isfinite(value) and value >= 0,
        ("learning_rate", "weight_decay", "max_grad_norm", "adam_epsilon"),
    ),
    ("a number above 0", lambda value: math.isfinite(value) and value > 0, ("peak_tflops",)),
    ("a number", math.isfinite, ("max_steps", "num_train_epochs")),
    (
        "a number in [0, 1)",
        lambda value: 0 <= value < 1,
        ("adam_beta1", "adam_beta2", "warmup_ratio", "label_smoothing_factor"),
    ),
)  # fmt: skip
OPTIONAL = ("eval_steps", "save_total_limit", "peak_tflops")


@dataclass
class TrainingArguments:
    """What to train for how long and what to keep; defaults are those of the reference's Trainer.

    Ratios: `warmup_steps`, `logging_steps`, `eval_steps` and `save_steps` below one are parts of the whole run.
    Beyond the reference: `padding_free` reads batches without padding, `labelled_only` computes the vocabulary's
    scores only where there is a label, `nan_patience` is the number of consecutive steps with a loss of NaN after
    which training ends, `peak_tflops` is what one device can do at best, for the MFU in the log (known accelerators
    need none). `fsdp` ("full_shard" or "shard_grad_op") splits weights and optimizer over the processes of torchrun.
    """

    output_dir: str = "trainer_output"
    eval_strategy: str = "no"
    evaluation_strategy: str | None = None  # older spelling
    save_strategy: str = "steps"
    logging_strategy: str = "steps"
    eval_steps: float | None = None
    save_steps: float = 500
    logging_steps: float = 500
    logging_first_step: bool = False
    eval_on_start: bool = False
    per_device_train_batch_size: int = 8
    per_device_eval_batch_size: int = 8
    gradient_accumulation_steps: int = 1
    eval_accumulation_steps: int | None = None  # scores leave the device at every step as it is
    learning_rate: float = 5e-5
    weight_decay: float = 0.0
    adam_beta1: float = 0.9
    adam_beta2: float = 0.999
    adam_epsilon: float = 1e-8
    max_grad_norm: float = 1.0
    num_train_epochs: float = 3.0
    max_steps: int = -1
    lr_scheduler_type: str = "linear"
    lr_scheduler_kwargs: dict[str, Any] | None = field(default_factory=dict)
    warmup_ratio: float = 0.0
    warmup_steps: float = 0
    optim: str = "adamw_torch_fused"
    seed: int = 42
    data_seed: int | None = None
    full_determinism: bool = False
    bf16: bool = False
    fp16: bool = False
    bf16_full_eval: bool = False
    fp16_full_eval: bool = False
    tf32: bool | None = None
    use_cpu: bool = False
    no_cuda: bool = False  # older spelling
    label_smoothing_factor: float = 0.0
    label_names: list[str] | None = None
    group_by_length: bool = False
    train_sampling_strategy: str = "random"
    length_column_name: str = "length"
    padding_free: bool = False
    labelled_only: bool = True
    nan_patience: int = 3
    peak_tflops: float | None = None
    remove_unused_columns: bool = True
    dataloader_num_workers: int = 0
    dataloader_pin_memory: bool = True
    dataloader_drop_last: bool = False
    gradient_checkpointing: bool = False
    torch_compile: bool = False
    torch_compile_backend: str | None = None
    torch_compile_mode: str | None = None
    ddp_find_unused_parameters: bool | None = None
    fsdp: str = ""
    load_best_model_at_end: bool = False
    metric_for_best_model: str | None = None
    greater_is_better: bool | None = None
    save_total_limit: int | None = None
    save_only_model: bool = False
    resume_from_checkpoint: str | bool | None = None
    overwrite_output_dir: bool = False  # another run's checkpoints: no warning; they stay, but for the same step
    prediction_loss_only: bool = False
    do_train: bool = False
    do_eval: bool = False
    do_predict: bool = False
    report_to: str | list[str] | None = None
    run_name: str | None = None
    logging_dir: str | None = None
    disable_tqdm: bool | None = None
    push_to_hub: bool = False

    def __post_init__(self) -> None:
        self._join_spellings()
        for name in ("eval_strategy", "save_strategy", "logging_strategy", "lr_scheduler_type", "optim"):
            value = getattr(self, name)
            setattr(self, name, str(getattr(value, "value", value)))
        for name in ("eval_strategy", "save_strategy", "logging_strategy"):
            self._one_of(name, STRATEGIES if name != "save_strategy" else (*STRATEGIES, "best"))
        self._one_of("lr_scheduler_type", SCHEDULES)
        self._one_of("optim", OPTIMIZERS)
        self._one_of("fsdp", SHARDINGS)
        self._check_numbers()
        self._check_types()
        self._check_best()
        if self.bf16 and self.fp16:
            raise TrainingError("bf16=True and fp16=True exclude each other")
        if self.bf16_full_eval and self.fp16_full_eval:
            raise TrainingError("bf16_full_eval=True and fp16_full_eval=True exclude each other")
        if self.push_to_hub:
            logger.warning("push_to_hub=True: nothing is uploaded from here, the model stays in %s", self.output_dir)
        self.ranks = Ranks.join(self.use_cpu)
        self.device = self.ranks.device
        self._check_device()
        if self.tf32 is not None and self.device.type == "cuda":
            torch.backends.cuda.matmul.allow_tf32 = self.tf32
        elif self.tf32:
            raise TrainingError(f"tf32=True needs an NVIDIA GPU, and this run is on the device {self.device.type!r}")

    def _check_device(self) -> None:
        if self.fp16 and self.device.type == "cpu":
            raise TrainingError("fp16=True needs an accelerator: train in float32, or bf16=True")
        if self.bf16 and self.device.type == "cpu" and not has("bf16_compute"):
            logger.warning("bf16=True: this CPU computes in bfloat16 more slowly than in float32")
        if self.fsdp and self.ranks.count == 1:
            raise TrainingError("fsdp splits a model over several processes: start them with torchrun")
        if self.fsdp and (self.fp16 or self.torch_compile):
            raise TrainingError("fsdp goes with float32 or bf16=True, and without torch_compile")

    def _join_spellings(self) -> None:
        if isinstance(self.fsdp, (bool, list, tuple)):  # as the reference takes it too
            self.fsdp = "full_shard" if self.fsdp is True else " ".join(map(str, self.fsdp or ()))
        if self.evaluation_strategy is not None:
            if self.eval_strategy not in ("no", self.evaluation_strategy):
                raise TrainingError("evaluation_strategy and eval_strategy are one setting, given two values")
            self.eval_strategy = self.evaluation_strategy
        self.evaluation_strategy = None
        if self.train_sampling_strategy not in ("random", "group_by_length"):
            raise TrainingError(
                f"train_sampling_strategy is random or group_by_length, not {self.train_sampling_strategy!r}"
            )
        self.group_by_length = self.group_by_length or self.train_sampling_strategy == "group_by_length"
        self.use_cpu = self.use_cpu or self.no_cuda
        self.torch_compile |= self.torch_compile_backend is not None or self.torch_compile_mode is not None
        self.do_eval |= self.eval_strategy != "no"
        if self.eval_strategy == "steps" and self.eval_steps is None:
            self.eval_steps = self.logging_steps

    def _one_of(self, name: str, known: tuple[str, ...]) -> None:
        if getattr(self, name) not in known:
            raise TrainingError(f"{name}={getattr(self, name)!r} is unknown: one of {', '.join(known)}")

    def _check_types(self) -> None:
        for each in fields(self):
            value, kinds = getattr(self, each.name), str(each.type).split(" | ")
            if not any(TYPES[kind][1](value) for kind in kinds):
                wanted = " or ".join(TYPES[kind][0] for kind in kinds)
                raise TrainingError(f"{each.name} must be {wanted}, not {shown(value)} ({type(value).__name__})")
            if "int" in kinds and isinstance(value, Integral) and not isinstance(value, bool):
                setattr(self, each.name, int(value))  # NumPy's, which JSON does not take

    def _check_numbers(self) -> None:
        for wanted, fits, names in LIMITS:
            for name in names:
                value = getattr(self, name)
                if value is None and name in OPTIONAL:
                    continue
                if not isinstance(value, Real) or isinstance(value, bool) or not fits(value):
                    raise TrainingError(f"{name} must be {wanted}, not {value!r}")
        if self.max_steps <= 0 and not self.num_train_epochs > 0:
            raise TrainingError("num_train_epochs must be above 0 where max_steps is not given")

    def _check_best(self) -> None:
        if self.save_strategy == "best" or self.load_best_model_at_end:
            self.metric_for_best_model = self.metric_for_best_model or "loss"
        if self.save_strategy == "best" and self.eval_strategy == "no":
            raise TrainingError("save_strategy='best' needs an eval_strategy: 'epoch' or 'steps'")
        if self.load_best_model_at_end:
            if self.eval_strategy == "no":
                raise TrainingError("load_best_model_at_end=True needs an eval_strategy: 'epoch' or 'steps'")
            if self.save_strategy not in (self.eval_strategy, "best"):
                raise TrainingError(
                    f"load_best_model_at_end=True needs save_strategy as eval_strategy ({self.eval_strategy!r}) or "
                    f"'best', not {self.save_strategy!r}"
                )
            if self.save_strategy == "steps" and self.eval_steps and not _multiple(self.save_steps, self.eval_steps):
                raise TrainingError(
                    f"load_best_model_at_end=True needs save_steps ({self.save_steps}) to be a multiple of "
                    f"eval_steps ({self.eval_steps})"
                )
        if self.metric_for_best_model and self.greater_is_better is None:
            self.greater_is_better = not self.metric_for_best_model.endswith("loss")

    @property
    def train_batch_size(self) -> int:
        """Rows of one forward pass of one process."""
        return self.per_device_train_batch_size

    @property
    def eval_batch_size(self) -> int:
        """Rows of one forward pass in evaluation."""
        return self.per_device_eval_batch_size

    @property
    def world_size(self) -> int:
        """How many processes train together."""
        return self.ranks.count

    @property
    def process_index(self) -> int:
        """Which of them this is."""
        return self.ranks.rank

    def warmup(self, steps: int) -> int:
        """Steps until the learning rate is reached, of `steps`."""
        if self.warmup_steps >= 1:
            return int(self.warmup_steps)
        return math.ceil(steps * (self.warmup_steps or self.warmup_ratio))

    def every(self, name: str, steps: int) -> int:
        """`save_steps` and the like in steps, where the whole run has `steps`."""
        value = getattr(self, name)
        return max(1, math.ceil(value * steps)) if value < 1 else int(value)

    def trajectory(self) -> dict[str, Any]:
        """The settings that the weights after some steps depend on."""
        return {name: getattr(self, name) for name in TRAJECTORY} | {"world_size": self.world_size}

    def to_dict(self) -> dict[str, Any]:
        """All settings as plain data."""
        return asdict(self)


def _strings(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value)


def _multiple(one: float, other: float) -> bool:
    """Of steps, or of parts of a run."""
    return math.isclose(one / other, round(one / other), abs_tol=1e-9) and one >= other


@dataclass
class Seq2SeqTrainingArguments(TrainingArguments):
    """And what evaluation writes: `generation_max_length` and `generation_num_beams` default to the model's own."""

    predict_with_generate: bool = False
    generation_max_length: int | None = None
    generation_num_beams: int | None = None
    sortish_sampler: bool = False  # accepted: group_by_length does the same and better

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.predict_with_generate and self.fsdp:
            raise TrainingError("fsdp and predict_with_generate exclude each other: score the saved model afterwards")
        self.group_by_length = self.group_by_length or self.sortish_sampler
        for name in ("generation_max_length", "generation_num_beams"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise TrainingError(f"{name} must be a whole number from 1 on, not {value!r}")
