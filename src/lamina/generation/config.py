"""How to write: every option of generation, where its value came from, and where it is kept."""

from __future__ import annotations

import copy
import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import ConfigError, GenerationError
from ..families.keywords import refuse_unknown, settled
from ..files.atomic import finish, write_text
from ..files.hub import WHERE, resolve
from ..files.jsonfile import read_json_object
from ..files.paths import inside, local_path, present
from ..files.shown import shown
from .validation import RULES, check, unknown_options
from .watermark import WatermarkingConfig

FILE_NAME = "generation_config.json"
WRITTEN_BY = "4.57.6"  # the contract these files follow; readers decide by it how defaults are inherited
MAX_FILE_BYTES = 16 * 2**20
TOKENS = ("bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id")
MADE_OF_CONFIG = "_from_model_config"  # a file that says so gives way where the model's config is changed
IN_MODEL_CONFIG = (  # options that a model's config may hold, and that `generate` looks for there
    "max_length",
    "min_length",
    "do_sample",
    "early_stopping",
    "num_beams",
    "temperature",
    "top_k",
    "top_p",
    "typical_p",
    "repetition_penalty",
    "length_penalty",
    "no_repeat_ngram_size",
    "encoder_no_repeat_ngram_size",
    "bad_words_ids",
    "num_return_sequences",
    "output_scores",
    "return_dict_in_generate",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "remove_invalid_values",
    "exponential_decay_length_penalty",
    "suppress_tokens",
    "begin_suppress_tokens",
    "num_beam_groups",
    "diversity_penalty",
)
LONGEST_NUMBER = 9  # digits, of a version
logger = logging.getLogger("lamina")


def _allows_none(hint: str) -> bool:
    return "None" in hint or hint == "Any"


class GenerationConfig:
    """Options of `generate`. What is not set has the default of the class, which is Transformers' 4.57.

    `set_options` tells the two apart, so that a default never overrides what someone chose. Unknown keys are kept as
    attributes and written back.
    """

    max_length: int = 20
    max_new_tokens: int | None = None
    min_length: int = 0
    min_new_tokens: int | None = None
    early_stopping: bool | str = False
    max_time: float | None = None
    stop_strings: str | list[str] | None = None
    do_sample: bool = False
    num_beams: int = 1
    use_cache: bool = True
    temperature: float | None = 1.0
    top_k: int | None = 50
    top_p: float | None = 1.0
    min_p: float | None = None
    typical_p: float | None = 1.0
    epsilon_cutoff: float | None = 0.0
    eta_cutoff: float | None = 0.0
    repetition_penalty: float | None = 1.0
    encoder_repetition_penalty: float | None = 1.0
    length_penalty: float = 1.0
    no_repeat_ngram_size: int | None = 0
    encoder_no_repeat_ngram_size: int | None = 0
    bad_words_ids: list[list[int]] | None = None
    force_words_ids: list[Any] | None = None
    constraints: list[Any] | None = None
    renormalize_logits: bool = False
    forced_bos_token_id: int | None = None
    forced_eos_token_id: int | list[int] | None = None
    remove_invalid_values: bool = False
    exponential_decay_length_penalty: tuple[int, float] | None = None
    suppress_tokens: list[int] | None = None
    begin_suppress_tokens: list[int] | None = None
    sequence_bias: Any = None
    token_healing: bool = False
    guidance_scale: float | None = None
    watermarking_config: WatermarkingConfig | None = None
    num_return_sequences: int = 1
    output_attentions: bool = False
    output_hidden_states: bool = False
    output_scores: bool = False
    output_logits: bool | None = None
    return_dict_in_generate: bool = False
    pad_token_id: int | None = None
    bos_token_id: int | None = None
    eos_token_id: int | list[int] | None = None
    decoder_start_token_id: int | list[int] | None = None
    num_beam_groups: int = 1
    diversity_penalty: float = 0.0
    penalty_alpha: float | None = None
    num_assistant_tokens: int = 20
    num_assistant_tokens_schedule: str = "constant"
    assistant_confidence_threshold: float | None = 0.4
    prompt_lookup_num_tokens: int | None = None
    max_matching_ngram_size: int | None = None
    assistant_early_exit: int | None = None
    transformers_version: str = WRITTEN_BY

    _from_model_config = False
    _origin: Any = None  # `set_options` as they were read or derived

    def __init__(self, **options: Any):
        """Set `options`, known or not; `GenerationError` where they cannot be."""
        self._fill(options)
        self._tell_unknown("GenerationConfig")

    def _fill(self, options: dict[str, Any]) -> None:
        vars(self)[MADE_OF_CONFIG] = options.pop(MADE_OF_CONFIG, False) is True
        for name, value in options.items():
            self._assign(name, value)
        check(self)

    def _tell_unknown(self, where: str) -> None:
        unknown = unknown_options(self)
        if unknown:
            logger.warning("%s: not options of generation, kept without effect: %s", where, ", ".join(unknown))

    def __setattr__(self, name: str, value: Any) -> None:
        known = name.startswith("_") or hasattr(self, name)
        super().__setattr__(name, value)
        if not known:
            self._tell_unknown("GenerationConfig")

    def _assign(self, name: str, value: Any) -> None:
        if name not in RULES and (name.startswith("_") or hasattr(GenerationConfig, name)):
            raise GenerationError(f"{shown(name)} cannot be an option of generation: it is the name of a method.")
        if name in RULES and hasattr(value, "tolist"):
            value = value.tolist()
        if name == "watermarking_config" and isinstance(value, Mapping):
            value = WatermarkingConfig.from_dict(value)
        if value is None and name in NEVER_NONE:
            vars(self).pop(name, None)  # a null stands for the default
        else:
            vars(self)[name] = value

    def _unchanged(self) -> GenerationConfig:
        self._origin = copy.deepcopy(self.set_options)
        return self

    @property
    def follows_model_config(self) -> bool:
        """Whether this was made of a model's config, by its file's word or here, and has not been changed since."""
        return self._from_model_config and self._origin == self.set_options

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """Every known option with its default."""
        return {name: getattr(cls, name) for name in RULES}

    @property
    def set_options(self) -> dict[str, Any]:
        """What was set, by a file or by hand."""
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}

    def update(self, **options: Any) -> dict[str, Any]:
        """Set those of `options` that are options of generation or are already attributes; return the others."""
        known = {name: value for name, value in options.items() if hasattr(self, name)}
        for name, value in known.items():
            self._assign(name, value)
        check(self)
        return {name: value for name, value in options.items() if name not in known}

    def copy(self) -> GenerationConfig:
        """A copy that can be changed alone."""
        return copy.deepcopy(self)

    def with_defaults_of(self, other: GenerationConfig, every: bool | None = None) -> GenerationConfig:
        """A copy that takes from `other`, the model's own options, what is not set here.

        `every` False takes its special tokens only; None does so where `other` was written before 4.50, as the
        reference does.
        """
        if every is None:
            every = _version(other.transformers_version) >= (4, 50)
        taken = copy.deepcopy(other.set_options)
        if not every:
            taken = {name: taken[name] for name in TOKENS if taken.get(name) is not None}
        taken.pop("transformers_version", None)
        result = self.copy()
        for name, value in taken.items():
            if name not in vars(result) or (name in TOKENS and getattr(result, name) is None):
                result._assign(name, value)
        if result.temperature == 0.0:
            result.do_sample = False
        check(result)
        return result

    def for_task(self, task: str, task_specific_params: Mapping[str, Any] | None) -> GenerationConfig:
        """A copy under what `config.json` says of one task; keys that are not options (`prefix`) stay outside."""
        result = self.copy()
        params = (task_specific_params or {}).get(task) or {}
        result.update(**{name: value for name, value in params.items() if name in self.defaults()})
        return result

    def to_dict(self) -> dict[str, Any]:
        """Every option, set or not."""
        every = copy.deepcopy({**self.defaults(), **self.set_options})
        if self.watermarking_config is not None:
            every["watermarking_config"] = self.watermarking_config.to_dict()
        return every

    def to_diff_dict(self) -> dict[str, Any]:
        """The options that differ from the defaults."""
        defaults, version = self.defaults(), {"transformers_version": self.transformers_version}
        made = {MADE_OF_CONFIG: True} if self._from_model_config else {}
        every = self.to_dict().items()
        return (
            made | {name: value for name, value in every if name not in defaults or value != defaults[name]} | version
        )

    def to_json_string(self, use_diff: bool = True) -> str:
        """JSON, of the options that differ from the defaults unless told otherwise."""
        options = self.to_diff_dict() if use_diff else self.to_dict()
        try:
            return json.dumps(options, indent=2, sort_keys=True, default=_json, allow_nan=False) + "\n"
        except (TypeError, ValueError) as error:
            raise GenerationError(f"These options cannot be written as JSON: {error}.") from None

    def save_pretrained(self, save_directory: str | os.PathLike[str], config_file_name: str = FILE_NAME) -> None:
        """Write `generation_config.json` into a folder, whole or not at all."""
        folder = Path(save_directory)
        if folder.is_file():
            raise ConfigError(f"{folder} is a file; generation options are saved into a folder.")
        write_text(folder / config_file_name, self.to_json_string(), ConfigError)

    @classmethod
    def from_file(cls, path: str | os.PathLike[str], **options: Any) -> GenerationConfig:
        """The options of one JSON file, under `options`."""
        found = read_json_object(local_path(path, ConfigError), MAX_FILE_BYTES)
        try:
            return cls._of({**found, **options}, str(path))._unchanged()
        except GenerationError as error:
            raise GenerationError(f"{path}: {error}") from None

    @classmethod
    def _of(cls, options: Mapping[str, Any], where: str) -> GenerationConfig:
        kept = {name: value for name, value in options.items() if not name.startswith("_") or name == MADE_OF_CONFIG}
        config = cls.__new__(cls)
        config._fill(kept)
        config._tell_unknown(where)
        return config

    @classmethod
    def from_dict(cls, config_dict: Mapping[str, Any], return_unused_kwargs: bool = False, **options: Any) -> Any:
        """The options of a mapping, under `options`; with `return_unused_kwargs` also those that are no options."""
        unused = {name: options.pop(name) for name in set(options) - RULES.keys()} if return_unused_kwargs else {}
        config = cls._of({**config_dict, **options}, "GenerationConfig")
        return (config, unused) if return_unused_kwargs else config

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name: str | os.PathLike[str],
        config_file_name: str | os.PathLike[str] = FILE_NAME,
        *,
        return_unused_kwargs: bool = False,
        **options: Any,
    ) -> Any:
        """The options kept in a model's folder or on the Hub, under `options`.

        `revision`, `cache_dir`, `subfolder` and so on are as for models. Any other keyword is a ConfigError, or is
        returned beside the config with `return_unused_kwargs`.
        """
        rest, name = settled(options), str(config_file_name)
        where = {key: rest.pop(key) for key in WHERE if key in rest}
        unused = {key: rest.pop(key) for key in list(rest) if key not in RULES}
        if not return_unused_kwargs:
            refuse_unknown(unused, RULES)
        folder = local_path(pretrained_model_name, ConfigError)
        if where or not folder.is_dir():
            folder = resolve(os.fspath(pretrained_model_name), [name], **where)
        finish(folder, ConfigError)
        path = inside(folder, name, ConfigError) if present(folder, name) else folder / name
        config = cls.from_file(path, **rest)
        return (config, unused) if return_unused_kwargs else config

    @classmethod
    def from_model_config(cls, model_config: Any) -> GenerationConfig:
        """The options that older checkpoints keep in `config.json` itself."""
        config = model_config if isinstance(model_config, Mapping) else model_config.to_dict()
        known = cls.defaults().keys() - {"transformers_version"}
        options = {name: value for name, value in config.items() if name in known and value is not None}
        if config.get("is_encoder_decoder"):  # what only a decoder's key says holds too
            decoder = {name: config[f"decoder_{name}"] for name in known if config.get(f"decoder_{name}") is not None}
            options |= {
                name: decoder[name] for name in decoder if options.get(name, getattr(cls, name)) == getattr(cls, name)
            }
        if config.get("force_bos_token_to_be_generated") and "forced_bos_token_id" not in options:
            options["forced_bos_token_id"] = config.get("bos_token_id")
        if any(options.get(name) for name in ("output_scores", "output_attentions", "output_hidden_states")):
            options.setdefault("return_dict_in_generate", True)
        return cls(**options, **{MADE_OF_CONFIG: True})._unchanged()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, GenerationConfig):
            return NotImplemented
        ours, theirs = self.to_dict(), other.to_dict()
        return ours | {"transformers_version": None} == theirs | {"transformers_version": None}

    __hash__ = None  # type: ignore[assignment]  # options change

    def __repr__(self) -> str:
        return f"{type(self).__name__} {self.to_json_string()}"


NEVER_NONE = frozenset(name for name, hint in GenerationConfig.__annotations__.items() if not _allows_none(hint))


def kept_in_model_config(values: Mapping[str, Any], usual: Mapping[str, Any]) -> dict[str, Any]:
    """Options that a model's config holds in `values`, where they differ from what is `usual` for its family."""
    found = {name: values[name] for name in IN_MODEL_CONFIG if values.get(name) is not None}
    return {name: value for name, value in found.items() if value != usual.get(name, getattr(GenerationConfig, name))}


def _version(text: str) -> tuple[int, ...]:
    numbers = [part for part in str(text).split(".")[:2] if part.isdecimal() and len(part) < LONGEST_NUMBER]
    return tuple(map(int, numbers))


def _json(value: Any) -> Any:
    if isinstance(value, WatermarkingConfig):
        return value.to_dict()
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(shown(value))
