"""What a tokenizer recipe is: everything one kind of tokenizer needs to know about itself."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from tokenizers import AddedToken, processors
from tokenizers import Tokenizer as Backend

from lamina.errors import TokenizerError
from lamina.files.shown import shown
from lamina.tokenizers.files import TokenizerFolder, backend_errors
from lamina.tokenizers.limits import check_whole

logger = logging.getLogger("lamina.tokenizers")
Options = dict[str, Any]

Template = tuple[str, str]
Tokens = Mapping[str, str | AddedToken | list[str]]  # by role, with `additional_special_tokens`

PLAIN_INPUTS = ("input_ids", "attention_mask")
BERT_INPUTS = ("input_ids", "token_type_ids", "attention_mask")
BRACKETS = ("cls_token $A sep_token", "cls_token $A sep_token $B:1 sep_token:1")
ENDS = ("$A eos_token", "$A eos_token $B eos_token")
MAX_SENTINELS = 10_000


class Splitter(Protocol):
    """Cuts text into pieces and joins them again, for the kinds whose rules the Rust library cannot express."""

    def split(self, text: str) -> list[str]:
        """The pieces of a text that holds no added token."""

    def join(self, tokens: list[str], special_tokens: set[str], source: bool = False) -> str:
        """The text that these tokens, of a target or a source, stand for."""

    def save(self, new: Callable[[str], Path]) -> None:
        """Write the original files, each at the place that `new` gives for its name."""


@dataclass
class Assembly:
    """A tokenizer put together: the Rust object, and where needed the splitter that feeds it pieces."""

    backend: Backend
    splitter: Splitter | None = None
    originals: list[Path] = field(default_factory=list)  # files that save_vocabulary copies as they are
    target_tokens: dict[int, str] = field(default_factory=dict)  # what ids stand for, where targets have their own
    placed: dict[str, int] = field(default_factory=dict)  # added tokens that the files give ids out of turn
    vocab_size: int | None = None  # where it is not that of the Rust model


@dataclass(frozen=True)
class Languages:
    """The languages that a kind of tokenizer tells apart by a token beside the text."""

    codes: tuple[str, ...]
    usual: str  # where none is set
    token: str = "{}"  # what a code's token looks like

    def id_of(self, backend: Backend, code: Any) -> int:
        index = backend.token_to_id(self.token.format(code)) if isinstance(code, str) else None
        if index is None:
            known = ", ".join(code for code in self.codes if backend.token_to_id(self.token.format(code)) is not None)
            raise TokenizerError(f"{shown(code)} is not a language of this tokenizer. It knows {known or 'none'}.")
        return int(index)


@dataclass(frozen=True)
class Recipe:
    """One kind of tokenizer: which files it is built from, how, and what its calls return."""

    name: str
    class_name: str
    files: tuple[str, ...]
    build: Callable[[TokenizerFolder, Options], Assembly]
    special_tokens: Tokens
    model_input_names: tuple[str, ...] = PLAIN_INPUTS
    options: Mapping[str, Any] = field(default_factory=dict)
    # Components of a tokenizer.json that the options override, as the reference's classes do.
    adjust: Callable[[Backend, Options], None] | None = None
    # Called with the assembly, the options and whether the text is a target: languages and Marian's second file.
    switch: Callable[[Assembly, Options, bool], None] | None = None
    # What is put around texts once the special tokens have ids: one text, and a pair. May depend on the options.
    template: Template | Callable[[Options], Template | None] | None = None
    complete: Callable[[Options], None] | None = None  # fills in options that depend on others
    reads_json: bool = True  # whether a tokenizer.json wins over the original files
    fixed: Collection[str] = ()  # options that a tokenizer.json holds fixed: others need the original files
    languages: Languages | None = None
    control_codes: tuple[str, ...] = ()  # words that steer what the model writes
    ends_once: bool = False  # a text that ends in the end token gets no second one
    splits_words: bool = True  # False: pre-split words need add_prefix_space=True


def token_id(backend: Backend, token: str, instead: object = None) -> int:
    """The id of a token that this kind needs; `instead` stands in for it with a warning, as in the reference."""
    index = backend.token_to_id(token)
    if index is None and instead is not None and (index := backend.token_to_id(str(instead))) is not None:
        logger.warning(
            "The vocabulary has no %s to put beside texts: %s stands there.", shown(token), shown(str(instead))
        )
    if index is None:
        raise TokenizerError(f"The vocabulary has no {shown(token)}, which this kind of tokenizer needs.")
    return int(index)


def surround(backend: Backend, tokens: Options, template: Template) -> None:
    """Put special tokens around texts.

    The words of a template are `$A` and `$B`, the texts; names of roles such as `cls_token`, looked up in `tokens` and
    left out where there is none; and tokens as they stand. The token type stands behind a colon.
    """
    ids: dict[str, int] = {}

    def items(words: str) -> list[str]:
        found = []
        for word in words.split():
            name, _, kind = word.partition(":")
            role = name.endswith("_token")
            token = tokens.get(name) if role else name
            if token is not None and name[0] != "$":
                ids[str(token)] = token_id(backend, str(token), None if role else tokens.get("unk_token"))
            if token is not None:
                found.append(f"{token}:{kind or 0}")
        return found

    single, pair = map(items, template)
    special = list(ids.items())
    backend.post_processor = processors.TemplateProcessing(single=single, pair=pair, special_tokens=special)


def apply_template(recipe: Recipe, backend: Backend, options: Options) -> None:
    template = recipe.template(options) if callable(recipe.template) else recipe.template
    if template is not None:
        surround(backend, options, template)


def set_settings(backend: Backend, part: str, kind: type | tuple[type, ...], **wanted: Any) -> None:
    """Change settings of a part of the library's object where it is of this kind; others do not have them."""
    component = getattr(backend, part)
    if isinstance(component, kind):
        for name, value in wanted.items():
            setattr(component, name, value)
        setattr(backend, part, component)


def list_sentinels(options: Options, over_empty: bool = True) -> None:
    """List `<extra_id_0>` and so on among the special tokens, unless the files already do.

    A list that the files give without any of them gets them all; an empty one only with `over_empty`.
    """
    count = options["extra_ids"]
    check_whole("extra_ids", count, 0, MAX_SENTINELS)
    stated = [str(token) for token in options.get("additional_special_tokens") or []]
    sentinels = {token for token in stated if "<extra_id_" in token}
    if not (over_empty or stated or options.get("additional_special_tokens") is None):
        return
    if not sentinels:
        options["additional_special_tokens"] = stated + [f"<extra_id_{i}>" for i in range(count)]
    elif count and len(sentinels) != count:
        raise TokenizerError(f"extra_ids={count}, but additional_special_tokens names {len(sentinels)} sentinels.")


@dataclass(frozen=True)
class Part:
    """Special tokens (`ids`), or with `sequence` the place of the first (0) or second (1) text."""

    ids: tuple[int, ...]
    type_id: int
    sequence: int | None = None


@backend_errors("Reading the post-processor")
def read_template(backend: Backend, pair: bool) -> list[Part]:
    """What the tokenizer makes of one text, or of a pair."""
    if backend.post_processor is None:
        return [Part((), 0, 0), Part((), 1, 1)] if pair else [Part((), 0, 0)]
    return parts_of(json.loads(backend.post_processor.__getstate__()), pair)


def parts_of(state: dict[str, Any], pair: bool) -> list[Part]:
    kind = state["type"]
    if kind == "TemplateProcessing":
        return [part_of(item, state["special_tokens"]) for item in state["pair" if pair else "single"]]
    if kind in ("RobertaProcessing", "BertProcessing"):
        second_type = 0 if kind == "RobertaProcessing" else 1
        cls, sep = (state["cls"][1],), (state["sep"][1],)
        parts = [Part(cls, 0), Part((), 0, 0), Part(sep, 0)]
        if pair:
            between = [Part(sep, 0)] if kind == "RobertaProcessing" else []
            parts += [*between, Part((), second_type, 1), Part(sep, second_type)]
        return parts
    if kind == "Sequence":
        for processor in reversed(state["processors"]):
            parts = parts_of(processor, pair)
            if any(part.ids for part in parts):
                return parts
    return [Part((), 0, 0), Part((), 0, 1)] if pair else [Part((), 0, 0)]


def part_of(item: dict[str, Any], specials: dict[str, Any]) -> Part:
    if "SpecialToken" in item:
        token = item["SpecialToken"]
        return Part(tuple(specials[token["id"]]["ids"]), token["type_id"])
    sequence = item["Sequence"]
    return Part((), sequence["type_id"], 0 if sequence["id"] == "A" else 1)


def fill_template(parts: Sequence[Part], first: Sequence[int], second: Sequence[int] | None) -> list[list[int]]:
    """Ids, token types and special-token mask of texts laid into a template."""
    columns: list[list[int]] = [[], [], []]
    for part in parts:
        special = part.sequence is None
        ids = part.ids if special else (second or ()) if part.sequence else first
        columns[0] += ids
        columns[1] += [part.type_id] * len(ids)
        columns[2] += [int(special)] * len(ids)
    return columns
