"""Marian and M2M100: SentencePiece files that cut text, and a JSON vocabulary that numbers their pieces."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tokenizers import Tokenizer as Backend
from tokenizers import models

from lamina.errors import TokenizerError
from lamina.files.paths import inside
from lamina.files.shown import shown
from lamina.tokenizers.files import TokenizerFolder, backend_errors, read_vocab_json, write_json
from lamina.tokenizers.recipe import Assembly, Languages, Options, Recipe
from lamina.tokenizers.recipes.languages import LANGUAGES, M2M100_CODES, WMT21_CODES, list_codes, speak
from lamina.tokenizers.sentencepiece import SPACE, PieceCutter


class NumberedPieces:
    """Cuts sources with one file and targets with the same or another one."""

    def __init__(self, folder: TokenizerFolder, options: Options, files: tuple[str, ...], vocabs: tuple[str, ...]):
        self.paths = [folder.require(file) for file in files]
        cutters = [PieceCutter(path) for path in self.paths]
        self.source, self.target = cutters[0], cutters[-1]
        self.current = self.source
        paths = [folder.require(vocab) for vocab in vocabs]
        self.vocabs = {path.name: read_vocab_json(path) for path in paths}
        self.prefixed, self.gap = len(files) > 1, " " if len(files) > 1 else ""  # Marian's ways
        if str(options["unk_token"]) not in self.vocabs[vocabs[0]]:
            raise TokenizerError(f"{paths[0]} has no {shown(str(options['unk_token']))}, which this kind needs.")

    def split(self, text: str) -> list[str]:
        """The pieces of a text; a leading `>>language<<` of Marian's stays whole."""
        code: list[str] = []
        if self.prefixed and text.startswith(">>") and (end := text.find("<<")) != -1:
            code, text = [text[: end + 2]], text[end + 2 :]
        return code + (self.current.cut(text) if text else [])

    def join(self, tokens: list[str], special_tokens: set[str], source: bool = False) -> str:
        """The text of pieces, as the target's or the source's file joins them; special tokens stand apart."""
        known = (self.source if source else self.target).known
        out: list[str] = []
        run = ""
        for token in tokens:
            if token in special_tokens:
                out += [run, token, self.gap]
                run = ""
            elif not run and token in known:
                run = token.removeprefix(SPACE)
            else:
                run += token
        return "".join([*out, run]).replace(SPACE, " ").strip()

    def save(self, new: Callable[[str], Path]) -> None:
        for name, vocab in self.vocabs.items():
            write_json(new(name), vocab, ordered=False)
        for path in self.paths:
            shutil.copyfile(inside(path.parent, path.name, TokenizerError), new(path.name))


def build_marian(folder: TokenizerFolder, options: Options) -> Assembly:
    """Build Marian's from `source.spm`, `target.spm` and `vocab.json` (and `target_vocab.json` where they differ)."""
    vocabs = ("vocab.json", "target_vocab.json") if options["separate_vocabs"] else ("vocab.json",)
    splitter = NumberedPieces(folder, options, ("source.spm", "target.spm"), vocabs)
    with backend_errors("Building Marian's vocabulary"):
        backend = Backend(models.WordLevel(splitter.vocabs["vocab.json"], unk_token=str(options["unk_token"])))
    assembly = Assembly(backend, splitter)
    if options["separate_vocabs"]:
        assembly.target_tokens = {index: token for token, index in splitter.vocabs["target_vocab.json"].items()}
    return assembly


def switch_marian(assembly: Assembly, options: Options, target: bool) -> None:
    """Turn to the file, and where they differ the vocabulary, of sources or of targets."""
    splitter = assembly.splitter
    assert isinstance(splitter, NumberedPieces)
    splitter.current = splitter.target if target else splitter.source
    if "target_vocab.json" in splitter.vocabs:
        vocab = splitter.vocabs["target_vocab.json" if target else "vocab.json"]
        assembly.backend.model = models.WordLevel(vocab | assembly.placed, unk_token=str(options["unk_token"]))


def build_m2m100(folder: TokenizerFolder, options: Options) -> Assembly:
    """Build M2M100's: the languages' tokens follow the vocabulary."""
    splitter = NumberedPieces(folder, options, ("sentencepiece.bpe.model",), ("vocab.json",))
    vocab = splitter.vocabs["vocab.json"]
    tokens = [M2M100_LANGUAGES.token.format(code) for code in codes_of(options)]
    languages = {token: len(vocab) + index for index, token in enumerate(tokens) if token not in vocab}
    with backend_errors("Building M2M100's vocabulary"):
        backend = Backend(models.WordLevel(vocab | languages, unk_token=str(options["unk_token"])))
    return Assembly(backend, splitter, vocab_size=len(vocab))


def codes_of(options: Options) -> tuple[str, ...]:
    sets = {"m2m100": M2M100_CODES, "wmt21": WMT21_CODES}
    if options["language_codes"] not in sets:
        raise TokenizerError(f"language_codes={shown(options['language_codes'])} is not one of {', '.join(sets)}.")
    return sets[options["language_codes"]]


def complete_m2m100(options: Options) -> None:
    """List the languages' tokens among the special ones, which published files do."""
    list_codes(Languages(codes_of(options), "en", M2M100_LANGUAGES.token), False, options)


M2M100_LANGUAGES = Languages(M2M100_CODES, "en", "__{}__")

MARIAN = Recipe(
    name="marian",
    class_name="MarianTokenizer",
    files=("source.spm", "target.spm", "vocab.json"),
    build=build_marian,
    special_tokens={"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"},
    options={"model_max_length": 512, "separate_vocabs": False, "source_lang": None, "target_lang": None},
    template=("$A eos_token", "$A $B eos_token"),
    switch=switch_marian,
    reads_json=False,
)
M2M100 = Recipe(
    name="m2m_100",
    class_name="M2M100Tokenizer",
    files=("sentencepiece.bpe.model", "vocab.json"),
    build=build_m2m100,
    special_tokens={
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "sep_token": "</s>",
        "pad_token": "<pad>",
    },
    options={**LANGUAGES, "language_codes": "m2m100", "num_madeup_words": 8},
    complete=complete_m2m100,
    languages=M2M100_LANGUAGES,
    switch=partial(speak, M2M100_LANGUAGES, True),
    reads_json=False,
)
