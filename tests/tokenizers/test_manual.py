"""Rows of ids padded, cut and bracketed by hand, and the vocabulary around them."""

from __future__ import annotations

import numpy
import pytest
import torch
from tokenizers import AddedToken

from lamina.errors import TokenizerError
from lamina.tokenizers import Tokenizer
from tests.tokenizers.kinds import FIXTURES


def test_pad_collects_rows(bert: Tokenizer) -> None:
    rows = [bert("hello world"), bert("hi")]
    found = bert.pad(rows, return_tensors="pt")
    assert torch.equal(found["input_ids"], bert(["hello world", "hi"], padding=True, return_tensors="pt")["input_ids"])
    assert found["attention_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 1, 0]]
    assert bert.pad({"input_ids": [[1, 2], [3]]})["attention_mask"] == [[1, 1], [1, 0]]
    assert bert.pad({"input_ids": [1, 2]}, padding="max_length", max_length=4)["input_ids"] == [1, 2, 0, 0]
    assert bert.pad({"input_ids": [1]}, pad_to_multiple_of=8, padding_side="left")["input_ids"] == [0] * 7 + [1]
    assert bert.pad({"input_ids": []}) == {"input_ids": []}
    assert bert.pad({"input_ids": [[1, 2], [3]], "labels": [0, 1]})["labels"] == [0, 1]


def test_pad_keeps_the_type_it_was_given(bert: Tokenizer) -> None:
    tensors = [{"input_ids": torch.tensor([1, 2])}, {"input_ids": torch.tensor([3])}]
    assert bert.pad(tensors)["input_ids"].tolist() == [[1, 2], [3, 0]]
    arrays = [{"input_ids": numpy.array([1, 2])}, {"input_ids": numpy.array([3])}]
    assert isinstance(bert.pad(arrays)["input_ids"], numpy.ndarray)


def test_pad_says_what_is_wrong(bert: Tokenizer) -> None:
    with pytest.raises(TokenizerError, match="input_ids"):
        bert.pad({"labels": [1]})
    with pytest.raises(TokenizerError, match="same fields"):
        bert.pad([{"input_ids": [1]}, {"labels": [1]}])
    with pytest.raises(TokenizerError, match="mapping"):
        bert.pad([1, 2])
    with pytest.raises(TokenizerError, match="number of rows"):
        bert.pad({"input_ids": [[1], [2]], "labels": [1]})


@pytest.mark.parametrize("strategy", [True, "only_first", "only_second"])
def test_prepare_for_model_equals_the_call(bert: Tokenizer, strategy: bool | str) -> None:
    first, second = "a b c d e f g h", "one two three four five six seven"
    ids = [bert.encode(text, add_special_tokens=False) for text in (first, second)]
    options = {"truncation": strategy, "max_length": 14, "return_special_tokens_mask": True}
    assert bert.prepare_for_model(*ids, **options) == bert(first, second, **options)
    single = bert.prepare_for_model(ids[0], padding="max_length", max_length=20, return_length=True)
    assert single["input_ids"] == bert(first, padding="max_length", max_length=20)["input_ids"]
    assert single["length"] == 20
    assert bert.prepare_for_model(ids[0], return_tensors="pt", prepend_batch_axis=True)["input_ids"].shape == (1, 10)


def test_truncate_sequences(bert: Tokenizer) -> None:
    assert bert.truncate_sequences([1, 2, 3, 4], None, 2, stride=1) == ([1, 2], None, [2, 3, 4])
    assert bert.truncate_sequences([1, 2, 3], [4, 5], 1, "only_second") == ([1, 2, 3], [4], [5])
    assert bert.truncate_sequences([1, 2, 3, 4], [5], 3) == ([1], [5], [])
    bert.truncation_side = "left"
    assert bert.truncate_sequences([1, 2, 3, 4], None, 2) == ([3, 4], None, [1, 2])
    with pytest.raises(TokenizerError, match="longest_first"):
        bert.truncate_sequences([1], [2, 3], 2, "only_first")


def test_brackets_by_hand(bert: Tokenizer, roberta: Tokenizer) -> None:
    assert bert.build_inputs_with_special_tokens([7], [8, 9]) == [101, 7, 102, 8, 9, 102]
    assert bert.create_token_type_ids_from_sequences([7], [8, 9]) == [0, 0, 0, 1, 1, 1]
    assert bert.get_special_tokens_mask([7], [8, 9]) == [1, 0, 1, 0, 0, 1]
    assert bert.get_special_tokens_mask([101, 7, 102], already_has_special_tokens=True) == [1, 0, 1]
    assert roberta.build_inputs_with_special_tokens([7], [8]) == [0, 7, 2, 2, 8, 2]
    assert roberta.create_token_type_ids_from_sequences([7], [8]) == [0] * 6
    assert bert.max_len_single_sentence == 510
    assert bert.max_len_sentences_pair == 509


def test_added_tokens(bert: Tokenizer) -> None:
    size = len(bert)
    assert bert.add_tokens(["newword"]) == 1
    assert bert.add_tokens("newword") == 0
    assert len(bert) == size + 1
    assert bert.vocab_size == size
    assert bert.tokenize("a newword") == ["a", "newword"]
    assert bert.get_added_vocab()["newword"] == size
    assert bert.convert_tokens_to_ids(["newword", "nosuchword"]) == [size, bert.unk_token_id]
    assert bert.get_vocab()["newword"] == bert.vocab["newword"] == size
    for wrong in ([""], [3]):
        with pytest.raises(TokenizerError):
            bert.add_tokens(wrong)  # type: ignore[arg-type]


def test_special_tokens_by_role(bert: Tokenizer) -> None:
    size = len(bert)
    new = {"bos_token": "<bos>", "additional_special_tokens": ["<user>", AddedToken("<bot>", lstrip=True)]}
    assert bert.add_special_tokens(new) == 3
    assert bert.bos_token_id == size
    assert bert.additional_special_tokens == ["<user>", "<bot>"]
    assert bert.additional_special_tokens_ids == [size + 1, size + 2]
    assert bert.decode([size, 7592, size + 1], skip_special_tokens=True) == "hello"
    assert bert.add_special_tokens({"additional_special_tokens": ["<x>"]}, replace_additional_special_tokens=False) == 1
    assert bert.additional_special_tokens == ["<user>", "<bot>", "<x>"]
    assert bert.special_tokens_map["bos_token"] == "<bos>"
    assert "<bot>" in bert.all_special_tokens
    bert.eos_token_id = 102
    assert bert.eos_token == "[SEP]"
    bert.additional_special_tokens = []
    assert "additional_special_tokens" not in bert.special_tokens_map
    with pytest.raises(TokenizerError, match="Roles"):
        bert.add_special_tokens({"no_token": "x"})
    with pytest.raises(TokenizerError, match="pad_token"):
        bert.pad_token = 3  # type: ignore[assignment]


def test_added_tokens_of_kinds_cut_in_python(marian: Tokenizer) -> None:
    marian.add_tokens(["<sep>"])
    assert "<sep>" in marian.tokenize("He <sep> went")
    ids = marian("He <sep> went")["input_ids"]
    assert marian.decode(ids, skip_special_tokens=True) == "He <sep> went"
    assert len(marian) == marian.vocab_size + 1


def test_decoding(bert: Tokenizer) -> None:
    assert bert.decode(torch.tensor([101, 7592, 102])) == "[CLS] hello [SEP]"
    assert bert.decode(numpy.array([7592])) == bert.decode(7592) == bert.decode((7592,)) == "hello"
    assert bert.batch_decode(torch.tensor([[7592, 102]]), skip_special_tokens=True) == ["hello"]
    assert bert.decode([]) == ""
    assert bert.convert_ids_to_tokens(7592) == "hello"
    assert bert.convert_ids_to_tokens([101, 7592], skip_special_tokens=True) == ["hello"]
    assert bert.convert_ids_to_tokens(10**12) is None
    assert bert.convert_tokens_to_string(["un", "##do"]) == "undo"
    with pytest.raises(TokenizerError, match="batch_decode"):
        bert.decode([[1]])
    for wrong in ([-1], ["a"], [2**40]):
        with pytest.raises(TokenizerError):
            bert.decode(wrong)


def test_languages() -> None:
    folder = FIXTURES / "marian"
    marian = Tokenizer.from_folder(folder, "marian")
    assert marian(">>fra<< He")["input_ids"][0] == marian.convert_tokens_to_ids(">>fra<<")
    assert marian.lang_code_to_id == {}
    assert "marian" in repr(marian)
