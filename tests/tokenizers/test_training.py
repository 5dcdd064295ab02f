"""The five kinds that can be trained: what they learn, and that it is kept."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lamina.errors import TokenizerError
from lamina.tokenizers import Tokenizer
from tests.tokenizers.kinds import FIRST, SECOND

KINDS = ("wordpiece", "bpe", "unigram", "word", "char")
CORPUS = [FIRST, SECOND, "The school had a teacher of English, and the teacher had a school."] * 20


@pytest.mark.parametrize("kind", KINDS)
def test_trained_saved_and_loaded(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text("\n".join(CORPUS), encoding="utf-8")
    ours = Tokenizer.train(path, kind=kind, vocab_size=300)
    assert len(ours) <= 300
    if kind in ("bpe", "word", "char"):  # the Rust library's other trainers break ties as their hash tables fall
        assert ours.get_vocab() == Tokenizer.train(CORPUS, kind, vocab_size=300).get_vocab()
    ours.save_pretrained(tmp_path / "saved")
    again = Tokenizer.from_folder(tmp_path / "saved")
    for text in (FIRST, SECOND, "unheard-of 日本 words", ""):
        assert again(text, "b", return_offsets_mapping=True) == ours(text, "b", return_offsets_mapping=True)
    assert again.special_tokens_map == ours.special_tokens_map
    assert len(again) == len(ours)
    decoded = again.decode(again(SECOND)["input_ids"], skip_special_tokens=True)
    assert decoded.replace(" ", "").lower() == SECOND.replace(" ", "").lower()


def test_words_and_characters_are_whole() -> None:
    word = Tokenizer.train(CORPUS, "word", vocab_size=100, do_lower_case=True)
    assert word.tokenize("The school, a zebra.") == ["the", "school", ",", "a", "[UNK]", "."]
    assert word("The school")["input_ids"][0] == word.cls_token_id
    char = Tokenizer.train(CORPUS, "char", vocab_size=100)
    assert char.tokenize("a school") == list("a school")
    assert char.decode(char("he was\nthere")["input_ids"], skip_special_tokens=True).startswith("he was")


def test_bytes_are_never_unknown() -> None:
    bpe = Tokenizer.train(CORPUS, "bpe", vocab_size=300, special_tokens=["<pad>", "<s>", "</s>"])
    text = "日本 👍🏽 unheard"
    assert bpe.decode(bpe(text)["input_ids"]) == text
    assert (bpe.bos_token, bpe.eos_token, bpe.pad_token, bpe.unk_token) == ("<s>", "</s>", "<pad>", None)


def test_own_special_tokens(tmp_path: Path) -> None:
    ours = Tokenizer.train(CORPUS, "word", 60, special_tokens=["<unk>", "<pad>", "<speaker>"], model_max_length=9)
    assert ours.additional_special_tokens == ["<speaker>"]
    assert ours.model_input_names == ["input_ids", "attention_mask"]
    assert len(ours(FIRST, truncation=True)["input_ids"]) == 9
    ours.save_pretrained(tmp_path)
    again = Tokenizer.from_folder(tmp_path)
    assert again.convert_tokens_to_ids("<speaker>") == 2
    assert len(again) == len(ours)


def test_bpe_without_the_usual_tokens_comes_back_alike(tmp_path: Path) -> None:
    ours = Tokenizer.train(CORPUS, "bpe", vocab_size=300, special_tokens=["<pad>"])
    ours.save_pretrained(tmp_path)
    again = Tokenizer.from_folder(tmp_path)
    assert len(again) == len(ours)
    assert again.special_tokens_map == ours.special_tokens_map == {"pad_token": "<pad>"}


def texts_that_break() -> Iterator[Any]:
    yield "fine"
    yield 3


@pytest.mark.parametrize(
    ("source", "options", "says"),
    [
        (CORPUS, {"kind": "morse"}, "Kinds: wordpiece"),
        (CORPUS, {"vocab_size": 0}, "vocab_size=0"),
        (CORPUS, {"vocab_size": "big"}, "vocab_size='big'"),
        (CORPUS, {"vocab_size": 5}, "no room"),
        (CORPUS, {"special_tokens": ["[UNK]", "[UNK]"]}, "different"),
        (CORPUS, {"kind": "word", "special_tokens": ["[PAD]"]}, "needs"),
        (CORPUS, {"do_lower": True}, "no setting"),
        ([], {}, "no text"),
        ("nowhere.txt", {}, "Cannot read nowhere.txt"),
        (texts_that_break(), {}, "int"),
        ([["a", None]], {}, "NoneType"),
    ],
)
def test_trainings_that_make_no_sense(source: Any, options: dict[str, Any], says: str) -> None:
    with pytest.raises(TokenizerError, match=says):
        Tokenizer.train(source, **options)


def test_a_text_too_long_for_a_name_is_a_text() -> None:
    assert len(Tokenizer.train(["word " * 100], kind="word", vocab_size=10).get_vocab()) > 0


def test_file_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"\xff\xfe")
    with pytest.raises(TokenizerError, match="UTF-8"):
        Tokenizer.train([tmp_path / "x"])
