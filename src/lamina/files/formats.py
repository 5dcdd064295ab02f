"""What a file's name and its first bytes say: in which format its rows are, and how it is compressed."""

from __future__ import annotations

import glob
import os
from pathlib import Path, PurePath, PurePosixPath

from ..errors import InputError, LaminaError
from .shown import shown

FORMATS = {  # of every known ending; the viewer's words
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
FORMS = {".pq": "parquet", ".ndjson": "jsonl", ".text": "txt", ".feather": "arrow"}  # endings of the same meaning
NAMES = ("csv", "tsv", "json", "jsonl", "txt", "parquet", "arrow")
COMPRESSIONS = {".gz": "gzip", ".bz2": "bzip2", ".zst": "zstandard"}  # of CSV, JSON and text
FOREIGN = (".xz", ".lz4", ".zip", ".tar", ".7z")
PROSE = {"readme", "license", "licence", "copying", "requirements", "changelog", "notice", "authors", "citation"}
BOOKKEEPING = {"dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json", "croissant.json"}
KNOWN = ", ".join(FORMATS) + f", and text formats compressed as {', '.join(COMPRESSIONS)}"
SIGNATURES = (
    (b"PAR1", "Parquet"),
    (b"ARROW1\0\0", "Arrow"),
    (b"\xff\xff\xff\xff", "Arrow"),
    (b"FEA1", "Feather of version 1"),
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstandard"),
    (b"\xfd7zXZ\0", "xz"),
    (b"PK\x03\x04", "a zip archive"),
    (b"%PDF-", "PDF"),
    (b"SQLite format 3\0", "SQLite"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)


def form_of(name: str | PurePath) -> tuple[str | None, str | None]:
    """The format of a file's rows, one of NAMES, and its compression, as its name says; None where it says nothing."""
    path = PurePosixPath(str(name).lower())
    compression = COMPRESSIONS.get(path.suffix)
    if compression:
        path = path.with_suffix("")
    suffix = path.suffix
    if suffix not in FORMATS or (compression and FORMATS[suffix] not in ("csv", "json", "text")):
        return None, compression
    return FORMS.get(suffix, suffix[1:]), compression


def known_form(path: Path, form: str | None, error: type[LaminaError]) -> tuple[str, str | None]:
    """As `form_of`, where `form` goes before the name; `error` with the known endings where neither says one.

    What can be read only once is refused: its rows would be gone when its columns have been looked at.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        raise error(f"{path}: is a pipe or a device, which can be read only once; write it to a file first")
    found, compression = form_of(path.name)
    if form is None and found is None:
        raise error(f"{path}: its ending is not one of {KNOWN}; name its format, or convert it")
    if form is not None and form not in NAMES:
        raise error(f"there is no format {shown(form)}; there are {', '.join(NAMES)}")
    return form or found or "", compression


def signature(data: bytes) -> str | None:
    """What a file is by its first bytes; None for text and what is not known."""
    if data[:3] == b"BZh" and data[4:10] == b"1AY&SY":
        return "bzip2"
    if b"\0" in data[:2]:
        return "UTF-16 without its mark, or binary"
    return next((name for mark, name in SIGNATURES if data.startswith(mark)), None)


def beside_the_data(name: str) -> bool:
    """Whether a file is prose or bookkeeping, although its suffix is that of a data format."""
    path = PurePosixPath(name.lower())
    form = form_of(name)[0]
    return path.name in BOOKKEEPING or (form in ("txt", None) and path.name.partition(".")[0] in PROSE)


def find_files(
    source: str | Path, form: str | None = None, error: type[LaminaError] = InputError
) -> tuple[list[Path], list[Path]]:
    """The data files that a path, a folder or a pattern such as `data/*.csv` names, sorted, and what is left out.

    A folder is gone through with the folders below it, hidden ones and prose such as README.md left out. `error` where
    there are none, or one has an unknown ending and no `form` says what it is.
    """
    path = Path(source)
    found = [path]
    left_out: list[Path] = []
    try:
        if path.is_dir():
            found, left_out = _below(path)
        elif not path.exists() and glob.has_magic(str(source)):
            matches = sorted(Path(each) for each in glob.glob(str(source), recursive=True))
            found = [each for each in matches if each.is_file()]
    except OSError as problem:
        raise error(f"{path}: cannot be read ({problem.strerror})") from None
    if not found:
        raise error(f"{path}: there is no data file {'in it' if path.is_dir() else 'of such a name'}")
    for each in found:
        known_form(each, form, error)
    return found, left_out


def _below(folder: Path) -> tuple[list[Path], list[Path]]:
    found: list[Path] = []
    left_out: list[Path] = []
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in names:
            if not name.startswith("."):
                (left_out if beside_the_data(name) else found).append(Path(place, name))
    return sorted(found), sorted(left_out)
