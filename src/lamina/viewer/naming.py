"""What file names say: the format, the split and the shard, by the rules of the `datasets` library."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

FORMATS = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".tsv": "csv",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
    ".txt": "text",
    ".text": "text",
    ".arrow": "arrow",
    ".feather": "arrow",
}
COMPRESSIONS = (".gz", ".zst")  # of CSV, JSON and text, which DuckDB reads as they are
FOREIGN = (".bz2", ".xz", ".lz4", ".zip", ".tar", ".7z")
SPLITS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "dev", "val"),
    "test": ("test", "testing", "eval", "evaluation"),
}
WORDS = {word: split for split, words in SPLITS.items() for word in words}
SHARD = re.compile(r"(?P<split>\w[\w.]*?)-(?P<index>\d{5})-of-\d{5}(?:-[0-9a-f]+)?\.\w+(?:\.\w+)?", re.ASCII)
BETWEEN = re.compile(r"[\W_\d]+", re.ASCII)
PROSE = {"readme", "license", "licence", "copying", "requirements", "changelog", "notice", "authors", "citation"}
BOOKKEEPING = {"dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json", "croissant.json"}


def format_of(name: str) -> str | None:
    """The format that a file's name promises, or None where it is no data."""
    path = PurePosixPath(name.lower())
    suffix = path.suffix
    if suffix in COMPRESSIONS and FORMATS.get(PurePosixPath(path.stem).suffix) in ("csv", "json", "text"):
        suffix = PurePosixPath(path.stem).suffix
    return FORMATS.get(suffix)


def foreign(name: str) -> bool:
    """Whether a file looks like data in a wrapping that is not read here."""
    path = PurePosixPath(name.lower())
    return path.suffix in FOREIGN and FORMATS.get(PurePosixPath(path.stem).suffix) is not None


def beside_the_data(name: str) -> bool:
    """Whether a file is prose or bookkeeping, although its suffix is that of a data format."""
    path = PurePosixPath(name.lower())
    return path.name in BOOKKEEPING or (format_of(name) == "text" and path.name.partition(".")[0] in PROSE)


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
