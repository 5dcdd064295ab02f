"""The one public tokenizer class: what Transformers 4.57's tokenizers do, for every kind."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Encoding, models
from tokenizers import Tokenizer as Backend

from lamina.errors import TokenizerError
from lamina.files.atomic import staged
from lamina.files.paths import inside, local_path, present
from lamina.files.shown import shown
from lamina.tokenizers.encoder import Call, Job, is_words, zip_pairs
from lamina.tokenizers.encoding import BatchEncoding, as_columns, plain, tensor_type_of
from lamina.tokenizers.files import as_json, backend_errors, write_json
from lamina.tokenizers.limits import (
    LARGE,
    UNLIMITED,
    Limits,
    Notices,
    check_room,
    check_side,
    check_whole,
    pad_row,
    read_length,
    read_names,
    settle,
    share,
    shorten,
)
from lamina.tokenizers.recipe import Assembly, Options, Recipe, fill_template, read_template
from lamina.tokenizers.recipes import RECIPES
from lamina.tokenizers.vocabulary import ROLES, Vocabulary

logger = logging.getLogger("lamina.tokenizers")
SIDES = ("padding_side", "truncation_side")
SAVED = ("additional_special_tokens", "clean_up_tokenization_spaces", "model_max_length", *SIDES)
UNSAVED = {"name_or_path", "added_tokens_decoder", "use_fast"}

# What rows of a column are filled up with.
FILLS = {"attention_mask": 0, "special_tokens_mask": 1, "offset_mapping": (0, 0)}


class Language:
    """An attribute such as `src_lang`: the language that texts are in, for the kinds that mark it."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: Tokenizer, owner: type) -> str | None:
        found: str | None = instance.init_kwargs.get(self.name)
        return found

    def __set__(self, instance: Tokenizer, value: str | None) -> None:
        instance._set_language(self.name, value)


class Tokenizer(Vocabulary):
    """Turns text into the ids a model reads, and ids back into text.

    Made by `Tokenizer.from_folder`, `Tokenizer.train`, or `AutoTokenizer.from_pretrained`.
    """

    src_lang, tgt_lang = Language(), Language()

    def __init__(self, recipe: Recipe, assembly: Assembly, options: Options) -> None:
        super().__init__(recipe, assembly, options)
        stated = (options.get(name) for name in ("model_max_length", "max_len"))
        self.model_max_length = read_length(next((length for length in stated if length is not None), UNLIMITED))
        self.padding_side = check_side("padding_side", options.get("padding_side", "right"))
        self.truncation_side = check_side("truncation_side", options.get("truncation_side", "right"))
        self.model_input_names = read_names(options.get("model_input_names") or recipe.model_input_names)
        self.split_special_tokens: bool = bool(options.get("split_special_tokens", False))
        self.pad_token_type_id: int = options.get("pad_token_type_id", 0)
        check_whole("pad_token_type_id", self.pad_token_type_id, 0, 2**32 - 1)  # the Rust library has 32 bits for it
        self.name_or_path: str = options.get("name_or_path", "")
        self._notices = Notices()

    @classmethod
    def from_folder(cls, folder: str | Path, recipe: str | None = None, **overrides: Any) -> Tokenizer:
        """Load a folder of original files or a saved tokenizer; without `recipe` the files say which kind it is.

        `recipe` is a kind such as "bert" or "json". `overrides` take the place of what tokenizer_config.json says, such
        as `do_lower_case` or `model_max_length`; `use_fast=False` and `from_slow=True` pass over a tokenizer.json for
        the original files, and `config` is a mapping that stands for config.json.
        """
        from lamina.tokenizers.loading import load

        with backend_errors(f"Loading the tokenizer in {shown(folder)}"):
            return cls(*load(folder, recipe, overrides))

    @classmethod
    def train(
        cls,
        files: str | Path | Iterable[Any],
        kind: str = "wordpiece",
        vocab_size: int = 30_000,
        special_tokens: Sequence[str] | None = None,
        **options: Any,
    ) -> Tokenizer:
        """Learn a new vocabulary from text files, or from an iterator of texts.

        `kind` is "wordpiece", "bpe", "unigram", "word" or "char". WordPiece and Unigram may break ties differently from
        run to run: save what was learned.
        """
        from lamina.tokenizers.training import train

        with backend_errors("Training a tokenizer"):
            return cls(*train(files, kind, vocab_size, special_tokens, options))

    @property
    def backend_tokenizer(self) -> Backend:
        """The Rust library's object, which may be changed from here on: it alone reads texts then."""
        return self._encoder.share()

    @property
    def is_fast(self) -> bool:
        """Whether calls know offsets, words and characters."""
        return self._assembly.splitter is None

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
        side = self.padding_side if padding_side is None else check_side("padding_side", padding_side)
        call = Call(
            limits,
            add_special_tokens,
            is_split_into_words,
            self.split_special_tokens if split_special_tokens is None else split_special_tokens,
            self.truncation_side == "left",
            side == "left",
            "token_type_ids" in names if return_token_type_ids is None else return_token_type_ids,
            "attention_mask" in names if return_attention_mask is None else return_attention_mask,
            return_overflowing_tokens,
            return_special_tokens_mask,
            return_offsets_mapping,
            return_length,
        )
        run = partial(self._run, call, return_tensors, notices)
        if text_target is None:
            return run(text, text_pair)
        found = run(text, text_pair) if text is not None else None
        encoder = self._encoder
        with encoder.lock:
            encoder.switch(target=True)
            try:
                labels = run(text_target, text_pair_target)
            finally:
                encoder.switch(target=encoder.targeting)
        if found is None:
            return labels
        found["labels"] = labels["input_ids"]
        return found

    def _run(self, call: Call, tensors: str | None, notices: Notices | None, text: Any, pair: Any) -> BatchEncoding:
        presplit = call.presplit
        single = isinstance(text, str) or (presplit and not (text and isinstance(text[0], list | tuple)))
        job = Job([(text, pair) if pair else text] if single else zip_pairs(text, pair), single, call)
        self._check(job)
        # Without a post-processor, the faster call forgets the token types of pairs.
        fast = not (single or presplit or call.offsets or call.overflow or self._backend.post_processor is None)
        known = None if presplit or call.offsets or call.overflow else self._encoder.look_up(job, fast)
        encodings: list[Any] = self._encoder.encode(job, fast) if known is None else known
        owners: list[int] = []
        if call.overflow:
            groups = [[encoding, *encoding.overflowing] for encoding in encodings]
            owners = [index for index, group in enumerate(groups) for _ in group]
            encodings = list(chain.from_iterable(groups))
        columns, length = self._columns(encodings, call)
        if call.overflow:
            columns["overflow_to_sample_mapping"] = owners
        if notices and call.limits.max_length is None and self.model_max_length < LARGE:
            notices.long(columns["input_ids"], self.model_max_length)
        if single and tensors is None and not call.overflow:
            whole = "length" if self.is_fast else ""  # a list even here, but for the Python kinds
            columns = {key: value if key == whole else value[0] for key, value in columns.items()}
        source = None
        if self._assembly.splitter is None:
            source = partial(self._finish, None if fast or known is not None else encodings, job, length)
        return BatchEncoding(columns, source, tensors)

    def _check(self, job: Job) -> None:
        call = job.call
        if not job.texts:
            raise TokenizerError("The batch is empty: there is nothing to tokenize.")
        self._check_pad_token(call.limits)
        if call.limits.truncation:
            paired = isinstance(job.texts[0], tuple) and not is_words(job.texts[0], call.presplit)
            specials = self.num_special_tokens_to_add(paired) if call.add_special_tokens else 0
            check_room(call.limits, specials)
        if call.presplit and not self.recipe.splits_words and not self.init_kwargs.get("add_prefix_space"):
            raise TokenizerError("Words already split need a tokenizer made with add_prefix_space=True, for this kind.")
        if call.offsets and not self.is_fast:
            raise TokenizerError("return_offsets_mapping is not available: this kind keeps no alignment with the text.")

    def _columns(self, encodings: Sequence[Any], call: Call) -> tuple[dict[str, Any], int | None]:
        """The lists a call returns, and the length they were padded to."""
        ids = [encoding.ids for encoding in encodings]
        columns: dict[str, Any] = {"input_ids": ids}
        if call.token_type_ids:
            # As in the reference, where the Python kinds have types for whole rows only.
            plain = self._assembly.splitter is not None and not call.add_special_tokens
            columns["token_type_ids"] = [[0] * len(row) for row in ids] if plain else [e.type_ids for e in encodings]
        if call.attention_mask:
            columns["attention_mask"] = [[1] * len(row) for row in ids]
        if call.special_tokens_mask:
            columns["special_tokens_mask"] = [encoding.special_tokens_mask for encoding in encodings]
        if call.offsets:
            columns["offset_mapping"] = [encoding.offsets for encoding in encodings]
        length = self._fill_up(columns, "input_ids", call.limits, call.pad_left)
        if call.length:
            rows = columns["input_ids"] if self.is_fast else ids  # the Python kinds count before they pad
            columns["length"] = [len(row) for row in rows]
        return columns, length

    def _fill_up(self, columns: dict[str, Any], name: str, limits: Limits, left: bool) -> int | None:
        """Fill the columns whose padding is known up to one length, where this is asked for; says which."""
        if not limits.padding:
            return None
        length = limits.padded_length([len(row) for row in columns[name]])
        for key, value in {**FILLS, "token_type_ids": self.pad_token_type_id, name: self.pad_token_id}.items():
            if key in columns:
                columns[key] = [pad_row(row, length, value, left) for row in columns[key]]
        return length

    def _finish(self, encodings: list[Encoding] | None, job: Job, length: int | None) -> list[Encoding]:
        """Encodings for questions about words and characters, made or padded when first asked for."""
        if encodings is None:
            encodings = self._encoder.encode(job, fast=False)
        if length is not None:
            with backend_errors("Padding"):
                for encoding in encodings:
                    encoding.pad(
                        length,
                        direction="left" if job.call.pad_left else "right",
                        pad_id=self.pad_token_id or 0,
                        pad_type_id=self.pad_token_type_id,
                        pad_token=self.pad_token or "",
                    )
        return encodings

    def encode(self, text: Any, text_pair: Any = None, **options: Any) -> Any:
        """The ids alone; the options are those of a call."""
        return self(text, text_pair, **options)["input_ids"]

    def encode_plus(self, text: Any, text_pair: Any = None, **options: Any) -> BatchEncoding:
        """A call with one text or pair."""
        return self(text, text_pair, **options)

    def batch_encode_plus(self, batch_text_or_text_pairs: Sequence[Any], **options: Any) -> BatchEncoding:
        """A call with a batch of texts, or of (text, second text) tuples."""
        if isinstance(batch_text_or_text_pairs, str):
            raise TokenizerError("batch_encode_plus takes a list of texts; for one text use the tokenizer itself.")
        return self(batch_text_or_text_pairs, **options)

    def tokenize(
        self, text: str, pair: str | None = None, add_special_tokens: bool = False, **options: Any
    ) -> list[str]:
        """The tokens of a text."""
        if not self.is_fast and not add_special_tokens and not options:
            texts = [text, pair] if pair else [text]
            for part in texts:
                if not isinstance(part, str):
                    raise TokenizerError(f"Cannot tokenize a {type(part).__name__}: pass a string.")
            with backend_errors("Tokenizing"):
                return [piece for part in texts for piece in self._encoder.pieces(part, self.split_special_tokens)]
        found = self(text, pair, add_special_tokens=add_special_tokens, **options)
        if found.encodings is None:
            return [token or "" for token in self.convert_ids_to_tokens(found["input_ids"])]
        return found.tokens()

    def pad(
        self,
        encoded_inputs: Any,
        padding: bool | str = True,
        max_length: int | None = None,
        pad_to_multiple_of: int | None = None,
        padding_side: str | None = None,
        return_attention_mask: bool | None = None,
        return_tensors: str | None = None,
        verbose: bool = True,
    ) -> BatchEncoding:
        """Pad rows that were tokenized before: one, a batch, or a list of rows as a data loader collects them."""
        columns = as_columns(encoded_inputs)
        name = self.model_input_names[0]
        if name not in columns:
            raise TokenizerError(f"pad needs {name}, but got {', '.join(map(str, columns)) or 'nothing'}.")
        if return_tensors is None:
            return_tensors = tensor_type_of(columns[name])
        columns = {key: plain(value) for key, value in columns.items()}
        if not columns[name]:
            return BatchEncoding({**columns, **({"attention_mask": []} if return_attention_mask else {})})
        notices = self._notices if verbose else None
        limits = settle(padding, False, max_length, 0, pad_to_multiple_of, self.model_max_length, notices)
        self._check_pad_token(limits)
        left = check_side("padding_side", padding_side or self.padding_side) == "left"
        single = not isinstance(columns[name][0], list | tuple)
        if single:
            columns = {key: [value] for key, value in columns.items()}
        rows = columns[name]
        if any(isinstance(value, list) and len(value) != len(rows) for value in columns.values()):
            raise TokenizerError("The columns of a batch to pad differ in their number of rows.")
        wanted = "attention_mask" in self.model_input_names if return_attention_mask is None else return_attention_mask
        if wanted and "attention_mask" not in columns:
            columns["attention_mask"] = [[1] * len(row) for row in rows]
        self._fill_up(columns, name, limits, left)
        if single:
            columns = {key: value[0] for key, value in columns.items()}
        return BatchEncoding(columns, tensor_type=return_tensors)

    def _check_pad_token(self, limits: Limits) -> None:
        if limits.padding and self.pad_token_id is None:
            raise TokenizerError(
                "Padding needs a pad token, and this tokenizer has none. Choose one, such as tokenizer.pad_token = "
                "tokenizer.eos_token, or add one: tokenizer.add_special_tokens({'pad_token': '[PAD]'})."
            )

    def prepare_for_model(
        self,
        ids: Sequence[int],
        pair_ids: Sequence[int] | None = None,
        add_special_tokens: bool = True,
        padding: bool | str = False,
        truncation: bool | str | None = None,
        max_length: int | None = None,
        stride: int = 0,
        pad_to_multiple_of: int | None = None,
        padding_side: str | None = None,
        return_tensors: str | None = None,
        return_token_type_ids: bool | None = None,
        return_attention_mask: bool | None = None,
        return_overflowing_tokens: bool = False,
        return_special_tokens_mask: bool = False,
        return_length: bool = False,
        verbose: bool = True,
        prepend_batch_axis: bool = False,
    ) -> BatchEncoding:
        """Cut ids to length, put special tokens around them and pad them, as a call does with text."""
        limits = settle(
            padding, truncation, max_length, stride, pad_to_multiple_of, self.model_max_length, self._notices
        )
        pair = pair_ids is not None
        specials = self.num_special_tokens_to_add(pair) if add_special_tokens else 0
        check_room(limits, specials)
        first, second = list(ids), list(pair_ids) if pair_ids is not None else None
        excess = 0
        overflow: list[int] = []
        if limits.truncation and limits.max_length is not None:
            excess = len(first) + len(second or ()) + specials - limits.max_length
            first, second, overflow = self.truncate_sequences(first, second, excess, limits.truncation, stride)
        columns: dict[str, Any] = {}
        if return_overflowing_tokens:
            columns |= {"overflowing_tokens": overflow, "num_truncated_tokens": excess}
        names = self.model_input_names
        types = "token_type_ids" in names if return_token_type_ids is None else return_token_type_ids
        parts = read_template(self._backend, pair)
        kept = parts if add_special_tokens else [part for part in parts if part.sequence is not None]
        asked = {"input_ids": True, "token_type_ids": types, "special_tokens_mask": return_special_tokens_mask}
        rows = zip(asked.items(), fill_template(kept, first, second), strict=True)
        columns |= {name: row for (name, wanted), row in rows if wanted}
        padded = BatchEncoding(columns)
        if columns["input_ids"]:
            padded = self.pad(
                columns,
                limits.padding or False,
                limits.max_length,
                pad_to_multiple_of,
                padding_side,
                return_attention_mask,
                verbose=False,
            )
        if return_length:
            padded["length"] = len(padded["input_ids"])
        return padded.convert_to_tensors(return_tensors, prepend_batch_axis)

    def truncate_sequences(
        self,
        ids: list[int],
        pair_ids: list[int] | None = None,
        num_tokens_to_remove: int = 0,
        truncation_strategy: str = "longest_first",
        stride: int = 0,
    ) -> tuple[list[int], list[int] | None, list[int]]:
        """Cut ids by so many tokens; returns both rows and, where one was cut, what was removed plus `stride` more."""
        count = num_tokens_to_remove
        if count <= 0:
            return ids, pair_ids, []
        left = self.truncation_side == "left"
        if truncation_strategy == "longest_first" and pair_ids is not None:
            from_first, from_second = share(len(ids), len(pair_ids), count)
            return shorten(ids, from_first, left), shorten(pair_ids, from_second, left), []
        second = truncation_strategy == "only_second"
        row = pair_ids if second else ids
        if row is None or len(row) <= count:
            have = 0 if row is None else len(row)
            raise TokenizerError(
                f"truncation={shown(truncation_strategy)} should remove {count} tokens from a text of {have}. "
                "Use 'longest_first', or a larger max_length."
            )
        size = min(len(row), stride + count)
        removed = row[:size] if left else row[-size:]
        kept = shorten(row, count, left)
        return (ids, kept, removed) if second else (kept, pair_ids, removed)

    @property
    def max_len_single_sentence(self) -> int:
        """How many tokens of one text fit in the model."""
        return self.model_max_length - self.num_special_tokens_to_add(pair=False)

    @property
    def max_len_sentences_pair(self) -> int:
        """How many tokens of a pair of texts fit in the model."""
        return self.model_max_length - self.num_special_tokens_to_add(pair=True)

    @contextmanager
    def as_target_tokenizer(self) -> Iterator[None]:
        """Within this, texts are read as targets: in the target language, with the target's files."""
        encoder = self._encoder
        with encoder.lock:
            encoder.targeting = True
            encoder.switch(target=True)
            try:
                yield
            finally:
                encoder.targeting = False
                encoder.switch(target=False)

    def _set_language(self, option: str, value: str | None) -> None:
        before = self.init_kwargs.get(option)
        self.init_kwargs[option] = value
        try:
            self._encoder.switch(target=self._encoder.targeting)
        except TokenizerError:
            self.init_kwargs[option] = before
            raise

    def apply_chat_template(self, *_: Any, **__: Any) -> str:
        """Not offered: the models here were made before chat."""
        raise TokenizerError(
            "Chat templates are not supported: none of these models is a chat model. Write the prompt out."
        )

    def save_pretrained(self, save_directory: str | Path, filename_prefix: str | None = None) -> tuple[str, ...]:
        """Write the files that Transformers 4.57 writes, all or none, and name them."""
        with self._writing(save_directory, filename_prefix) as (new, written):
            write_json(new("tokenizer_config.json"), self._configuration())
            write_json(new("special_tokens_map.json"), self._special_tokens())
            self._write_vocabulary(new, filename_prefix)
            size = self.vocab_size
            later = {token: index for token, index in self.added_tokens_encoder.items() if index >= size}
            if later:
                write_json(new("added_tokens.json"), later)
            if self.is_fast:
                new("tokenizer.json").write_text(self._encoder.backend_text(), encoding="utf-8", newline="\n")
        return tuple(map(str, written))

    def save_vocabulary(self, save_directory: str | Path, filename_prefix: str | None = None) -> tuple[str, ...]:
        """Write the original vocabulary files alone, all or none, and name them."""
        with self._writing(save_directory, filename_prefix) as (new, written):
            self._write_vocabulary(new, filename_prefix)
        return tuple(map(str, written))

    @contextmanager
    def _writing(self, folder: str | Path, prefix: str | None) -> Iterator[tuple[Callable[[str], Path], list[Path]]]:
        """A function that gives the place to write a file of a name at, and the list of where they will stand."""
        if prefix and (Path(prefix).name != prefix or prefix[0] == "." or "\0" in prefix):
            raise TokenizerError(f"filename_prefix={shown(prefix)} should be a plain name.")
        target, written = local_path(folder, TokenizerError), []
        with backend_errors("Saving a tokenizer"), staged(target, TokenizerError) as new:

            def named(name: str) -> Path:
                name = f"{prefix}-{name}" if prefix else name
                written.append(target / name)
                return new(name)

            yield named, written

    def _write_vocabulary(self, new: Callable[[str], Path], prefix: str | None) -> None:
        assembly, model = self._assembly, self._backend.model
        if assembly.splitter is not None:
            assembly.splitter.save(new)
            return
        for path in assembly.originals:
            if present(path.parent, path.name):
                shutil.copyfile(inside(path.parent, path.name, TokenizerError), new(path.name))
            else:  # tokenizer.json says the same
                logger.warning("%s is gone, so it is not saved again; tokenizer.json holds what it said.", path)
        if not assembly.originals and isinstance(model, models.WordPiece | models.BPE):
            names = ("vocab.txt",) if isinstance(model, models.WordPiece) else ("vocab.json", "merges.txt")
            places = [new(name).parent for name in names]
            model.save(str(places[0]), prefix or None)

    def _configuration(self) -> dict[str, Any]:
        config = {key: as_json(value) for key, value in self.init_kwargs.items() if key not in UNSAVED}
        for role in ROLES:
            if role in config or role in self._special or role in self.recipe.special_tokens:
                config[role] = getattr(self, role)  # None where the kind's usual token is not wanted
        config |= {name: getattr(self, name) for name in SAVED}
        added = sorted(self.added_tokens_decoder.items())
        config["added_tokens_decoder"] = {str(index): token.__getstate__() for index, token in added}
        config["tokenizer_class"] = self.recipe.class_name
        if not config["additional_special_tokens"] and "additional_special_tokens" not in self.init_kwargs:
            del config["additional_special_tokens"]
        if self.recipe.class_name == "PreTrainedTokenizerFast":
            config["model_input_names"] = self.model_input_names
        return config

    def _special_tokens(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            role: {key: flag for key, flag in token.__getstate__().items() if key != "special"}
            if isinstance(token, AddedToken)
            else token
            for role, token in self._special.items()
        }
        if self.additional_special_tokens:
            found["additional_special_tokens"] = self.additional_special_tokens
        return found

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"recipe": self.recipe.name}  # a recipe's functions do not travel

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.recipe = RECIPES[state["recipe"]]
        self._backend = self._assembly.backend
        self._encoder.renew(self.recipe)

    def __repr__(self) -> str:
        return (
            f"Tokenizer(kind={self.recipe.name!r}, name_or_path={self.name_or_path!r}, vocab_size={self.vocab_size}, "
            f"model_max_length={self.model_max_length}, padding_side={self.padding_side!r}, "
            f"truncation_side={self.truncation_side!r}, special_tokens={self.special_tokens_map})"
        )
