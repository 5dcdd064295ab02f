"""Cutting texts: nothing is lost, windows keep to their limit, and stops inside a sentence end none."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lamina.errors import PipelineError
from lamina.pipelines.sentences import cut_into_windows, halves, join_windows, split_sentences

TEXTS = st.text(alphabet=st.sampled_from('aB.!?…。！” "\n1한👩\u200d🎉é\u0301'), max_size=60) | st.text(max_size=60)
FIXED = 2  # tokens around every text


def count(texts: list[str]) -> list[int]:
    """A word of up to four characters is a token, and so is every further four of them."""
    return [FIXED + sum(-(-len(word) // 4) for word in text.split()) for text in texts]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two! Three?", ["One. ", "Two! ", "Three?"]),
        ("Dr. Smith met J. R. Jones at 5.30 p.m. on Nov. 5. He left.", None),
        ("It cost 3.50 euros. e.g. this", ["It cost 3.50 euros. e.g. this"]),
        ('He said "No." She left.', ['He said "No." ', "She left."]),
        ("첫째 문장입니다. 둘째입니다!", ["첫째 문장입니다. ", "둘째입니다!"]),
        ("これは文です。次の文！終わり", ["これは文です。", "次の文！", "終わり"]),
        ("A heading\n\nA line\nAnother", ["A heading\n\n", "A line\n", "Another"]),
        ("", [""]),
    ],
)
def test_sentences_end_where_readers_say(text: str, sentences: list[str] | None) -> None:
    found = split_sentences(text)
    assert "".join(found) == text
    if sentences is None:
        assert found[-1] == "He left."
        assert not any(part.rstrip().endswith(("Dr.", "J.", "R.", "5.", "p.m.")) for part in found[:-2])
    else:
        assert found == sentences


@given(TEXTS)
def test_sentences_and_halves_together_are_the_text(text: str) -> None:
    assert "".join(split_sentences(text)) == text
    cut = halves(text)
    if cut is not None:
        assert "".join(cut) == text
        assert all(cut)


def test_halves_leave_characters_whole() -> None:
    assert halves("👩\u200d👩\u200d👧") is None
    assert halves("e\u0301") is None
    assert halves("ab") == ("a", "b")


@given(TEXTS, st.integers(FIXED + 1, 12), st.integers(0, 3))
def test_windows_keep_to_the_limit_and_lose_nothing(text: str, limit: int, repeated: int) -> None:
    try:
        windows = cut_into_windows(text, limit, count, repeated)
    except PipelineError:
        assert halves(text) is None or limit == FIXED + 1
        return
    assert max(count(windows)) <= limit
    if not repeated:
        assert "".join(windows) == text
    rest = text
    for window in windows:
        overlap = next(size for size in range(len(window), -1, -1) if rest.startswith(window[len(window) - size :]))
        rest = rest[overlap:]
    assert not rest.strip() or repeated


def test_repeated_sentences_stand_at_the_beginning_of_the_next_window() -> None:
    text = "One one. Two two. Three three. Four four. Five five."
    assert cut_into_windows(text, 8, count, 1) == [
        "One one. Two two. ",
        "Two two. Three three. ",
        "Four four. Five five.",  # with the sentence before them they would be too long
    ]


def test_answers_are_joined_as_their_windows_were() -> None:
    assert join_windows(["One. ", " Two."], ["Eins. ", "Zwei."]) == "One. Two."
    assert join_windows(["One.", "Two."], ["Eins.\n\n", "Zwei."]) == "One.\n\nTwo."
    assert join_windows(["하나。", "둘"], ["一。", "二"]) == "하나。둘"
    assert join_windows(["", "Two."], ["Eins. ", "Zwei."]) == "Two."


@pytest.mark.parametrize("piece", [".", "a.", " ", "?!", "\"'", "\n", ". ", "Mr. ", " . b. ", ".)", "。", "e\u0301"])
def test_a_long_run_of_anything_is_read_once(piece: str) -> None:
    began = time.process_time()
    assert "".join(split_sentences(piece * 100_000)) == piece * 100_000
    assert time.process_time() - began < 20  # a tenth of a second; reading a run from each of its places took hours


def test_a_message_shows_a_part_of_what_does_not_fit() -> None:
    with pytest.raises(PipelineError) as refused:
        cut_into_windows("\u200d" * 10_000, 3, lambda texts: [len(text) + FIXED for text in texts])
    assert len(str(refused.value)) < 300
