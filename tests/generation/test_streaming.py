"""Streams show all of a text, never half a character, and nothing of a stop string."""

from __future__ import annotations

import asyncio
from queue import Empty
from threading import Thread
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lamina.errors import GenerationError
from lamina.generation.generate import generate
from lamina.generation.job import StopStrings
from lamina.generation.streaming import AsyncTextIteratorStreamer, TextIteratorStreamer, TextStreamer

from .standin import Standin

TEXTS = [
    "a plain line of text",
    "안녕하세요, 세계! 한국어 문장입니다.",
    "emoji 👩‍👩‍👧 and 🇰🇷 flags 🎉🎉",
    "中文没有空格，日本語もカタカナも",
    "line\nbreaks\n\nand\ttabs ",
    "naïve café Ἀθῆναι",
    "",
]


class Bytes:
    """A tokenizer of single bytes, as hard on characters as any."""

    def decode(self, token_ids: Any, **options: Any) -> str:
        return bytes(token_ids).decode("utf-8", errors="replace")


class Words:
    """A tokenizer that has a word for each id and spaces between them."""

    def decode(self, token_ids: Any, **options: Any) -> str:
        return " ".join(f"w{token}" for token in token_ids)


class Pieces:
    """A tokenizer whose pieces begin with their space, which a text does not begin with, as SentencePiece's."""

    def decode(self, token_ids: Any, **options: Any) -> str:
        return "".join(["<s>", " a", " b", "\n", "c"][token] for token in token_ids).removeprefix(" ")


class Collected(TextStreamer):
    def __init__(self, *args: Any, **options: Any):
        super().__init__(*args, **options)
        self.pieces: list[str] = []
        self.ended = 0

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        if text:
            self.pieces.append(text)
        self.ended += stream_end


def streamed(text: str, prompt: str = "", stop: list[str] | None = None, **options: Any) -> list[str]:
    streamer = Collected(Bytes(), **options)
    if stop:
        streamer.hold_back(stop)
    streamer.put(torch.tensor([list(prompt.encode())], dtype=torch.long))
    for byte in text.encode():
        streamer.put(torch.tensor([byte]))
    streamer.end()
    assert streamer.ended == 1
    return streamer.pieces


@pytest.mark.parametrize("text", TEXTS)
def test_no_character_is_cut_and_none_is_lost(text: str) -> None:
    pieces = streamed(text, prompt="Say: ")
    assert "".join(pieces) == "Say: " + text
    assert not any("\ufffd" in piece for piece in pieces)


@given(st.text(max_size=60))
def test_any_text_comes_out_whole(text: str) -> None:
    assert "".join(streamed(text)) == text


def test_text_comes_while_it_is_written() -> None:
    assert streamed("one two three") == ["one ", "two ", "three"]
    assert streamed("漢字") == ["漢", "字"]
    assert streamed("한국어") == ["한", "국", "어"]
    assert streamed("go 👩‍👧 on") == ["go ", "👩‍👧 ", "on"]


def test_long_texts_stay_whole() -> None:
    text = " ".join(f"word{number}é" for number in range(400)) + "\n" + "漢" * 300
    assert "".join(streamed(text)) == text


def test_spaces_stand_where_the_whole_text_has_them() -> None:
    ids = [1, 3, 2, 4, 1, 3, 3, 1, *[2] * 90, 4]
    streamer = Collected(Pieces())
    for start, end in ((0, 2), *((place, place + 1) for place in range(2, len(ids)))):
        streamer.put(torch.tensor([ids[start:end]] if start == 0 else ids[start:end]))
    streamer.end()
    assert "".join(streamer.pieces) == Pieces().decode(ids)


def test_bytes_that_are_no_character_are_shown_in_the_end() -> None:
    streamer = Collected(Bytes())
    streamer.put(torch.tensor([[0x61]]))
    streamer.put(torch.tensor([0xF0]))
    assert streamer.pieces == ["a"]
    streamer.end()
    assert streamer.pieces == ["a", "\ufffd"]


def test_the_prompt_can_be_left_out() -> None:
    assert "".join(streamed("and more", prompt="prompt ", skip_prompt=True)) == "and more"


def test_a_streamer_serves_one_stream_after_another() -> None:
    streamer = Collected(Bytes(), skip_prompt=True)
    for _ in range(2):
        streamer.put(torch.tensor([[65]]))
        streamer.put(torch.tensor([66]))
        streamer.end()
    assert streamer.pieces == ["B", "B"]


@given(
    st.text("ab \n漢", max_size=20),
    st.lists(st.text("ab \n漢", min_size=1, max_size=4), min_size=1, max_size=3),
)
def test_nothing_of_a_stop_string_is_shown(text: str, stop: list[str]) -> None:
    shown = "".join(streamed(text, stop=stop))
    places = [text.find(string) for string in stop if string in text]
    if not places:
        assert shown == text
        return
    assert text.startswith(shown)
    assert not any(string in shown for string in stop)


def test_rows_must_come_alone() -> None:
    with pytest.raises(GenerationError, match="one row"):
        Collected(Bytes()).put(torch.zeros(2, 3, dtype=torch.long))
    with pytest.raises(GenerationError, match="beams"):
        generate(Standin(), torch.tensor([[5]]), num_beams=2, streamer=Collected(Bytes()))


def test_generate_streams_what_it_returns(capsys: pytest.CaptureFixture[str]) -> None:
    ids = torch.tensor([[5, 9, 14]])
    for options in ({}, {"do_sample": True}, {"penalty_alpha": 0.5, "top_k": 3}, {"prompt_lookup_num_tokens": 2}):
        out = generate(Standin(), ids, max_new_tokens=9, streamer=TextStreamer(Words()), **options)
        assert capsys.readouterr().out == Words().decode(out[0].tolist()) + "\n"


def test_a_stop_string_ends_the_text_and_never_shows() -> None:
    plain = generate(Standin(), torch.tensor([[5, 9, 14]]), max_new_tokens=9)[0].tolist()
    stop = f"w{plain[5]} w{plain[6]}"
    streamer = Collected(Words())
    options = {"stop_strings": stop, "tokenizer": Words(), "streamer": streamer}
    out = generate(Standin(), torch.tensor([[5, 9, 14]]), max_new_tokens=9, **options)
    assert out[0].tolist() == plain[:7]
    assert "".join(streamer.pieces).rstrip() == Words().decode(plain[:5])


def test_a_stop_string_must_end_in_the_last_token() -> None:
    criterion = StopStrings(["lo w"], Bytes())
    rows = torch.tensor([list(b"hello w"), list(b"ello wo"), list(b"hello v")])
    assert criterion(rows, None).tolist() == [True, False, False]


def test_iterators_wait_for_another_thread() -> None:
    streamer = TextIteratorStreamer(Words(), timeout=300)
    arguments = {"max_new_tokens": 9, "streamer": streamer}
    thread = Thread(target=generate, args=(Standin(), torch.tensor([[5, 9]])), kwargs=arguments)
    thread.start()
    text = "".join(streamer)
    thread.join()
    assert text == Words().decode(generate(Standin(), torch.tensor([[5, 9]]), max_new_tokens=9)[0].tolist())


def failing(ids: Any, scores: Any) -> Any:
    raise OverflowError("of the processor")


def quietly(*args: Any, **options: Any) -> None:
    with pytest.raises(OverflowError):
        generate(*args, **options)


def test_whoever_waits_learns_of_a_failure() -> None:
    streamer = TextIteratorStreamer(Words(), skip_prompt=True, timeout=300)
    options = {"streamer": streamer, "logits_processor": [failing]}
    thread = Thread(target=quietly, args=(Standin(), torch.tensor([[5, 9]])), kwargs=options)
    thread.start()
    with pytest.raises(OverflowError, match="of the processor"):
        next(iter(streamer))
    thread.join()


def test_waiting_has_an_end() -> None:
    with pytest.raises(Empty):
        next(TextIteratorStreamer(Words(), timeout=0.01))


def test_asynchronous_iterators() -> None:
    async def collect() -> str:
        streamer = AsyncTextIteratorStreamer(Words(), timeout=300)
        arguments = {"max_new_tokens": 9, "streamer": streamer}
        thread = Thread(target=generate, args=(Standin(), torch.tensor([[5, 9]])), kwargs=arguments)
        thread.start()
        pieces = [piece async for piece in streamer]
        thread.join()
        late = AsyncTextIteratorStreamer(Words(), timeout=0.01)
        with pytest.raises(TimeoutError):
            await late.__anext__()
        return "".join(pieces)

    plain = generate(Standin(), torch.tensor([[5, 9]]), max_new_tokens=9)
    assert asyncio.run(collect()) == Words().decode(plain[0].tolist())


def test_whoever_waits_hears_of_arguments_that_make_no_sense() -> None:
    streamer = TextIteratorStreamer(Bytes(), timeout=5)
    with pytest.raises(GenerationError, match="num_beams"):
        generate(Standin(), torch.tensor([[5, 9]]), streamer=streamer, num_beams=2)
    with pytest.raises(GenerationError, match="num_beams"):
        next(streamer)
