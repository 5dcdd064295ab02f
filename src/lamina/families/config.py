"""A model's configuration: the values of its config.json over the family's defaults, under the names users know."""

from __future__ import annotations

import copy
import json
import logging
import math
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from ..errors import ConfigError, HubError
from ..files.atomic import write_text
from ..files.hub import resolve
from ..files.jsonfile import read_json_object
from ..files.paths import inside, local_path, present
from ..files.shown import cause, shown
from ..spec import ACTIVATION_NAMES
from . import Family, family
from .keywords import INERT, LOADING, SETTINGS, refuse_unknown, split

NAME = "config.json"
LABELS = ("num_labels", "id2label", "label2id", "name_or_path")
COMMON: dict[str, Any] = {  # what any family's config.json may leave out
    "architectures": None,
    "dtype": None,
    "return_dict": True,
    "torchscript": False,
    "output_attentions": False,
    "output_hidden_states": False,
    "is_encoder_decoder": False,
    "is_decoder": False,
    "add_cross_attention": False,
    "tie_word_embeddings": True,
    "problem_type": None,
    "finetuning_task": None,
    "task_specific_params": None,
    "tokenizer_class": None,
    "prefix": None,
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": None,
    "sep_token_id": None,
    "decoder_start_token_id": None,
}
LIMITS = (  # how many make sense of what a key counts, by the words of its name: the first row that fits
    (r"type_vocab_size", 0, 10_000),
    (r"(\w+_)?vocab_size", 1, 1_000_000),
    (r"(\w*hidden|\w*embedding)_size|n_embd|d_model|d_embed|dim|word_embed_proj_dim", 1, 16_384),
    (r"\w*intermediate_size|(\w+_)?ffn_dim|hidden_dim|n_inner|d_?ff|d_inner", 1, 131_072),
    (r"(num|n)_(\w+_)?layers?|(en|de)coder_layers", 0, 256),
    (r"num_hidden_groups|inner_group_num", 1, 256),
    (r"(num|n)_(\w+_)?heads?|(en|de)coder_attention_heads|(d_)?head(_dim)?|d_kv", 1, 16_384),
    (r"max_position_embeddings|n_positions|n_ctx", 1, 1_000_000),
    (r"(mem|tgt|ext)_len", 0, 1_000_000),
    (r"relative_attention_num_buckets", 4, 100_000),
    (r"relative_attention_max_distance", 1, 1_000_000_000),
    (r"div_val|attention_head_size|conv_groups", 1, 16_384),
    (r"position_buckets|max_relative_positions", -1, 1_000_000),
    (r"conv_kernel_size", 0, 255),
    (r"global_attn_every_n_layers", 1, 256),
    (r"local_attention|window_size", 1, 1_000_000),
)
HEADS = ("num_attention_heads", "encoder_attention_heads", "decoder_attention_heads")
HEAD_DIMS = ("head_dim", "d_head", "d_kv")  # one of them says a head's width, which is a share of the model's else
CHOICES: Mapping[str, tuple[Any, ...]] = {
    "problem_type": (None, "regression", "single_label_classification", "multi_label_classification"),
    "position_embedding_type": (None, "absolute"),  # "relative_key" and its like are published, but not built here
    "classifier_pooling": ("cls", "mean"),
    "pruned_heads": (None, {}),  # layers with fewer heads than the config says
    "quantization_config": (None,),  # weights in the format of another library
}
RATES = ("dropout", "dropout_prob", "dropout_rate", "_pdrop", "layerdrop", "dropatt", "rotary_pct")
SPREADS = ("initializer_range", "initializer_factor", "init_std", "init_range")
SMALLEST_EPS = 1e-30  # float32 has no numbers much below
SEVERAL = ("eos_token_id", "forced_eos_token_id")
ACTIVATIONS = (
    *("hidden_act", "activation_function", "activation", "afn", "feed_forward_proj"),
    *("hidden_activation", "classifier_activation", "pooler_hidden_act", "conv_act"),
)
TOGETHER = (  # sizes whose product a few bytes could make large, without a tensor in the file that stands against it
    (("num_hidden_groups", "inner_group_num"), 256),
    (("mem_len", "d_model", "n_layer"), 1 << 27),
)
MOST_CUTOFFS = 32
DTYPES = ("float64", "float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "int8", "uint8")
TYPE_NAMES = {float: "a number", int: "a whole number", bool: "true or false", str: "text"}
MOST_LABELS = 100_000
logger = logging.getLogger("lamina")
Config = TypeVar("Config", bound="PretrainedConfig")


class PretrainedConfig:
    """Configuration of a model: attributes in either of their spellings, every key of the file kept and written back.

    Named classes such as BertConfig derive from this one and set `family`. Unknown keys are inert data: nothing here
    or elsewhere is chosen by them. Values of the wrong type or absurd size are a ConfigError.
    """

    family: Family
    keys_to_ignore_at_inference: ClassVar[tuple[str, ...]] = ("past_key_values",)
    _values: dict[str, Any]
    _source: str

    def __init__(self, **values: Any):
        self._set_up(values, type(self).__name__)

    def _set_up(self, values: Mapping[str, Any], source: str) -> None:
        state = self.__dict__
        state["_values"], state["_source"] = {}, source
        values = dict(values)
        named = values.pop("model_type", None)
        if not hasattr(type(self), "family"):
            state["family"] = _family(named, source)
        elif named is not None and named != self.family.model_type:
            raise ConfigError(f"{source}: model_type is {shown(named)}, which is not what {type(self).__name__} is for")
        state["_values"]["model_type"] = self.family.model_type
        labels: dict[str, Any] = {
            key: values.pop(key) for key in ("num_labels", "id2label", "label2id") if key in values
        }
        if self.family.meant is not None:
            values = dict(self.family.meant(values))
        for key in ("torch_dtype", "dtype"):  # the newer spelling last: it wins
            if values.get(key, 0) is None:
                del values[key]
        aliases = self.family.aliases
        for key, value in sorted(values.items(), key=lambda item: (item[0] in aliases, item[0] == "dtype")):
            if value is not None or values.get(aliases.get(key, "")) is None:  # a null says nothing beside its key
                self._set(key, value)
        state["_values"].update(read_labels(labels, self.family.defaults.get("num_labels", 2), source))
        check_together(self.values(), self.family.aliases, source)

    def _set(self, key: str, value: Any) -> None:
        key = self._canonical(key)
        if key == "dtype":
            value = dtype_name(value, self._source)
        default = self.family.defaults.get(key, COMMON.get(key))
        check_field(key, value, default, self._source)
        only = self.family.fixed.get(key)
        if only is not None and value not in (only, None):
            raise ConfigError(
                f"{self._source}: {key}={shown(value)}; {self.family.model_type} is known with {only} only"
            )
        means_none = key.endswith("_token_id") or key in self.family.optional
        if value is None and default is True:
            value = False  # a switch of null is off for those who wrote the file
        if value is None and default is not None and not means_none:
            self._values.pop(key, None)  # a null stands for the default, save where it means "no such token"
        else:
            self._values[key] = value

    def _canonical(self, key: str) -> str:
        return "dtype" if key == "torch_dtype" else self.family.aliases.get(key, key)

    def values(self) -> dict[str, Any]:
        """Everything a family's spec may ask for: defaults, the file's values, and the number of labels."""
        merged = {**COMMON, **self.family.defaults, **self._values}
        if self.family.derived is not None:
            for key, value in self.family.derived(merged).items():
                if merged.get(key) is None:
                    merged[key] = value
        merged["num_labels"] = len(self._values["id2label"])
        return merged

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or "_values" not in self.__dict__:
            raise AttributeError(name)
        key = self._canonical(name)
        found = next((values[key] for values in (self._values, self.family.defaults, COMMON) if key in values), None)
        if found is not None:
            return _torch_dtype(found) if key == "dtype" else found
        merged = self.values()  # null, or nowhere: what it stands for may follow from other keys
        if key in merged:
            return merged[key]
        raise AttributeError(f"{type(self).__name__} has no {shown(name)}")

    def __setattr__(self, name: str, value: Any) -> None:
        self.update({name: value})

    def __delattr__(self, name: str) -> None:
        if self._values.pop(self._canonical(name), self) is self:
            raise AttributeError(name)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self.values(), *self.family.aliases})

    @property
    def num_labels(self) -> int:
        """How many classes a classification head tells apart: the length of `id2label`."""
        return len(self._values["id2label"])

    @property
    def use_return_dict(self) -> bool:
        """Whether models return output objects rather than tuples."""
        return bool(self.return_dict) and not self.torchscript

    @property
    def name_or_path(self) -> str:
        """Where the config came from."""
        return str(self._values.get("_name_or_path", ""))

    @property
    def attribute_map(self) -> dict[str, str]:
        """The other spellings that are understood."""
        return dict(self.family.aliases)

    def update(self, values: Mapping[str, Any]) -> None:
        """Set several keys at once, or none where one of them is wrong."""
        before = dict(self._values)
        names, count = values.get("id2label"), values.get("num_labels")
        if isinstance(names, Mapping) and count is not None and len(names) != count:
            raise ConfigError(f"num_labels={shown(count)} contradicts id2label, which names {len(names)} classes")
        try:
            for key, value in values.items():
                self._update_one(key, value)
            check_together(self.values(), self.family.aliases, self._source)
        except ConfigError:
            self.__dict__["_values"] = before
            raise

    def _update_one(self, key: str, value: Any) -> None:
        if key == "model_type" and value != self.family.model_type:
            raise ConfigError(f"the model_type of a {type(self).__name__} cannot become {shown(value)}")
        if key == "num_labels":
            if value != self.num_labels:
                self._values.update(default_labels(value, self._source))
        elif key in ("id2label", "label2id"):
            self._values.update(check_labels(key, value, self._source))
        else:
            self._set("_name_or_path" if key == "name_or_path" else key, value)

    @classmethod
    def model_type_of(cls, folder: str | Path) -> str:
        """The family a folder's config.json names."""
        values, source = _read(folder)
        return _family(values.get("model_type"), source).model_type

    @classmethod
    def from_pretrained(
        cls: type[Config],
        name_or_path: str | Path,
        *,
        return_unused_kwargs: bool = False,
        **options: Any,
    ) -> Any:
        """The config of a folder, a config.json, or a name in the hub's cache or on the hub; overrides win.

        Options are keys of the config, or those of `resolve` in files/hub.py. Any other, unless it is one of loading
        that changes nothing here, is a ConfigError; `return_unused_kwargs` asks for these beside the config instead.
        """
        where, overrides = split(options)
        if local_path(name_or_path, HubError).is_file():
            values, source = read_json_object(name_or_path), str(name_or_path)
        else:
            values, source = _read(resolve(name_or_path, (NAME,), **where))
        config = cls._made(values, source, {})
        known = config._known()
        unused = {name: overrides.pop(name) for name in [*overrides] if name not in known}
        if not return_unused_kwargs:
            _refuse_unused(unused, known)
        config.update(overrides)
        config._values["_name_or_path"] = str(name_or_path)
        return (config, unused) if return_unused_kwargs else config

    def _known(self) -> set[str]:
        """Every key that this config has, or that somebody reads where it has it."""
        family = self.family
        return {
            *self.values(),
            *family.aliases,
            *family.optional,
            *family.fixed,
            *SETTINGS,
            *INERT,
            *CHOICES,
            *LABELS,
            "torch_dtype",
        }

    @classmethod
    def from_dict(cls: type[Config], config_dict: Mapping[str, Any], **overrides: Any) -> Config:
        """The config that a mapping holds."""
        return cls._made(config_dict, cls.__name__, overrides)

    @classmethod
    def from_json_file(cls: type[Config], json_file: str | Path, **overrides: Any) -> Config:
        """The config in one JSON file."""
        path = local_path(json_file, ConfigError)
        return cls._made(read_json_object(path), str(path), overrides)

    @classmethod
    def _made(cls: type[Config], values: Mapping[str, Any], source: str, overrides: Mapping[str, Any]) -> Config:
        config = cls.__new__(cls)
        config._set_up(values, source)
        config.__dict__["_source"] = cls.__name__
        config.update(overrides)
        return config

    def to_dict(self) -> dict[str, Any]:
        """Every key with its value, defaults included."""
        merged = copy.deepcopy(self.values())
        del merged["num_labels"]
        return merged

    def to_diff_dict(self) -> dict[str, Any]:
        """What config.json gets: all of the family's keys, and of the keys common to all families those that say
        something; whether embeddings are tied is always said, since versions disagree on what silence means.
        """
        said = {**self.family.defaults, **self._values}
        said.pop("num_labels", None)
        count = self.family.defaults.get("num_labels", 2)
        if self._values["id2label"] == default_labels(count, "")["id2label"]:
            del said["id2label"], said["label2id"]
        usual = {**COMMON, **self.family.defaults}
        silent = {key for key, value in said.items() if key in COMMON and value == COMMON[key] == usual[key]}
        own = self.family.defaults
        kept = {key: said[key] for key in said if key not in silent and (key[0] != "_" or key in own)}
        return {**kept, "tie_word_embeddings": self.tie_word_embeddings}

    def to_json_string(self, use_diff: bool = True) -> str:
        """The text of config.json."""
        values = self.to_diff_dict() if use_diff else self.to_dict()
        try:
            return json.dumps(values, indent=2, sort_keys=True, allow_nan=False) + "\n"
        except (TypeError, ValueError) as problem:
            raise ConfigError(f"{type(self).__name__} holds a value that JSON cannot: {cause(problem)}") from None

    def to_json_file(self, json_file_path: str | Path, use_diff: bool = True) -> None:
        """Write that text as a whole or not at all."""
        write_text(json_file_path, self.to_json_string(use_diff), ConfigError)

    def save_pretrained(self, save_directory: str | Path) -> None:
        """Write config.json into a folder."""
        self.to_json_file(local_path(save_directory, ConfigError) / NAME)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PretrainedConfig) and _plain(self) == _plain(other)

    __hash__ = None  # type: ignore[assignment]  # values change

    def __repr__(self) -> str:
        return f"{type(self).__name__} {self.to_json_string()}"


def _read(folder: str | Path) -> tuple[dict[str, Any], str]:
    folder = Path(folder)
    if not present(folder, NAME):
        what = "has no" if folder.is_dir() else "is not a folder with a"
        raise ConfigError(f"{folder} {what} {NAME}: a model's folder holds that file beside its weights")
    path = inside(folder, NAME, ConfigError)
    return read_json_object(path), str(path)


def _refuse_unused(unused: Mapping[str, Any], known: set[str]) -> None:
    loading = [name for name in unused if name in LOADING]
    if loading:
        raise ConfigError(f"{loading[0]}= is for loading weights: pass it to the from_pretrained of a model")
    refuse_unknown(unused, known)


def _family(named: Any, source: str) -> Family:
    if not isinstance(named, str):
        raise ConfigError(f'{source} has no "model_type", such as "bert": load it with a named class, as BertConfig')
    try:
        return family(named)
    except ConfigError as problem:
        raise ConfigError(f"{source}: {problem}") from None


def _plain(config: PretrainedConfig) -> dict[str, Any]:
    own = config.family.defaults
    return {key: value for key, value in config.values().items() if key[0] != "_" or key in own}


def _torch_dtype(name: str | None) -> Any:
    if name is None:
        return None
    import torch  # here, since configs are read where torch is never needed

    return getattr(torch, name)


def check_field(key: str, value: Any, default: Any, source: str) -> None:
    """Refuse a value of another type than the default's, or a size out of all proportion."""
    if not isinstance(key, str):
        raise ConfigError(f"{source}: keys must be text, not {shown(key)}")
    if wanted := _wanted(key, value, default):
        raise ConfigError(f"{source}: {key} is {shown(value)}; {wanted}")


def _wanted(key: str, value: Any, default: Any) -> str | None:
    """What `key` should be instead of `value`; None where the value can be had."""
    if key in CHOICES:
        known = any(type(value) is type(choice) and value == choice for choice in CHOICES[key])
        return None if known else f"it must be one of {', '.join(map(str, CHOICES[key]))}"
    if limits := _limits(key):
        low, high = limits
        if value is None and default is None:
            return None
        if type(value) is not int:
            return "it must be a whole number"
        return None if low <= value <= high else f"only {low:,} to {high:,} makes sense"
    if value is None:
        return None
    if key.endswith("_token_id"):
        ids = value if isinstance(value, list) and value and key in SEVERAL else [value]
        plain = all(type(number) is int and abs(number) < 2**31 for number in ids)
        return None if plain else "it must be a token's number"
    if key == "architectures":
        plain = isinstance(value, list) and all(isinstance(name, str) for name in value)
        return None if plain else "it must be a list of names"
    if key.endswith(RATES) and type(default) is not bool:
        return None if type(value) in (int, float) and 0 <= value <= 1 else "it must be a share between 0 and 1"
    return None if default is None else _unlike(key, value, type(default))


def _unlike(key: str, value: Any, wanted: type) -> str | None:
    """What a value should be that is not of the type wanted, or out of the range that its key has."""
    types = {float: (int, float), list: (list, tuple), tuple: (list, tuple)}.get(wanted, (wanted,))
    if type(value) not in types:
        return f"it must be {TYPE_NAMES.get(wanted, 'a ' + wanted.__name__)}"
    if wanted in (int, float) and not abs(value) < (2**31 if wanted is int else 1e9):
        return "that is out of range"
    if key.endswith(("_eps", "_epsilon")) and not SMALLEST_EPS <= value <= 1:
        return "it must be a small number above 0, such as 1e-5"
    if key.endswith(SPREADS) and value < 0:
        return "it must not be below 0"
    if key in ACTIVATIONS and value.removeprefix("gated-") not in ACTIVATION_NAMES:
        return f"known are {', '.join(ACTIVATION_NAMES)}"
    return None


@lru_cache(256)  # keys are as many as strangers wish
def _limits(key: str) -> tuple[int, int] | None:
    return next(((low, high) for words, low, high in LIMITS if re.fullmatch(words, key)), None)


def check_together(values: Mapping[str, Any], aliases: Mapping[str, str], source: str) -> None:
    """Refuse values that contradict each other; `aliases` are the family's."""
    width = aliases.get("hidden_size", "hidden_size")
    for heads in () if any(key in values for key in HEAD_DIMS) else {aliases.get(key, key) for key in HEADS}:
        if isinstance(values.get(width), int) and isinstance(values.get(heads), int) and values[width] % values[heads]:
            raise ConfigError(f"{source}: {width} {values[width]} cannot be cut into {heads} {values[heads]}")
    for keys, most in TOGETHER:
        sizes: list[Any] = [values.get(key) for key in keys]
        if all(isinstance(size, int) for size in sizes) and math.prod(sizes) > most:
            told = " x ".join(f"{key} {size:,}" for key, size in zip(keys, sizes, strict=True))
            raise ConfigError(f"{source}: {told} is more than any model has")
    buckets, far = values.get("relative_attention_num_buckets"), values.get("relative_attention_max_distance")
    if isinstance(buckets, int) and isinstance(far, int) and far <= buckets // 2:
        raise ConfigError(
            f"{source}: relative_attention_max_distance {far:,} must exceed half of the {buckets:,} buckets"
        )
    if len(values.get("cutoffs") or ()) > MOST_CUTOFFS:
        raise ConfigError(f"{source}: cutoffs are {len(values['cutoffs']):,}; at most {MOST_CUTOFFS} make sense")


def dtype_name(value: Any, source: str) -> str | None:
    """A dtype as config.json spells it, from that spelling or from a torch.dtype."""
    if value is None or value == "auto":
        return None
    name = str(value).removeprefix("torch.") if isinstance(value, str) or type(value).__module__ == "torch" else ""
    if name not in DTYPES:
        raise ConfigError(f"{source}: dtype {shown(value)} is none of {', '.join(DTYPES)}")
    return name


def read_labels(given: Mapping[str, Any], default: int, source: str) -> dict[str, Any]:
    """Both mappings from what a file or a call gives of num_labels, id2label and label2id."""
    id2label, label2id, count = given.get("id2label"), given.get("label2id"), given.get("num_labels")
    if id2label is None:
        made = default_labels(default if count is None else count, source)
        if label2id and len(_indices(label2id, source)) == len(made["id2label"]):
            made = {"id2label": {number: label for label, number in label2id.items()}, "label2id": dict(label2id)}
        return made
    made = check_labels("id2label", id2label, source)
    if count is not None and (type(count) is not int or count != len(made["id2label"])):
        default_labels(count, source)
        logger.warning("%s: num_labels is %d, id2label names %d, which counts", source, count, len(made["id2label"]))
    if label2id:
        made["label2id"] = _indices(label2id, source)
    return made


def check_labels(key: str, value: Any, source: str) -> dict[str, Any]:
    """What setting one of the two mappings changes: the inverse follows `id2label`."""
    if key == "label2id":
        return {"label2id": _indices(value, source)}
    if not isinstance(value, Mapping) or not 0 < len(value) <= MOST_LABELS:
        raise ConfigError(f"{source}: id2label must map 1 to {MOST_LABELS:,} numbers to names, not {shown(value)}")
    try:
        numbers = [int(number) for number in value]
        if any(abs(number) >= 2**31 for number in numbers):
            raise ValueError("larger than any class's number")
        names = dict(zip(numbers, value.values(), strict=True))
    except (TypeError, ValueError, OverflowError):
        raise ConfigError(f"{source}: id2label must have whole numbers as keys, not {shown(value)}") from None
    plain = all(isinstance(label, str) or (isinstance(label, int) and abs(label) < 2**63) for label in names.values())
    if not plain or len(names) != len(value):
        raise ConfigError(f"{source}: id2label must map each number to one name")
    names = {number: str(label) for number, label in names.items()}
    return {"id2label": names, "label2id": {label: number for number, label in names.items()}}


def default_labels(count: Any, source: str) -> dict[str, Any]:
    """LABEL_0, LABEL_1, ..."""
    if type(count) is not int or not 0 < count <= MOST_LABELS:
        raise ConfigError(f"{source}: num_labels must be a whole number from 1 to {MOST_LABELS:,}, not {shown(count)}")
    names = {number: f"LABEL_{number}" for number in range(count)}
    return {"id2label": names, "label2id": {label: number for number, label in names.items()}}


def _indices(value: Any, source: str) -> dict[Any, int]:
    if not isinstance(value, Mapping) or not all(type(number) is int for number in value.values()):
        raise ConfigError(f"{source}: label2id must map names to whole numbers, not {shown(value)}")
    return dict(value)
