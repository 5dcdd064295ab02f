"""Hostile tokenizer files: whatever they ask for is refused by name, before anything large is built."""

from __future__ import annotations

import base64
import json
import os
import random
import struct
import subprocess
import sys
from collections.abc import Callable
from functools import cache, reduce
from pathlib import Path
from typing import Any

import pytest

from lamina.errors import LaminaError, TokenizerError
from lamina.tokenizers import Tokenizer
from tests.assets import asset
from tests.tokenizers import mutations
from tests.tokenizers.kinds import FIXTURES, KINDS, fill
from tests.tokenizers.test_files import SPECIALS, folder_of, stored
from tests.tokenizers.test_parity import pieces

DOUBLING = {"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}
A, B = {"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}


def sequence(inner: str, *steps: Any) -> dict[str, Any]:
    return {"type": "Sequence", inner: list(steps)}


def replace(pattern: str, content: str) -> dict[str, Any]:
    return {"type": "Replace", "pattern": {"String": pattern}, "content": content}


def template(single: list[Any], pair: list[Any] | None = None, **special_tokens: Any) -> dict[str, Any]:
    return {
        "type": "TemplateProcessing",
        "single": single,
        "pair": [A, B] if pair is None else pair,
        "special_tokens": special_tokens,
    }


def charsmap(replacements: bytes) -> dict[str, Any]:
    data = struct.pack("<II", 4, 0) + replacements
    return {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(data).decode()}


def special(name: str) -> dict[str, Any]:
    return {"SpecialToken": {"id": name, "type_id": 0}}


ENDLESS = {"pattern": {"Regex": "(a+)+$"}, "content": ""}
NESTED: dict[str, Any] = reduce(lambda inner, _: {"a": inner}, range(100), {})

HOSTILE_PARTS: dict[str, tuple[dict[str, Any], str]] = {
    "an endless expression to split at": (
        {"pre_tokenizer": sequence("pretokenizers", {"type": "Split", **ENDLESS})},
        "regular expression",
    ),
    "an endless expression to replace": (
        {"normalizer": sequence("normalizers", {"type": "Replace", **ENDLESS})},
        "regular expression",
    ),
    "an endless expression to decode": (
        {"decoder": sequence("decoders", {"type": "Replace", **ENDLESS})},
        "regular expression",
    ),
    **{f"a {part} nested deeply": ({part: NESTED}, "deeply") for part in ("pre_tokenizer", "normalizer", "decoder")},
    "a template of one text": (
        {"post_processor": {"type": "TemplateProcessing", "single": [special("<zz>")]}},
        "single holds the texts",
    ),
    "a merge of unknown tokens": ({"model": {**stored()["model"], "merges": [["no", "such"]]}}, "Reading"),
    "doubled 28 times": ({"normalizer": sequence("normalizers", *[DOUBLING] * 28)}, "bytes of one byte"),
    "doubled by nested sequences": (
        {"normalizer": sequence("normalizers", *[sequence("normalizers", *[DOUBLING] * 7)] * 4)},
        "bytes of one byte",
    ),
    "doubled in turns": (
        {"normalizer": sequence("normalizers", *[replace("a", "bb"), replace("b", "aa")] * 14)},
        "bytes of one byte",
    ),
    "doubled across a border": (
        {"normalizer": sequence("normalizers", *[replace("ab", "ba"), replace("b", "abab")] * 14)},
        "bytes of one byte",
    ),
    "doubled through decomposition": (
        {"normalizer": sequence("normalizers", *[replace(" ", "\ufdfa"), {"type": "NFKD"}] * 6)},
        "bytes of one byte",
    ),
    "doubled by an expression": (
        {
            "normalizer": sequence(
                "normalizers", *[{"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": "a a "}] * 20, DOUBLING
            )
        },
        "bytes of one byte",
    ),
    "a letter into a book": ({"normalizer": sequence("normalizers", *[replace("a", "a" * 900)] * 2)}, "bytes of one"),
    "a long content": ({"normalizer": replace("a", "a" * 10**6)}, "more than 1000"),
    "prefixes": ({"normalizer": sequence("normalizers", *[{"type": "Prepend", "prepend": "x" * 999}] * 9)}, "bytes of"),
    "doubled in the decoder": ({"decoder": sequence("decoders", *[DOUBLING] * 60)}, "bytes of one byte"),
    "bytes of bytes": (
        {"pre_tokenizer": sequence("pretokenizers", *[{"type": "ByteLevel", "use_regex": False}] * 30)},
        "bytes of one byte",
    ),
    "bytes of bytes, normalized": ({"normalizer": sequence("normalizers", *[{"type": "ByteLevel"}] * 30)}, "bytes of"),
    "very many parts": ({"normalizer": sequence("normalizers", *[{"type": "Lowercase"}] * 300)}, "more than 256"),
    "no type": ({"normalizer": {"pattern": {"String": "a"}, "content": "aa"}}, "no type"),
    "a sequence without a type": ({"normalizer": {"normalizers": [DOUBLING] * 40}}, "no type"),
    "an unknown normalizer": ({"normalizer": {"type": "Reverse"}}, "normalizer is of the unknown type 'Reverse'"),
    "an unknown pre-tokenizer": ({"pre_tokenizer": {"type": "Nope"}}, "pre_tokenizer is of the unknown type 'Nope'"),
    "an unknown post-processor": ({"post_processor": {"type": "Nope"}}, "post_processor is of the unknown type"),
    "an unknown decoder": ({"decoder": {"type": "Nope"}}, "decoder is of the unknown type 'Nope'"),
    "one inside a sequence": ({"decoder": sequence("decoders", {"type": "Nope"})}, "unknown type 'Nope'"),
    "a sequence of nothing": ({"decoder": {"type": "Sequence"}}, "without a list of decoders"),
    "an empty pattern": ({"normalizer": replace("", "x")}, "whose pattern is"),
    "an empty pattern to split at": ({"pre_tokenizer": {"type": "Split", "pattern": {"String": ""}}}, "whose pattern"),
    "no pattern": ({"normalizer": {"type": "Replace", "content": "x"}}, "whose pattern is None"),
    "an expression that is no text": (
        {"normalizer": {"type": "Replace", "pattern": {"Regex": []}, "content": ""}},
        r"regular expression \[\]",
    ),
    "a map of nothing": ({"normalizer": {"type": "Precompiled", "precompiled_charsmap": None}}, "precompiled"),
    "chunks of nothing": ({"pre_tokenizer": {"type": "FixedLength", "length": 0}}, "FixedLength of 0"),
    "a map into books": ({"normalizer": charsmap(b"x" * 10**6 + b"\0")}, "replacement of 1000000 bytes"),
    "a map of very many": ({"normalizer": charsmap(b"\0" * 10**6)}, "more than 500000 replacements"),
    "a map that is no base64": ({"normalizer": {"type": "Precompiled", "precompiled_charsmap": "?"}}, "not base64"),
    "an undeclared token": ({"post_processor": template([special("[CLS]"), A])}, r"'\[CLS\]', which .* not declare"),
    "an undeclared token of pairs": ({"post_processor": template([A], [A, special("x"), B])}, "'x', which"),
    "a token without ids": (
        {"post_processor": template([special("x"), A], x={"id": "x", "ids": [], "tokens": []})},
        "0 ids and 0 tokens",
    ),
    "a token of very many ids": (
        {"post_processor": template([special("x"), A], x={"id": "x", "ids": [1] * 99, "tokens": ["x"] * 99})},
        "99 ids",
    ),
    "no text": ({"post_processor": template([])}, "not each of A once"),
    "the text many times": ({"post_processor": template([A] * 60)}, "not each of A once"),
    "a template of a million": ({"post_processor": template([A] * 10**4)}, "at most 64 parts"),
    "the first text alone": ({"post_processor": template([A], [A])}, "not each of A, B once"),
    "a template inside a sequence": (
        {"post_processor": sequence("processors", template([special("x"), A]))},
        "'x', which",
    ),
    "an endless added token": (
        {"added_tokens": [{"id": 0, "content": "x" * 10**5, "special": True}]},
        "100000 characters",
    ),
    "added tokens without end": (
        {"added_tokens": [{"id": i, "content": f"{i:0900}", "special": True} for i in range(3000)]},
        "2700000 characters",
    ),
    "no list of added tokens": ({"added_tokens": {"a": 1}}, "not a list of objects"),
}
MODELS: dict[str, tuple[dict[str, Any], str]] = {
    "words without end": ({"type": "WordPiece", "max_input_chars_per_word": 10**9}, "max_input_chars_per_word is 1000"),
    "a negative length": ({"type": "WordPiece", "max_input_chars_per_word": -1}, "max_input_chars_per_word is -1"),
    "an endless prefix": ({"type": "WordPiece", "continuing_subword_prefix": "#" * 10**5}, "more than 1000"),
    "an endless suffix": ({"type": "BPE", "end_of_word_suffix": "#" * 10**5, "merges": []}, "more than 1000"),
    "an unknown kind": ({"type": "Rumour"}, "of type 'Rumour'"),
    "no kind": ({}, "of type None"),
    "an id beyond every bound": ({"type": "WordLevel", "vocab": {"a": 2**32 - 1}}, "the id of 'a' is 4294967295"),
    "an endless piece": ({"type": "Unigram", "vocab": [["x" * 10**5, -1.0]]}, "more than 1000 characters"),
    "no dropout of that size": ({"type": "BPE", "dropout": 5, "merges": []}, "Reading"),
}


# Files that make no sense, and what is said of them.
BAD_FILES: list[tuple[str | None, dict[str, Any], str]] = [
    ("bert", {}, "No vocab.txt"),
    ("roberta", {"vocab_json": {"a": 0}}, "No merges.txt or vocab.bpe"),
    ("albert", {}, "No spiece.model"),
    ("marian", {}, "No source.spm"),
    ("transfo_xl", {"vocab_pkl": "x"}, "pickle"),
    ("transfo_xl", {"vocab_txt": "a\nb\n"}, "<unk>"),
    ("no_such", {}, "no tokenizer kind 'no_such'"),
    (None, {"readme_md": ""}, "Cannot tell what kind .*readme.md"),
    (None, {"tokenizer_config_json": {"tokenizer_class": "LlamaTokenizer"}}, "LlamaTokenizer"),
    ("bert", {"vocab_txt": ""}, "holds no tokens"),
    ("bert", {"vocab_txt": "a\nb\n"}, r"no '\[CLS\]'"),
    ("bert", {"vocab_txt": SPECIALS, "tokenizer_config_json": "{"}, "not valid JSON"),
    ("bert", {"vocab_txt": SPECIALS, "tokenizer_config_json": "[]"}, "JSON object"),
    ("bert", {"vocab_txt": SPECIALS, "tokenizer_config_json": '{"a": 1, "a": 2}'}, "'a' stands there twice"),
    ("bert", {"vocab_txt": SPECIALS, "tokenizer_config_json": '{"a": NaN}'}, "NaN"),
    ("bert", {"vocab_txt": SPECIALS, "tokenizer_config_json": '{"a":' + "[" * 10**5}, "nested|JSON"),
    ("bert", {"vocab_txt": SPECIALS, "tokenizer_config_json": {"padding_side": "up"}}, "padding_side"),
    ("bert", {"vocab_txt": SPECIALS, "tokenizer_config_json": {"do_lower_case": "yes"}}, "Loading the tokenizer"),
    ("bert", {"vocab_txt": SPECIALS, "tokenizer_config_json": {"model_max_length": "long"}}, "model_max_length"),
    ("bert", {"vocab_txt": SPECIALS, "tokenizer_config_json": {"pad_token": 3}}, "special token is 3"),
    ("bert", {"vocab_txt": SPECIALS, "tokenizer_config_json": {"added_tokens_decoder": {"x": {}}}}, "x"),
    ("bert", {"vocab_txt": SPECIALS, "tokenizer_config_json": {"added_tokens_decoder": {"1": {}}}}, "content"),
    ("bert", {"vocab_txt": SPECIALS, "added_tokens_json": {"x": "y"}}, "'y', not a number"),
    ("roberta", {"vocab_json": {"a": "b"}, "merges_txt": ""}, "the id of 'a'"),
    ("roberta", {"vocab_json": {"a": 2**40}, "merges_txt": ""}, "the id of 'a'"),
    ("roberta", {"vocab_json": {"a": 0, "b": 0}, "merges_txt": ""}, "same id"),
    ("roberta", {"vocab_json": {}, "merges_txt": ""}, "no tokens"),
    ("roberta", {"vocab_json": {"a": 0}, "merges_txt": "a b c\n"}, "line 1"),
    ("roberta", {"vocab_json": {"a": 0}, "merges_txt": "a b\n"}, "Building byte-level BPE"),
    ("gpt", {"vocab_json": {"a": 0}, "merges_txt": "x y\n"}, "Building BPE"),
    ("t5", {"spiece_model": "hello"}, "not a SentencePiece model"),
    ("byt5", {"tokenizer_config_json": {"extra_ids": 10**12}}, "extra_ids"),
    ("byt5", {"tokenizer_config_json": {"extra_ids": 3, "additional_special_tokens": ["<extra_id_0>"]}}, "names 1"),
    ("json", {"tokenizer_json": {}}, "no model"),
    ("json", {"tokenizer_json": {"model": {"type": "Other"}}}, "Reading"),
    *(
        ("bert", {"vocab_txt": SPECIALS, "tokenizer_config_json": {key: value}}, says)
        for key, value, says in [
            ("model_input_names", 5, "a list"),
            ("pad_token_type_id", 2**40, "pad_token_type_id"),
            ("mask_token", "x" * 10**6, "1000000 characters"),
            ("additional_special_tokens", "<x>", "tokenizer_config"),
            ("additional_special_tokens", [3], "tokenizer_config"),
            ("extra_special_tokens", {"image_token": 3}, "tokenizer_config"),
            ("extra_special_tokens", 3, "tokenizer_config"),
            ("model_input_names", [3], "tokenizer_config"),
            ("model_input_names", [], "tokenizer_config"),
        ]
    ),
    *(
        ("bert", {"vocab_txt": SPECIALS, "tokenizer_config_json": f'{{"model_max_length": {text}}}'}, says)
        for text, says in [
            ("1e999", "out of range"),
            ("9" * 5000, "not valid JSON"),
            *((text, "model_max_length") for text in ("1e300", "9" * 400, "true", "false", "0", "-3", "[]")),
        ]
    ),
    (
        None,
        {"vocab_txt": SPECIALS, "tokenizer_config_json": {"tokenizer_class": ["BertTokenizer"]}},
        "tokenizer_config",
    ),
    ("bert", {"vocab_txt": SPECIALS, "added_tokens_json": {"x" * 2000: 7}}, "2000 characters"),
    ("bert", {"vocab_txt": SPECIALS, "added_tokens_json": {"x" * 10**6: "y"}}, "is 'y'"),
    ("roberta", {"vocab_json": '{"\\ud800": 0}', "merges_txt": ""}, "Building"),
    ("roberta", {"vocab_json": {"a": 0}, "merges_txt": "x" * 10**6}, "two symbols"),
    ("roberta", {"vocab_json": {"a": 0}, "merges_txt": "x " * 10**6}, "two symbols"),
    ("m2m_100", {"tokenizer_config_json": {"language_codes": "m3m"}}, "language_codes='m3m'"),
    ("nllb", {}, "No sentencepiece.bpe.model"),
    ("gpt_neox", {}, "No vocab.json"),
]
REFUSED: dict[str, tuple[str | None, dict[str, Any], str]] = {
    **{case: ("json", {"tokenizer_json": stored(**changes)}, says) for case, (changes, says) in HOSTILE_PARTS.items()},
    **{
        case: (
            "json",
            {
                "tokenizer_json": stored(
                    model={"vocab": {"a": 0, "[UNK]": 1}, "unk_token": "[UNK]", **model}, added_tokens=[]
                )
            },
            says,
        )
        for case, (model, says) in MODELS.items()
    },
    **{f"{number}: {row[2][:20]}": row for number, row in enumerate(BAD_FILES)},
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_makes_no_sense_is_refused_by_name(case: str, tmp_path: Path) -> None:
    recipe, contents, says = REFUSED[case]
    with pytest.raises(TokenizerError, match=says) as caught:
        Tokenizer.from_folder(folder_of(tmp_path, **contents), recipe)
    assert len(str(caught.value)) < 1000


HARMLESS: dict[str, dict[str, Any]] = {
    "many rules that do not meet": {
        "normalizer": sequence("normalizers", *[replace(chr(0x100 + i), "abc" * 9) for i in range(100)])
    },
    "spelled out, then folded": {"normalizer": sequence("normalizers", replace("…", "..."), {"type": "NFKC"})},
    "Llama's": {
        "normalizer": sequence("normalizers", {"type": "Prepend", "prepend": "▁"}, replace(" ", "▁")),
        "decoder": sequence("decoders", replace("▁", " "), {"type": "ByteFallback"}, {"type": "Fuse"}),
    },
    "nothing": {"normalizer": None, "pre_tokenizer": None, "post_processor": None, "decoder": None},
}


@pytest.mark.parametrize("case", HARMLESS)
def test_harmless_parts_are_read(case: str, tmp_path: Path) -> None:
    data = stored(post_processor=None, **HARMLESS[case]) if case != "nothing" else stored(**HARMLESS[case])
    tokenizer = Tokenizer.from_folder(folder_of(tmp_path, tokenizer_json=data), "json")
    assert tokenizer("a b").input_ids


def test_an_unknown_word_without_a_token_for_it(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, vocab_json={"a": 0, "b</w>": 1, "ab</w>": 2}, merges_txt="a b</w>\n")
    gpt = Tokenizer.from_folder(folder, "gpt")
    assert gpt("ab").input_ids == [2]
    for text in ("zebra", ["zebra"], ["ab", "zebra"], ["zebra", "é"]):
        with pytest.raises(TokenizerError, match="unk"):
            gpt(text)


PATHS: dict[str, Any] = {
    "None": None,
    "a number": 5,
    "bytes": b"folder",
    "a long name": "x" * 5000,
    "a user that is none": "~nosuchuser/x",
    "no name": "a\0b",
    "a list": ["a"],
}


@pytest.mark.parametrize("case", PATHS)
@pytest.mark.parametrize("door", ["load", "save", "save_vocabulary"])
def test_paths_that_are_none(case: str, door: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tokenizer = Tokenizer.from_folder(folder_of(tmp_path, vocab_txt=SPECIALS), "bert")
    call: Callable[[Any], Any] = {
        "load": Tokenizer.from_folder,
        "save": tokenizer.save_pretrained,
        "save_vocabulary": tokenizer.save_vocabulary,
    }[door]
    with pytest.raises(TokenizerError) as caught:
        call(PATHS[case])
    assert len(str(caught.value)) < 1000


def test_a_folder_that_may_not_be_entered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Any = ".") -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(TokenizerError, match="cannot be opened: Permission denied"):
        Tokenizer.from_folder(tmp_path)


def test_names_in_a_folder_are_listed_shortly(tmp_path: Path) -> None:
    for number in range(30):
        (tmp_path / f"{number:0200}").write_text("")
    with pytest.raises(TokenizerError, match=r"It holds: .* \.\.\.") as caught:
        Tokenizer.from_folder(tmp_path, "bert")
    assert len(str(caught.value)) < 3000


WATCHED: list[tuple[str, set[str]]] = []  # the folder that is watched, and the names of what is opened in it


@cache
def watch() -> None:
    """Python's audit hooks stay: this one looks at what is WATCHED only."""

    def see(event: str, arguments: tuple[Any, ...]) -> None:
        for folder, seen in WATCHED if event == "open" else ():
            if str(arguments[0]).startswith(folder):
                seen.add(os.path.basename(arguments[0]))

    sys.addaudithook(see)


def opened_by_loading(folder: Path, recipe: str | None) -> list[str]:
    """The files of a folder that loading opens, as Python's audit says."""
    watch()
    WATCHED.append((str(folder), set()))
    try:
        Tokenizer.from_folder(folder, recipe)
    finally:
        seen = WATCHED.pop()[1]
    return sorted(name for name in seen if (folder / name).is_file())


PLACES: dict[str, Callable[[Path], Any]] = {
    "a link out of the folder": lambda path: path.symlink_to(path.parents[1] / "elsewhere"),
    "a link by way of another": lambda path: path.symlink_to(path.parent / ".." / "elsewhere"),
    "a link to nothing": lambda path: path.symlink_to(path.parent / "nothing"),
    "a link to itself": lambda path: path.symlink_to(path),
    "a device without end": lambda path: path.symlink_to("/dev/zero"),
    "a pipe": lambda path: os.mkfifo(path),
    "a folder": lambda path: path.mkdir(),
}


@pytest.mark.parametrize(
    "name", ["bert_stored", "roberta", "albert", "gpt", "ctrl", "marian_separate", "transfo_xl", "m2m_100", "mpnet"]
)
def test_every_file_is_opened_through_one_door(name: str, tmp_path: Path) -> None:
    kind = KINDS[name]
    folder = fill(tmp_path / "folder", kind, asset, pieces)
    for extra in ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "config.json"):
        if not (folder / extra).exists():
            (folder / extra).write_text(json.dumps(kind.options if extra == "tokenizer_config.json" else {}))
    if name == "bert_stored":
        (folder / "tokenizer_config.json").write_text("{}")
    opened = opened_by_loading(folder, kind.recipe)
    assert set(kind.files) & set(opened)
    for file in opened:
        content = (folder / file).read_bytes()
        (tmp_path / "elsewhere").write_bytes(content)
        for place in PLACES.values():
            (folder / file).unlink()
            place(folder / file)
            with pytest.raises(TokenizerError, match=f"{file} (is a link|is not a regular|cannot be opened)"):
                Tokenizer.from_folder(folder, kind.recipe)
            (folder / file).rmdir() if (folder / file).is_dir() else (folder / file).unlink()
            (folder / file).write_bytes(content)


def test_links_into_the_cache_are_followed(tmp_path: Path) -> None:
    snapshot, blobs = tmp_path / "models--a--b" / "snapshots" / ("0" * 40), tmp_path / "models--a--b" / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    (blobs / "1").write_text(SPECIALS)
    (snapshot / "vocab.txt").symlink_to(blobs / "1")
    tokenizer = Tokenizer.from_folder(snapshot, "bert")
    tokenizer.save_pretrained(tmp_path / "saved")
    assert not any(path.is_symlink() for path in (tmp_path / "saved").iterdir())


# What each bomb is made of, and what is said of it. The size of each is up to the 64 MB that are read at all.
MEASURE = """
import sys
from pathlib import Path
from lamina.tokenizers import Tokenizer
import lamina.tokenizers.loading
from lamina.errors import TokenizerError

def memory(field):
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) * 1024

before = memory("VmRSS")
try:
    said = f"{len(Tokenizer.from_folder(sys.argv[1], sys.argv[2]))} tokens"
except TokenizerError as error:
    said = str(error)
print(memory("VmHWM") - before, said)
"""
FLOOR = 300 * 2**20  # bytes that a file of the largest vocabulary there is may take, however short its lines


def spiece(count: int) -> bytes:
    piece = b"\x0a\x0b\x0a\x04abcd\x15\0\0\x80\xbf"
    return piece * count


def many_pieces() -> str:
    vocab = [[f"▁piece{number}", -number / 3] for number in range(250_000)]
    return json.dumps(stored(model={"type": "Unigram", "unk_id": 0, "vocab": vocab}, added_tokens=[]), indent=2)


def many_merges() -> str:
    letters = [chr(0x4E00 + number) for number in range(510)]
    merges = [[first, second] for first in letters for second in letters][:256_000]
    tokens = [*letters, *("".join(pair) for pair in merges)]
    vocab = {token: number for number, token in enumerate(tokens)}
    model = {"type": "BPE", "vocab": vocab, "merges": merges}
    return json.dumps(stored(model=model, added_tokens=[], post_processor=None), indent=2, ensure_ascii=False)


BOMBS: dict[str, tuple[str, Callable[[], dict[str, bytes]], str]] = {
    "lines of nothing": ("bert", lambda: {"vocab.txt": b"\n" * 64_000_000}, "64000000 tokens, more than"),
    "merges of nothing": (
        "roberta",
        lambda: {"merges.txt": b"\n" * 64_000_000, "vocab.json": b'{"a": 0}'},
        "64000000 merges, more than",
    ),
    "one line of words": ("transfo_xl", lambda: {"vocab.txt": b"a " * 30_000_000}, "no <unk>"),
    "pieces": ("t5", lambda: {"spiece.model": spiece(4_500_000)}, "more than 1000100 fields"),
    "fields of a piece": ("t5", lambda: {"spiece.model": b"\x0a\x80\x89\x7a" + b"\x20\1" * 1_000_000}, "a piece of"),
    "fields of the settings": (
        "t5",
        lambda: {"spiece.model": spiece(1) + b"\x12\x80\x89\x7a" + b"\x20\1" * 1_000_000},
        "100000 fields",
    ),
    "lists": ("json", lambda: {"tokenizer.json": b"[" + b"[]," * 20_999_999 + b"[]]"}, "tokenizer.json"),
    "objects": ("json", lambda: {"tokenizer.json": b'{"model":[' + b"{}," * 20_999_990 + b"[]]}"}, "tokenizer.json"),
    "lists in the settings": (
        "bert",
        lambda: {"vocab.txt": SPECIALS.encode(), "tokenizer_config.json": b"[" + b"[]," * 20_999_999 + b"[]]"},
        "tokenizer_config.json",
    ),
    "many pieces": ("json", lambda: {"tokenizer.json": many_pieces().encode()}, "250000 tokens"),
    "many merges": ("json", lambda: {"tokenizer.json": many_merges().encode()}, "256510 tokens"),
    "many merges of SentencePiece": (
        "nllb",
        lambda: {"sentencepiece.bpe.model": merged_pieces(60_000) + b"\x12\x02\x18\x02"},
        "60204 tokens",
    ),
    "many SentencePiece pieces": ("t5", lambda: {"spiece.model": named_pieces(250_000)}, "250100 tokens"),
}


def named_pieces(count: int) -> bytes:
    return (
        b"".join(
            b"\x0a\x0f\x0a\x08p%07d\x15\0\0\x80\xbf" % number if number else b"\x0a\x09\x0a\x05<unk>\x18\x02"
            for number in range(count - 2)
        )
        + b"\x0a\x06\x0a\x04</s>\x0a\x07\x0a\x05<pad>"
    )


def merged_pieces(count: int) -> bytes:
    """`<unk>`, letters and pairs of them, as BPE has them."""
    letters = [chr(0x4E00 + number) for number in range(300)]
    texts = [*letters, *(first + second for first in letters for second in letters)][: count - 3]
    rows = [
        b"\x0a" + bytes([len(text)]) + text + b"\x15\0\0\x80\xbf" for text in map(str.encode, ["<s>", "</s>", *texts])
    ]
    return b"\x0a\x09\x0a\x05<unk>\x18\x02" + b"".join(b"\x0a" + bytes([len(row)]) + row for row in rows)


@pytest.mark.parametrize("case", BOMBS)
def test_memory_is_bounded_by_the_bytes_at_hand(case: str, tmp_path: Path) -> None:
    recipe, made, says = BOMBS[case]
    contents = made()
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    total = sum(map(len, contents.values()))
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path), recipe], capture_output=True, text=True, check=True, timeout=300
    )
    taken, _, said = done.stdout.partition(" ")
    assert says in said
    assert int(taken) < 4 * total + FLOOR, said
    if "tokens" not in says:
        assert int(taken) < 4 * total + 2**26, said


class PanicException(BaseException):
    """What the Rust library's panics are called; the real one cannot be raised from here."""


class Panicking:
    """A Rust object of which every call panics."""

    def __init__(self, **kept: Any) -> None:
        self.__dict__.update(kept)

    def __getattr__(self, name: str) -> Any:
        def panic(*_: Any, **__: Any) -> Any:
            raise PanicException("called `Option::unwrap()` on a `None` value")

        return panic


ENTRIES: dict[str, Callable[[Tokenizer], Any]] = {
    "a text": lambda t: t("a"),
    "texts": lambda t: t(["a", "b"]),
    "texts with offsets": lambda t: t(["a"], return_offsets_mapping=t.is_fast),
    "cut texts": lambda t: t(["a"], truncation=True, max_length=4),
    "encode": lambda t: t.encode("a"),
    "tokenize": lambda t: t.tokenize("é"),
    "decode": lambda t: t.decode([1]),
    "decode an array": lambda t: t.decode((1,)),
    "batch_decode": lambda t: t.batch_decode([[1]]),
    "tokens to ids": lambda t: t.convert_tokens_to_ids(["a"]),
    "ids to tokens": lambda t: t.convert_ids_to_tokens([1]),
    "the vocabulary": lambda t: t.get_vocab(),
    "its size": lambda t: len(t),
    "its size without added tokens": lambda t: t.vocab_size,
    "the added tokens": lambda t: t.added_tokens_decoder,
    "special tokens": lambda t: t.num_special_tokens_to_add(),
    "a new token": lambda t: t.add_tokens("x"),
    "a new special token": lambda t: t.add_special_tokens({"pad_token": "x"}),
    "a new role": lambda t: setattr(t, "pad_token", "x"),
    "prepare": lambda t: t.prepare_for_model([1], truncation=True, max_length=4),
    "save": lambda t: t.save_pretrained(t.name_or_path + "/saved"),
}


@pytest.mark.parametrize(
    ("kind", "entry"),  # CTRL cuts text into tokens without the Rust library
    [(kind, entry) for kind in ("bert", "ctrl") for entry in ENTRIES if (kind, entry) != ("ctrl", "tokenize")],
)
def test_panics_on_every_way_in(entry: str, kind: str, tmp_path: Path) -> None:
    folder = folder_of(tmp_path, vocab_txt=SPECIALS) if kind == "bert" else FIXTURES / kind
    tokenizer = Tokenizer.from_folder(folder, kind)
    tokenizer.name_or_path = str(tmp_path)
    tokenizer._backend = Panicking(post_processor=None, model=None, decoder=Panicking())  # type: ignore[assignment]
    tokenizer._encoder.backend = tokenizer._backend
    tokenizer._encoder.table = None
    with pytest.raises(TokenizerError, match=r"failed: .*unwrap"):
        ENTRIES[entry](tokenizer)


def test_panics_of_the_table_of_words(bert: Tokenizer) -> None:
    bert("a")
    assert bert._encoder.table
    bert._encoder.table._words._tokenize = Panicking().tokenize
    with pytest.raises(TokenizerError, match=r"Tokenizing failed: .*unwrap"):
        bert("quixotic")


@pytest.mark.parametrize("index", [-(10**30), 2**64, 10**30, "a", None, 1.5])
@pytest.mark.parametrize("question", ["token_to_word", "token_to_chars", "char_to_token", "word_to_tokens"])
def test_questions_that_make_no_sense(bert: Tokenizer, question: str, index: Any) -> None:
    found = bert("a b")
    with pytest.raises(TokenizerError, match=question):
        getattr(found, question)(0, index) if index is not None else getattr(found, question)(99, 0)


def test_padding_without_end(bert: Tokenizer) -> None:
    for options in ({"max_length": 10**12}, {"max_length": 10**30}, {"pad_to_multiple_of": 10**12}):
        with pytest.raises(TokenizerError, match="rows are filled up to"):
            bert(["a"], padding="max_length" if "max_length" in options else True, **options)
        with pytest.raises(TokenizerError, match="rows are filled up to"):
            bert.pad({"input_ids": [[1]]}, padding="max_length" if "max_length" in options else True, **options)


@pytest.mark.parametrize("name", mutations.FILES)
def test_mutated_files_are_read_or_refused(name: str, tmp_path: Path) -> None:
    """A small part of the runs that found the rows above: the same changes every time."""
    draw = random.Random(name)
    start = mutations.start(tmp_path, name)
    for number in range(40):
        folder = mutations.changed(draw, start, name, tmp_path / str(number))
        try:
            mutations.use(Tokenizer.from_folder(folder), tmp_path / f"{number}-saved")
        except LaminaError as error:
            assert len(str(error)) < 1500
