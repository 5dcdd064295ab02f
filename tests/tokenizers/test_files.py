"""Files that cannot be trusted: whatever is wrong with them, one clear error says so."""

from __future__ import annotations

import json
import shutil
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lamina.errors import TokenizerError
from lamina.tokenizers import Tokenizer, files, sentencepiece
from lamina.tokenizers.sentencepiece import CharacterMap, SentencePieceModel, read_sentencepiece
from tests.assets import asset
from tests.tokenizers.kinds import FIXTURES

SPECIALS = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\n"


def stored(**changes: Any) -> dict[str, Any]:
    data = json.loads((FIXTURES / "roberta_saved" / "tokenizer.json").read_text(encoding="utf-8"))
    return {**data, **changes}


def folder_of(tmp_path: Path, **contents: Any) -> Path:
    for name, content in contents.items():
        stem, _, suffix = name.rpartition("_")
        text = content if isinstance(content, str) else json.dumps(content)
        (tmp_path / f"{stem}.{suffix}").write_text(text, encoding="utf-8")
    return tmp_path


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(TokenizerError, match="not a folder"):
        Tokenizer.from_folder(tmp_path / "nowhere")


def test_large_files_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_FILE_BYTES", 10)
    with pytest.raises(TokenizerError, match="at most 10"):
        Tokenizer.from_folder(folder_of(tmp_path, vocab_txt=SPECIALS), "bert")


def test_sentencepiece_of_another_algorithm(tmp_path: Path) -> None:
    data = (FIXTURES / "t5" / "spiece.model").read_bytes()
    (tmp_path / "spiece.model").write_bytes(data + b"\x12\x02\x18\x03")  # trainer_spec { model_type: WORD }
    with pytest.raises(TokenizerError, match="algorithm 3"):
        Tokenizer.from_folder(tmp_path, "t5")


def test_pieces_of_bpe_that_are_too_long_to_be_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sentencepiece, "MAX_CUTS", 100)
    for name in ("sentencepiece.bpe.model", "vocab.json"):
        shutil.copy(FIXTURES / "m2m_100" / name, tmp_path)
    for kind in ("nllb", "m2m_100"):
        with pytest.raises(TokenizerError, match="too long to be cut"):
            Tokenizer.from_folder(tmp_path, kind)


def test_sentencepiece_of_bpe_with_pieces_that_are_not_plain(tmp_path: Path) -> None:
    data = (FIXTURES / "m2m_100" / "sentencepiece.bpe.model").read_bytes()
    (tmp_path / "sentencepiece.bpe.model").write_bytes(data + b"\x0a\x0a\x0a\x01x\x15\0\0\0\0\x18\x04")
    shutil.copy(FIXTURES / "m2m_100" / "vocab.json", tmp_path)
    with pytest.raises(TokenizerError, match="pieces of kind 4"):
        Tokenizer.from_folder(tmp_path, "m2m_100")


def test_sentencepiece_fields() -> None:
    model = read_sentencepiece(FIXTURES / "t5" / "spiece.model")
    assert [piece.text for piece in model.pieces[:3]] == ["<pad>", "</s>", "<unk>"]
    assert (model.algorithm, model.unk_id) == (1, 2)
    assert model.add_dummy_prefix
    assert model.remove_extra_whitespaces
    assert model.charsmap


@given(st.data())
def test_broken_sentencepiece_files_never_crash(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    whole = (FIXTURES / "t5" / "spiece.model").read_bytes()
    stop = data.draw(st.integers(0, len(whole)))
    place = data.draw(st.integers(0, len(whole) - 1))
    noise = data.draw(st.binary(max_size=8))
    path = tmp_path_factory.getbasetemp() / "broken.model"
    path.write_bytes((whole[:place] + noise + whole[place + len(noise) :])[:stop])
    try:
        assert isinstance(read_sentencepiece(path), SentencePieceModel)
    except TokenizerError as error:
        assert "SentencePiece" in str(error) or "unknown piece" in str(error)


@given(data=st.binary(max_size=200), text=st.text(max_size=20))
def test_broken_character_maps_never_crash(data: bytes, text: str) -> None:
    blob = struct.pack("<I", len(data) // 4 * 4) + data
    try:
        assert isinstance(CharacterMap(blob).apply(text), str)
    except TokenizerError as error:
        assert "character map" in str(error)


def test_character_map_takes_the_longest_rule() -> None:
    rules = CharacterMap(read_sentencepiece(asset("sentencepiece_en")).charsmap)
    assert rules.apply("ﬁne ①② ＡＢＣ ㎏ plain") == "fine 12 ABC kg plain"
    assert rules.apply("e\u0302\u0323") == "ê\u0323"  # not the three-part letter: the first two make a rule
    assert rules.apply("a\u0301b\u3000c") == "áb c"
    assert CharacterMap(b"").apply("ﬁ") == "ﬁ"
    for wrong in (b"\1", b"\xff\xff\xff\xff", b"\0\0\0\0"):
        with pytest.raises(TokenizerError, match="character map"):
            CharacterMap(wrong)


@pytest.mark.parametrize("kind", ["transfo_xl", "ctrl", "marian", "byt5"])
@pytest.mark.parametrize("unit", [".", ",", "'", "<", "-", "漢", "\u0301", "a'", "THISISPROTECTEDX", " @@", ">>", "１"])
def test_hostile_text_takes_linear_time(kind: str, unit: str) -> None:
    import time

    ours = Tokenizer.from_folder(FIXTURES / (kind if kind != "byt5" else ""), kind)

    def seconds(size: int) -> float:
        start = time.process_time()
        ours((unit * size)[:size], verbose=False)
        return time.process_time() - start

    small = max(seconds(2_000), 0.002)
    # Sixteen times the text: quadratic work would take 256 times as long.
    assert seconds(32_000) < small * 100


@pytest.mark.parametrize(
    "text", ["", "\n", "\n\n", "a", "a\n", "a\n\n", "ab\ncd\nef", "ab\n\ncd\n", "é\n漢\n😀\r\n", "\n" * 9]
)
@pytest.mark.parametrize("block", [0, 1, 3, 100])
def test_lines_are_the_same_in_blocks(text: str, block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "BLOCK", block)
    (tmp_path / "x").write_bytes(text.encode())
    assert (
        list(files.read_lines(tmp_path / "x", "lines"))
        == text.split("\n")[: None if text[-1:] not in ("\n", "") else -1]
    )
    (tmp_path / "x").write_bytes(text.encode() + b"\nx\n\xff")
    with pytest.raises(TokenizerError, match=f"line {text.count(chr(10)) + 3}, is not UTF-8"):
        list(files.read_lines(tmp_path / "x", "lines"))
