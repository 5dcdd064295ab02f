"""From a path or a name to a data set: a file, a glob, a folder, what `save_to_disk` wrote, or the Hub's cache."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from .card import Card, CardConfig, read_card
from .dataset import Config, DataFile, Dataset, Failure, Features, Split
from .errors import SourceError
from .folders import LeftOut, Listing, data_file, listing
from .hub import snapshot
from .matching import matching
from .naming import format_of, natural, split_of
from .remote import FOLDER, is_remote, remote_files
from .saved import saved_dataset
from .settings import Settings

MAGIC = "*?["
DEFAULT = "default"
PREFERRED = ("parquet", "csv", "json", "text", "arrow")  # where there are as many files of each


def open_dataset(path_or_name: str | Path, settings: Settings | None = None) -> Dataset:
    """The data set at a path, or of a name on the Hub. No data is read yet, only names and the card.

    Raises SourceError where there is nothing to show.
    """
    text = os.fspath(path_or_name)
    if is_remote(text):
        files, name = remote_files(text, settings or Settings())
        configs = _by_format(files, Card())
        return Dataset(name, FOLDER, configs, next(iter(configs)))
    if not text or "\0" in text:
        raise SourceError("pass a folder, a file, a pattern such as 'data/*.csv', a name on the Hub or an address")
    path = Path(text).expanduser()
    if path.is_dir():
        return from_folder(path)
    if path.is_file():
        return from_files(path.parent, [path], path.name)
    if any(mark in text for mark in MAGIC):
        found = [Path(match) for match in sorted(glob.glob(str(path), recursive=True)) if os.path.isfile(match)]
        if not found:
            raise SourceError(f"no file matches {text}")
        return from_files(Path(os.path.commonpath([file.parent for file in found])), found, text)
    if os.path.lexists(path):
        raise SourceError(f"{path} is neither a folder nor a regular file")
    folder, name = snapshot(text, settings or Settings())
    return from_folder(folder, name)


def from_folder(folder: Path, name: str | None = None) -> Dataset:
    """A folder, as `load_dataset` or `load_from_disk` would take it."""
    folder = Path(os.path.abspath(folder))
    name = name or folder.name or "data"
    found = listing(folder)
    saved = saved_dataset(found, name)
    if saved is not None:
        return saved
    card, complaints = read_card(found)
    failures = [*found.failures, *complaints]
    configs = _declared(found, card, failures) or _by_format(found.data, card)
    if not configs:
        raise SourceError(_nothing(folder, failures))
    default = next((each.name for each in card.configs if each.default and each.name in configs), None)
    if default is None:
        default = DEFAULT if DEFAULT in configs else next(iter(configs))
    return Dataset(name, folder, configs, default, tuple(failures), card.info, found.others)


def from_files(root: Path, paths: Iterable[Path], name: str) -> Dataset:
    """Named files only; what lies beside them is not looked at."""
    root = Path(os.path.abspath(root))
    data: list[DataFile] = []
    failures: list[Failure] = []
    for path in paths:
        path = Path(os.path.abspath(path))
        shown = path.relative_to(root).as_posix()
        try:
            if format_of(shown) is None:
                raise LeftOut("is neither Parquet, CSV, TSV, JSON, JSONL, text nor Arrow by its name")
            data.append(data_file(root, path))
        except LeftOut as why:
            failures.append(Failure(shown, f"{shown} {why}"))
    configs = _by_format(data, Card())
    if not configs:
        raise SourceError(_nothing(root, failures))
    return Dataset(name, root, configs, next(iter(configs)), tuple(failures))


def _nothing(folder: Path, failures: list[Failure]) -> str:
    what = f"{folder} holds no Parquet, CSV, TSV, JSON, JSONL, text or Arrow files"
    return f"{what} that can be read: {failures[0].message}" if failures else what


def _by_format(data: Iterable[DataFile], card: Card) -> dict[str, Config]:
    """One config of the format that most files have, and one for each further format, by its name."""
    groups: dict[str, list[DataFile]] = {}
    for file in data:
        groups.setdefault(file.format, []).append(file)
    configs = {}
    for rank, form in enumerate(sorted(groups, key=lambda form: (-len(groups[form]), PREFERRED.index(form)))):
        name = form if rank else DEFAULT
        features = card.features.get(name) or (card.features.get(DEFAULT) if not rank else None)
        if not rank and not features and len(card.features) == 1:
            name, features = next(iter(card.features.items()))
        configs[name] = Config(name, _splits(name, form, groups[form], features))
    return configs


def _splits(config: str, form: str, files: list[DataFile], features: Features | None) -> dict[str, Split]:
    """Splits by file name; where no file names one, all are `train`."""
    named: dict[str, list[DataFile]] = {}
    unnamed: list[DataFile] = []
    for file in sorted(files, key=lambda file: natural(file.name)):
        split = split_of(file.name)
        if split is None:
            unnamed.append(file)
        else:
            named.setdefault(split, []).append(file)
    if unnamed:
        named["other" if "train" in named else "train"] = unnamed
    order = sorted(named, key=lambda split: ({"train": 0, "validation": 1, "test": 2}.get(split, 3), split))
    return {split: Split(config, split, form, tuple(named[split]), features) for split in order}


def _declared(found: Listing, card: Card, failures: list[Failure]) -> dict[str, Config]:
    """The configs that the card names, each with the files its patterns match."""
    configs: dict[str, Config] = {}
    for declared in card.configs:
        splits = _declared_splits(found, declared, card.features.get(declared.name), failures)
        if splits:
            configs[declared.name] = Config(declared.name, splits)
    return configs


def _declared_splits(
    found: Listing, declared: CardConfig, features: Features | None, failures: list[Failure]
) -> dict[str, Split]:
    below = [file for file in found.data if not declared.folder or file.name.startswith(f"{declared.folder}/")]
    if not declared.splits:
        if not below:
            return {}
        form = Counter(file.format for file in below).most_common(1)[0][0]
        return _splits(declared.name, form, [file for file in below if file.format == form], features)
    splits = {}
    for split, patterns in declared.splits.items():
        files = matching(below, patterns, declared.folder)
        forms = list(dict.fromkeys(file.format for file in files))
        if not files:
            what = f"README.md: no file matches {', '.join(patterns)}"
            failures.append(Failure("README.md", what, declared.name, split))
            continue
        for file in files:
            if file.format != forms[0]:
                why = f"{file.name} is {file.format}, unlike the rest of its split"
                failures.append(Failure(file.name, why, declared.name, split))
        kept = tuple(file for file in files if file.format == forms[0])
        splits[split] = Split(declared.name, split, forms[0], kept, features, declared.options)
    return splits
