"""What a tokenizer call returns: a dictionary that also knows which piece of text each token came from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from tokenizers import Encoding

from lamina.errors import TokenizerError
from lamina.files.shown import shown
from lamina.tokenizers.files import backend_errors

if TYPE_CHECKING:
    import torch

# Encodings, or a way to make them on first use: most callers only ever read the ids.
Encodings = list[Encoding]
Source = Encodings | Callable[[], Encodings] | None


class CharSpan(NamedTuple):
    """Characters `start` to `end` (exclusive) of a text."""

    start: int
    end: int


class TokenSpan(NamedTuple):
    """Tokens `start` to `end` (exclusive) of a sequence."""

    start: int
    end: int


class BatchEncoding(dict[str, Any]):
    """The ids, masks and types of a batch, by name or as attributes; `[i]` gives the i-th row's Encoding.

    The questions about words and characters need the Rust library's encodings; kinds that cut text in Python have none.
    """

    def __init__(
        self,
        data: Mapping[str, Any] | None = None,
        encoding: Encoding | Source = None,
        tensor_type: str | None = None,
        prepend_batch_axis: bool = False,
    ) -> None:
        super().__init__(data or {})
        self._source: Source = [encoding] if isinstance(encoding, Encoding) else encoding
        if tensor_type is not None or prepend_batch_axis:
            self.convert_to_tensors(tensor_type, prepend_batch_axis)

    def __getitem__(self, item: str | int | slice) -> Any:
        if isinstance(item, str):
            return super().__getitem__(item)
        if isinstance(item, slice):
            return {key: value[item] for key, value in self.items()}
        if isinstance(item, int):
            return self._row("[i]", item)
        raise TokenizerError(f"A BatchEncoding is indexed by a name, a number or a slice, not by {shown(item)}.")

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getitem__(name)
        except KeyError:
            raise AttributeError(f"This BatchEncoding has no {name!r}; it has {', '.join(self)}.") from None

    def __reduce__(self) -> tuple[Any, ...]:
        return (BatchEncoding, (dict(self), self.encodings))

    @property
    def data(self) -> dict[str, Any]:
        """The plain dictionary."""
        return self

    @property
    def encodings(self) -> Encodings | None:
        """The Rust library's encodings, one a row; None for kinds that cut text in Python."""
        if callable(self._source):
            self._source = self._source()
        return self._source

    @property
    def is_fast(self) -> bool:
        """Whether words, characters and offsets can be asked for."""
        return self._source is not None

    @property
    def n_sequences(self) -> int | None:
        """How many texts make up a row: 1, or 2 for pairs."""
        return self.encodings[0].n_sequences if self.encodings else None

    def _rows(self, question: str) -> Encodings:
        rows = self.encodings
        if rows is None:
            raise TokenizerError(
                f"{question} is not available: this kind of tokenizer keeps no alignment with the text."
            )
        return rows

    def _row(self, question: str, number: int) -> Encoding:
        rows = self._rows(question)
        try:
            return rows[number]
        except (IndexError, TypeError):
            raise TokenizerError(f"{question}: there is no row {shown(number)} among {len(rows)}.") from None

    def tokens(self, batch_index: int = 0) -> list[str]:
        """The tokens of a row."""
        return self._row("tokens()", batch_index).tokens

    def word_ids(self, batch_index: int = 0) -> list[int | None]:
        """The word each token of a row belongs to; None for special tokens."""
        return self._row("word_ids()", batch_index).word_ids

    def words(self, batch_index: int = 0) -> list[int | None]:
        """The older name of `word_ids`."""
        return self.word_ids(batch_index)

    def sequence_ids(self, batch_index: int = 0) -> list[int | None]:
        """Which text of a pair (0 or 1) each token of a row belongs to; None for special tokens."""
        return self._row("sequence_ids()", batch_index).sequence_ids

    def _ask(self, question: str, first: int, second: int | None, *more: int) -> Any:
        """What a row's Encoding answers about its token, word or character of this number; row 0 where one is given."""
        number, index = (0, first) if second is None else (first, second)
        row = self._row(question, number)
        with backend_errors(f"{question} of {shown(index)}"):
            if question.startswith("token_") and index < 0:
                index += len(row.ids)
            return getattr(row, question)(index, *more)

    def token_to_sequence(self, batch_or_token_index: int, token_index: int | None = None) -> int | None:
        """Which text of a pair a token belongs to."""
        found: int | None = self._ask("token_to_sequence", batch_or_token_index, token_index)
        return found

    def token_to_word(self, batch_or_token_index: int, token_index: int | None = None) -> int | None:
        """The number of the word a token belongs to."""
        found: Any = self._ask("token_to_word", batch_or_token_index, token_index)
        word: int | None = found[1] if isinstance(found, tuple) else found
        return word

    def word_to_tokens(
        self, batch_or_word_index: int, word_index: int | None = None, sequence_index: int = 0
    ) -> TokenSpan | None:
        """The tokens that make up a word."""
        span = self._ask("word_to_tokens", batch_or_word_index, word_index, sequence_index)
        return TokenSpan(*span) if span is not None else None

    def token_to_chars(self, batch_or_token_index: int, token_index: int | None = None) -> CharSpan | None:
        """The characters of the text that a token covers."""
        span = self._ask("token_to_chars", batch_or_token_index, token_index)
        return CharSpan(*(span[1] if isinstance(span[1], tuple) else span)) if span is not None else None

    def char_to_token(
        self, batch_or_char_index: int, char_index: int | None = None, sequence_index: int = 0
    ) -> int | None:
        """The token that covers a character."""
        found: int | None = self._ask("char_to_token", batch_or_char_index, char_index, sequence_index)
        return found

    def word_to_chars(
        self, batch_or_word_index: int, word_index: int | None = None, sequence_index: int = 0
    ) -> CharSpan | None:
        """The characters of a word."""
        span = self._ask("word_to_chars", batch_or_word_index, word_index, sequence_index)
        return CharSpan(*span) if span is not None else None

    def char_to_word(
        self, batch_or_char_index: int, char_index: int | None = None, sequence_index: int = 0
    ) -> int | None:
        """The word a character belongs to."""
        found: int | None = self._ask("char_to_word", batch_or_char_index, char_index, sequence_index)
        return found

    def convert_to_tensors(self, tensor_type: str | None = None, prepend_batch_axis: bool = False) -> BatchEncoding:
        """Turn the lists into tensors ("pt") or arrays ("np") in place, and return this object."""
        if tensor_type is None:
            return self
        convert = tensor_maker(tensor_type)
        for key, value in self.items():
            if hasattr(value, "dtype"):
                continue
            try:
                self[key] = convert([value] if prepend_batch_axis else value)
            except (ValueError, TypeError, RuntimeError) as error:
                raise TokenizerError(
                    f"The rows of {key!r} differ in length, so they make no tensor. "
                    "Ask for padding=True, and for truncation=True where texts may be too long."
                ) from error
        return self

    def to(self, device: str | int | torch.device, *, non_blocking: bool = False) -> BatchEncoding:
        """Move the tensors to a device in place, and return this object."""
        for key, value in self.items():
            if hasattr(value, "to"):
                self[key] = value.to(device=device, non_blocking=non_blocking)
        return self


def tensor_maker(tensor_type: str) -> Callable[[Any], Any]:
    """The function that makes tensors of this type out of lists."""
    name = getattr(tensor_type, "value", tensor_type)
    if name not in ("pt", "np"):
        raise TokenizerError(f"return_tensors={shown(tensor_type)} is unknown: use 'pt' (torch) or 'np' (numpy).")
    import numpy

    def as_array(value: Any) -> Any:
        array = numpy.array(value)  # several times faster than torch.tensor on nested lists
        return array.astype(numpy.int64, copy=False) if array.size == 0 or array.dtype.kind in "iu" else array

    if name == "np":
        return as_array
    import torch

    def as_tensor(value: Any) -> Any:
        array = as_array(value)
        return torch.from_numpy(array) if array.dtype == numpy.int64 else torch.tensor(value)

    return as_tensor


def as_columns(encoded: Any) -> dict[str, Any]:
    """Columns out of a mapping or a list of mappings."""
    if isinstance(encoded, Mapping):
        return dict(encoded.items())
    if isinstance(encoded, list | tuple) and encoded and all(isinstance(row, Mapping) for row in encoded):
        keys = encoded[0].keys()
        if any(row.keys() != keys for row in encoded):
            raise TokenizerError("The rows to pad do not all have the same fields.")
        return {key: [row[key] for row in encoded] for key in keys}
    raise TokenizerError("pad takes what a tokenizer call returned: a mapping, or a list of mappings.")


def tensor_type_of(rows: Any) -> str | None:
    """ "pt" or "np" where rows are tensors or arrays."""
    probe = rows[0] if isinstance(rows, list | tuple) and rows else rows
    module = type(probe).__module__.split(".")[0]
    return {"torch": "pt", "numpy": "np"}.get(module)


def plain(value: Any) -> Any:
    """Lists out of tensors and arrays."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, list | tuple):
        return [plain(item) for item in value] if any(hasattr(item, "tolist") for item in value) else list(value)
    return value
