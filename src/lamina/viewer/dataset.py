"""A data set as it lies on disk: configs, their splits, the files of each, and what could not be read."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from .errors import NotFound

Features = dict[str, Any]  # column name -> feature, as `datasets.Features.to_dict()` writes it


@dataclass(frozen=True)
class DataFile:
    """One file. `path` is real (links resolved) and `name` relative to the data set, with slashes.

    A file elsewhere has an address, and a tag that its server changes with it.
    """

    path: Path
    name: str
    format: str
    size: int
    modified: int  # nanoseconds
    address: str = ""
    tag: str = ""

    @property
    def place(self) -> str:
        """What the engine opens: a path, or the address."""
        return self.address or str(self.path)

    @property
    def fingerprint(self) -> str:
        """Changes when the file does, as far as its size and time of change tell, or its tag."""
        return "\0".join([self.name, self.place, str(self.size), str(self.modified), *filter(None, [self.tag])])


@dataclass(frozen=True)
class Failure:
    """A file that is left out, and why; the rest is still shown."""

    file: str
    message: str
    config: str | None = None
    split: str | None = None


@dataclass(frozen=True)
class Split:
    """The files of one split, in reading order, all of one format."""

    config: str
    name: str
    format: str
    files: tuple[DataFile, ...]
    features: Features | None = None  # where the data set declares them
    options: tuple[tuple[str, str], ...] = ()  # of the reader, such as CSV's delimiter, where the card names them

    @cached_property
    def fingerprint(self) -> str:
        """Names the content of the split in caches."""
        text = "\n".join([self.format, repr(self.features), repr(self.options), *(f.fingerprint for f in self.files)])
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:40]


@dataclass(frozen=True)
class Config:
    """A subset: splits that share their columns."""

    name: str
    splits: dict[str, Split]


@dataclass(frozen=True)
class Dataset:
    """All that was found below one path."""

    name: str
    root: Path
    configs: dict[str, Config]
    default: str
    failures: tuple[Failure, ...] = ()
    info: dict[str, Any] = field(default_factory=dict)  # description, citation, license ... where the card gives them
    others: tuple[DataFile, ...] = ()  # files beside the data, such as README.md, which the mirror serves too

    @cached_property
    def revision(self) -> str:
        """Forty hexadecimal digits that change with the files, in place of a commit."""
        prints = [file.fingerprint for file in self.files]
        return hashlib.sha1("\n".join(prints).encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()

    @cached_property
    def files(self) -> tuple[DataFile, ...]:
        """Every file that may be read, each once."""
        data = [file for config in self.configs.values() for split in config.splits.values() for file in split.files]
        return tuple({file.name: file for file in [*data, *self.others]}.values())

    def config(self, name: str | None) -> Config:
        """A config by name; left out, the default one."""
        found = self.configs.get(self.default if name is None else name)
        if found is None:
            raise NotFound(f"config {name!r} is not in {self.name}, which has: {', '.join(self.configs)}")
        return found

    def split(self, config: str | None, split: str | None) -> Split:
        """A split by name; left out, `train` or the first."""
        found = self.config(config)
        splits = found.splits
        if split is None:
            split = "train" if "train" in splits else next(iter(splits))
        if split not in splits:
            raise NotFound(f"split {split!r} is not in config {found.name!r}, which has: {', '.join(splits)}")
        return splits[split]
