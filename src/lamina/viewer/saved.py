"""Folders that `save_to_disk` wrote: Arrow files listed by state.json, features in dataset_info.json."""

from __future__ import annotations

from .dataset import Config, DataFile, Dataset, Failure, Features, Split
from .errors import SourceError, UnreadableData
from .features import is_features
from .folders import Listing
from .jsonfile import read_object

STATE = "state.json"
INFO = "dataset_info.json"
SPLITS = "dataset_dict.json"


def saved_dataset(found: Listing, name: str) -> Dataset | None:
    """The data set that a folder holds in this form, or None where it has another."""
    others = {file.name: file for file in found.others}
    files = {file.name: file for file in found.data}
    if STATE in others and any(file.format == "arrow" for file in found.data):
        folders = {"train": ""}
    elif SPLITS in others:
        folders = {split: f"{split}/" for split in _split_names(others[SPLITS])}
    else:
        return None
    failures = list(found.failures)
    splits: dict[str, Split] = {}
    for split, folder in folders.items():
        try:
            opened = _split(split, folder, files, others, failures)
            splits[opened.name] = opened
        except UnreadableData as problem:
            failures.append(Failure(f"{folder}{STATE}", str(problem), "default", split))
    if not splits:
        why = failures[-1].message if failures else "it has no splits"
        raise SourceError(f"{found.root} looks like what save_to_disk writes, but {why}")
    return Dataset(
        name, found.root, {"default": Config("default", splits)}, "default", tuple(failures), {}, found.others
    )


def _split_names(file: DataFile) -> list[str]:
    names = read_object(file.path, file.name).get("splits")
    if not isinstance(names, list) or not all(isinstance(each, str) and each for each in names):
        raise SourceError(f"{file.name} lists no splits")
    return names


def _split(
    split: str, folder: str, files: dict[str, DataFile], others: dict[str, DataFile], failures: list[Failure]
) -> Split:
    if f"{folder}{STATE}" not in others:
        raise UnreadableData(f"{folder}{STATE} is missing")
    state = read_object(others[f"{folder}{STATE}"].path, f"{folder}{STATE}")
    listed = state.get("_data_files")
    kept = []
    for entry in listed if isinstance(listed, list) else []:
        name = f"{folder}{entry.get('filename') if isinstance(entry, dict) else entry}"
        if name in files:
            kept.append(files[name])
        else:
            failures.append(Failure(name, f"{name} is listed by {folder}{STATE}, but missing", "default", split))
    if not kept:
        raise UnreadableData(f"none of the files that {folder}{STATE} lists can be read")
    named = state.get("_split")
    name = named if not folder and isinstance(named, str) and named else split
    return Split("default", name, "arrow", tuple(kept), _features(folder, others, failures))


def _features(folder: str, others: dict[str, DataFile], failures: list[Failure]) -> Features | None:
    file = others.get(f"{folder}{INFO}")
    if file is None:
        return None
    try:
        found = read_object(file.path, file.name).get("features")
    except UnreadableData as problem:
        failures.append(Failure(file.name, str(problem)))
        return None
    return found if is_features(found) else None
