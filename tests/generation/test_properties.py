"""What must hold of any text that is written, whatever the prompt."""

from __future__ import annotations

from typing import Any

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lamina.generation.generate import generate

from .standin import EOS, PAD, VOCAB, Standin

token = st.integers(3, VOCAB - 1)
prompt = st.lists(token, min_size=1, max_size=7)
prompts = st.lists(prompt, min_size=1, max_size=4)
search = st.sampled_from(
    [
        {},
        {"num_beams": 3},
        {"num_beams": 4, "num_beam_groups": 2, "diversity_penalty": 1.0},
        {"do_sample": True, "top_k": 5},
        {"do_sample": True, "num_beams": 2},
        {"penalty_alpha": 0.4, "top_k": 4},
        {"prompt_lookup_num_tokens": 3},
    ]
)
encoder = st.booleans()
few = settings(max_examples=25)


def left(rows: list[list[int]]) -> dict[str, torch.Tensor]:
    width = max(map(len, rows))
    ids = [[PAD] * (width - len(row)) + row for row in rows]
    mask = [[0] * (width - len(row)) + [1] * len(row) for row in rows]
    return {"input_ids": torch.tensor(ids), "attention_mask": torch.tensor(mask)}


def new_tokens(rows: list[list[int]], with_encoder: bool, **options: Any) -> list[list[int]]:
    """What was written after the prompt, up to the end."""
    ids = generate(Standin(with_encoder), **left(rows), max_new_tokens=10, **options)
    begin = 1 if with_encoder else max(map(len, rows))
    return [row[begin : row.index(EOS, begin) + 1 if EOS in row[begin:] else len(row)] for row in ids.tolist()]


@few
@given(prompts, search, encoder, st.lists(token, min_size=1, max_size=12, unique=True))
def test_suppressed_tokens_never_appear(rows: Any, how: Any, with_encoder: bool, banned: list[int]) -> None:
    for written in new_tokens(rows, with_encoder, suppress_tokens=banned, **how):
        assert not set(written) & set(banned)


@few
@given(prompts, search, encoder, st.lists(st.lists(token, min_size=1, max_size=3), min_size=1, max_size=6))
def test_bad_words_never_appear(rows: Any, how: Any, with_encoder: bool, words: list[list[int]]) -> None:
    for written in new_tokens(rows, with_encoder, bad_words_ids=words, **how):
        for word in words:
            assert word not in [written[at : at + len(word)] for at in range(len(written))]


@few
@given(prompts, search, encoder, st.integers(1, 3))
def test_ngrams_do_not_repeat(rows: Any, how: Any, with_encoder: bool, size: int) -> None:
    for written in new_tokens(rows, with_encoder, no_repeat_ngram_size=size, **how):
        grams = [tuple(written[at : at + size]) for at in range(len(written) - size + 1)]
        assert len(grams) == len(set(grams))


@few
@given(prompts, search, encoder, st.integers(1, 10))
def test_no_row_ends_early(rows: Any, how: Any, with_encoder: bool, least: int) -> None:
    for written in new_tokens(rows, with_encoder, min_new_tokens=least, **how):
        assert len(written) >= least
        assert EOS not in written[: least - 1]


@few
@given(prompts, search, token)
def test_forced_tokens_appear(rows: Any, how: Any, first: int) -> None:
    for written in new_tokens(rows, True, forced_bos_token_id=first, forced_eos_token_id=EOS, **how):
        assert written[0] == first
        assert written[-1] == EOS


@few
@given(prompts, encoder, st.lists(st.lists(token, min_size=1, max_size=2), min_size=1, max_size=2))
def test_words_that_are_asked_for_appear(rows: Any, with_encoder: bool, words: list[list[int]]) -> None:
    options = {"num_beams": 6, "force_words_ids": words, "min_new_tokens": 9, "length_penalty": 0.0}
    ids = generate(Standin(with_encoder), **left(rows), max_new_tokens=10, **options)
    for row in ids.tolist():
        for word in words:
            assert word in [row[at : at + len(word)] for at in range(len(row))]


@few
@given(prompts, encoder, st.sampled_from([{}, {"num_beams": 3}, {"num_beams": 2, "early_stopping": True}]))
def test_a_batch_writes_what_each_row_would_alone(rows: Any, with_encoder: bool, how: Any) -> None:
    together = new_tokens(rows, with_encoder, **how)
    assert together == [new_tokens([row], with_encoder, **how)[0] for row in rows]


@few
@given(prompts, encoder, st.integers(0, 99))
def test_a_seed_gives_the_same_whether_or_not_rows_leave(rows: Any, with_encoder: bool, seed: int) -> None:
    options = {"do_sample": True, "temperature": 1.5}
    torch.manual_seed(seed)
    leaving = new_tokens(rows, with_encoder, **options)
    torch.manual_seed(seed)
    stay = new_tokens(rows, with_encoder, **options, logits_processor=[lambda ids, scores: scores])
    assert leaving == stay


@few
@given(prompts, encoder, st.sampled_from(["model", "twin", "stranger", "lookup"]), st.integers(1, 7))
def test_speculation_changes_no_token(rows: Any, with_encoder: bool, who: str, ahead: int) -> None:
    options: dict[str, Any] = {"repetition_penalty": 1.2}
    plain = new_tokens(rows, with_encoder, **options)
    if who == "lookup":
        options["prompt_lookup_num_tokens"] = ahead
    else:
        settings = {"num_assistant_tokens": ahead, "num_assistant_tokens_schedule": "heuristic"}
        noise, seed = (0.3 if who == "twin" else 0.0), (3 if who == "stranger" else 0)
        options["assistant_model"] = Standin(with_encoder, seed=seed, noise=noise, **settings)
    assert new_tokens(rows, with_encoder, **options) == plain


@few
@given(prompts, encoder, st.integers(2, 4), st.sampled_from([0.0, 0.7, 1.0, 2.0]))
def test_scores_add_up(rows: Any, with_encoder: bool, beams: int, penalty: float) -> None:
    out = generate(
        Standin(with_encoder),
        **left(rows),
        max_new_tokens=7,
        num_beams=beams,
        num_return_sequences=beams,
        length_penalty=penalty,
        return_dict_in_generate=True,
        output_scores=True,
    )
    begin = out.sequences.shape[1] - out.beam_indices.shape[1]
    for row, origins, score in zip(
        out.sequences.tolist(), out.beam_indices.tolist(), out.sequences_scores, strict=True
    ):
        steps = [(step, origin) for step, origin in enumerate(origins) if origin >= 0]
        total = sum(float(out.scores[step][origin, row[begin + step]]) for step, origin in steps)
        assert abs(total / len(steps) ** penalty - float(score)) < 1e-3
