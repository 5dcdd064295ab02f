"""Every kind answers as Transformers 4.57.6 does: ids, types, masks, offsets, words, text, windows and pairs."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest

from lamina.errors import TokenizerError
from lamina.tokenizers import Tokenizer
from lamina.tokenizers.sentencepiece import read_sentencepiece
from tests.assets import asset
from tests.tokenizers.kinds import GOLDEN, KINDS, TARGETS, WORDS, fill


def pieces(path: Path) -> list[str]:
    return [piece.text for piece in read_sentencepiece(path).pieces]


def golden(name: str) -> dict[str, Any]:
    return json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module", params=list(KINDS))
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Tokenizer, Any]:
    name = request.param
    kind = KINDS[name]
    folder = fill(tmp_path_factory.mktemp(name), kind, asset, pieces)
    return name, Tokenizer.from_folder(folder, kind.recipe, **kind.options), golden(name)


def test_texts(case: tuple[str, Tokenizer, Any]) -> None:
    name, tokenizer, expected = case
    for row in expected["texts"]:
        found = tokenizer(row["text"], return_offsets_mapping=KINDS[name].aligned)
        assert found["input_ids"] == row["ids"], row["text"]
        if KINDS[name].aligned:
            assert [list(pair) for pair in found["offset_mapping"]] == row["offsets"], row["text"]
            assert found.word_ids() == row["words"], row["text"]
            assert found.tokens() == row["tokens"], row["text"]
        else:
            assert tokenizer.tokenize(row["text"]) == row["tokens"], row["text"]


def test_decoded_text(case: tuple[str, Tokenizer, Any]) -> None:
    _, tokenizer, expected = case
    for row in expected["texts"]:
        assert tokenizer.decode(row["ids"]) == row["decoded"]
        bare = tokenizer.decode(row["ids"], skip_special_tokens=True, clean_up_tokenization_spaces=True)
        assert bare == row["bare"]
    ids = [row["ids"] for row in expected["texts"]]
    assert tokenizer.batch_decode(ids) == [row["decoded"] for row in expected["texts"]]


def test_calls(case: tuple[str, Tokenizer, Any]) -> None:
    name, tokenizer, expected = case
    for item in expected["calls"]:
        call = dict(item["call"])
        if call.pop("pairs", False):
            call["text"] = [tuple(pair) for pair in call["text"]]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if item["found"] is None:
                with pytest.raises(TokenizerError, match="too short"):
                    tokenizer(**call)
                continue
            found = tokenizer(**call)
        assert json.loads(json.dumps(found)) == item["found"], item["call"]
        if KINDS[name].aligned:
            assert list(found) == list(item["found"]), "the order of the columns"


def test_batch_equals_one_by_one(case: tuple[str, Tokenizer, Any]) -> None:
    _, tokenizer, expected = case
    texts = [row["text"] for row in expected["texts"]]
    assert tokenizer(texts)["input_ids"] == [row["ids"] for row in expected["texts"]]


def test_vocabulary(case: tuple[str, Tokenizer, Any]) -> None:
    _, tokenizer, expected = case
    assert [tokenizer.vocab_size, len(tokenizer)] == expected["size"]
    assert tokenizer.all_special_ids == expected["special_ids"]
    assert tokenizer.model_input_names == expected["inputs"]
    if expected["special_tokens_map"]:
        assert tokenizer.special_tokens_map == expected["special_tokens_map"]
    assert {str(i): repr(token) for i, token in tokenizer.added_tokens_decoder.items()} == expected["added"]
    assert [tokenizer.num_special_tokens_to_add(pair) for pair in (False, True)] == expected["specials"]
    assert tokenizer.build_inputs_with_special_tokens([7, 8], [9]) == expected["built"]


def test_split_words(case: tuple[str, Tokenizer, Any]) -> None:
    _, tokenizer, expected = case
    if "presplit" not in expected:
        return
    found = tokenizer(WORDS, is_split_into_words=True)
    assert found["input_ids"] == expected["presplit"]["ids"]
    assert found.word_ids() == expected["presplit"]["words"]


def test_targets(case: tuple[str, Tokenizer, Any]) -> None:
    _, tokenizer, expected = case
    if "target" not in expected:
        return
    tokenizer.tgt_lang = TARGETS[tokenizer.recipe.name]
    text = "Hello, world!"
    assert tokenizer(text_target=text)["input_ids"] == expected["target"]
    assert tokenizer.decode(expected["target"]) == expected["target_decoded"]
    assert tokenizer(text)["input_ids"] == expected["after_target"]
    both = tokenizer(text, text_target=text)
    assert both["labels"] == expected["target"]
    assert both["input_ids"] == expected["after_target"]
    with tokenizer.as_target_tokenizer():
        assert tokenizer(text)["input_ids"] == expected["target"]
    assert tokenizer(text)["input_ids"] == expected["after_target"]


def test_every_language(case: tuple[str, Tokenizer, Any]) -> None:
    _, tokenizer, expected = case
    before = tokenizer.src_lang
    for code, ids in expected.get("languages", {}).items():
        tokenizer.src_lang = code
        assert tokenizer("a")["input_ids"] == ids, code
        assert tokenizer.get_lang_id(code) == tokenizer.lang_code_to_id[code] in ids
    for wrong in ("xx_YY", "", 5) if "languages" in expected else ():
        with pytest.raises(TokenizerError, match=r"not a language of this .*\. It knows .*(ro_RO|ron_Latn|ro, )"):
            tokenizer.get_lang_id(wrong)
    tokenizer.src_lang = before


def test_saved_and_read_again(case: tuple[str, Tokenizer, Any], tmp_path: Path) -> None:
    name, tokenizer, expected = case
    tokenizer.tgt_lang = KINDS[name].options.get("tgt_lang")
    written = [Path(path) for path in tokenizer.save_pretrained(tmp_path)]
    assert all(path.is_file() for path in written)
    names = {path.name for path in tmp_path.iterdir()}
    assert names >= {"tokenizer_config.json", "special_tokens_map.json", *KINDS[name].files}
    again = Tokenizer.from_folder(tmp_path)
    assert again.recipe.name == tokenizer.recipe.name
    assert again.special_tokens_map == tokenizer.special_tokens_map
    assert again.model_input_names == tokenizer.model_input_names
    for row in expected["texts"]:
        assert again(row["text"]) == tokenizer(row["text"])
        assert again(row["text"])["input_ids"] == row["ids"]
        assert again.decode(row["ids"]) == row["decoded"]
