"""ByT5's bytes: every byte of the UTF-8 text is a token, after three special ones."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from tokenizers import AddedToken, models
from tokenizers import Tokenizer as Backend

from lamina.tokenizers.files import TokenizerFolder
from lamina.tokenizers.recipe import PLAIN_INPUTS, Assembly, Options, Recipe, end, list_sentinels


class Bytes:
    """Cuts text into bytes, each written as the character of that number."""

    def split(self, text: str) -> list[str]:
        """The bytes of a text."""
        return [chr(byte) for byte in text.encode("utf-8")]

    def join(self, tokens: list[str], special_tokens: set[str], source: bool = False) -> str:
        """The text of bytes; those that make no character are left out."""
        encoded = (bytes([ord(token)]) if len(token) == 1 and ord(token) < 256 else token.encode() for token in tokens)
        return b"".join(encoded).decode("utf-8", errors="ignore")

    def save(self, new: Callable[[str], Path]) -> None:
        """Write nothing: the vocabulary is the same for everyone."""


def build(folder: TokenizerFolder, options: Options) -> Assembly:
    """Build ByT5's: it has no file of its own."""
    specials = [str(options[role]) for role in ("pad_token", "eos_token", "unk_token")]
    vocab = {token: index for index, token in enumerate([*specials, *map(chr, range(256))])}
    # The reference counts the bytes alone.
    return Assembly(Backend(models.WordLevel(vocab, unk_token=specials[2])), Bytes(), vocab_size=256)


def stripping(content: str) -> AddedToken:
    """A special token that takes the spaces around it."""
    return AddedToken(content, lstrip=True, rstrip=True, normalized=True, special=True)


BYT5 = Recipe(
    name="byt5",
    class_name="ByT5Tokenizer",
    files=(),
    build=build,
    special_tokens={
        "eos_token": stripping("</s>"),
        "unk_token": stripping("<unk>"),
        "pad_token": stripping("<pad>"),
    },
    model_input_names=PLAIN_INPUTS,
    options={"extra_ids": 125},
    template=end,
    complete=partial(list_sentinels, over_empty=False),
    reads_json=False,
    ends_once=True,
)
