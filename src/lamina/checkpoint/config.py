"""A model's configuration: the values of its config.json over the family's defaults, under the names users know."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from ..errors import ConfigError, HubError
from ..families import Family, family
from ..files.atomic import write_text
from ..files.hub import resolve
from ..files.jsonfile import read_json_object
from ..files.paths import inside, local_path, present
from ..files.shown import cause, shown
from .fields import CHOICES, COMMON, check_field, check_together, dtype_name
from .keywords import INERT, LOADING, SETTINGS, refuse_unknown, settled
from .labels import check_labels, default_labels, read_labels

NAME = "config.json"
LABELS = ("num_labels", "id2label", "label2id", "name_or_path")
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
        if values.get("scale_decoder_outputs") is False:
            values["tie_word_embeddings"] = False  # newer T5 files tell an untied head in this way only
        if "encoder_layers" in values and self.family.aliases.get("num_hidden_layers") == "encoder_layers":
            values.pop("num_hidden_layers", None)  # distilled files keep their teacher's number under this name
        for key in ("torch_dtype", "dtype"):  # the newer spelling last: it wins
            if values.get(key, 0) is None:
                del values[key]
        aliases = self.family.aliases
        for key, value in sorted(values.items(), key=lambda item: (item[0] in aliases, item[0] == "dtype")):
            if value is not None or values.get(aliases.get(key, "")) is None:  # null: nothing
                self._set(key, value)
        state["_values"].update(read_labels(labels, self.family.defaults.get("num_labels", 2), source))
        check_together(self.values(), source)

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
            check_together(self.values(), self._source)
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
        revision: str | None = None,
        cache_dir: str | Path | None = None,
        token: str | bool | None = None,
        local_files_only: bool = False,
        force_download: bool = False,
        subfolder: str = "",
        return_unused_kwargs: bool = False,
        **overrides: Any,
    ) -> Any:
        """The config of a folder, a config.json, or a name in the hub's cache or on the hub; overrides win.

        A keyword that is no key of the config, and none of loading, is a ConfigError; `return_unused_kwargs` asks for
        these beside the config instead.
        """
        overrides = settled({"token": token, **overrides})
        token = overrides.pop("token")
        if local_path(name_or_path, HubError).is_file():
            values, source = read_json_object(name_or_path), str(name_or_path)
        else:
            folder = resolve(
                name_or_path,
                (NAME,),
                revision=revision,
                cache_dir=cache_dir,
                token=token,
                local_files_only=local_files_only,
                force_download=force_download,
                subfolder=subfolder,
            )
            values, source = _read(folder)
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
        kept = {key: said[key] for key in said if key not in silent and not key.startswith("_")}
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
    return {key: value for key, value in config.values().items() if not key.startswith("_")}


def _torch_dtype(name: str | None) -> Any:
    if name is None:
        return None
    import torch  # here, since configs are read where torch is never needed

    return getattr(torch, name)
