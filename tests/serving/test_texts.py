"""Tokens to text as they come: nothing lost, nothing shown twice, no half characters, no stop string."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lamina import AutoTokenizer
from lamina.generation.streaming import Detokenizer, StopFilter
from lamina.serving.texts import describe_tokens, last_tokens

TEXTS = ["Berlin is fine.", "안녕하세요 👋🏽 Anna", "日本語😀 and\n\nmore  spaces", "naïve — “quotes”", "🏳️‍🌈🏳️‍🌈"]


@pytest.fixture(scope="module", params=["gpt2", "t5", "marian", "minilm"])
def tokenizer(request: pytest.FixtureRequest, checkpoint: Callable[[str], Path]) -> Any:
    return AutoTokenizer.from_pretrained(str(checkpoint(request.param)))


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("split", [0, 1, 3])
def test_pieces_add_up_to_the_text(tokenizer: Any, text: str, split: int) -> None:
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    prompt, new = ids[:split], ids[split:]
    pieces = Detokenizer(tokenizer, prompt)
    shown = "".join([pieces.add(id) for id in new] + [pieces.rest()])
    plain = {"skip_special_tokens": True, "clean_up_tokenization_spaces": False}
    whole, begun = tokenizer.decode(ids, **plain), tokenizer.decode(prompt, **plain) if prompt else ""
    if begun and not begun.endswith("\ufffd"):
        assert begun + shown == whole
    elif not begun:
        assert shown == whole


def test_no_piece_is_half_a_character(checkpoint: Callable[[str], Path]) -> None:
    tokenizer: Any = AutoTokenizer.from_pretrained(str(checkpoint("gpt2")))
    for text in TEXTS:
        pieces = Detokenizer(tokenizer)
        assert not any("\ufffd" in pieces.add(id) for id in tokenizer(text)["input_ids"])
        assert pieces.rest() == ""


def test_bytes_that_never_become_a_character_are_shown_at_the_end(checkpoint: Callable[[str], Path]) -> None:
    tokenizer: Any = AutoTokenizer.from_pretrained(str(checkpoint("gpt2")))
    first = tokenizer("👋")["input_ids"][0]
    pieces = Detokenizer(tokenizer)
    assert pieces.add(first) == ""
    assert pieces.rest() == "\ufffd"
    assert pieces.rest() == ""


@given(st.text("abc ", max_size=30), st.lists(st.text("abc", min_size=1, max_size=3), max_size=3), st.data())
def test_text_is_shown_up_to_the_first_stop_however_it_comes(text: str, stops: list[str], data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    filtered = StopFilter(stops)
    shown = "".join(filtered.add(piece, last=number == len(pieces) - 1) for number, piece in enumerate(pieces))
    # The earliest that a stop is complete decides: what comes after it was never read.
    ends = [text.find(stop) + len(stop) for stop in stops if stop in text]
    assert filtered.stopped is bool(ends)
    assert text.startswith(shown)
    assert not any(stop in shown for stop in stops)
    if not ends:
        assert shown == text


@pytest.mark.parametrize("count", [1, 2, 5, 100])
def test_the_last_tokens_of_a_text(tokenizer: Any, count: int) -> None:
    text = "Anna sold the house and the boat"
    end = last_tokens(tokenizer, text, count)
    assert text.endswith(end)
    assert len(tokenizer(end, add_special_tokens=False)["input_ids"]) <= count + 1
    if count == 100:
        assert end == text


def test_tokens_stand_where_they_say(checkpoint: Callable[[str], Path]) -> None:
    tokenizer: Any = AutoTokenizer.from_pretrained(str(checkpoint("minilm")))
    text = "😀 Anna 안녕하세요"
    for token in describe_tokens(tokenizer, text):
        if not token["special"] and token["text"].isascii() and token["text"] != "[UNK]":
            assert text[token["start"] : token["stop"]].lower() == token["text"].removeprefix("##")
    assert not any(token["special"] for token in describe_tokens(tokenizer, text, special=False))


def test_tokens_of_a_kind_without_alignment_stand_nowhere(checkpoint: Callable[[str], Path]) -> None:
    tokenizer: Any = AutoTokenizer.from_pretrained(str(checkpoint("marian")))
    tokens = describe_tokens(tokenizer, "A fine day.")
    assert [token["id"] for token in tokens] == tokenizer("A fine day.")["input_ids"]
    assert {token["start"] for token in tokens} == {None}
    assert tokens[-1]["special"]
