"""The YAML head of a data set's README.md: its configs, their files and features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..files.paths import bounded_text
from .dataset import DataFile, Failure, Features
from .errors import UnreadableData
from .features import from_card
from .folders import CARD, Listing
from .jsonfile import LARGEST as LARGEST_FILE

LARGEST = 1 << 20  # characters of YAML
OPTIONS = {"sep": "delim", "delimiter": "delim", "quotechar": "quote", "escapechar": "escape"}


@dataclass(frozen=True)
class CardConfig:
    """One entry of `configs`: split -> patterns of files, below a folder; no patterns, all of it."""

    name: str
    splits: dict[str, tuple[str, ...]]
    folder: str = ""
    default: bool = False
    options: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Card:
    """What the card says of the data; empty where there is none."""

    configs: tuple[CardConfig, ...] = ()
    features: dict[str, Features] = field(default_factory=dict)  # config -> features
    info: dict[str, Any] = field(default_factory=dict)


def read_card(found: Listing) -> tuple[Card, list[Failure]]:
    """The card in a folder, and what of it makes no sense."""
    file: DataFile | None = next((file for file in found.others if file.name == CARD), None)
    if file is None:
        return Card(), []
    failures: list[Failure] = []
    try:
        head = _head(bounded_text(file.path, CARD, LARGEST_FILE, UnreadableData))
    except UnreadableData as problem:
        return Card(), [Failure(CARD, str(problem))]
    configs = []
    declared = head.get("configs")
    for entry in declared if isinstance(declared, list) else []:
        try:
            configs.append(_config(entry))
        except (TypeError, ValueError) as problem:
            failures.append(Failure(CARD, f"README.md: an entry of configs is left out: {problem}"))
    features = _features(head.get("dataset_info"), failures)
    info: dict[str, Any] = {key: head[key] for key in ("license", "pretty_name", "language", "tags") if key in head}
    return Card(tuple(configs), features, info), failures


def _head(text: str) -> dict[str, Any]:
    import yaml

    if not text.startswith("---"):
        return {}
    head, closing, _ = text[3:].partition("\n---")
    if not closing:
        return {}
    if len(head) > LARGEST:
        raise UnreadableData("README.md: its YAML head is larger than 1 MB, and is not read")
    try:
        if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(head, Loader=yaml.SafeLoader)):
            raise UnreadableData("README.md: aliases (*name) in its YAML head are not read")
        found = yaml.safe_load(head)
    except (yaml.YAMLError, ValueError, RecursionError) as problem:
        if isinstance(problem, UnreadableData):
            raise
        raise UnreadableData(f"README.md: its head is not YAML: {' '.join(str(problem).split())[:200]}") from None
    return found if isinstance(found, dict) else {}


def _config(entry: object) -> CardConfig:
    if not isinstance(entry, Mapping):
        raise TypeError("it is not a mapping")
    name = entry.get("config_name", "default")
    if not isinstance(name, str) or not name or any(character in name for character in '<>:/\\|?*"\0'):
        raise ValueError(f"{name!r} is no name for a config")
    folder = str(entry.get("data_dir") or "").strip("/").removeprefix("./")
    options = tuple((OPTIONS[key], str(value)) for key, value in entry.items() if key in OPTIONS)
    return CardConfig(name, _data_files(entry.get("data_files")), folder, entry.get("default") is True, options)


def _data_files(given: object) -> dict[str, tuple[str, ...]]:
    """A pattern, patterns, split -> patterns, or a list of {split, path}: all as split -> patterns."""
    if given is None:
        return {}
    if isinstance(given, Mapping):
        return {str(split): _patterns(patterns) for split, patterns in given.items()}
    if isinstance(given, list) and given and all(isinstance(each, Mapping) for each in given):
        return {str(each.get("split", "train")): _patterns(each.get("path")) for each in given}
    return {"train": _patterns(given)}


def _patterns(given: object) -> tuple[str, ...]:
    listed = given if isinstance(given, list) else [given]
    if not listed or not all(isinstance(each, str) and each for each in listed):
        raise ValueError(f"data_files must be patterns, not {given!r}")
    return tuple(listed)


def _features(given: object, failures: list[Failure]) -> dict[str, Features]:
    found: dict[str, Features] = {}
    for entry in given if isinstance(given, list) else [given]:
        if not isinstance(entry, Mapping) or "features" not in entry:
            continue
        name = str(entry.get("config_name", "default"))
        try:
            found[name] = from_card(entry["features"])
        except (TypeError, ValueError, KeyError, AttributeError, RecursionError) as problem:
            what = f"README.md: the features of {name!r} make no sense and are not used: {problem}"
            failures.append(Failure(CARD, what, name))
    return found
