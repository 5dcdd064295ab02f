"""What every model class adds to its network: loading, saving, and the small questions users ask a model."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, cast

import torch
from torch import nn

from ..checkpoint.convert import LoadReport, check_plausible, check_tables, export, load_into, own_tensors, spelled
from ..checkpoint.files import given_weights, open_weights, save_weights, weight_patterns
from ..checkpoint.storage import Weights
from ..errors import CheckpointError, ConfigError, GenerationError, InputError
from ..families import Family, Task
from ..families.config import PretrainedConfig
from ..families.keywords import Loading, refuse_unknown, split_loading
from ..files.atomic import staged
from ..files.hub import resolve
from ..files.paths import present
from ..files.shown import cause, shown
from ..generation.config import FILE_NAME as GENERATION_FILE
from ..generation.config import GenerationConfig, kept_in_model_config
from ..inference.linears import FrozenLinear
from ..inference.quantize import Freezer, freeze, settle_precision, stored_tensors
from ..nn.model import Model
from ..spec import KINDS, ModelSpec

PRECISION_KEY = "lamina_precision"  # of config.json; other readers pass over it
UNTRAINED_KEY = "lamina_untrained"  # the same: names of weights that are random
POOLED = "pooled-body"
SPREAD = ("auto", "balanced", "balanced_low_0", "sequential")  # all of them one device where there is one
logger = logging.getLogger("lamina")


class PreTrainedModel(Model):
    """A network of one family and task, with its config. Named classes such as BertForMaskedLM derive from it."""

    family: ClassVar[Family]
    task: ClassVar[Task]
    config_class: ClassVar[type[PretrainedConfig]]
    main_input_name: ClassVar[str] = "input_ids"

    def __init__(self, config: PretrainedConfig, add_pooling_layer: bool | None = None):
        if not isinstance(config, PretrainedConfig) or config.family is not self.family:
            raise ConfigError(
                f"{type(self).__name__}(config) wants a {self.config_class.__name__}, got {type(config).__name__}; "
                f"to load weights use {type(self).__name__}.from_pretrained(name_or_folder)"
            )
        for key, value in self.task.config.items():
            setattr(config, key, value)
        super().__init__(self._spec(config, add_pooling_layer), self.task.kind, config)
        self.name_or_path = ""
        self.precision: str | None = None
        self.untrained: tuple[str, ...] = ()
        self._generation_config = (
            GenerationConfig.from_model_config(self.config.values()) if self.can_generate() else None
        )
        self._told = ""  # the last warning about options in the config
        if not any(parameter.is_meta for parameter in self.parameters()):
            self.initialize()
            self._part()

    def _spec(self, config: PretrainedConfig, add_pooling_layer: bool | None) -> ModelSpec:
        spec = self.family.model_spec(config.values(), self.task)
        if add_pooling_layer is None:
            return spec
        if self.task.kind != POOLED or type(add_pooling_layer) is not bool:
            raise ConfigError(f"add_pooling_layer={shown(add_pooling_layer)}: true or false, of a body with a pooler")
        return spec if add_pooling_layer else replace(spec, pooler=None)

    def _part(self) -> None:
        """Give a tied projection weights of its own where the config asks for a model that torchscript can hold."""
        if self.config.torchscript and self.head is not None and self.head.spec.tied:
            self.head.project.weight = nn.Parameter(self.head.project.weight.detach().clone())

    @classmethod
    def from_config(cls, config: PretrainedConfig, **options: Any) -> PreTrainedModel:
        """A model with random weights in `dtype`; `add_pooling_layer` is as for from_pretrained."""
        where, loading, overrides = split_loading(options)
        refuse_unknown([*where, *overrides], ())
        asked = {name for name, value in vars(loading).items() if value not in (None, False)}
        if asked - {"dtype", "add_pooling_layer"}:
            raise ConfigError(f"from_config loads nothing: {', '.join(sorted(asked))} make no sense there")
        return cls(config, loading.add_pooling_layer).to(as_dtype(loading.dtype, config))

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | Path | None,
        *model_args: Any,
        config: PretrainedConfig | str | Path | None = None,
        **options: Any,
    ) -> Any:
        """Weights of a folder, or of a name in the hub's cache or on the hub, or of `state_dict`.

        Takes the reference's options; each works, or is refused where it asks for what is not there (see
        families/keywords.py). A key of the config overrides it; any other keyword is a ConfigError. The model comes
        in evaluation mode, in float32 unless a dtype is asked for, on the CPU unless `device_map` names one device.
        `add_pooling_layer=False` leaves out a body's pooler. `precision` is as for `quantize`; each layer is swapped
        as soon as it is read, so that its float32 weights are never all in memory. A folder saved by a quantized
        model comes back as it was unless `precision="fp32"` is asked for.

        `untrained` of the model names, as files do, the parameters that no file held and that were drawn at random.
        """
        where, loading, overrides = split_loading(options)
        if len(model_args) > 1:
            raise ConfigError(
                "from_pretrained(name, add_pooling_layer) takes no further positional arguments: name each option"
            )
        loading.add_pooling_layer = model_args[0] if model_args else loading.add_pooling_layer
        device = as_device(loading.device_map)
        folder = find_folder(name_or_path, config, loading, where)
        model, report = cls._loaded(folder, cls._settled(config or folder, overrides), loading)
        if str(report):
            logger.warning("%s from %s: %s", cls.__name__, name_or_path or "state_dict", report)
        model.name_or_path = str(name_or_path or "")
        if model.can_generate():
            model._read_generation_config(folder, loading.generation_config, overrides)
        model.eval()
        if device is not None:
            model.to(device)
        return (model, report.as_dict()) if loading.output_loading_info else model

    @classmethod
    def _settled(cls, config: Any, overrides: dict[str, Any]) -> PretrainedConfig:
        """The caller's config, or that of a folder with what the caller overrides."""
        if not isinstance(config, PretrainedConfig):
            found: PretrainedConfig = cls.config_class.from_pretrained(config, **overrides)
            return found
        if overrides:
            raise ConfigError(f"unknown options {sorted(overrides)}: with config= given, set them on the config")
        return config

    @classmethod
    def _loaded(
        cls, folder: Path | None, config: PretrainedConfig, loading: Loading
    ) -> tuple[PreTrainedModel, LoadReport]:
        """The model of a config with the weights of a folder, or of the state dict, and what was found of it."""
        with _open(folder, loading) as weights:
            model = cls._on_paper(config, weights, loading.add_pooling_layer)
            precision = settle_precision(loading.precision or config.to_dict().get(PRECISION_KEY))
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
                optional="pooler." if cls.task.kind == POOLED else None,
                placed=freezer,
            )
        if report.fresh:
            model.initialize(report.fresh)
        model._part()
        if freezer is not None:
            freezer.finish()
        model._settle(precision)
        model._note_untrained(report)
        return model, report

    @classmethod
    def _on_paper(cls, config: PretrainedConfig, weights: Weights, add_pooling_layer: bool | None) -> PreTrainedModel:
        """The model of a config, without memory for its weights; errors say where the config is from."""
        try:
            config.update(cls.family.fitted(config.values(), weights))
            check_tables(cls.family.model_spec(config.values(), cls.task), weights.nbytes)
            with torch.device("meta"):
                model = cls(config, add_pooling_layer)
            check_plausible(config.to_dict(), weights.nbytes, sum(p.numel() for p in model.parameters()))
        except (ConfigError, CheckpointError) as problem:
            if not config.name_or_path or config.name_or_path in str(problem):
                raise
            raise type(problem)(f"the config of {config.name_or_path}: {problem}") from None
        return model

    def _note_untrained(self, report: LoadReport) -> None:
        """Keep which parameters are random: those that the file lacks, and those it says were random when saved."""
        said = self.config.to_dict().get(UNTRAINED_KEY)
        names = set(report.drawn)
        if isinstance(said, list):
            names.update(name for name in said if isinstance(name, str))
            delattr(self.config, UNTRAINED_KEY)
        self.untrained = tuple(sorted(names))

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
        self.reads_only = precision is not None
        if self.reads_only:
            super().requires_grad_(False)
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
        if mode:
            self.untrained = ()  # they are about to be
        return super().train(mode)

    def requires_grad_(self, requires_grad: bool = True) -> Any:
        """As torch's; InputError where layers only read, since gradients would stop at each of them in silence."""
        if requires_grad and self.precision is not None:
            raise InputError(
                f"layers of {self.precision} have no gradients: load the model with precision='fp32' to ask for them"
            )
        return super().requires_grad_(requires_grad)

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        """What `to`, `half`, `cuda` and their like do; InputError for another type of numbers in swapped layers."""
        if self.precision is not None and fn(torch.empty(0, dtype=self.dtype)).dtype != self.dtype:
            raise InputError(
                f"the numbers of a model of {self.precision} keep their type: load it anew with the dtype or "
                "precision that is wanted"
            )
        return super()._apply(fn, recurse)  # type: ignore[no-untyped-call]

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """As torch's; InputError for the codes of a quantized model where plain weights are to go."""
        own = dict(self.named_parameters(remove_duplicate=False))
        codes = [
            name
            for name, tensor in state_dict.items()
            if name in own and torch.is_tensor(tensor) and not tensor.is_floating_point()
        ]
        if codes:
            raise InputError(
                f"{codes[0]} holds {state_dict[codes[0]].dtype}, the codes of a quantized model: load them into one of "
                "the same precision"
            )
        found = super().load_state_dict(state_dict, strict=strict, assign=assign)
        held = {spelling for name in state_dict for ways in spelled(self.table(), name)[:1] for spelling in ways.names}
        self.untrained = tuple(name for name in self.untrained if name not in held)
        return found

    def resize_token_embeddings(self, size: int) -> nn.Embedding:
        """As Model's; InputError where the vocabulary's projection was swapped for one that only reads."""
        if self.precision is not None:
            raise InputError(f"resize the vocabulary before the model is quantized to {self.precision}")
        return super().resize_token_embeddings(size)

    def table(self) -> dict[str, str]:
        """Our names of tensors to the checkpoint's, in the notation of families/names.py."""
        return dict(self.family.table(self.config.values(), self.task))

    def save_pretrained(
        self,
        folder: str | Path,
        *,
        safe_serialization: bool = True,
        max_shard_size: int | str = "5GB",
        variant: str | None = None,
        is_main_process: bool = True,
        state_dict: Mapping[str, torch.Tensor] | None = None,
        save_function: Any = None,
        push_to_hub: bool = False,
        token: Any = None,
        save_peft_format: bool = True,
    ) -> None:
        """Write config.json and the weights under the reference's names; either all is written or nothing changes.

        `state_dict` has tensors to write in the place of the model's, by the names of its own `state_dict()`. Nothing
        is uploaded: `push_to_hub=True` is a ConfigError. `save_function`, `token` and `save_peft_format` of the
        reference change nothing.
        """
        if push_to_hub:
            raise ConfigError("push_to_hub=True: nothing is uploaded from here; upload the folder with huggingface_hub")
        if not is_main_process:
            return
        tensors = stored_tensors(self, self.table()) if state_dict is None else self._given(state_dict)
        if self.can_generate():
            self._move_options()
        self.config.architectures = [self.task.architecture]
        dtype = str(self.dtype).removeprefix("torch.")
        self.config.update({"dtype": dtype, **({UNTRAINED_KEY: list(self.untrained)} if self.untrained else {})})
        with staged(folder, CheckpointError):
            save_weights(
                folder,
                tensors,
                safe_serialization=safe_serialization,
                max_shard_size=max_shard_size,
                variant=variant,
            )
            self.config.save_pretrained(folder)
            if self.can_generate():
                self.generation_config.save_pretrained(folder)
        if self.untrained:
            delattr(self.config, UNTRAINED_KEY)

    def _given(self, state_dict: Mapping[str, torch.Tensor]) -> Iterator[tuple[str, torch.Tensor]]:
        """Tensors of the caller under the checkpoint's names, all of this model and no others."""
        if self.precision is not None:
            raise InputError(f"state_dict= is for plain weights, this model is of {self.precision}")
        own = self.state_dict()
        for name in sorted({*own, *state_dict}, key=str):
            if name not in own or name not in state_dict:
                raise CheckpointError(
                    f"state_dict has {'an unknown' if name not in own else 'no'} {shown(name)}: it must be as "
                    "model.state_dict() gives it"
                )
            if getattr(state_dict[name], "shape", None) != own[name].shape:
                raise CheckpointError(f"state_dict: {name} must be a tensor of shape {list(own[name].shape)}")
        return export({name: state_dict[name] for name, _ in own_tensors(self, self.table())}, self.table())

    def can_generate(self) -> bool:
        """Whether this task's head continues text."""
        return KINDS[self.task.kind].writes

    @property
    def generation_config(self) -> GenerationConfig:
        """How this model writes unless told otherwise: generation_config.json, or what older files keep in config.

        `generate` looks for options in the model's config too, where these were made of it and not changed since.
        """
        if self._generation_config is None:
            self._generation_config = GenerationConfig.from_model_config(self.config.values())
        return self._generation_config

    @generation_config.setter
    def generation_config(self, config: GenerationConfig | None) -> None:
        if config is not None and not isinstance(config, GenerationConfig):
            raise ConfigError(f"generation_config must be a GenerationConfig, not {shown(config)}")
        self._generation_config = config

    def _kept_in_config(self) -> dict[str, Any]:
        return kept_in_model_config(self.config.values(), self.family.defaults)

    def _look_into_config(self) -> None:
        """Take options of generation that were set on the model's config, or say that they count for nothing."""
        kept, held = self._kept_in_config(), self.generation_config
        if not kept:
            return
        where = f"{type(self).__name__}: options of generation are set in the model's config, {shown(kept)}"
        if held.follows_model_config:
            made = GenerationConfig.from_model_config(self.config.values())
            if made != held:
                logger.warning("%s; they are used. Set them on model.generation_config instead", where)
                self.generation_config = made
        elif where != self._told and any(getattr(held, name) != value for name, value in kept.items()):
            self._told = where
            logger.warning("%s; model.generation_config says otherwise and goes before them", where)

    def _read_generation_config(self, folder: Path | None, given: Any, overrides: dict[str, Any]) -> None:
        """The caller's options, else those of generation_config.json under what the call of from_pretrained said."""
        if given is not None:
            self.generation_config = copy.deepcopy(given)
        elif folder is not None and present(folder, GENERATION_FILE):
            options = {name: value for name, value in overrides.items() if name in GenerationConfig.defaults()}
            self.generation_config = GenerationConfig.from_pretrained(folder, **options)

    def _move_options(self) -> None:
        """Options of generation leave the model's config, which is not their place, for generation_config."""
        moved = self._kept_in_config()
        if not moved:
            return
        logger.warning("Moved from the model's config to its generation_config: %s", shown(moved))
        self.generation_config.update(**moved)
        for name in moved:
            delattr(self.config, name)

    def generate(
        self,
        inputs: torch.Tensor | None = None,
        generation_config: GenerationConfig | None = None,
        *arguments: Any,
        **options: Any,
    ) -> Any:
        """Write on from a prompt, or for a source; see generation/generate.py for the options."""
        if not self.can_generate():
            raise GenerationError(
                f"a {type(self).__name__} has no language modeling head to write with: load the checkpoint with "
                "AutoModelForCausalLM or AutoModelForSeq2SeqLM"
            )
        if generation_config is None:
            self._look_into_config()
        from ..generation.generate import generate  # here, since most models that are loaded never write

        return generate(cast(Any, self), inputs, generation_config, *arguments, **options)

    def compute_transition_scores(
        self,
        sequences: torch.Tensor,
        scores: Any,
        beam_indices: torch.Tensor | None = None,
        normalize_logits: bool = False,
    ) -> torch.Tensor:
        """What each written token was worth, [rows, steps], from the output of `generate`."""
        from ..generation.generate import transition_scores

        return transition_scores(sequences, scores, beam_indices, normalize_logits)

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


def as_dtype(asked: Any, config: PretrainedConfig) -> torch.dtype:
    """float32 unless asked otherwise; "auto" is the type the config records."""
    name = config.to_dict().get("dtype") if asked == "auto" else asked
    if name is None:
        return torch.float32
    found = name if isinstance(name, torch.dtype) else getattr(torch, str(name).removeprefix("torch."), None)
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise ConfigError(
            f"dtype {shown(asked)} is not a floating-point type: use 'auto', 'float32', 'bfloat16', 'float16' or a "
            "torch.dtype"
        )
    return found


def as_device(device_map: Any) -> torch.device | None:
    """The one device that a `device_map` means; None where it says nothing, ConfigError where it means several."""
    if device_map is None:
        return None
    if isinstance(device_map, dict):
        places = {str(place): place for place in device_map.values()}
        if len(places) != 1:
            raise ConfigError(
                f"device_map={shown(device_map)} spreads a model over devices, which is not supported: name one"
            )
        device_map = next(iter(places.values()))
    if isinstance(device_map, str) and device_map in SPREAD:
        device_map = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        if isinstance(device_map, bool) or str(device_map) in ("disk", "meta"):
            raise ValueError("weights have to be in the memory of a device")
        device = torch.device(device_map)
        torch.empty(0, device=device)
    except (RuntimeError, TypeError, ValueError, AssertionError) as problem:
        raise ConfigError(f"device_map={shown(device_map)} names no device of this machine: {cause(problem)}") from None
    return device


def find_folder(name_or_path: Any, config: Any, loading: Loading, where: Mapping[str, Any]) -> Path | None:
    """The folder to load from; None where the weights are given and nothing else is named."""
    if loading.state_dict is None:
        if name_or_path is None:
            raise ConfigError("from_pretrained(None) needs state_dict=, and config=, to load from")
        return resolve(name_or_path, weight_patterns(loading.variant, loading.use_safetensors), **where)
    if name_or_path is None and config is None:
        raise ConfigError("from_pretrained(None, state_dict=...) needs config= too")
    return None if name_or_path is None else resolve(name_or_path, ("config.json", GENERATION_FILE), **where)


def _open(folder: Path | None, loading: Loading) -> Weights:
    if loading.state_dict is not None:
        return given_weights(loading.state_dict)
    assert folder is not None
    return open_weights(folder, variant=loading.variant, safetensors_only=loading.use_safetensors)
