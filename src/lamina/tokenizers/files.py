"""Read a tokenizer's files without trusting them: bounded sizes, no duplicate keys, no foreign regex."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lamina.errors import TokenizerError

MAX_FILE_BYTES = 64 * 2**20
MAX_VOCAB = 1_000_000
MAX_JSON_DEPTH = 64

# The only patterns that published tokenizers of the supported families hold. Others could be made to run forever.
KNOWN_PATTERNS = frozenset(
    {
        " {2,}",
        r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
        r"\s+",
        r"\w+|[^\w\s]+",
        r"\S+\n?",
        r"[\s\S]",
    }
)


@contextmanager
def backend_errors(doing: str) -> Iterator[None]:
    """Turn whatever the Rust library raises, panics included, into a TokenizerError that says what was being done."""
    try:
        yield
    except BaseException as error:
        if not comes_from_backend(error):
            raise
        raise TokenizerError(f"{doing} failed: {error or type(error).__name__}") from error


def comes_from_backend(error: BaseException) -> bool:
    """Whether an error is not ours but is one to report: the Rust library's panics are no `Exception`s."""
    if isinstance(error, TokenizerError):
        return False
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"


def read_bytes(path: Path) -> bytes:
    """The whole file, refused before reading when it is larger than any real vocabulary."""
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise TokenizerError(
                f"{path} holds {size} bytes, more than the {MAX_FILE_BYTES} a tokenizer file may have."
            )
        return path.read_bytes()
    except OSError as error:
        raise TokenizerError(f"Cannot read {path}: {error.strerror or error}.") from error


def read_text(path: Path) -> str:
    """The file as UTF-8 text with its line ends untouched."""
    try:
        return read_bytes(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise TokenizerError(f"{path} is not UTF-8 text (byte {error.start}). Is it the right file?") from error


def read_json(path: Path) -> Any:
    """The file as JSON, without duplicate keys, NaN or bottomless nesting."""
    return parse_json(read_text(path), str(path))


def parse_json(text: str, where: str) -> Any:
    """Parse JSON text strictly; `where` names its source in the error."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) != len(pairs):
            seen: set[str] = set()
            twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
            raise TokenizerError(f"{where} has the key {twice!r} twice.")
        return result

    def refuse(constant: str) -> Any:
        raise TokenizerError(f"{where} holds {constant}, which is not JSON.")

    try:
        return json.loads(text, object_pairs_hook=unique, parse_constant=refuse)
    except RecursionError as error:
        raise TokenizerError(f"{where} is nested too deeply.") from error
    except json.JSONDecodeError as error:
        raise TokenizerError(f"{where} is not valid JSON: {error}.") from error


def read_json_object(path: Path) -> dict[str, Any]:
    """The file as a JSON object."""
    value = read_json(path)
    if not isinstance(value, dict):
        raise TokenizerError(f"{path} should hold a JSON object, not {type(value).__name__}.")
    return value


def read_vocab_json(path: Path) -> dict[str, int]:
    """A `vocab.json`: token -> id, with every id used once."""
    vocab = read_json_object(path)
    check_vocab(vocab, path)
    return vocab


def check_vocab(vocab: dict[str, Any], where: object) -> None:
    """Refuse ids that are not plain numbers, out of bounds, or used twice."""
    if not vocab:
        raise TokenizerError(f"{where} holds no tokens.")
    for token, index in vocab.items():
        if type(index) is not int or not 0 <= index < MAX_VOCAB:
            raise TokenizerError(f"{where}: the id of {token!r} is {index!r}, not a number from 0 to {MAX_VOCAB - 1}.")
    if len(set(vocab.values())) != len(vocab):
        raise TokenizerError(f"{where} gives the same id to two tokens.")


def read_vocab_txt(path: Path) -> dict[str, int]:
    """A `vocab.txt`: one token a line, its id the line's number from 0; of a repeated token the last line counts."""
    lines = read_text(path).split("\n")
    if lines[-1] == "":
        lines.pop()
    if not lines:
        raise TokenizerError(f"{path} holds no tokens.")
    if len(lines) > MAX_VOCAB:
        raise TokenizerError(f"{path} holds {len(lines)} tokens, more than {MAX_VOCAB}.")
    return {line.rstrip("\r"): index for index, line in enumerate(lines)}


def read_merges(path: Path) -> list[tuple[str, str]]:
    """A `merges.txt`: one pair of symbols a line, best first; the `#version` line is not one of them."""
    merges = []
    for number, line in enumerate(read_text(path).split("\n")):
        line = line.rstrip("\r")
        if not line or (number == 0 and line.startswith("#version")):
            continue
        pair = line.split(" ")
        if len(pair) != 2 or not all(pair):
            raise TokenizerError(f"{path}, line {number + 1}: {line[:60]!r} is not two symbols with a space between.")
        merges.append((pair[0], pair[1]))
    return merges


def check_tokenizer_json(data: Any, where: object) -> None:
    """Refuse a `tokenizer.json` that is none, is nested absurdly, or brings a regex we do not know to be harmless."""
    if not isinstance(data, dict) or not isinstance(data.get("model"), dict):
        raise TokenizerError(f"{where} is not a tokenizer.json: it has no model.")
    for part in ("normalizer", "pre_tokenizer", "post_processor", "decoder"):
        for key, value in walk(data.get(part), where):
            if key == "Regex" and value not in KNOWN_PATTERNS:
                raise TokenizerError(
                    f"{where}: its {part} holds the regular expression {str(value)[:80]!r}. "
                    "Expressions from files can be made to run forever; only those of published tokenizers are read."
                )


def walk(value: Any, where: object, depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Every key and value below a JSON value."""
    if depth > MAX_JSON_DEPTH:
        raise TokenizerError(f"{where} is nested too deeply.")
    items: Iterable[tuple[str, Any]] = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = (("", item) for item in value)
    for key, item in items:
        yield key, item
        yield from walk(item, where, depth + 1)


class TokenizerFolder:
    """A folder of tokenizer files: finds them by name and says which names were looked for when one is missing."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.is_dir():
            raise TokenizerError(f"{self.path} is not a folder. Pass the folder that holds the tokenizer's files.")

    def find(self, *names: str) -> Path | None:
        """The first of these files that is there."""
        return next((self.path / name for name in names if (self.path / name).is_file()), None)

    def require(self, *names: str) -> Path:
        """The first of these files that is there, or an error naming them all."""
        found = self.find(*names)
        if found is None:
            raise TokenizerError(f"No {' or '.join(names)} in {self.path}. It holds: {self.listing()}.")
        return found

    def listing(self) -> str:
        """The folder's first file names, for error messages."""
        names = sorted(item.name for item in self.path.iterdir())
        return (", ".join(names[:12]) + (" ..." if len(names) > 12 else "")) or "nothing"

    def json_object(self, name: str) -> dict[str, Any]:
        """The named JSON object, empty when there is no such file."""
        path = self.find(name)
        return read_json_object(path) if path else {}
