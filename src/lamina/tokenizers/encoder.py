"""Text to rows of ids: by the Rust library, from pieces cut in Python, or from a table of words met before."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from tokenizers import AddedToken, Encoding
from tokenizers import Tokenizer as Backend

from lamina.errors import TokenizerError
from lamina.files.shown import shown
from lamina.tokenizers.files import backend_errors, report
from lamina.tokenizers.limits import Limits, share, shorten
from lamina.tokenizers.recipe import Assembly, Options, Recipe
from lamina.tokenizers.wordtable import TableRow, WordTable

CORES = os.cpu_count() or 1
MANY = 64  # texts that the Rust library reads on all cores
SHAPES = "Pass a string, a list of strings, or with is_split_into_words=True lists of words."


class Call(NamedTuple):
    """What one call asks for, beside its texts."""

    limits: Limits
    add_special_tokens: bool
    presplit: bool
    split_special_tokens: bool
    cut_left: bool  # the end that texts too long are cut at
    pad_left: bool
    # The columns that are wanted beside the ids.
    token_type_ids: bool
    attention_mask: bool
    overflow: bool
    special_tokens_mask: bool
    offsets: bool
    length: bool


class Job(NamedTuple):
    """The texts of one call, and whether they are a single row."""

    texts: Sequence[Any]
    single: bool
    call: Call


class Encoder:
    """Feeds text to the Rust library, for one caller at a time, and knows how the library was last set."""

    def __init__(self, recipe: Recipe, assembly: Assembly, options: Options) -> None:
        self.recipe, self.assembly, self.options = recipe, assembly, options
        self.backend = assembly.backend
        self.splitter = assembly.splitter
        self.lock = threading.RLock()
        self.table: WordTable | Literal[False] | None = False  # False: to be made; None: there can be none
        self.shared = False  # the Rust library's object is known outside, where it may be changed
        self.added: dict[str, AddedToken] = {}
        self.targeting = False
        self._cut: tuple[Any, ...] | None = None
        self._splitting = False
        self.backend.no_truncation()
        self.backend.no_padding()
        self.backend.encode_special_tokens = False

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key not in ("lock", "table", "recipe")}

    def renew(self, recipe: Recipe) -> None:
        """After unpickling: the lock and the recipe's functions do not travel, and the library's object is another."""
        self.recipe, self.backend, self.table = recipe, self.assembly.backend, False
        self.__dict__.setdefault("lock", threading.RLock())  # which a shallow copy has

    def share(self) -> Backend:
        """The Rust library's object for others, who may change it: it alone reads texts from here on."""
        self.shared, self.table = True, None
        return self.backend

    def switch(self, target: bool) -> None:
        if self.recipe.switch is not None:
            with self.lock, backend_errors("Turning to a language"):
                self.recipe.switch(self.assembly, self.options, target)

    def backend_text(self) -> str:
        with self.lock:
            self.backend.no_truncation()
            self._cut = None
            return self.backend.to_str(pretty=True)

    def look_up(self, job: Job, fast: bool) -> list[Encoding | TableRow] | None:
        """Rows by the table of words, those it cannot tell by the Rust library; None where that is to read all."""
        table = self.table  # another thread may add tokens meanwhile
        if table is False:
            fits = self.splitter is None and self.recipe.switch is None and not self.shared
            with backend_errors("Reading the tokenizer"):
                self.table = table = WordTable.of(self.backend) if fits else None
        if not table or (len(job.texts) >= MANY and CORES > 2):
            return None
        read, call = table.read, job.call
        limits, specials, left = call.limits, call.add_special_tokens, call.cut_left
        try:
            rows: list[Any] = [read(text, limits, specials, left) for text in job.texts]
        except BaseException as error:
            report("Tokenizing", error)
        missing = [text for text, row in zip(job.texts, rows, strict=True) if row is None]
        if not missing:
            return rows
        if not fast or not all(isinstance(text, str) for text in missing):
            return None
        others = iter(self.encode(job._replace(texts=missing), fast))
        return [next(others) if row is None else row for row in rows]

    def encode(self, job: Job, fast: bool) -> list[Encoding]:
        """The Rust library's encodings; `fast` ones know ids and masks only."""
        call = job.call
        texts, presplit, specials = job.texts, call.presplit, call.add_special_tokens
        try:
            if self.splitter is not None:
                texts, presplit = [self._pieces_of(text, call) for text in texts], True
            with self.lock:
                self._set_truncation(call)
                if self._splitting != call.split_special_tokens:
                    self.backend.encode_special_tokens = self._splitting = call.split_special_tokens
                if job.single:
                    one = texts[0]
                    text, pair = (
                        one if isinstance(one, tuple) and len(one) == 2 and not is_words(one, presplit) else (one, None)
                    )
                    return [self.backend.encode(text, pair, presplit, specials)]
                encode = self.backend.encode_batch_fast if fast else self.backend.encode_batch
                return encode(texts, presplit, specials)
        except (TypeError, UnicodeEncodeError) as error:
            raise TokenizerError(describe_bad_text(job)) from error
        except BaseException as error:
            report("Tokenizing", error)

    def _set_truncation(self, call: Call) -> None:
        limits = call.limits
        if limits.truncation is None or limits.max_length is None:
            if self._cut is not None:
                self.backend.no_truncation()
                self._cut = None
            return
        wanted = (limits.max_length, limits.stride, limits.truncation, "left" if call.cut_left else "right")
        if self._cut != wanted:
            length, stride, strategy, direction = wanted
            self.backend.enable_truncation(length, stride=stride, strategy=strategy, direction=direction)
            self._cut = wanted

    def _pieces_of(self, text: Any, call: Call) -> Any:
        if isinstance(text, tuple) and len(text) == 2 and not is_words(text, call.presplit):
            first, second = (self._pieces_of(part, call) for part in text)
            return self._cut_pair(first, second, call)
        if call.presplit:
            pieces = [piece for word in text for piece in self.pieces(word, call.split_special_tokens)]
        else:
            pieces = self.pieces(text, call.split_special_tokens)
        if self.recipe.ends_once and call.add_special_tokens and pieces[-1:] == [str(self.options["eos_token"])]:
            pieces.pop()
        return pieces

    def _cut_pair(self, first: list[str], second: list[str], call: Call) -> tuple[list[str], list[str]]:
        """Share a cut between the texts as the reference's Python tokenizers do; its Rust ones round the other way."""
        limits = call.limits
        if limits.truncation != "longest_first" or limits.max_length is None:
            return first, second
        specials = self.backend.num_special_tokens_to_add(True) if call.add_special_tokens else 0
        excess = len(first) + len(second) + specials - limits.max_length
        if excess <= 0:
            return first, second
        cuts = share(len(first), len(second), excess)
        return shorten(first, cuts[0], call.cut_left), shorten(second, cuts[1], call.cut_left)

    def pieces(self, text: str, split_special: bool = False) -> list[str]:
        if not isinstance(text, str):
            raise TypeError
        assert self.splitter is not None
        lowercase = bool(self.options.get("lower_case"))
        return split_at_added(text, {} if split_special else self.added, self.splitter.split, lowercase)


def split_at_added(
    text: str, added: Mapping[str, AddedToken], split: Callable[[str], list[str]], lowercase: bool = False
) -> list[str]:
    """The added tokens found in a text, longest first, and the pieces of what lies between them."""
    longest_first = sorted(added, key=len, reverse=True)
    parts = re.split("(" + "|".join(map(re.escape, longest_first)) + ")", text) if added else [text]
    for index, part in enumerate(parts):
        token = added.get(part) if index % 2 else None
        if token is None:
            continue
        left, right = parts[index - 1], parts[index + 1]
        if token.rstrip:
            parts[index + 1] = right.lstrip()
        if token.lstrip:
            parts[index - 1] = left.rstrip()
        if token.single_word and left and left[-1] != " ":  # what stood beside it before it took the spaces
            parts[index - 1 : index + 1] = [parts[index - 1] + parts[index], ""]
        elif token.single_word and right and right[0] != " ":
            parts[index : index + 2] = ["", parts[index] + parts[index + 1]]
    pieces: list[str] = []
    for index, part in enumerate(parts):
        if index % 2 and part:
            pieces.append(part)
        elif part:
            pieces += split(part.lower() if lowercase else part)
    return pieces


def zip_pairs(texts: Any, pairs: Any) -> list[Any]:
    if not isinstance(texts, list | tuple):
        raise TokenizerError(f"Cannot tokenize a {type(texts).__name__}. {SHAPES}")
    if pairs is None:
        return list(texts)
    if isinstance(pairs, str) or not isinstance(pairs, list | tuple):
        raise TokenizerError("A batch of texts needs a batch of second texts: text_pair should be a list too.")
    if len(texts) != len(pairs):
        raise TokenizerError(
            f"{len(texts)} texts, but {len(pairs)} second texts: a batch of pairs needs as many of both."
        )
    return list(zip(texts, pairs, strict=True))


def is_words(value: tuple[Any, ...], presplit: bool) -> bool:
    return presplit and isinstance(value[0], str)


def describe_bad_text(job: Job) -> str:
    presplit = job.call.presplit
    good = (list, tuple) if presplit else (str,)
    for index, row in enumerate(job.texts):
        parts = row if isinstance(row, tuple) and not is_words(row, presplit) else (row,)
        for part in parts:
            words = part if presplit and isinstance(part, list | tuple) else ()
            if not isinstance(part, good) or not all(isinstance(word, str) for word in words):
                return f"Row {index} of the batch is {shown(part)} ({type(part).__name__}), not text. {SHAPES}"
        if not can_be_written(parts):
            return f"Row {index} of the batch holds half a surrogate pair, not a character. Decode the text again."
    return f"These are not texts. {SHAPES}"


def can_be_written(value: Any) -> bool:
    try:
        str(
            "".join(value) if isinstance(value, list | tuple) and all(isinstance(v, str) for v in value) else value
        ).encode()
    except UnicodeEncodeError:
        return False
    return True
