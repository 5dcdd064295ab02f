"""The call: text in, padded and cut rows of ids out."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import Any

from tokenizers import Encoding

from lamina.errors import TokenizerError
from lamina.tokenizers.encoding import BatchEncoding
from lamina.tokenizers.files import backend_errors, report
from lamina.tokenizers.jobs import Fields, Job, describe_bad_text, is_words, zip_pairs
from lamina.tokenizers.limits import (
    LARGE,
    UNLIMITED,
    Limits,
    Notices,
    check_room,
    check_side,
    pad_row,
    read_length,
    read_names,
    read_type,
    settle,
)
from lamina.tokenizers.pieces import PieceCutting
from lamina.tokenizers.recipe import Assembly, Options, Recipe
from lamina.tokenizers.wordtable import TableRow, WordTable

CORES = os.cpu_count() or 1
MANY = 64  # texts that the Rust library reads on all cores


class TextEncoder(PieceCutting):
    """The part of a tokenizer that turns text into rows of ids."""

    def __init__(self, recipe: Recipe, assembly: Assembly, options: Options) -> None:
        super().__init__(recipe, assembly, options)
        stated = (options.get(name) for name in ("model_max_length", "max_len"))
        self.model_max_length = read_length(next((length for length in stated if length is not None), UNLIMITED))
        self.padding_side = check_side("padding_side", options.get("padding_side", "right"))
        self.truncation_side = check_side("truncation_side", options.get("truncation_side", "right"))
        self.model_input_names = read_names(options.get("model_input_names") or recipe.model_input_names)
        self.split_special_tokens: bool = bool(options.get("split_special_tokens", False))
        self.pad_token_type_id = read_type(options.get("pad_token_type_id", 0))
        self._notices = Notices()
        self._lock = threading.RLock()
        self._cut: tuple[Any, ...] | None = None
        self._backend.no_truncation()
        self._backend.no_padding()
        self._backend.encode_special_tokens = self._splitting = False

    def __call__(
        self,
        text: Any = None,
        text_pair: Any = None,
        text_target: Any = None,
        text_pair_target: Any = None,
        add_special_tokens: bool = True,
        padding: bool | str = False,
        truncation: bool | str | None = None,
        max_length: int | None = None,
        stride: int = 0,
        is_split_into_words: bool = False,
        pad_to_multiple_of: int | None = None,
        padding_side: str | None = None,
        return_tensors: str | None = None,
        return_token_type_ids: bool | None = None,
        return_attention_mask: bool | None = None,
        return_overflowing_tokens: bool = False,
        return_special_tokens_mask: bool = False,
        return_offsets_mapping: bool = False,
        return_length: bool = False,
        verbose: bool = True,
        split_special_tokens: bool | None = None,
    ) -> BatchEncoding:
        """Turn a text, a pair or a batch of them into ids and masks, as a Transformers 4.57 tokenizer call does.

        Returns lists, or tensors [batch, tokens] with `return_tensors`; `labels` hold the ids of `text_target`.
        """
        if text is None and text_target is None:
            raise TokenizerError("There is nothing to tokenize: pass text or text_target.")
        notices = self._notices if verbose else None
        limits = settle(padding, truncation, max_length, stride, pad_to_multiple_of, self.model_max_length, notices)
        names = self.model_input_names
        fields = Fields(
            "token_type_ids" in names if return_token_type_ids is None else return_token_type_ids,
            "attention_mask" in names if return_attention_mask is None else return_attention_mask,
            return_overflowing_tokens,
            return_special_tokens_mask,
            return_offsets_mapping,
            return_length,
        )
        split_special = self.split_special_tokens if split_special_tokens is None else split_special_tokens
        side = self.padding_side if padding_side is None else check_side("padding_side", padding_side)
        run = partial(
            self._run,
            limits=limits,
            fields=fields,
            left=side == "left",
            specials=add_special_tokens,
            presplit=is_split_into_words,
            split_special=split_special,
            tensors=return_tensors,
            notices=notices,
        )
        return self._answer(run, (text, text_pair), (text_target, text_pair_target))

    def _answer(
        self, run: Callable[[Any, Any], BatchEncoding], source: tuple[Any, Any], target: tuple[Any, Any]
    ) -> BatchEncoding:
        """The source's columns, with the target's ids as labels; a target alone gives its own columns."""
        if target[0] is None:
            return run(*source)
        found = run(*source) if source[0] is not None else None
        with self._lock:
            self._switch(target=True)
            try:
                labels = run(*target)
            finally:
                self._switch(target=self._targeting)
        if found is None:
            return labels
        found["labels"] = labels["input_ids"]
        return found

    _shared = False  # the Rust library's object is known outside, where it may be changed

    @property
    def is_fast(self) -> bool:
        """Whether calls know offsets, words and characters."""
        return self._assembly.splitter is None

    def _switch(self, target: bool) -> None:
        """Turn to the language, and for Marian the files, of sources or of targets."""
        if self.recipe.switch is not None:
            with self._lock, backend_errors("Turning to a language"):
                self.recipe.switch(self._assembly, self.init_kwargs, target)

    def _run(
        self,
        text: Any,
        pair: Any,
        *,
        limits: Limits,
        fields: Fields,
        left: bool,
        specials: bool,
        presplit: bool,
        split_special: bool,
        tensors: str | None,
        notices: Notices | None,
    ) -> BatchEncoding:
        single = isinstance(text, str) or (presplit and not (text and isinstance(text[0], list | tuple)))
        texts = [(text, pair) if pair else text] if single else zip_pairs(text, pair)
        job = Job(texts, limits, specials, presplit, split_special, single)
        self._check(job, fields)
        # Without a post-processor, the faster call forgets the token types of pairs.
        fast = not (single or presplit or fields.offsets or fields.overflow or self._backend.post_processor is None)
        known = None if presplit or fields.offsets or fields.overflow else self._look_up(job, fast)
        encodings: list[Any] = self._encode_rows(job, fast) if known is None else known
        owners: list[int] = []
        if fields.overflow:
            groups = [[encoding, *encoding.overflowing] for encoding in encodings]
            owners = [index for index, group in enumerate(groups) for _ in group]
            encodings = list(chain.from_iterable(groups))
        columns, length = self._columns(encodings, limits, fields, left)
        if fields.overflow:
            columns["overflow_to_sample_mapping"] = owners
        if notices and limits.max_length is None and self.model_max_length < LARGE:
            notices.long(columns["input_ids"], self.model_max_length)
        if self._assembly.splitter is not None:
            self._follow_python(columns, job)
        if single and tensors is None and not fields.overflow:
            whole = "length" if self.is_fast else ""  # a list even here, but for the Python kinds
            columns = {key: value if key == whole else value[0] for key, value in columns.items()}
        source = None
        if self._assembly.splitter is None:
            whole_ones = None if fast or known is not None else encodings
            source = partial(self._finish, whole_ones, job, length, "left" if left else "right")
        return BatchEncoding(columns, source, tensors)

    def _check(self, job: Job, fields: Fields) -> None:
        if not job.texts:
            raise TokenizerError("The batch is empty: there is nothing to tokenize.")
        if job.limits.padding and self.pad_token_id is None:
            raise TokenizerError(
                "Padding needs a pad token, and this tokenizer has none. Choose one, such as tokenizer.pad_token = "
                "tokenizer.eos_token, or add one: tokenizer.add_special_tokens({'pad_token': '[PAD]'})."
            )
        if job.limits.truncation:
            paired = isinstance(job.texts[0], tuple) and not (job.presplit and isinstance(job.texts[0][0], str))
            specials = self.num_special_tokens_to_add(paired) if job.add_special_tokens else 0
            check_room(job.limits, specials)
        if job.presplit and not self.recipe.splits_words and not self.init_kwargs.get("add_prefix_space"):
            raise TokenizerError("Words already split need a tokenizer made with add_prefix_space=True, for this kind.")
        if fields.offsets and self._assembly.splitter is not None:
            raise TokenizerError("return_offsets_mapping is not available: this kind keeps no alignment with the text.")

    def _look_up(self, job: Job, fast: bool) -> list[Encoding | TableRow] | None:
        """Rows by the table of words, those it cannot tell by the Rust library; None where that is to read all."""
        table = self._table  # another thread may add tokens meanwhile
        if table is False:
            fits = self._assembly.splitter is None and self.recipe.switch is None and not self._shared
            with backend_errors("Reading the tokenizer"):
                self._table = table = WordTable.of(self._backend) if fits else None
        if table is None or (len(job.texts) >= MANY and CORES > 2):
            return None
        read, left = table.read, self.truncation_side == "left"
        try:
            rows: list[Any] = [read(text, job.limits, job.add_special_tokens, left) for text in job.texts]
        except BaseException as error:
            report("Tokenizing", error)
        missing = [text for text, row in zip(job.texts, rows, strict=True) if row is None]
        if not missing:
            return rows
        if not fast or not all(isinstance(text, str) for text in missing):
            return None
        others = iter(self._encode_rows(replace(job, texts=missing), fast))
        return [next(others) if row is None else row for row in rows]

    def _encode_rows(self, job: Job, fast: bool) -> list[Encoding]:
        """The Rust library's encodings; `fast` ones know ids and masks only."""
        texts, presplit = job.texts, job.presplit
        try:
            if self._assembly.splitter is not None:
                texts, presplit = [self._pieces_of(text, job) for text in texts], True
            with self._lock:
                self._set_truncation(job.limits)
                if self._splitting != job.split_special_tokens:
                    self._backend.encode_special_tokens = self._splitting = job.split_special_tokens
                if job.single:
                    one = texts[0]
                    text, pair = (
                        one if isinstance(one, tuple) and len(one) == 2 and not is_words(one, presplit) else (one, None)
                    )
                    return [self._backend.encode(text, pair, presplit, job.add_special_tokens)]
                encode = self._backend.encode_batch_fast if fast else self._backend.encode_batch
                return encode(texts, presplit, job.add_special_tokens)
        except (TypeError, UnicodeEncodeError) as error:
            raise TokenizerError(describe_bad_text(job)) from error
        except BaseException as error:
            report("Tokenizing", error)

    def _set_truncation(self, limits: Limits) -> None:
        if limits.truncation is None or limits.max_length is None:
            if self._cut is not None:
                self._backend.no_truncation()
                self._cut = None
            return
        wanted = (limits.max_length, limits.stride, limits.truncation, self.truncation_side)
        if self._cut != wanted:
            length, stride, strategy, direction = wanted
            self._backend.enable_truncation(length, stride=stride, strategy=strategy, direction=direction)
            self._cut = wanted

    def _columns(
        self, encodings: Sequence[Encoding | TableRow], limits: Limits, fields: Fields, left: bool
    ) -> tuple[dict[str, Any], int | None]:
        """The lists a call returns, and the length they were padded to."""
        ids = [encoding.ids for encoding in encodings]
        columns: dict[str, Any] = {"input_ids": ids}
        fills: dict[str, Any] = {"input_ids": self.pad_token_id}
        if fields.token_type_ids:
            columns["token_type_ids"] = [encoding.type_ids for encoding in encodings]
            fills["token_type_ids"] = self.pad_token_type_id
        if fields.attention_mask:
            columns["attention_mask"] = [[1] * len(row) for row in ids]
            fills["attention_mask"] = 0
        if fields.special_tokens_mask:
            columns["special_tokens_mask"] = [encoding.special_tokens_mask for encoding in encodings]
            fills["special_tokens_mask"] = 1
        if fields.offsets:
            columns["offset_mapping"] = [encoding.offsets for encoding in encodings if isinstance(encoding, Encoding)]
            fills["offset_mapping"] = (0, 0)
        length = None
        if limits.padding:
            length = limits.padded_length([len(row) for row in ids])
            for key, value in fills.items():
                columns[key] = [pad_row(row, length, value, left) for row in columns[key]]
        if fields.length:
            rows = columns["input_ids"] if self.is_fast else ids  # the Python kinds count before they pad
            columns["length"] = [len(row) for row in rows]
        return columns, length

    def _finish(self, encodings: list[Encoding] | None, job: Job, length: int | None, side: str) -> list[Encoding]:
        """Encodings for questions about words and characters, made or padded when first asked for."""
        if encodings is None:
            encodings = self._encode_rows(job, fast=False)
        if length is not None:
            with backend_errors("Padding"):
                for encoding in encodings:
                    encoding.pad(
                        length,
                        direction=side,
                        pad_id=self.pad_token_id or 0,
                        pad_type_id=self.pad_token_type_id,
                        pad_token=self.pad_token or "",
                    )
        return encodings
