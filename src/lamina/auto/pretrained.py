"""What every model class adds to its network: loading, saving, and the small questions users ask a model."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, ClassVar, cast

import torch
from torch import nn

from ..checkpoint.config import PretrainedConfig
from ..checkpoint.convert import check_plausible, check_tables, load_into
from ..checkpoint.files import open_weights, save_weights, weight_patterns
from ..errors import ConfigError, GenerationError, InputError
from ..families import Family, Task
from ..files.hub import resolve
from ..files.paths import present
from ..generation.config import FILE_NAME as GENERATION_FILE
from ..generation.config import GenerationConfig
from ..inference.linears import FrozenLinear
from ..inference.quantize import Freezer, freeze, settle_precision
from ..inference.storing import stored_tensors
from ..nn.model import Model
from .options import as_dtype, split_options

PRECISION_KEY = "lamina_precision"  # of config.json; other readers pass over it
WRITING = ("causal-lm", "aligned-lm", "seq2seq-lm", "double-heads")
logger = logging.getLogger("lamina")


class PreTrainedModel(Model):
    """A network of one family and task, with its config. Named classes such as BertForMaskedLM derive from it."""

    family: ClassVar[Family]
    task: ClassVar[Task]
    config_class: ClassVar[type[PretrainedConfig]]
    main_input_name: ClassVar[str] = "input_ids"

    def __init__(self, config: PretrainedConfig):
        if not isinstance(config, PretrainedConfig):
            raise ConfigError(
                f"{type(self).__name__}(config) wants a {self.config_class.__name__}, got {type(config).__name__}; "
                f"to load weights use {type(self).__name__}.from_pretrained(name_or_folder)"
            )
        for key, value in self.task.config.items():
            setattr(config, key, value)
        values = config.values()
        super().__init__(self.family.model_spec(values, self.task), self.task.kind, config)
        self.name_or_path = ""
        self.precision: str | None = None
        self._generation_config: GenerationConfig | None = None
        if not self._on_meta():
            self.initialize()

    def _on_meta(self) -> bool:
        return any(parameter.is_meta for parameter in self.parameters())

    @classmethod
    def from_config(cls, config: PretrainedConfig, *, dtype: Any = None) -> PreTrainedModel:
        """A model with random weights."""
        return cls(config).to(as_dtype(dtype, config))

    @classmethod
    def from_pretrained(
        cls, name_or_path: str | Path, *, config: PretrainedConfig | None = None, **options: Any
    ) -> Any:
        """Weights of a folder, or of a name in the hub's cache or on the hub.

        Takes the reference's options: revision, token, cache_dir, local_files_only, force_download, subfolder,
        variant, dtype (or torch_dtype), use_safetensors, ignore_mismatched_sizes, output_loading_info; anything else
        overrides the config. The model comes in evaluation mode, in float32 unless a dtype is asked for. `precision`
        is as for `quantize`; each layer is swapped as soon as it is read, so that its float32 weights are never all
        in memory. A folder saved by a quantized model comes back as it was unless `precision="fp32"` is asked for.
        """
        where, loading, overrides = split_options(options)
        folder = resolve(name_or_path, weight_patterns(loading.variant, loading.use_safetensors), **where)
        if config is None:
            config = cls.config_class.from_pretrained(folder, **overrides)
        elif overrides:
            raise ConfigError(f"unknown options {sorted(overrides)}: with config= given, set them on the config")
        with open_weights(folder, variant=loading.variant, safetensors_only=loading.use_safetensors) as weights:
            check_tables(cls.family.model_spec(config.values(), cls.task), weights.nbytes)
            with torch.device("meta"):
                model = cls(config)
            parameters = sum(p.numel() for p in model.parameters())
            check_plausible(config.to_dict(), weights.nbytes, parameters)
            asked = loading.precision or config.to_dict().get(PRECISION_KEY)
            precision = settle_precision(asked)
            freezer = Freezer(model, precision) if precision else None
            report = load_into(
                model,
                model.table(),
                weights,
                prefix=next((task.prefix for task in cls.family.tasks if task.prefix), cls.family.prefix),
                ignored=cls.family.ignored,
                dtype=torch.bfloat16 if precision == "bf16" else as_dtype(loading.dtype, config),
                ignore_mismatched_sizes=loading.ignore_mismatched_sizes,
                complete=cls.task.architecture in (config.architectures or ()),
                placed=freezer,
            )
        fresh = set(report.fresh)
        if fresh:
            model.initialize(fresh)
        if freezer is not None:
            freezer.finish()
        model._settle(precision)
        if str(report):
            logger.warning("%s from %s: %s", cls.__name__, name_or_path, report)
        model.name_or_path = str(name_or_path)
        if present(folder, GENERATION_FILE):
            model.generation_config = GenerationConfig.from_pretrained(folder)
        model.eval()
        return (model, report.as_dict()) if loading.output_loading_info else model

    def quantize(self, precision: str = "int8") -> PreTrainedModel:
        """Swap the linear layers, in place, for ones that compute in `precision` and only read: no training after it.

        "fp32-packed" (same answers within 1e-5), "bf16", "int8" (fastest on many tokens), "int8-accurate" (a range of
        activations for each token), "int8-weights" and "int4" (narrow weights for decoding), or "auto". Classifier
        heads and token tables keep their own precision. Returns the model.
        """
        settled = settle_precision(precision)
        if settled is not None:
            freeze(self.eval(), settled)
            self._settle(settled)
        return self

    def _settle(self, precision: str | None) -> None:
        """Note the precision where saving and training look for it."""
        self.precision = precision
        if precision not in (None, "fp32-packed"):
            self.config.update({PRECISION_KEY: precision})
        elif PRECISION_KEY in self.config.to_dict():
            delattr(self.config, PRECISION_KEY)

    def train(self, mode: bool = True) -> Any:
        """Training or evaluation mode; InputError for training a model whose layers only read."""
        if mode and self.precision is not None:
            raise InputError(
                f"this model was loaded or quantized to {self.precision}, which cannot be trained: "
                "load it with precision='fp32'"
            )
        return super().train(mode)

    def resize_token_embeddings(self, size: int) -> nn.Embedding:
        """As Model's; InputError where the vocabulary's projection was swapped for one that only reads."""
        if self.precision is not None:
            raise InputError(f"resize the vocabulary before the model is quantized to {self.precision}")
        return super().resize_token_embeddings(size)

    def table(self) -> dict[str, str]:
        """Our names of tensors to the checkpoint's, in the notation of checkpoint/names.py."""
        return dict(self.family.table(self.config.values(), self.task))

    def save_pretrained(
        self,
        folder: str | Path,
        *,
        safe_serialization: bool = True,
        max_shard_size: int | str = "5GB",
        variant: str | None = None,
        is_main_process: bool = True,
    ) -> None:
        """Write config.json and the weights under the reference's names; either all is written or nothing changes."""
        if not is_main_process:
            return
        self.config.architectures = [self.task.architecture]
        dtype = str(self.dtype).removeprefix("torch.")
        self.config.update({"dtype": dtype})
        save_weights(
            folder,
            stored_tensors(self, self.table()),
            safe_serialization=safe_serialization,
            max_shard_size=max_shard_size,
            variant=variant,
        )
        self.config.save_pretrained(folder)
        if self.can_generate():
            self.generation_config.save_pretrained(folder)

    def can_generate(self) -> bool:
        """Whether this task's head continues text."""
        return self.task.kind in WRITING

    @property
    def generation_config(self) -> GenerationConfig:
        """How this model writes unless told otherwise: generation_config.json, or what older files keep in config."""
        if self._generation_config is None:
            self._generation_config = GenerationConfig.from_model_config(self.config)
        return self._generation_config

    @generation_config.setter
    def generation_config(self, config: GenerationConfig) -> None:
        self._generation_config = config

    def generate(self, inputs: torch.Tensor | None = None, **options: Any) -> Any:
        """Write on from a prompt, or for a source; see generation/generate.py for the options."""
        if not self.can_generate():
            raise GenerationError(
                f"a {type(self).__name__} has no language modeling head to write with: load the checkpoint with "
                "AutoModelForCausalLM or AutoModelForSeq2SeqLM"
            )
        from ..generation.generate import generate  # here, since most models that are loaded never write

        return generate(cast(Any, self), inputs, **options)

    def compute_transition_scores(
        self,
        sequences: torch.Tensor,
        scores: Any,
        beam_indices: torch.Tensor | None = None,
        normalize_logits: bool = False,
    ) -> torch.Tensor:
        """What each written token was worth, [rows, steps], from the output of `generate`."""
        from ..generation.transitions import transition_scores

        return transition_scores(sequences, scores, beam_indices, normalize_logits)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """Floating-point type of the weights."""
        return next(p.dtype for p in self.parameters() if p.is_floating_point())

    @property
    def base_model_prefix(self) -> str:
        """What stands before the body's names in a checkpoint, without its dot."""
        return self.family.prefix.rstrip(".")

    def num_parameters(self, only_trainable: bool = False, exclude_embeddings: bool = False) -> int:
        """Count of weights, tied ones once."""
        tables = {id(m.weight) for m in self.modules() if isinstance(m, nn.Embedding)} if exclude_embeddings else set()
        frozen = 0 if only_trainable else sum(layer.num_parameters for layer in self._frozen())
        return frozen + sum(
            p.numel() for p in self.parameters() if id(p) not in tables and (p.requires_grad or not only_trainable)
        )

    def get_memory_footprint(self) -> int:
        """Bytes of weights and buffers."""
        plain = sum(tensor.nbytes for tensor in (*self.parameters(), *self.buffers()))
        return plain + sum(layer.nbytes for layer in self._frozen())

    def _frozen(self) -> list[FrozenLinear]:
        return [module for module in self.modules() if isinstance(module, FrozenLinear)]
