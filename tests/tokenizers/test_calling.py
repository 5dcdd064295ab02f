"""The call contract: what a call returns in which form, and what it says to calls that make no sense."""

from __future__ import annotations

import logging
import pickle
import threading
from typing import Any

import numpy
import pytest
import torch

from lamina.errors import TokenizerError
from lamina.tokenizers import BatchEncoding, Tokenizer
from tests.assets import asset
from tests.tokenizers.kinds import FIXTURES

LONG = "the cat sat on the mat " * 200


def test_one_text_gives_lists_and_a_batch_lists_of_lists(bert: Tokenizer) -> None:
    one = bert("hello world")
    assert one["input_ids"] == [101, 7592, 2088, 102]
    assert bert(["hello world"])["input_ids"] == [one["input_ids"]]
    assert bert("")["input_ids"] == [101, 102]
    assert bert([("hello", "world")]) == bert(["hello"], ["world"])
    assert bert.encode("hello world") == one["input_ids"]
    assert bert.encode_plus("hello", "world") == bert("hello", "world")
    assert bert.batch_encode_plus([("hello", "world")]) == bert(["hello"], ["world"])
    assert bert.tokenize("unbelievable") == ["unbelievable"]
    assert bert.tokenize("hello", "world", add_special_tokens=True) == ["[CLS]", "hello", "[SEP]", "world", "[SEP]"]


def test_tensors(bert: Tokenizer) -> None:
    found = bert(["hello world", "hi"], padding=True, return_tensors="pt")
    assert found["input_ids"].dtype == torch.int64
    assert found["attention_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 1, 0]]
    assert found.to("cpu") is found
    assert found.to("meta")["input_ids"].device.type == "meta"
    arrays = bert("hello world", return_tensors="np")
    assert isinstance(arrays["input_ids"], numpy.ndarray)
    assert arrays["input_ids"].shape == (1, 4)
    assert bert("hello", return_offsets_mapping=True, return_tensors="pt")["offset_mapping"].shape == (1, 3, 2)
    assert bert([""], add_special_tokens=False, return_tensors="pt")["input_ids"].shape == (1, 0)


def test_rows_of_different_length_make_no_tensor(bert: Tokenizer) -> None:
    for kind in ("pt", "np"):
        with pytest.raises(TokenizerError, match="padding=True"):
            bert(["a", "a b c"], return_tensors=kind)
    with pytest.raises(TokenizerError, match="'pt'"):
        bert("a", return_tensors="tf")


@pytest.mark.parametrize(
    ("text", "options", "says"),
    [
        (None, {}, "nothing to tokenize"),
        ([], {}, "empty"),
        (5, {}, "int"),
        ({"a": 1}, {}, "dict"),
        (["a", None], {}, "Row 1 .*NoneType"),
        (["a", 3.5], {}, "Row 1 .*float"),
        ([["a", "b", "c"]], {}, "is_split_into_words"),
        ("a", {"text_pair": ["b"]}, "Row 0"),
        (["a"], {"text_pair": "b"}, "second texts"),
        (["a"], {"text_pair": ["b", "c"]}, "1 texts, but 2"),
        ([["a", None]], {"is_split_into_words": True}, "Row 0"),
        ("a", {"padding": "left"}, "padding='left'"),
        ("a", {"padding_side": "up"}, "padding_side='up'"),
        ("a", {"truncation": "middle"}, "truncation='middle'"),
        ("a", {"truncation": True, "max_length": 1}, "no room"),
        ("a", {"truncation": True, "max_length": -1}, "max_length=-1"),
        ("a", {"truncation": True, "max_length": "8"}, "max_length='8'"),
        (LONG, {"truncation": True, "max_length": 10, "stride": 8}, "stride=8 should be smaller than the 8"),
        (LONG, {"truncation": True, "max_length": 10, "stride": -1}, "stride=-1"),
        (LONG, {"truncation": "only_second", "max_length": 10}, "[Ss]econd sequence"),
        ("a", {"padding": True, "pad_to_multiple_of": 0}, "pad_to_multiple_of=0"),
        ("a", {"padding": True, "truncation": True, "max_length": 9, "pad_to_multiple_of": 8}, "not a multiple"),
        ("\ud800", {}, "surrogate"),
    ],
)
def test_calls_that_make_no_sense(bert: Tokenizer, text: Any, options: dict[str, Any], says: str) -> None:
    with pytest.raises(TokenizerError, match=says):
        bert(text, **options)
    assert bert("hello world")["input_ids"] == [101, 7592, 2088, 102], "the next call is none the worse"


def test_padding_needs_a_pad_token(roberta: Tokenizer) -> None:
    gpt = Tokenizer.from_folder(FIXTURES / "gpt", "gpt")
    with pytest.raises(TokenizerError, match=r"tokenizer\.pad_token ="):
        gpt(["a", "b c"], padding=True)
    gpt.pad_token = gpt.unk_token
    assert gpt.pad_token_id == 0
    assert gpt(["a", "b c"], padding=True)["input_ids"][0][-1] == 0
    assert gpt("a")["input_ids"]
    roberta.pad_token = None
    assert roberta.pad_token_id is None
    with pytest.raises(TokenizerError):
        roberta.pad({"input_ids": [[1], [2, 3]]})


def test_split_words_need_a_prefix_space(roberta: Tokenizer) -> None:
    with pytest.raises(TokenizerError, match="add_prefix_space=True"):
        roberta(["a", "b"], is_split_into_words=True)


def test_empty_list_of_words(bert: Tokenizer) -> None:
    assert bert([], is_split_into_words=True)["input_ids"] == [101, 102]
    assert bert([[]], is_split_into_words=True)["input_ids"] == [[101, 102]]


def test_too_long_text_is_said_once(bert: Tokenizer, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="lamina.tokenizers"):
        assert len(bert(LONG)["input_ids"]) > 512
        bert(LONG)
        bert(LONG, verbose=False)
        assert len(bert(LONG, truncation=True)["input_ids"]) == 512
    assert len(caplog.records) == 1
    assert "512" in caplog.text


def test_max_length_alone_cuts_and_says_so(bert: Tokenizer, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="lamina.tokenizers"):
        assert len(bert(LONG, max_length=7)["input_ids"]) == 7
    assert "truncation" in caplog.text
    with pytest.warns(UserWarning, match="no effect"):
        assert len(bert(LONG, max_length=7, padding=True)["input_ids"]) > 7


def test_no_limit_known(roberta: Tokenizer, caplog: pytest.LogCaptureFixture) -> None:
    assert roberta.model_max_length > 10**29
    with caplog.at_level(logging.WARNING, logger="lamina.tokenizers"):
        assert roberta("a b", truncation=True, padding="max_length") == roberta("a b")
    assert "names none" in caplog.text


def test_alignment_questions(bert: Tokenizer) -> None:
    text = "Unaffable words"
    for found in (bert(text), bert([text, "a"], padding=True)):
        assert found.is_fast
        assert found.tokens()[:5] == ["[CLS]", "una", "##ffa", "##ble", "words"]
        assert found.word_ids()[:6] == [None, 0, 0, 0, 1, None]
        assert found.words() == found.word_ids()
        assert found.sequence_ids()[:3] == [None, 0, 0]
        assert found.token_to_chars(2) == (3, 6)
        assert found.token_to_chars(0, 2).start == 3
        assert found.char_to_token(4) == 2
        assert found.char_to_token(0, 4) == 2
        assert found.word_to_tokens(0) == (1, 4)
        assert found.word_to_chars(1) == (10, 15)
        assert found.char_to_word(12) == 1
        assert found.token_to_word(4) == 1
        assert found.token_to_sequence(-2 if len(found["input_ids"]) == 6 else 4) == 0
        assert found.token_to_chars(0) is None
        assert found[0].ids[0] == 101
        assert found.n_sequences == 1
    batch = bert([text, "a"], padding=True)
    assert batch.tokens(1) == ["[CLS]", "a", "[SEP]", "[PAD]", "[PAD]", "[PAD]"]
    assert batch.word_ids(1) == [None, 0, None, None, None, None]
    assert batch[:1] == {key: value[:1] for key, value in batch.items()}


def test_encoding_behaves_as_a_dictionary(bert: Tokenizer) -> None:
    found = bert("hello", "world")
    assert found.input_ids == found["input_ids"] == found.data["input_ids"]
    assert {**found} == dict(found)
    assert not hasattr(found, "labels")
    with pytest.raises(AttributeError, match="input_ids"):
        _ = found.labels
    with pytest.raises(TokenizerError):
        _ = found[1.5]
    again = pickle.loads(pickle.dumps(found))
    assert again == found
    assert again.tokens() == found.tokens()
    bare = BatchEncoding({"input_ids": [1]})
    assert not bare.is_fast
    with pytest.raises(TokenizerError, match="alignment"):
        bare.tokens()
    assert bare.convert_to_tensors("pt", prepend_batch_axis=True)["input_ids"].tolist() == [[1]]


def test_kinds_without_alignment_say_so(marian: Tokenizer) -> None:
    assert not marian.is_fast
    with pytest.raises(TokenizerError, match="alignment"):
        marian("a", return_offsets_mapping=True)
    with pytest.raises(TokenizerError, match="alignment"):
        marian("a").word_ids()
    with pytest.raises(TokenizerError, match="Row 1"):
        marian(["a", None])
    with pytest.raises(TokenizerError):
        marian.tokenize(3)


def test_windows_carry_their_row(bert: Tokenizer) -> None:
    found = bert(
        ["short", LONG], truncation=True, max_length=50, stride=10, return_overflowing_tokens=True, padding=True
    )
    owners = found["overflow_to_sample_mapping"]
    assert owners[0] == 0
    assert set(owners[1:]) == {1}
    assert {len(row) for row in found["input_ids"]} == {50}
    assert len(found.encodings) == len(owners)
    assert found.tokens(0)[-1] == "[PAD]"


def test_sides(bert: Tokenizer) -> None:
    bert.padding_side = bert.truncation_side = "left"
    assert bert(["hello world", "hi"], padding=True)["input_ids"][1][0] == 0
    cut = bert("one two three", truncation=True, max_length=3)["input_ids"]
    assert bert.decode(cut, skip_special_tokens=True) == "three"
    assert bert(["hello world", "hi"], padding=True, padding_side="right")["input_ids"][1][-1] == 0


def test_special_tokens_in_text_may_be_split(bert: Tokenizer) -> None:
    assert bert.tokenize("[MASK]") == ["[MASK]"]
    assert bert.tokenize("[MASK]", split_special_tokens=True) == ["[", "mask", "]"]
    assert bert.tokenize("[MASK]") == ["[MASK]"]


def test_threads_do_not_disturb_each_other(bert: Tokenizer) -> None:
    wrong: list[Any] = []

    def work(length: int) -> None:
        for _ in range(50):
            found = bert([LONG, "a"], truncation=True, max_length=length, padding=True)
            if {len(row) for row in found["input_ids"]} != {length}:
                wrong.append(length)

    threads = [threading.Thread(target=work, args=(length,)) for length in (5, 50, 100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_chat_is_not_offered(bert: Tokenizer) -> None:
    with pytest.raises(TokenizerError, match="Chat"):
        bert.apply_chat_template([{"role": "user", "content": "hi"}])


def test_small_answers_are_the_references(bert: Tokenizer, marian: Tokenizer) -> None:
    row = [101, 1037, 102]
    assert bert(["a", "b c"], padding="max_length", max_length=0)["input_ids"][0] == row  # nothing to fill up to
    found = marian(["a", "Botchan"], padding="max_length", max_length=16, truncation=True, return_length=True)
    assert found["length"] == [sum(row) for row in found["attention_mask"]]  # Python kinds count before they pad
    assert (
        bert(["a", "b c"], padding="max_length", max_length=8, truncation=True, return_length=True)["length"] == [8] * 2
    )
    byt5 = Tokenizer.from_folder(FIXTURES, "byt5", split_special_tokens=True)
    assert byt5.tokenize("</s>") == ["<", "/", "s", ">"]


def test_a_role_that_cannot_be_taken_changes_nothing(marian: Tokenizer) -> None:
    before = marian("Botchan")
    with pytest.raises(TokenizerError, match="'nowhere'"):
        marian.eos_token = "nowhere"
    assert marian.eos_token == "</s>" and marian("Botchan") == before
    marian.eos_token = None
    assert marian("Botchan")["input_ids"] == before["input_ids"][:-1]


@pytest.mark.parametrize(
    ("side", "length", "expected"),  # of Transformers 4.57.6, whose fast tokenizers round the other way
    [
        ("right", 8, [10, 157, 31, 10, 188, 37, 16, 0]),
        ("right", 10, [10, 157, 31, 10, 381, 188, 37, 16, 183, 0]),
        ("left", 8, [157, 31, 10, 381, 183, 142, 12, 0]),
        ("left", 10, [10, 157, 31, 10, 381, 16, 183, 142, 12, 0]),
    ],
)
def test_python_kinds_share_an_odd_cut(side: str, length: int, expected: list[int]) -> None:
    marian = Tokenizer.from_folder(FIXTURES / "marian", "marian", truncation_side=side)
    pair = ("the school in the country", "He was a teacher there.")
    assert marian(*pair, truncation=True, max_length=length)["input_ids"] == expected


@pytest.mark.parametrize(("side", "kept"), [("right", ["one", "two"]), ("left", ["three", "four"])])
@pytest.mark.parametrize("rust", [False, True])
def test_texts_are_cut_at_their_side(side: str, kept: list[str], rust: bool) -> None:
    bert = Tokenizer.from_folder(asset("minilm"), "bert", truncation_side=side)
    assert not rust or bert.backend_tokenizer  # the Rust library cuts, not the table of words
    assert bert.decode(bert("one two three four", truncation=True, max_length=4)["input_ids"], True).split() == kept
