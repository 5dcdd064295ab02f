"""Transformer-XL's words: Moses' rules, numbers parted at their signs, one id a word."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from tokenizers import Tokenizer as Backend
from tokenizers import models

from lamina.errors import TokenizerError
from lamina.files.shown import shown
from lamina.tokenizers.files import TokenizerFolder, backend_errors, read_lines, read_vocab_json
from lamina.tokenizers.recipe import Assembly, Options, Recipe
from lamina.tokenizers.recipes.moses import join_words, normalize_punctuation, split_words

FORBIDDEN = ("vocab.pkl", "vocab.bin")


class MosesWords:
    """Cuts text into words and joins them, as Moses does for English."""

    def __init__(self, words: list[str], protected: list[str], plain: bool) -> None:
        self.words = words
        self.protected = protected
        self.plain = plain  # characters instead of words: an empty delimiter says so

    def split(self, text: str) -> list[str]:
        """The words of a text."""
        text = text.strip()
        if self.plain:
            return list(text)
        words = split_words(normalize_punctuation(text), self.protected)
        return [part for word in words for part in re.sub(r"(?<=\d)[,.](?=\d)", r" @\g<0>@ ", word).split()]

    def join(self, tokens: list[str], special_tokens: set[str], source: bool = False) -> str:
        """The text of words."""
        return join_words(tokens).replace(" @,@ ", ",").replace(" @.@ ", ".").strip()

    def save(self, new: Callable[[str], Path]) -> None:
        """Write `vocab.txt`, which takes the place of the reference's pickle."""
        new("vocab.txt").write_text("\n".join(self.words) + "\n", encoding="utf-8", newline="\n")


def read_words(folder: TokenizerFolder) -> dict[str, int]:
    """The words of `vocab.txt` (the first column counts) or of `vocab.json`."""
    path = folder.find("vocab.json")
    if path is not None:
        return read_vocab_json(path)
    if folder.find("vocab.txt") is None and folder.find(*FORBIDDEN):
        raise TokenizerError(
            f"{folder.path} holds its words as a pickle ({' or '.join(FORBIDDEN)}), which could run code "
            "and is not read. Convert it once to vocab.txt: lamina convert."
        )
    path = folder.require("vocab.txt", "vocab.json")
    words: dict[str, int] = {}
    for line in read_lines(path, "words"):
        for word in line.split(None, 1)[:1]:
            words.setdefault(word, len(words))
    return words


def build(folder: TokenizerFolder, options: Options) -> Assembly:
    """Build Transformer-XL's from `vocab.txt`."""
    words = read_words(folder)
    unknown = next((token for token in ("<UNK>", "<unk>", str(options["unk_token"])) if token in words), None)
    if unknown is None:
        raise TokenizerError(f"The vocabulary in {folder.path} has no <unk> to stand for unknown words.")
    if options["language"] != "en":
        raise TokenizerError(
            f"language={shown(options['language'])}: only Moses' rules for English ('en') are known here."
        )
    with backend_errors("Building the word tokenizer"):
        backend = Backend(models.WordLevel(words, unk_token=unknown))
    special = [str(options[role]) for role in ("unk_token", "eos_token") if options.get(role)]
    protected = options["never_split"] or special + [str(t) for t in options.get("additional_special_tokens") or []]
    ordered = sorted(words, key=words.__getitem__)
    return Assembly(backend, MosesWords(ordered, protected, options["delimiter"] == ""))


TRANSFO_XL = Recipe(
    name="transfo_xl",
    class_name="TransfoXLTokenizer",
    files=("vocab.txt",),
    build=build,
    special_tokens={"eos_token": "<eos>", "unk_token": "<unk>", "additional_special_tokens": ["<formula>"]},
    model_input_names=("input_ids",),
    options={"lower_case": False, "delimiter": None, "language": "en", "never_split": None},
    reads_json=False,
)
