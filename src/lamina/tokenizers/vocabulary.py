"""Tokens and ids: the vocabulary of a tokenizer, its special tokens, tokens added later, and ids back to text."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, overload

from tokenizers import AddedToken

from lamina.errors import TokenizerError
from lamina.files.shown import shown
from lamina.tokenizers.encoder import Encoder
from lamina.tokenizers.files import backend_errors, report
from lamina.tokenizers.recipe import Assembly, Options, Recipe, apply_template, fill_template, read_template

ROLES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")

# What is joined to the word before when decoded text is tidied: each loses its space, the single quote both.
TIDIED = {f" {sign}": sign for sign in (".", "?", "!", ",")} | {" ' ": "'"}
TIDIED |= {f" {ending}": ending for ending in ("n't", "'m", "'s", "'ve", "'re")}


class SpecialToken:
    """An attribute such as `pad_token`: the token's text, or None where the tokenizer has none."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.role = name

    def __get__(self, instance: Vocabulary, owner: type) -> str | None:
        token = instance._special.get(self.role)
        return None if token is None else str(token)

    def __set__(self, instance: Vocabulary, value: str | AddedToken | None) -> None:
        instance._set_role(self.role, value)


class SpecialTokenId:
    """An attribute such as `pad_token_id`: the id of that special token, or None."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.role = name.removesuffix("_id")

    def __get__(self, instance: Vocabulary, owner: type) -> int | None:
        return instance._role_ids.get(self.role)

    def __set__(self, instance: Vocabulary, value: int | None) -> None:
        instance._set_role(self.role, None if value is None else instance._token(value))


class Vocabulary:
    """The part of a tokenizer that maps tokens to ids and back."""

    bos_token, eos_token, unk_token = SpecialToken(), SpecialToken(), SpecialToken()
    sep_token, pad_token, cls_token, mask_token = SpecialToken(), SpecialToken(), SpecialToken(), SpecialToken()
    bos_token_id, eos_token_id, unk_token_id = SpecialTokenId(), SpecialTokenId(), SpecialTokenId()
    sep_token_id, pad_token_id = SpecialTokenId(), SpecialTokenId()
    cls_token_id, mask_token_id = SpecialTokenId(), SpecialTokenId()

    def __init__(self, recipe: Recipe, assembly: Assembly, options: Options) -> None:
        self.recipe = recipe
        self.init_kwargs = options
        self._assembly = assembly
        self._backend = assembly.backend
        self._encoder = Encoder(recipe, assembly, options)
        self._special: dict[str, str | AddedToken] = {r: options[r] for r in ROLES if options.get(r) is not None}
        self._additional: list[str | AddedToken] = list(options.get("additional_special_tokens") or [])
        self._named = named_tokens(options)
        self._altered: set[int] = set()  # added tokens that the Rust library gives back normalized
        self._role_ids: dict[str, int | None] = {}
        self.clean_up_tokenization_spaces: bool = bool(options.get("clean_up_tokenization_spaces", False))
        self._refresh()

    def _set_role(self, role: str, value: str | AddedToken | None) -> None:
        before = dict(self._special)
        if value is None:
            self._special.pop(role, None)
        elif isinstance(value, str | AddedToken):
            self._id(str(value))  # refuses what is not text before anything is changed
            self._special[role] = value
        else:
            raise TokenizerError(f"{role} should be a string or None, not {type(value).__name__}.")
        try:
            self._refresh()
        except TokenizerError:
            self._special = before
            self._refresh()
            raise

    @backend_errors("Looking up the special tokens")
    def _refresh(self) -> None:
        """Look special tokens up again after any of them, or the vocabulary, changed."""
        self._role_ids = {role: self._id(str(token)) for role, token in self._special.items()}
        added = self._backend.get_added_tokens_decoder()
        self._encoder.added = {token.content: token for token in added.values()}
        self._altered = {index for index, token in added.items() if self._backend.id_to_token(index) != token.content}
        self._contents = added
        self._encoder.table = False  # to be made anew
        self._bracket_anew()
        # Attributes such as `image_token` and `image_token_id`; a `__getattr__` would slow every look at an attribute.
        for role, token in self._named.items():
            for name, value in ((role, str(token)), (f"{role}_id", self._id(str(token)))):
                if not name.startswith("_") and not hasattr(type(self), name):
                    self.__dict__.setdefault(name, value)

    def _bracket_anew(self) -> None:
        """Put today's special tokens around texts, for the kinds whose class in the reference looks them up anew."""
        changed = {role: self._special.get(role) for role in ROLES if role in self.init_kwargs or role in self._special}
        if all(str(self.init_kwargs.get(role)) == str(token) for role, token in changed.items()):
            return
        self.init_kwargs.update(changed)
        if self._assembly.splitter is not None:
            apply_template(self.recipe, self._backend, self.init_kwargs)
        self._encoder.switch(self._encoder.targeting)

    def _id(self, token: str) -> int | None:
        try:
            index = self._backend.token_to_id(token)
        except BaseException as error:
            report(f"Looking up {shown(token)}", error)
        return self._role_ids.get("unk_token") if index is None else index

    def _token(self, index: int) -> str | None:
        if not 0 <= index < 2**32:
            return None
        if index not in self._contents and index in self._assembly.target_tokens:
            return self._assembly.target_tokens[index]
        try:
            return self._contents[index].content if index in self._altered else self._backend.id_to_token(index)
        except BaseException as error:
            report(f"Looking up the token {shown(index)}", error)

    def num_special_tokens_to_add(self, pair: bool = False) -> int:
        """How many special tokens a call puts around a text, or a pair."""
        try:
            return self._backend.num_special_tokens_to_add(pair)
        except BaseException as error:
            report("Counting special tokens", error)

    @property
    def additional_special_tokens(self) -> list[str]:
        """Special tokens that have no role of their own."""
        return [str(token) for token in self._additional]

    @additional_special_tokens.setter
    def additional_special_tokens(self, value: Sequence[str | AddedToken] | None) -> None:
        self._additional = list(value or [])

    @property
    def additional_special_tokens_ids(self) -> list[int | None]:
        """The ids of `additional_special_tokens`."""
        return [self._id(token) for token in self.additional_special_tokens]

    @property
    def special_tokens_map(self) -> dict[str, str | list[str]]:
        """Every special token by its role."""
        found: dict[str, str | list[str]] = {r: str(self._special[r]) for r in ROLES if r in self._special}
        if self._additional:
            found["additional_special_tokens"] = self.additional_special_tokens
        return found | {role: str(token) for role, token in self._named.items()}

    @property
    def all_special_tokens_extended(self) -> list[str | AddedToken]:
        """Every special token once, with its flags where it has some."""
        found: dict[str, str | AddedToken] = {}
        roles = (self._special[role] for role in ROLES if role in self._special)
        for token in [*roles, *self._additional, *self._named.values()]:
            found.setdefault(str(token), token)
        return list(found.values())

    @property
    def all_special_tokens(self) -> list[str]:
        """Every special token once."""
        return [str(token) for token in self.all_special_tokens_extended]

    @property
    def all_special_ids(self) -> list[int]:
        """The ids of `all_special_tokens`."""
        ids = (self._id(token) for token in self.all_special_tokens)
        return [index for index in ids if index is not None]

    @property
    @backend_errors("Counting the vocabulary")
    def vocab_size(self) -> int:
        """The size of the vocabulary without the tokens added to it."""
        return self._assembly.vocab_size or self._backend.get_vocab_size(with_added_tokens=False)

    @backend_errors("Counting the vocabulary")
    def __len__(self) -> int:
        """The size of the vocabulary with the tokens added to it."""
        return self._backend.get_vocab_size(with_added_tokens=True)

    def __bool__(self) -> bool:
        return True

    @backend_errors("Listing the vocabulary")
    def get_vocab(self) -> dict[str, int]:
        """Every token and its id."""
        return self._backend.get_vocab(with_added_tokens=True)

    @property
    def vocab(self) -> dict[str, int]:
        """The same as `get_vocab()`."""
        return self.get_vocab()

    @property
    @backend_errors("Listing the added tokens")
    def added_tokens_decoder(self) -> dict[int, AddedToken]:
        """The tokens that are looked for in the text before it is cut, by id."""
        return self._backend.get_added_tokens_decoder()

    @property
    def added_tokens_encoder(self) -> dict[str, int]:
        """The ids of those tokens, in order."""
        return {token.content: index for index, token in sorted(self.added_tokens_decoder.items())}

    def get_added_vocab(self) -> dict[str, int]:
        """The same as `added_tokens_encoder`."""
        return self.added_tokens_encoder

    @overload
    def convert_tokens_to_ids(self, tokens: str) -> int | None: ...  # type: ignore[overload-overlap]
    @overload
    def convert_tokens_to_ids(self, tokens: Iterable[str]) -> list[int | None]: ...
    def convert_tokens_to_ids(self, tokens: str | Iterable[str]) -> int | list[int | None] | None:
        """The id of a token, or of each; unknown ones get the unknown token's id, or None where there is none."""
        if isinstance(tokens, str):
            return self._id(tokens)
        return [self._id(token) for token in tokens]

    @overload
    def convert_ids_to_tokens(self, ids: int, skip_special_tokens: bool = False) -> str | None: ...
    @overload
    def convert_ids_to_tokens(self, ids: Iterable[int], skip_special_tokens: bool = False) -> list[str | None]: ...
    def convert_ids_to_tokens(
        self, ids: int | Iterable[int], skip_special_tokens: bool = False
    ) -> str | list[str | None] | None:
        """The token of an id, or of each."""
        if isinstance(ids, int):
            return self._token(ids)
        skipped = set(self.all_special_ids) if skip_special_tokens else set()
        return [self._token(index) for index in map(int, ids) if index not in skipped]

    def add_tokens(
        self, new_tokens: str | AddedToken | Sequence[str | AddedToken], special_tokens: bool = False
    ) -> int:
        """Add tokens to the vocabulary and say how many were new. Resize the model's embeddings afterwards."""
        if isinstance(new_tokens, str | AddedToken):
            new_tokens = [new_tokens]
        if not all(isinstance(token, str | AddedToken) and str(token) for token in new_tokens):
            raise TokenizerError("add_tokens takes strings that are not empty.")
        add = self._backend.add_special_tokens if special_tokens else self._backend.add_tokens
        with backend_errors("Adding tokens"):
            count = add(list(new_tokens))
        if self._assembly.splitter is not None:  # the reference's Python tokenizers list them
            special = [t for t in new_tokens if special_tokens or (isinstance(t, AddedToken) and t.special)]
            listed = self.all_special_tokens
            self._additional += [token for token in special if str(token) not in listed]
        self._refresh()
        return int(count)

    def add_special_tokens(
        self,
        special_tokens_dict: Mapping[str, str | AddedToken | Sequence[str | AddedToken]],
        replace_additional_special_tokens: bool = True,
    ) -> int:
        """Give tokens a role, such as {"pad_token": "[PAD]"}, adding those that are missing; says how many were new."""
        tokens: list[str | AddedToken] = []
        for role, value in special_tokens_dict.items():
            if role == "additional_special_tokens" and not isinstance(value, str | AddedToken):
                new = [flagged(token) for token in value]
                kept = [] if replace_additional_special_tokens else self._additional
                known = {str(token) for token in kept}
                self._additional = [*kept, *(token for token in new if str(token) not in known)]
                tokens += new
            elif role in ROLES and isinstance(value, str | AddedToken):
                self._special[role] = flagged(value)
                tokens.append(self._special[role])
            else:
                raise TokenizerError(
                    f"{shown(role)}: {shown(value)} is not a special token. Roles: {', '.join(ROLES)}."
                )
        return self.add_tokens(tokens, special_tokens=True)

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
            text = self._join_pieces(ids, skip_special_tokens, spaces_between_special_tokens, use_source_tokenizer)
        else:
            text = self._decode_row(token_ids, skip_special_tokens)
        clean = (
            self.clean_up_tokenization_spaces if clean_up_tokenization_spaces is None else clean_up_tokenization_spaces
        )
        return clean_up(text) if clean else text

    def _join_pieces(self, ids: list[int], skip_special: bool, spaces: bool, source: bool) -> str:
        """The text of ids, with tokens added later set apart as they stand."""
        splitter = self._assembly.splitter
        assert splitter is not None
        special = set(self.all_special_tokens)
        apart = self.added_tokens_encoder.keys() - special
        size = self.vocab_size
        apart |= {token for token in self.additional_special_tokens if (self._id(token) or 0) >= size}
        texts: list[str] = []
        run: list[str] = []
        for token in self.convert_ids_to_tokens(ids, skip_special_tokens=skip_special):
            token = token if token is not None else self.unk_token or ""
            if skip_special and token in special:
                continue
            if token in apart:
                texts += [splitter.join(run, special, source)] if run else []
                texts.append(token)
                run = []
            else:
                run.append(token)
        if run:
            texts.append(splitter.join(run, special, source))
        return (" " if spaces else "").join(texts)

    def _decode_row(self, token_ids: Any, skip_special_tokens: bool) -> str:
        """Decode what looks like ids at once, and look closer only where the Rust library will not have it."""
        if self._altered and not self._altered.isdisjoint(ids := read_ids(token_ids)):
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
    def control_codes(self) -> dict[str, int]:
        """CTRL's control codes and their ids; empty for other kinds."""
        ids = ((code, self._backend.token_to_id(code)) for code in self.recipe.control_codes)
        return {code: index for code, index in ids if index is not None}

    @property
    def lang_code_to_id(self) -> dict[str, int | None]:
        """The languages' codes and their ids, for the kinds that have some."""
        languages = self.recipe.languages
        if languages is None:
            return {}
        if languages.token == "{}":
            return {token: self._id(token) for token in self.additional_special_tokens}
        tokens = {code: self._backend.token_to_id(languages.token.format(code)) for code in languages.codes}
        return {code: index for code, index in tokens.items() if index is not None}

    def get_lang_id(self, lang: str) -> int:
        """The id of a language's token, as `generate(forced_bos_token_id=)` takes it."""
        if self.recipe.languages is None:
            raise TokenizerError(f"{self.recipe.class_name} marks no languages.")
        return self.recipe.languages.id_of(self._backend, lang)

    def _laid_out(self, first: list[int], second: list[int] | None) -> list[list[int]]:
        return fill_template(read_template(self._backend, second is not None), first, second)

    def build_inputs_with_special_tokens(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None
    ) -> list[int]:
        """Ids with the special tokens around them."""
        return self._laid_out(token_ids_0, token_ids_1)[0]

    def create_token_type_ids_from_sequences(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None
    ) -> list[int]:
        """The token types of the same row."""
        return self._laid_out(token_ids_0, token_ids_1)[1]

    def get_special_tokens_mask(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None, already_has_special_tokens: bool = False
    ) -> list[int]:
        """1 for special tokens and 0 for those of the text."""
        if already_has_special_tokens:
            special = set(self.all_special_ids)
            return [int(index in special) for index in token_ids_0]
        return self._laid_out(token_ids_0, token_ids_1)[2]


def named_tokens(options: Options) -> dict[str, str | AddedToken]:
    """The special tokens that the files name beyond the usual roles, under either of the keys that hold them."""
    sources = (options.get("extra_special_tokens"), options.get("model_specific_special_tokens"))
    return {role: token for source in sources if isinstance(source, dict) for role, token in source.items()}


def flagged(token: str | AddedToken) -> AddedToken:
    """A token that is found in text as it stands."""
    if isinstance(token, AddedToken):
        return token
    return AddedToken(token, lstrip=False, rstrip=False, normalized=False, special=True)


def read_ids(value: Any) -> list[int]:
    """One row of ids out of a number, a list, an array or a tensor."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    ids = [value] if isinstance(value, int) else list(value)
    if ids and isinstance(ids[0], list | tuple):
        raise TokenizerError("decode takes one row of ids; for several rows use batch_decode.")
    try:
        ids = [operator.index(index) for index in ids]
    except TypeError as error:
        raise TokenizerError(f"decode takes ids, which are whole numbers: {error}.") from error
    if ids and not 0 <= min(ids) <= max(ids) < 2**32:
        raise TokenizerError(
            f"{min(ids) if min(ids) < 0 else max(ids)} is not a token id. Replace labels of -100 by the pad id."
        )
    return ids


def clean_up(text: str) -> str:
    """Remove the spaces before punctuation and English contractions."""
    for spaced, wanted in TIDIED.items():
        text = text.replace(spaced, wanted)
    return text
