"""A tokenizer's files: read without trust, through one door, counted before anything is built of them; and written."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, NoReturn

from tokenizers import AddedToken

from lamina.errors import LaminaError, TokenizerError
from lamina.files import jsonfile
from lamina.files.atomic import finish
from lamina.files.paths import inside, local_path, present, read_bytes
from lamina.files.shown import cause, shown

MAX_FILE_BYTES = 64 * 2**20
MAX_VOCAB = 1_000_000  # tokens, and merges
BLOCK = 2**20  # bytes of a file of lines that become text at once
MAX_LISTED = 1000  # names of a folder that are looked at to say what it holds
MAX_TOKEN_CHARS = 1000  # of a token that is looked for in texts, or of any other string beside the vocabulary
MAX_ADDED_CHARS = 2**21  # of all such tokens: the Rust library takes some 100 bytes of memory for each


@contextmanager
def backend_errors(doing: str) -> Iterator[None]:
    """Turn whatever the Rust library raises, panics included, into a TokenizerError that says what was being done."""
    try:
        yield
    except BaseException as error:
        report(doing, error)


def report(doing: str, error: BaseException) -> NoReturn:
    """Raise what the Rust library raised as a TokenizerError, and anything else as it is.

    For `except BaseException` around calls on hot paths, which must not pay for `backend_errors`.
    """
    if not comes_from_backend(error):
        raise error
    raise TokenizerError(f"{doing} failed: {cause(error, 1000)}") from error


def comes_from_backend(error: BaseException) -> bool:
    if isinstance(error, LaminaError):
        return False
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"


def read_lines(path: Path, what: str) -> Iterator[str]:
    """The lines of a UTF-8 file without their ends, at most a million: `what` each of them is goes into the error."""
    data = read_bytes(path, MAX_FILE_BYTES, TokenizerError)
    end = len(data) - data.endswith(b"\n")
    count = data.count(b"\n", 0, end) + 1 if data else 0
    if count > MAX_VOCAB:
        raise TokenizerError(f"{path} holds {count} {what}, more than {MAX_VOCAB}.")
    position = 0
    while count and position <= end:  # by blocks: as text, all of it would take four bytes a character for one emoji
        stop = data.find(b"\n", position + BLOCK, end)
        stop = end if stop < 0 else stop
        try:
            yield from data[position:stop].decode("utf-8").split("\n")
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, position + error.start) + 1
            raise TokenizerError(f"{path}, line {line}, is not UTF-8 text. Is it the right file?") from error
        position = stop + 1


def read_json_object(path: Path) -> dict[str, Any]:
    return jsonfile.read_json_object(path, MAX_FILE_BYTES, TokenizerError)


def read_vocab_json(path: Path) -> dict[str, int]:
    """A `vocab.json`: token -> id, with every id used once."""
    vocab = read_json_object(path)
    check_vocab(vocab, path)
    if len(set(vocab.values())) != len(vocab):
        raise TokenizerError(f"{path} gives the same id to two tokens.")
    return vocab


def check_vocab(vocab: dict[str, Any], where: object) -> None:
    if not 0 < len(vocab) <= MAX_VOCAB:
        raise TokenizerError(f"{where} holds {len(vocab) or 'no'} tokens; 1 to {MAX_VOCAB} make a vocabulary.")
    for token, index in vocab.items():
        if type(index) is not int or not 0 <= index < MAX_VOCAB:
            raise TokenizerError(
                f"{where}: the id of {shown(token)} is {shown(index)}, not a number from 0 to {MAX_VOCAB - 1}."
            )


def read_vocab_txt(path: Path) -> dict[str, int]:
    """A `vocab.txt`: one token a line, its id the line's number from 0; of a repeated token the last line counts."""
    vocab = {line.rstrip("\r"): index for index, line in enumerate(read_lines(path, "tokens"))}
    if not vocab:
        raise TokenizerError(f"{path} holds no tokens.")
    return vocab


def read_merges(path: Path) -> list[tuple[str, str]]:
    """A `merges.txt`: one pair of symbols a line, best first; the `#version` line is not one of them."""
    merges = []
    for number, line in enumerate(read_lines(path, "merges")):
        line = line.rstrip("\r")
        if not line or (number == 0 and line.startswith("#version")):
            continue
        pair = line.split(" ", 2)
        if len(pair) != 2 or not all(pair):
            raise TokenizerError(f"{path}, line {number + 1}: {shown(line)} is not two symbols with a space between.")
        merges.append((pair[0], pair[1]))
    return merges


def check_added(tokens: list[str], where: object) -> None:
    """Refuse tokens to be looked for in texts that are too long, one of them or all together."""
    longest = max(tokens, key=len, default="")
    if len(longest) > MAX_TOKEN_CHARS:
        raise TokenizerError(
            f"{where}: the added token {shown(longest)} has {len(longest)} characters, more than {MAX_TOKEN_CHARS}."
        )
    total = sum(map(len, tokens))
    if total > MAX_ADDED_CHARS:
        raise TokenizerError(f"{where}: its added tokens have {total} characters, more than {MAX_ADDED_CHARS}.")


class TokenizerFolder:
    """A folder of tokenizer files: finds them by name and says which names were looked for when one is missing."""

    def __init__(self, path: str | Path) -> None:
        self.path = local_path(path, TokenizerError)
        if not self.path.is_dir():
            raise TokenizerError(f"{shown(path)} is not a folder. Pass the folder that holds the tokenizer's files.")
        try:
            with os.scandir(self.path / "."):  # the dot asks whether it may be entered as well
                pass
        except OSError as error:
            raise TokenizerError(f"{shown(path)} cannot be opened: {cause(error)}.") from error
        finish(self.path, TokenizerError)

    def find(self, *names: str) -> Path | None:
        """The first of these files that is there; links out of the folder and all but regular files are refused."""
        return next((inside(self.path, name, TokenizerError) for name in names if present(self.path, name)), None)

    def require(self, *names: str) -> Path:
        found = self.find(*names)
        if found is None:
            raise TokenizerError(f"No {' or '.join(names)} in {self.path}. It holds: {self.listing()}.")
        return found

    def listing(self) -> str:
        with os.scandir(self.path) as entries:
            names = sorted(entry.name for entry in islice(entries, MAX_LISTED))
        return (", ".join(map(shown, names[:12])) + (" ..." if len(names) > 12 else "")) or "nothing"

    def json_object(self, name: str) -> dict[str, Any]:
        path = self.find(name)
        return read_json_object(path) if path else {}


def as_json(value: Any) -> Any:
    if isinstance(value, AddedToken):
        return str(value)
    if isinstance(value, list | tuple):
        return [as_json(item) for item in value]
    if isinstance(value, dict):
        return {key: as_json(item) for key, item in value.items()}
    return value


def write_json(path: Path, value: Any, ordered: bool = True) -> None:
    """Write JSON as the reference lays it out, its keys in order or as they come."""
    try:
        text = json.dumps(value, indent=2, sort_keys=ordered, ensure_ascii=False) + "\n"
    except (TypeError, ValueError, RecursionError) as error:
        raise TokenizerError(f"An option of the tokenizer cannot be written to {path.name}: {error}.") from error
    # Half a surrogate pair becomes its escape, which in JSON means the same.
    path.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")
