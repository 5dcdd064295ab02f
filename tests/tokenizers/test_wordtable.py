"""The table of words gives what the Rust library gives, for any text and call, and steps aside where it cannot."""

from __future__ import annotations

import copy
import pickle
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lamina.tokenizers import Tokenizer, wordtable
from lamina.tokenizers.limits import FREE
from tests.assets import asset
from tests.tokenizers.kinds import FIXTURES

WORDS = [
    "Botchan",
    "went",
    "it's",
    "I'VE",
    " ",
    "  ",
    "1,000",
    "don't",
    "...",
    "(x)",
    "\n",
    "\t",
    "é",
    "학교",
    "[MASK]",
    "<s>",
    "'",
]
PLAIN = st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), max_size=60)
TEXT = st.one_of(PLAIN, st.text(max_size=20), st.lists(st.sampled_from(WORDS), max_size=12).map("".join))
CALL = st.fixed_dictionaries(
    {},
    optional={
        "add_special_tokens": st.booleans(),
        "return_special_tokens_mask": st.just(True),
        "return_token_type_ids": st.just(True),
        "split_special_tokens": st.booleans(),
        "return_length": st.just(True),
    },
)
KINDS = ("bert", "bert cased", "gpt", "roberta", "roberta with a space")


@cache
def both(kind: str, side: str) -> tuple[Tokenizer, Tokenizer]:
    """A tokenizer with a table, and one whose Rust object may be changed outside, which therefore has none."""
    name, _, how = kind.partition(" ")
    folder = asset("minilm") if name == "bert" else FIXTURES / name
    options: dict[str, Any] = {"truncation_side": side}
    if how == "cased":
        options["do_lower_case"] = False
    if how == "with a space":
        options["add_prefix_space"] = True
    if name == "gpt":
        options["pad_token"] = "<unk>"
    ours, plain = (Tokenizer.from_folder(folder, name, **options) for _ in range(2))
    assert plain.backend_tokenizer is plain._backend
    return ours, plain


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=80, suppress_health_check=[HealthCheck.too_slow])
@given(
    texts=st.lists(TEXT, min_size=1, max_size=4), call=CALL, length=st.none() | st.integers(2, 12), left=st.booleans()
)
def test_rows_are_those_of_the_rust_library(
    kind: str, texts: list[str], call: dict[str, Any], length: int | None, left: bool
) -> None:
    ours, plain = both(kind, "left" if left else "right")
    options = {**call, **({"max_length": length, "truncation": True} if length else {})}
    assert ours(texts, padding=True, **options) == plain(texts, padding=True, **options)
    assert ours(texts[0], **options) == plain(texts[0], **options)
    assert ours(texts[0]).tokens() == plain(texts[0]).tokens()


@pytest.mark.parametrize("kind", KINDS)
def test_plain_text_is_read_by_the_table(kind: str) -> None:
    ours, plain = both(kind, "right")
    text = "It's plain text, isn't it?"
    assert ours(text) == plain(text)
    assert ours._encoder.table and ours._encoder.table.read(text, FREE, True, False)
    assert not plain._encoder.table


def test_an_added_token_is_found() -> None:
    ours = Tokenizer.from_folder(asset("minilm"), "bert")
    before = ours("a covid test")["input_ids"]
    assert ours.add_tokens(["covid", "#tag"]) == 2
    after = ours("a covid test")["input_ids"]
    assert after != before
    assert len(ours) - 2 in after
    assert len(ours) - 1 in ours("see #tag here")["input_ids"]


def test_a_change_of_the_rust_object_is_seen() -> None:
    ours = Tokenizer.from_folder(asset("minilm"), "bert")
    assert ours("Plain Text")["input_ids"] == ours("plain text")["input_ids"]
    ours.backend_tokenizer.normalizer = None
    assert ours("Plain Text")["input_ids"] != ours("plain text")["input_ids"]
    ours.pad_token = "[PAD]"
    assert ours("Plain Text")["input_ids"] != ours("plain text")["input_ids"]


def test_a_copy_reads_the_same() -> None:
    ours = Tokenizer.from_folder(asset("minilm"), "bert")
    text = "It is copied."
    lock = ours._encoder.lock
    for copied in (pickle.loads(pickle.dumps(ours)), copy.deepcopy(ours), copy.copy(ours)):
        assert copied(text) == ours(text)
    assert ours._encoder.lock is lock, "a shallow copy shares the Rust library's object and so its lock"


def test_only_so_many_words_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wordtable, "MOST_WORDS", 2)
    ours, plain = Tokenizer.from_folder(asset("minilm"), "bert"), both("bert", "right")[1]
    text = "one two three " + "four" * 40
    assert ours(text) == plain(text) == ours(text)
    assert ours._encoder.table
    assert list(ours._encoder.table._words) == ["one", "two"]
