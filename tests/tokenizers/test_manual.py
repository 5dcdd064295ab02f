"""Rows of ids padded, cut and bracketed by hand, and the vocabulary around them."""

from __future__ import annotations

import copy
import pickle
import shutil
from pathlib import Path

import numpy
import pytest
import torch
from tokenizers import AddedToken

from lamina.errors import TokenizerError
from lamina.tokenizers import Tokenizer
from tests.assets import asset
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
            bert.add_tokens(wrong)


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
        bert.pad_token = 3


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


def test_marian_reads_and_writes_two_languages(marian: Tokenizer) -> None:
    assert marian(">>fra<< He")["input_ids"][0] == marian.convert_tokens_to_ids(">>fra<<")
    assert marian.tokenize("x >>fra<<")[:2] == ["▁", "x"], "only at the start of a text"
    source_only = sorted(marian._assembly.splitter.source.known - marian._assembly.splitter.target.known)
    piece = next(piece for piece in source_only if piece.startswith("▁") and marian.convert_tokens_to_ids(piece) != 1)
    ids = [marian.unk_token_id, marian.convert_tokens_to_ids(piece)]
    assert marian.decode(ids) == f"<unk>  {piece[1:]}"
    assert marian.decode(ids, use_source_tokenizer=True) == f"<unk> {piece[1:]}"
    assert marian.lang_code_to_id == {}


def test_mbart_languages(tmp_path: Path) -> None:
    shutil.copyfile(asset("sentencepiece_en"), tmp_path / "sentencepiece.bpe.model")
    mbart = Tokenizer.from_folder(tmp_path, "mbart", src_lang="ro_RO")
    assert (mbart.src_lang, mbart.tgt_lang) == ("ro_RO", None)
    assert mbart("a")["input_ids"][-1] == mbart.lang_code_to_id["ro_RO"]
    mbart.src_lang = "fr_XX"
    assert mbart("a")["input_ids"][-2:] == [2, mbart.lang_code_to_id["fr_XX"]]
    with pytest.raises(TokenizerError, match="not a language"):
        mbart.src_lang = "xx_YY"
    assert mbart.src_lang == "fr_XX"
    for wrong in ("xx_YY", None):
        with pytest.raises(TokenizerError, match="not a language"):
            mbart.get_lang_id(wrong)
    assert mbart.get_lang_id("ro_RO") == mbart.lang_code_to_id["ro_RO"]
    mbart50 = Tokenizer.from_folder(tmp_path, "mbart50")
    assert mbart50("a")["input_ids"][0] == mbart50.lang_code_to_id["en_XX"]
    assert len(mbart50.lang_code_to_id) == 52


def test_repr_says_what_it_is(bert: Tokenizer) -> None:
    assert "kind='bert'" in repr(bert)
    assert "vocab_size=30522" in repr(bert)
    assert bert


def test_control_codes(bert: Tokenizer) -> None:
    ctrl = Tokenizer.from_folder(FIXTURES / "ctrl", "ctrl")
    assert set(ctrl.control_codes) == {"Links", "Wikipedia", "Books"}
    assert ctrl.convert_ids_to_tokens(ctrl.control_codes["Links"]) == "Links"
    assert bert.control_codes == {}
    with pytest.raises(TokenizerError, match="no languages"):
        bert.get_lang_id("en")


@pytest.mark.parametrize("kind", ["roberta", "ctrl", "marian", "transfo_xl", "t5"])
def test_tokenizers_travel_between_processes(kind: str) -> None:
    ours = Tokenizer.from_folder(FIXTURES / kind, kind)
    expected = ours("Botchan went")
    for again in (pickle.loads(pickle.dumps(ours)), copy.deepcopy(ours)):
        assert again("Botchan went") == expected
        again.add_tokens(["<new>"])
        assert len(again) == len(ours) + 1


def test_marian_takes_control_characters_as_they_are(marian: Tokenizer) -> None:
    assert marian.tokenize("a\x000 \x001") == ["▁a", "\x00", "0", "▁", "\x00", "1"]
