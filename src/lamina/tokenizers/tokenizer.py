"""The one public tokenizer class: what Transformers 4.57's tokenizers do, for every kind."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer as Backend

from lamina.errors import TokenizerError
from lamina.files.paths import local_path
from lamina.files.shown import shown
from lamina.tokenizers.decoding import clean_up, join_pieces, read_ids
from lamina.tokenizers.encoding import BatchEncoding
from lamina.tokenizers.files import backend_errors, report
from lamina.tokenizers.manual import IdRows
from lamina.tokenizers.recipe import Assembly, Options, Recipe
from lamina.tokenizers.recipes import RECIPES
from lamina.tokenizers.template import fill_template, read_template


class Tokenizer(IdRows):
    """Turns text into the ids a model reads, and ids back into text.

    Made by `Tokenizer.from_folder`, `Tokenizer.train`, or `AutoTokenizer.from_pretrained`.
    """

    def __init__(self, recipe: Recipe, assembly: Assembly, options: Options) -> None:
        super().__init__(recipe, assembly, options)
        self.clean_up_tokenization_spaces: bool = bool(options.get("clean_up_tokenization_spaces", False))
        self.name_or_path: str = options.get("name_or_path", "")

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
        self._shared, self._table = True, None
        return self._backend

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
        if self._assembly.splitter is not None and not add_special_tokens and not options:
            return self._pieces_checked(text) + (self._pieces_checked(pair) if pair else [])
        found = self(text, pair, add_special_tokens=add_special_tokens, **options)
        if found.encodings is None:
            return [token or "" for token in self.convert_ids_to_tokens(found["input_ids"])]
        return found.tokens()

    def _pieces_checked(self, text: Any) -> list[str]:
        if not isinstance(text, str):
            raise TokenizerError(f"Cannot tokenize a {type(text).__name__}: pass a string.")
        with backend_errors("Tokenizing"):
            return self._pieces(text, self.split_special_tokens)

    def decode(
        self,
        token_ids: Any,
        skip_special_tokens: bool = False,
        clean_up_tokenization_spaces: bool | None = None,
        spaces_between_special_tokens: bool = True,
        use_source_tokenizer: bool = False,
    ) -> str:
        """The text of one row of ids (a number, list, array or tensor [tokens])."""
        if self._assembly.splitter is not None:
            ids = read_ids(token_ids)
            text = join_pieces(self, ids, skip_special_tokens, spaces_between_special_tokens, use_source_tokenizer)
        else:
            text = self._decode_row(token_ids, skip_special_tokens)
        clean = (
            self.clean_up_tokenization_spaces if clean_up_tokenization_spaces is None else clean_up_tokenization_spaces
        )
        return clean_up(text) if clean else text

    def _decode_row(self, token_ids: Any, skip_special_tokens: bool) -> str:
        """Decode what looks like ids at once, and look closer only where the Rust library will not have it."""
        if self._bent and not self._bent.isdisjoint(ids := read_ids(token_ids)):
            return self._decode_tokens(ids, skip_special_tokens)
        if type(token_ids) is list:
            try:
                return self._backend.decode(token_ids, skip_special_tokens)
            except (TypeError, OverflowError):
                pass
            except BaseException as error:
                report("Decoding", error)
        with backend_errors("Decoding"):
            return self._backend.decode(read_ids(token_ids), skip_special_tokens)

    def _decode_tokens(self, ids: list[int], skip_special_tokens: bool) -> str:
        """Decode in the Rust library's steps, but with added tokens as they were added, not as they are looked for."""
        skipped = {i for i, token in self._contents.items() if token.special} if skip_special_tokens else set()
        tokens = [token for i in ids if i not in skipped and (token := self._token(i)) is not None]
        return self.convert_tokens_to_string(tokens)

    def batch_decode(self, sequences: Any, **options: Any) -> list[str]:
        """The texts of several rows of ids; the options are those of `decode`."""
        return [self.decode(row, **options) for row in sequences]

    def convert_tokens_to_string(self, tokens: list[str]) -> str:
        """The text that tokens stand for."""
        if self._assembly.splitter is not None:
            return self._assembly.splitter.join(tokens, set(self.all_special_tokens))
        with backend_errors("Joining tokens"):
            return self._backend.decoder.decode(tokens) if self._backend.decoder is not None else " ".join(tokens)

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
        with self._lock:
            self._targeting = True
            self._switch(target=True)
            try:
                yield
            finally:
                self._targeting = False
                self._switch(target=False)

    @property
    def src_lang(self) -> str | None:
        """The language that texts are in, for the kinds that mark it."""
        return self.init_kwargs.get("src_lang")

    @src_lang.setter
    def src_lang(self, value: str | None) -> None:
        self._set_language("src_lang", value)

    @property
    def tgt_lang(self) -> str | None:
        """The language that targets are in."""
        return self.init_kwargs.get("tgt_lang")

    @tgt_lang.setter
    def tgt_lang(self, value: str | None) -> None:
        self._set_language("tgt_lang", value)

    def _set_language(self, option: str, value: str | None) -> None:
        before = self.init_kwargs.get(option)
        self.init_kwargs[option] = value
        try:
            self._switch(target=self._targeting)
        except TokenizerError:
            self.init_kwargs[option] = before
            raise

    def translation_inputs(
        self, text: Any, src_lang: str | None = None, tgt_lang: str | None = None, **options: Any
    ) -> BatchEncoding:
        """A call for translating; where the kind marks languages, with the `forced_bos_token_id` of the target's."""
        if "src_lang" not in self.recipe.options:
            return self(text, **options)
        if src_lang is None or tgt_lang is None:
            raise TokenizerError(
                "Translating with this tokenizer needs src_lang and tgt_lang, such as 'en_XX', 'ro_RO'."
            )
        if self._backend.token_to_id(tgt_lang) is None:
            raise TokenizerError(f"{shown(tgt_lang)} is not a language of this tokenizer.")
        self.src_lang = src_lang
        found = self(text, **options)
        found["forced_bos_token_id"] = self._backend.token_to_id(tgt_lang)
        return found

    @property
    def control_codes(self) -> dict[str, int]:
        """CTRL's control codes and their ids; empty for other kinds."""
        ids = ((code, self._backend.token_to_id(code)) for code in self.recipe.control_codes)
        return {code: index for code, index in ids if index is not None}

    @property
    def lang_code_to_id(self) -> dict[str, int | None]:
        """The languages' codes and their ids, for the kinds that have some."""
        codes = self.additional_special_tokens if "src_lang" in self.recipe.options else []
        return {code: self._id(code) for code in codes}

    def apply_chat_template(self, *_: Any, **__: Any) -> str:
        """Not offered: the models here were made before chat."""
        raise TokenizerError(
            "Chat templates are not supported: none of these models is a chat model. Write the prompt out."
        )

    def save_pretrained(self, save_directory: str | Path, filename_prefix: str | None = None) -> tuple[str, ...]:
        """Write the files that Transformers 4.57 writes, and name them."""
        from lamina.tokenizers.saving import save

        return save(self, local_path(save_directory, TokenizerError), filename_prefix or "")

    def save_vocabulary(self, save_directory: str | Path, filename_prefix: str | None = None) -> tuple[str, ...]:
        """Write the original vocabulary files alone, and name them."""
        from lamina.tokenizers.saving import save_vocabulary

        return save_vocabulary(self, local_path(save_directory, TokenizerError), filename_prefix or "")

    def build_inputs_with_special_tokens(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None
    ) -> list[int]:
        """Ids with the special tokens around them."""
        return fill_template(read_template(self._backend, token_ids_1 is not None), token_ids_0, token_ids_1)[0]

    def create_token_type_ids_from_sequences(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None
    ) -> list[int]:
        """The token types of the same row."""
        return fill_template(read_template(self._backend, token_ids_1 is not None), token_ids_0, token_ids_1)[1]

    def __getstate__(self) -> dict[str, Any]:
        kept = {key: value for key, value in self.__dict__.items() if key not in ("_lock", "_table")}
        return kept | {"recipe": self.recipe.name}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.recipe = RECIPES[state["recipe"]]
        self._lock = threading.RLock()
        self._backend = self._assembly.backend
        self._table = False

    def __repr__(self) -> str:
        return (
            f"Tokenizer(kind={self.recipe.name!r}, name_or_path={self.name_or_path!r}, vocab_size={self.vocab_size}, "
            f"model_max_length={self.model_max_length}, padding_side={self.padding_side!r}, "
            f"truncation_side={self.truncation_side!r}, special_tokens={self.special_tokens_map})"
        )
