from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lamina import BartConfig, BartForConditionalGeneration, MBartConfig, MBartForConditionalGeneration, Tokenizer
from lamina.errors import DataError
from lamina.training.alignment import align_labels, inner_labels
from lamina.training.blocks import ended, group_texts, numbered_words, pack_blocks
from lamina.training.collators import (
    DataCollatorForMultipleChoice,
    DataCollatorForSeq2Seq,
    DataCollatorForTokenClassification,
    DataCollatorWithPadding,
    default_data_collator,
)
from lamina.training.masking import DataCollatorForLanguageModeling, DataCollatorForWholeWordMask, word_column

TEXT = "the unbelievable cat sat on an unbelievable mat and the dog believed it"


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return Tokenizer.train([TEXT] * 3, kind="wordpiece", vocab_size=60)


def test_rows_are_padded_and_labels_renamed(tokenizer: Any):
    rows = [{**tokenizer(text), "label": number, "text": text} for number, text in enumerate(("the cat", TEXT))]
    batch = DataCollatorWithPadding(tokenizer, pad_to_multiple_of=8)(rows)
    assert batch["input_ids"].shape == batch["attention_mask"].shape and batch["input_ids"].shape[1] % 8 == 0
    assert batch["labels"].tolist() == [0, 1] and "text" not in batch
    assert batch["attention_mask"].sum(1).tolist() == [len(row["input_ids"]) for row in rows]
    floats = DataCollatorWithPadding(tokenizer)([{**tokenizer("the"), "label": 0.5}])
    assert floats["labels"].dtype == torch.float32


def test_default_collator_stacks_and_refuses_what_differs():
    batch = default_data_collator(
        [{"x": [1, 2], "label_ids": [1, 0]}, {"x": torch.tensor([3, 4]).tolist(), "label_ids": [0, 1]}]
    )
    assert batch["x"].tolist() == [[1, 2], [3, 4]] and batch["labels"].tolist() == [[1, 0], [0, 1]]
    with pytest.raises(DataError, match="'x' differ in length"):
        default_data_collator([{"x": [1]}, {"x": [1, 2]}])
    with pytest.raises(DataError, match="row 1 of a batch has no 'label'"):
        default_data_collator([{"x": 1, "label": 1}, {"x": 1}])


@pytest.mark.parametrize("side", ["right", "left"])
def test_token_labels_stay_with_their_tokens(tokenizer: Any, side: str):
    tokenizer.padding_side = side
    try:
        rows = [dict(tokenizer(text)) for text in ("the cat", TEXT)]
        for row in rows:
            row["labels"] = list(row["input_ids"])  # each token is its own label
        batch = DataCollatorForTokenClassification(tokenizer)(rows)
        real = batch["attention_mask"].bool()
        assert (batch["labels"][real] == batch["input_ids"][real]).all()
        assert (batch["labels"][~real] == -100).all() and not real.all()
    finally:
        tokenizer.padding_side = "right"
    with pytest.raises(DataError, match="row 0 of a batch has 3 tokens but 1 labels"):
        DataCollatorForTokenClassification(tokenizer)([{"input_ids": [1, 2, 3], "labels": [0]}])


def test_choices_come_out_by_row(tokenizer: Any):
    first = tokenizer(["the", "the"], ["cat", "dog and mat"])
    second = tokenizer(["a", "on"], [TEXT, "it"])
    rows = [{**first, "label": 1}, {**second, "label": 0}]
    batch = DataCollatorForMultipleChoice(tokenizer)(rows)
    assert batch["input_ids"].shape[:2] == (2, 2) and batch["labels"].tolist() == [1, 0]
    assert batch["input_ids"][1, 0, : len(second["input_ids"][0])].tolist() == second["input_ids"][0]
    with pytest.raises(DataError, match=r"as many choices, not \[1, 2\]"):
        DataCollatorForMultipleChoice(tokenizer)([rows[0], {"input_ids": [[1]], "label": 0}])


TINY = {"vocab_size": 80, "d_model": 8, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2,
        "decoder_attention_heads": 2, "encoder_ffn_dim": 8, "decoder_ffn_dim": 8, "pad_token_id": 0}  # fmt: skip


def test_decoder_inputs_are_the_models_own(tokenizer: Any):
    rows = [{"input_ids": [5, 6, 7], "labels": [8, 9, 2]}, {"input_ids": [5], "labels": [8, 2]}]
    bart = BartForConditionalGeneration(BartConfig(**TINY, decoder_start_token_id=2))
    batch = DataCollatorForSeq2Seq(tokenizer, model=bart)(rows)
    assert batch["labels"].tolist() == [[8, 9, 2], [8, 2, -100]]
    assert batch["decoder_input_ids"].tolist() == [[2, 8, 9], [2, 8, 2]]
    mbart = MBartForConditionalGeneration(MBartConfig(**TINY))
    batch = DataCollatorForSeq2Seq(tokenizer, model=mbart)(rows)
    assert batch["decoder_input_ids"].tolist() == [[2, 8, 9], [2, 8, 2]], "the last real token goes to the front"
    assert "decoder_input_ids" not in DataCollatorForSeq2Seq(tokenizer)(rows)
    assert DataCollatorForSeq2Seq(tokenizer, pad_to_multiple_of=4)(rows)["labels"].shape == (2, 4)


def test_masks_have_their_shares_and_spare_special_tokens(tokenizer: Any):
    torch.manual_seed(0)
    rows = [tokenizer(TEXT) for _ in range(600)]
    batch = DataCollatorForLanguageModeling(tokenizer)(rows)
    ids = torch.tensor([row["input_ids"] for row in rows])
    chosen = batch["labels"] != -100
    special = torch.isin(ids, torch.tensor(tokenizer.all_special_ids))
    assert not (chosen & special).any() and (batch["labels"][chosen] == ids[chosen]).all()
    assert (batch["input_ids"][~chosen] == ids[~chosen]).all()
    assert chosen[~special].float().mean().item() == pytest.approx(0.15, abs=0.015)
    masked = batch["input_ids"][chosen] == tokenizer.mask_token_id
    kept = batch["input_ids"][chosen] == ids[chosen]
    assert masked.float().mean().item() == pytest.approx(0.8, abs=0.04)
    assert kept.float().mean().item() == pytest.approx(0.1, abs=0.03)


def test_masks_are_new_each_time_and_alike_with_a_seed(tokenizer: Any):
    rows = [tokenizer(TEXT)] * 4
    free, held = (DataCollatorForLanguageModeling(tokenizer, mlm_probability=0.5, seed=seed) for seed in (None, 3))
    assert (free(rows)["labels"] != free(rows)["labels"]).any()
    assert (held(rows)["labels"] == held(rows)["labels"]).all()


@pytest.mark.parametrize("carried", [True, False])
def test_whole_words_are_masked_whole(carried: bool):
    torch.manual_seed(1)
    tokenizer = Tokenizer.train([TEXT] * 3, kind="wordpiece", vocab_size=40)
    encoded = tokenizer([TEXT])
    words = word_column(encoded)
    assert len(set(words)) < len(words) - 4, "words have several pieces"
    row = {"input_ids": encoded["input_ids"][0]} | ({"word_ids": words} if carried else {})
    some = False
    for _ in range(40):
        labels = DataCollatorForWholeWordMask(tokenizer, mlm_probability=0.4)([row])["labels"][0]
        for word in set(words) - {-1}:
            pieces = [labels[i].item() != -100 for i, each in enumerate(words) if each == word]
            assert all(pieces) or not any(pieces)
            some = some or (len(pieces) > 1 and all(pieces))
    assert some


def test_causal_labels_are_the_input_without_its_padding(tokenizer: Any):
    rows = [{"input_ids": [5, 0, 6]}, {"input_ids": [7]}]  # 0, the padding, is also a real token here
    labels = DataCollatorForLanguageModeling(tokenizer, mlm=False)(rows)["labels"]
    assert labels.tolist() == [[5, 0, 6], [7, -100, -100]]


def test_bad_masking_is_refused(tokenizer: Any):
    with pytest.raises(DataError, match="make no shares"):
        DataCollatorForLanguageModeling(tokenizer, mask_replace_prob=0.9, random_replace_prob=0.2)
    with pytest.raises(DataError, match="return_tensors='np'"):
        default_data_collator([{"x": 1}], return_tensors="np")


DOCUMENTS = st.lists(st.lists(st.integers(0, 99), max_size=12), max_size=12)


@given(DOCUMENTS, st.integers(2, 7))
def test_packing_keeps_every_token_in_order(documents: list[list[int]], size: int):
    rows = [{"input_ids": ids, "attention_mask": [1] * len(ids)} for ids in documents]
    blocks = list(pack_blocks(rows, size))
    assert [token for block in blocks for token in block["input_ids"]] == [token for ids in documents for token in ids]
    assert all(len(block["input_ids"]) == size for block in blocks[:-1])
    assert all(0 < len(block["input_ids"]) == len(block["attention_mask"]) <= size for block in blocks)


@given(DOCUMENTS.filter(bool), st.integers(2, 7), st.integers(1, 5))
def test_the_notebooks_grouping_drops_less_than_a_block_of_each_part(documents: list[list[int]], size: int, batch: int):
    rows = [{"input_ids": ids} for ids in documents]
    kept = sum(len(block["input_ids"]) for block in group_texts(rows, size, batch))
    parts = [documents[i : i + batch] for i in range(0, len(documents), batch)]
    assert kept == sum(sum(map(len, part)) // size * size for part in parts)


def test_documents_end_and_words_are_numbered_on():
    rows = [{"input_ids": [5, 6], "attention_mask": [1, 1]}]
    assert list(ended(rows, 9)) == [{"input_ids": [5, 6, 9], "attention_mask": [1, 1, 1]}]
    words = list(numbered_words([{"word_ids": [-1, 0, 0, 1, -1]}, {"word_ids": [-1, 0, -1]}, {"word_ids": [0]}]))
    assert [row["word_ids"] for row in words] == [[-1, 0, 0, 1, -1], [-1, 2, -1], [3]]
    with pytest.raises(DataError, match="block_size is 1"):
        list(pack_blocks(rows, 1))


NAMES = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
SENTENCE = st.lists(st.tuples(st.integers(0, 4), st.integers(1, 4)), min_size=1, max_size=10)


@given(SENTENCE, st.booleans())
def test_each_word_gives_its_label_to_its_first_piece(words: list[tuple[int, int]], every: bool):
    pieces: list[int | None] = [None]
    for number, (_, count) in enumerate(words):
        pieces += [number] * count
    pieces.append(None)
    labels = [label for label, _ in words]
    found = align_labels(pieces, labels, every, inner_labels(NAMES))
    assert len(found) == len(pieces) and found[0] == found[-1] == -100
    firsts = [label for i, label in enumerate(found) if pieces[i] is not None and pieces[i] != pieces[i - 1]]
    assert firsts == labels
    others = [
        (pieces[i], found[i]) for i in range(1, len(found)) if pieces[i] is not None and pieces[i] == pieces[i - 1]
    ]
    inner = {1: 2, 3: 4}
    assert all(label == (inner.get(labels[word], labels[word]) if every else -100) for word, label in others)


def test_a_word_that_goes_on_in_the_next_window_is_not_labelled_again():
    assert align_labels([None, 0, 0, 1, None], [1, 0], before=0) == [-100, -100, -100, 0, -100]
