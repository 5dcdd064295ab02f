"""ByT5's bytes: every byte of the UTF-8 text is a token, after three special ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tokenizers import AddedToken, models, processors
from tokenizers import Tokenizer as Backend

from lamina.tokenizers.files import TokenizerFolder
from lamina.tokenizers.recipe import PLAIN_INPUTS, Assembly, Options, Recipe, list_sentinels, token_id


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
    return Assembly(Backend(models.WordLevel(vocab, unk_token=specials[2])), Bytes())


def end(assembly: Assembly, options: Options) -> None:
    """Put `</s>` after every text."""
    eos = str(options["eos_token"])
    assembly.backend.post_processor = processors.TemplateProcessing(
        single=["$A", eos], pair=["$A", eos, "$B", eos], special_tokens=[(eos, token_id(assembly.backend, eos))]
    )


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
    complete=list_sentinels,
    reads_json=False,
    ends_once=True,
    vocab_size=256,
)
