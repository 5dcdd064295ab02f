"""What holds for any text: offsets point at it, batches equal single calls, limits hold, windows miss nothing."""

from __future__ import annotations

import itertools
from functools import cache

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lamina.tokenizers import Tokenizer
from lamina.tokenizers.recipes.fastbpe import merge
from tests.tokenizers.kinds import FIXTURES, TEXTS

FAST = ("roberta", "bart", "gpt", "albert", "t5", "xlnet")
ALL = (*FAST, "ctrl", "byt5", "marian", "transfo_xl", "m2m_100")
LOSSLESS = ("roberta", "bart", "byt5")

TEXT = st.one_of(
    st.text(alphabet=st.characters(exclude_categories=("Cs",)), max_size=40),
    st.sampled_from(TEXTS),
    st.lists(st.sampled_from(["Botchan", " ", "went", "'s", "school.", "é", "👍🏽", "</s>", "1,000"]), max_size=12).map(
        "".join
    ),
)
examples = settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])


@cache
def tokenizer(kind: str) -> Tokenizer:
    folder = FIXTURES / {"bart": "roberta", "byt5": ""}.get(kind, kind)
    pad = {"gpt": "<unk>", "ctrl": "<unk>", "transfo_xl": "<eos>"}.get(kind)
    return Tokenizer.from_folder(folder, kind, **({"pad_token": pad} if pad else {}))


@pytest.mark.parametrize("kind", FAST)
@examples
@given(text=TEXT)
def test_offsets_lie_in_the_text_in_order(kind: str, text: str) -> None:
    found = tokenizer(kind)(text, return_offsets_mapping=True, add_special_tokens=False)
    last = 0
    for start, end in found["offset_mapping"]:
        assert 0 <= start <= end <= len(text)
        assert start >= last or kind in ("gpt", "albert"), "marks may be set before the letters they were written after"
        last = start


@pytest.mark.parametrize("kind", ["roberta", "bart"])
@examples
@given(text=TEXT)
def test_offsets_cover_every_visible_character(kind: str, text: str) -> None:
    found = tokenizer(kind)(text, return_offsets_mapping=True, add_special_tokens=False)
    covered = {place for start, end in found["offset_mapping"] for place in range(start, end)}
    assert all(place in covered or char.isspace() for place, char in enumerate(text))


@pytest.mark.parametrize("kind", LOSSLESS)
@examples
@given(text=TEXT)
def test_bytes_come_back(kind: str, text: str) -> None:
    if "</s>" in text or "<" in text:
        return  # special tokens may take spaces with them
    ours = tokenizer(kind)
    ids = ours(text, add_special_tokens=False)["input_ids"]
    assert ours.decode(ids, clean_up_tokenization_spaces=False) == text


@pytest.mark.parametrize("kind", [kind for kind in ALL if kind != "ctrl"])  # CTRL's marks may come to stand in its text
@examples
@given(text=TEXT)
def test_decoding_reaches_a_fixpoint(kind: str, text: str) -> None:
    ours = tokenizer(kind)

    def again(given_text: str) -> str:
        return ours.decode(ours(given_text, add_special_tokens=False)["input_ids"], skip_special_tokens=True)

    once = again(again(text))
    rounds = 0
    while (following := again(once)) != once and rounds < 4:
        once, rounds = following, rounds + 1
    assert again(once) == once


@pytest.mark.parametrize("kind", ALL)
@examples
@given(texts=st.lists(TEXT, min_size=1, max_size=4), other=TEXT)
def test_a_batch_equals_single_calls(kind: str, texts: list[str], other: str) -> None:
    ours = tokenizer(kind)
    assert ours(texts)["input_ids"] == [ours(text)["input_ids"] for text in texts]
    padded = ours(texts, padding=True)
    if "attention_mask" in padded:
        rows = zip(padded["input_ids"], padded["attention_mask"], strict=True)
        kept = [[index for index, seen in zip(row, mask, strict=True) if seen] for row, mask in rows]
        assert kept == ours(texts)["input_ids"]
    pairs = ours(texts, [other] * len(texts)) if other else ours(texts)
    assert pairs["input_ids"] == [ours(text, other)["input_ids"] for text in texts]


@pytest.mark.parametrize("kind", ALL)
@examples
@given(first=TEXT, second=TEXT, length=st.integers(4, 24))
def test_no_row_is_longer_than_asked(kind: str, first: str, second: str, length: int) -> None:
    ours = tokenizer(kind)
    whole = ours(first, second)["input_ids"]
    cut = ours(first, second, truncation=True, max_length=length)["input_ids"]
    assert len(cut) == min(len(whole), length)
    filled = ours([first, second], truncation=True, max_length=length, padding="max_length")
    assert {len(row) for row in filled["input_ids"]} == {length}


@pytest.mark.parametrize("kind", ALL)
@examples
@given(text=TEXT, length=st.integers(6, 20), stride=st.integers(0, 3))
def test_windows_hold_every_token(kind: str, text: str, length: int, stride: int) -> None:
    ours = tokenizer(kind)
    found = ours(text, truncation=True, max_length=length, stride=stride, return_overflowing_tokens=True)
    specials = ours.num_special_tokens_to_add()
    lead = ours.build_inputs_with_special_tokens([-1]).index(-1)

    def bare(row: list[int]) -> list[int]:
        return row[lead : len(row) - (specials - lead)]

    whole = bare(ours(text)["input_ids"])
    rows = [bare(row) for row in found["input_ids"]]
    joined = rows[0]
    for row in rows[1:]:
        assert row[:stride] == joined[len(joined) - stride :]
        joined = joined + row[stride:]
    assert joined == whole


@given(word=st.text(alphabet="abc", min_size=2, max_size=30), data=st.data())
@settings(max_examples=200)
def test_fast_merging_equals_the_plain_loop(word: str, data: st.DataObject) -> None:
    symbols = st.text(alphabet="abc", min_size=1, max_size=3)
    pairs = data.draw(st.lists(st.tuples(symbols, symbols), unique=True, max_size=25))
    ranks = {pair: rank for rank, pair in enumerate(pairs)}
    assert merge(list(word), ranks) == plain_merge(list(word), ranks)


def plain_merge(symbols: list[str], ranks: dict[tuple[str, str], int]) -> list[str]:
    while True:
        known = [pair for pair in itertools.pairwise(symbols) if pair in ranks]
        if not known:
            return symbols
        best = min(known, key=ranks.__getitem__)
        merged: list[str] = []
        for symbol in symbols:
            # A symbol made in this round is longer than the pair's parts, so it is not merged again.
            if merged and (merged[-1], symbol) == best and not merged[-1].startswith("\0"):
                merged[-1] = "\0" + merged[-1] + symbol
            else:
                merged.append(symbol)
        symbols = [symbol.removeprefix("\0") for symbol in merged]
