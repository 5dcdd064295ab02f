"""What file names say: the format, the split and the shard, by the rules of the `datasets` library."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from ..files import formats
from ..files.formats import FORMATS, beside_the_data

__all__ = ["beside_the_data", "foreign", "format_of", "natural", "split_of"]

COMPRESSIONS = (".gz", ".zst")  # of CSV, JSON and text, which DuckDB reads as they are
FOREIGN = (".bz2", *formats.FOREIGN)
SPLITS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "dev", "val"),
    "test": ("test", "testing", "eval", "evaluation"),
}
WORDS = {word: split for split, words in SPLITS.items() for word in words}
SHARD = re.compile(r"(?P<split>\w[\w.]*?)-(?P<index>\d{5})-of-\d{5}(?:-[0-9a-f]+)?\.\w+(?:\.\w+)?", re.ASCII)
BETWEEN = re.compile(r"[\W_\d]+", re.ASCII)


def format_of(name: str) -> str | None:
    """The format that a file's name promises, or None where it is not data."""
    path = PurePosixPath(name.lower())
    suffix = path.suffix
    if suffix in COMPRESSIONS and FORMATS.get(PurePosixPath(path.stem).suffix) in ("csv", "json", "text"):
        suffix = PurePosixPath(path.stem).suffix
    return FORMATS.get(suffix)


def foreign(name: str) -> bool:
    """Whether a file looks like data in a wrapping that is not read here."""
    path = PurePosixPath(name.lower())
    return path.suffix in FOREIGN and FORMATS.get(PurePosixPath(path.stem).suffix) is not None


def split_of(name: str) -> str | None:
    """The split that a path names: a shard in data/ by its prefix, then words of the folders, then of the file."""
    path = PurePosixPath(name)
    shard = SHARD.fullmatch(path.name)
    if shard and path.parts[:-1] == ("data",):
        return shard["split"]
    for part in (*reversed(path.parts[:-1]), path.name.partition(".")[0]):
        for word in BETWEEN.split(part.lower()):
            if word in WORDS:
                return WORDS[word]
    return None


def natural(name: str) -> list[tuple[int, int, str]]:
    """A key that sorts part-2 before part-10."""
    parts = [part for part in re.split("([0-9]+)", name) if part]
    return [(0, int(part), "") if part[0] in "0123456789" else (1, 0, part) for part in parts]
