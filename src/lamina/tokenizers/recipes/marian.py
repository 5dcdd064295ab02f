"""Marian: two SentencePiece files that cut text, and a JSON vocabulary that numbers their pieces."""

from __future__ import annotations

import re
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
from lamina.tokenizers.recipe import PLAIN_INPUTS, Assembly, Options, Recipe, end
from lamina.tokenizers.recipes.unigram import SPACE
from lamina.tokenizers.sentencepiece import NORMAL, UNIGRAM, USER_DEFINED, CharacterMap, read_sentencepiece


class PieceCutter:
    """One SentencePiece file: cuts text into the pieces that the library of that name does."""

    def __init__(self, path: Path) -> None:
        model = read_sentencepiece(path)
        if model.algorithm != UNIGRAM:
            raise TokenizerError(f"{path} was trained with algorithm {model.algorithm}; Marian's are Unigram (1).")
        best = max((p.score for p in model.pieces if p.kind == NORMAL), default=0.0)
        scores = []
        for index, piece in enumerate(model.pieces):
            if piece.kind == NORMAL:
                scores.append((piece.text, piece.score))
            elif piece.kind == USER_DEFINED:
                scores.append((piece.text, len(piece.text) * best - 0.1))
            else:  # pieces that text is never cut into: normalized text holds no two spaces
                scores.append((f"  {index}", best))
        with backend_errors(f"Building Unigram from {path}"):
            self.unigram = models.Unigram(scores, unk_id=model.unk_id, byte_fallback=False)
        self.known = {piece.text for piece in model.pieces if piece.kind in (NORMAL, USER_DEFINED)}
        self.map = CharacterMap(model.charsmap)
        self.model = model

    def cut(self, text: str) -> list[str]:
        """The pieces of a text; what the file does not know stays as it is."""
        text = self.map.apply(text)
        if self.model.remove_extra_whitespaces:
            text = re.sub(" {2,}", " ", text.strip(" "))
        if not text:
            return []
        if self.model.add_dummy_prefix:
            text = " " + text
        if self.model.escape_whitespaces:
            text = text.replace(" ", SPACE)
        return [token.value for token in self.unigram.tokenize(text)]


class MarianPieces:
    """Cuts sources with one file and targets with the other; a leading `>>language<<` stays whole."""

    def __init__(self, folder: TokenizerFolder, options: Options) -> None:
        self.paths = [folder.require("source.spm"), folder.require("target.spm")]
        self.source, self.target = (PieceCutter(path) for path in self.paths)
        self.current = self.source
        vocab_path = folder.require("vocab.json")
        self.vocabs = {"vocab.json": read_vocab_json(vocab_path)}
        if str(options["unk_token"]) not in self.vocabs["vocab.json"]:
            raise TokenizerError(f"{vocab_path} has no {shown(str(options['unk_token']))}, which Marian needs.")
        if options["separate_vocabs"]:
            self.vocabs["target_vocab.json"] = read_vocab_json(folder.require("target_vocab.json"))

    def split(self, text: str) -> list[str]:
        code: list[str] = []
        if text.startswith(">>") and (end := text.find("<<")) != -1:
            code, text = [text[: end + 2]], text[end + 2 :]
        return code + (self.current.cut(text) if text else [])

    def join(self, tokens: list[str], special_tokens: set[str], source: bool = False) -> str:
        """The text of pieces, as the target's or the source's file joins them; special tokens stand apart."""
        known = (self.source if source else self.target).known
        out: list[str] = []
        run = ""
        for token in tokens:
            if token in special_tokens:
                out += [run, token, " "]
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


def build(folder: TokenizerFolder, options: Options) -> Assembly:
    """Build Marian's from `source.spm`, `target.spm` and `vocab.json` (and `target_vocab.json` where they differ)."""
    splitter = MarianPieces(folder, options)
    with backend_errors("Building Marian's vocabulary"):
        backend = Backend(models.WordLevel(splitter.vocabs["vocab.json"], unk_token=str(options["unk_token"])))
    assembly = Assembly(backend, splitter)
    if options["separate_vocabs"]:
        assembly.target_tokens = {index: token for token, index in splitter.vocabs["target_vocab.json"].items()}
    return assembly


def switch(assembly: Assembly, options: Options, target: bool) -> None:
    """Turn to the file, and where they differ the vocabulary, of sources or of targets."""
    splitter = assembly.splitter
    assert isinstance(splitter, MarianPieces)
    splitter.current = splitter.target if target else splitter.source
    if "target_vocab.json" in splitter.vocabs:
        vocab = splitter.vocabs["target_vocab.json" if target else "vocab.json"]
        assembly.backend.model = models.WordLevel(vocab | assembly.placed, unk_token=str(options["unk_token"]))


MARIAN = Recipe(
    name="marian",
    class_name="MarianTokenizer",
    files=("source.spm", "target.spm", "vocab.json"),
    build=build,
    special_tokens={"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"},
    model_input_names=PLAIN_INPUTS,
    options={"model_max_length": 512, "separate_vocabs": False, "source_lang": None, "target_lang": None},
    template=partial(end, between=False),
    switch=switch,
    reads_json=False,
)
