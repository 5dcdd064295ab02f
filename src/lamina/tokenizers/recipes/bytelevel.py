"""Bytes: byte-level BPE of GPT-2, of RoBERTa and BART which add brackets around it, and ByT5's bytes themselves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from tokenizers import AddedToken, decoders, models, pre_tokenizers, processors
from tokenizers import Tokenizer as Backend

from lamina.errors import TokenizerError
from lamina.tokenizers.files import TokenizerFolder, backend_errors, read_merges, read_vocab_json
from lamina.tokenizers.recipe import (
    ENDS,
    Assembly,
    Options,
    Recipe,
    Template,
    list_sentinels,
    set_settings,
    surround,
    token_id,
)

FILES = ("vocab.json", "merges.txt")
# `encoder.json` and `vocab.bpe` are the names in OpenAI's own release.
VOCAB_NAMES, MERGES_NAMES = ("vocab.json", "encoder.json"), ("merges.txt", "vocab.bpe")


def plain(content: str) -> AddedToken:
    """A special token as the byte-level kinds keep it: found after normalization, which here changes nothing."""
    return AddedToken(content, lstrip=False, rstrip=False, normalized=True, special=True)


BRACKETED = {
    "bos_token": plain("<s>"),
    "eos_token": plain("</s>"),
    "unk_token": plain("<unk>"),
    "sep_token": plain("</s>"),
    "pad_token": plain("<pad>"),
    "cls_token": plain("<s>"),
}
ROBERTA_MASK = AddedToken("<mask>", lstrip=True, rstrip=False, normalized=False, special=True)
BART_MASK = AddedToken("<mask>", lstrip=True, rstrip=False, normalized=True, special=True)
END = plain("<|endoftext|>")


def byte_level(folder: TokenizerFolder, options: Options) -> Backend:
    vocab_path, merges_path = folder.require(*VOCAB_NAMES), folder.require(*MERGES_NAMES)
    vocab, merges = read_vocab_json(vocab_path), read_merges(merges_path)
    with backend_errors(f"Building byte-level BPE from {vocab_path} and {merges_path}"):
        backend = Backend(models.BPE(vocab, merges, continuing_subword_prefix="", end_of_word_suffix=""))
    set_components(backend, options)
    return backend


def set_components(backend: Backend, options: Options) -> None:
    """GPT-2's cutting of text, in bytes so that nothing is unknown, around a model."""
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=options["add_prefix_space"])
    backend.decoder = decoders.ByteLevel()
    backend.post_processor = processors.ByteLevel(trim_offsets=False)


def build_gpt2(folder: TokenizerFolder, options: Options) -> Assembly:
    return Assembly(byte_level(folder, options))


def begin_gpt2(options: Options) -> Template | None:
    """Put the beginning token before the text where `add_bos_token` is set; else nothing is put around it."""
    if not options["add_bos_token"]:
        return None
    second = "$B:1" if options.get("use_fast", True) else "bos_token:1 $B:1"  # the Python class begins both texts
    return "bos_token $A", f"bos_token $A {second}"


def build_roberta(folder: TokenizerFolder, options: Options) -> Assembly:
    """Build RoBERTa's BPE: `<s> A </s></s> B </s>`, without token types."""
    backend = byte_level(folder, options)
    sep, cls = str(options["sep_token"]), str(options["cls_token"])
    backend.post_processor = processors.RobertaProcessing(
        (sep, token_id(backend, sep)),
        (cls, token_id(backend, cls)),
        add_prefix_space=options["add_prefix_space"],
        trim_offsets=options["trim_offsets"],
    )
    return Assembly(backend)


def adjust_roberta(backend: Backend, options: Options) -> None:
    """Let `add_prefix_space` and `trim_offsets` decide, whatever the tokenizer.json says."""
    wanted = {name: options[name] for name in ("add_prefix_space", "trim_offsets")}
    set_settings(backend, "post_processor", (processors.RobertaProcessing, processors.ByteLevel), **wanted)


def surround_neox(backend: Backend, options: Options) -> None:
    """Put around texts what `add_bos_token` and `add_eos_token` ask for, whatever the tokenizer.json says."""
    first = "bos_token" if options["add_bos_token"] else ""
    last = "eos_token" if options["add_eos_token"] else ""
    for role in (first, last):
        if role and options.get(role) is None:
            raise TokenizerError(f"add_{role}=True needs a {role}, and this tokenizer has none.")
    second = f"{first and first + ':1'} $B:1 {last and last + ':1'}"
    surround(backend, options, (f"{first} $A {last}", f"{first} $A {last} {second}"))


GPT2 = Recipe(
    name="gpt2",
    class_name="GPT2Tokenizer",
    files=FILES,
    build=build_gpt2,
    special_tokens={"bos_token": END, "eos_token": END, "unk_token": END},
    options={"add_prefix_space": False, "add_bos_token": False},
    template=begin_gpt2,
    fixed=("add_bos_token",),
    splits_words=False,
)
ROBERTA = Recipe(
    name="roberta",
    class_name="RobertaTokenizer",
    files=FILES,
    build=build_roberta,
    special_tokens={**BRACKETED, "mask_token": ROBERTA_MASK},
    options={"add_prefix_space": False, "trim_offsets": True},
    adjust=adjust_roberta,
    splits_words=False,
)
BART = replace(ROBERTA, name="bart", class_name="BartTokenizer", special_tokens={**BRACKETED, "mask_token": BART_MASK})


BLENDERBOT = replace(
    ROBERTA,
    name="blenderbot",
    class_name="BlenderbotTokenizer",
    build=build_gpt2,
    template=("$A eos_token", "$A $B:1"),
)
GPT_NEOX = Recipe(
    name="gpt_neox",
    class_name="GPTNeoXTokenizer",
    files=FILES,
    build=build_gpt2,
    special_tokens=dict.fromkeys(("bos_token", "eos_token", "unk_token"), "<|endoftext|>"),
    options={"add_prefix_space": False, "add_bos_token": False, "add_eos_token": False},
    adjust=surround_neox,
)


class Bytes:
    """Cuts text into bytes, each written as the character of that number."""

    def split(self, text: str) -> list[str]:
        return [chr(byte) for byte in text.encode("utf-8")]

    def join(self, tokens: list[str], special_tokens: set[str], source: bool = False) -> str:
        """The text of bytes; incomplete characters are left out."""
        encoded = (bytes([ord(token)]) if len(token) == 1 and ord(token) < 256 else token.encode() for token in tokens)
        return b"".join(encoded).decode("utf-8", errors="ignore")

    def save(self, new: Callable[[str], Path]) -> None:
        """Write nothing: the vocabulary is the same for everyone."""


def build_byt5(folder: TokenizerFolder, options: Options) -> Assembly:
    """Build ByT5's: it has no file of its own."""
    specials = [str(options[role]) for role in ("pad_token", "eos_token", "unk_token")]
    vocab = {token: index for index, token in enumerate([*specials, *map(chr, range(256))])}
    # The reference counts the bytes alone.
    return Assembly(Backend(models.WordLevel(vocab, unk_token=specials[2])), Bytes(), vocab_size=256)


def stripping(content: str) -> AddedToken:
    return AddedToken(content, lstrip=True, rstrip=True, normalized=True, special=True)


BYT5 = Recipe(
    name="byt5",
    class_name="ByT5Tokenizer",
    files=(),
    build=build_byt5,
    special_tokens={
        "eos_token": stripping("</s>"),
        "unk_token": stripping("<unk>"),
        "pad_token": stripping("<pad>"),
    },
    options={"extra_ids": 125},
    template=ENDS,
    complete=partial(list_sentinels, over_empty=False),
    reads_json=False,
    ends_once=True,
)
