"""What a caller does wrong is one clear error, before any step where it can be."""

from __future__ import annotations

import time
from typing import Any

import pytest
import torch

from lamina.errors import GenerationError
from lamina.generation.beams import Constraint, Progress, phrasal
from lamina.generation.generate import generate

from .standin import VOCAB, Standin

IDS = torch.tensor([[5, 9, 14]])


def ids_and_mask(*rows: list[int]) -> dict[str, torch.Tensor]:
    ids = torch.tensor(rows)
    return {"input_ids": ids, "attention_mask": (ids != 0).long()}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_length": 3}, "prompt has 3 tokens, but max_length is 3"),
        ({"min_new_tokens": 9, "max_new_tokens": 4}, "longer than the longest"),
        ({"max_new_token": 4}, "Did you mean max_new_tokens"),
        ({"encoder_outputs": 1}, "encoder runs once"),
        ({"custom_generate": "x"}, "never loaded"),
        ({"input_ids": IDS}, "pass one"),
        ({"attention_mask": torch.ones(1, 2)}, "attention_mask has shape"),
        ({"attention_mask": torch.zeros(1, 3)}, "hide every token"),
        ({"decoder_input_ids": IDS}, "models with an encoder"),
        ({"stop_strings": "x"}, "tokenizer"),
        ({"suppress_tokens": [VOCAB]}, "outside the vocabulary"),
        ({"bad_words_ids": [[VOCAB, 3]]}, "bad_words_ids names tokens"),
        ({"sequence_bias": [[[3], "x"]]}, "sequence_bias must be"),
        ({"sequence_bias": {(): 1.0}}, "sequence_bias must be"),
        ({"forced_eos_token_id": VOCAB, "max_new_tokens": 1}, "forced_eos_token_id"),
        ({"num_beams": 2, "force_words_ids": []}, "at least one word"),
        ({"num_beams": 2, "force_words_ids": [[]]}, "force_words_ids must be"),
        ({"num_beams": 2, "force_words_ids": [[[3], [3, 4]]]}, "one begins another"),
        ({"num_beams": 2, "constraints": [3]}, "constraints must be made by"),
        ({"negative_prompt_ids": IDS.repeat(2, 1), "guidance_scale": 2.0}, "do not match the batch"),
        ({"prompt_lookup_num_tokens": 2, "guidance_scale": 2.0}, "guidance_scale"),
        ({"return_dict_in_generate": True, "output_attentions": True}, "no attentions"),
        ({"logits_processor": [3]}, "must be callable"),
        ({"logits_processor": 3}, "logits_processor must be a list of callables"),
        ({"logits_processor": IDS}, "logits_processor must be a list"),
        ({"stopping_criteria": True}, "stopping_criteria must be a list"),
        ({"prefix_allowed_tokens_fn": [3]}, "prefix_allowed_tokens_fn must be a function"),
        ({"assistant_model": "gpt2"}, "assistant_model must be a model"),
        ({"streamer": Standin}, "streamer must be an object with put"),
        ({"streamer": {3: 4}}, "streamer must be an object with put"),
        ({"generation_config": {"num_beams": 2}}, "generation_config must be a GenerationConfig"),
        ({"use_model_defaults": "no"}, "use_model_defaults must be True or False"),
        ({"stop_strings": "x", "tokenizer": 3}, "tokenizer must be a tokenizer"),
        ({"trust_remote_code": True}, "no argument 'trust_remote_code'"),
        ({"guidance_scale": 2.0, "negative_prompt_ids": 3}, "negative_prompt_ids must be"),
        ({"guidance_scale": 2.0, "negative_prompt_ids": []}, "negative_prompt_ids must be"),
        (
            {"guidance_scale": 2.0, "negative_prompt_ids": IDS, "negative_prompt_attention_mask": "x"},
            "negative_prompt_a",
        ),
        ({"num_beams": 4, "num_beam_groups": 2, "guidance_scale": 1.5}, "num_beam_groups does not work with guidance"),
        ({"stopping_criteria": [3]}, "must be callable"),
        ({"prefix_allowed_tokens_fn": lambda source, ids: []}, "at least one"),
    ],
)
def test_arguments_that_make_no_sense(options: dict[str, Any], message: str) -> None:
    with pytest.raises(GenerationError, match=message):
        generate(Standin(), IDS, **options)


@pytest.mark.parametrize(
    "options",
    [
        {"sequence_bias": {(5,): float("inf"), (6,): float("inf")}},
        {"sequence_bias": {(5,): float("inf")}, "num_beams": 2},
    ],
)
def test_sampling_from_what_is_no_distribution(options: dict[str, Any]) -> None:
    with pytest.raises(GenerationError, match="NaN"):
        generate(Standin(), IDS, do_sample=True, **options)


def test_odd_values_that_mean_something() -> None:
    groups = {"num_beams": 4, "num_beam_groups": 2, "diversity_penalty": 10**30, "max_new_tokens": 4}
    assert generate(Standin(), IDS, **groups).shape == (1, 7)
    starts = generate(Standin(encoder=True), IDS.repeat(2, 1), decoder_start_token_id={3, 4}, max_new_tokens=1)
    assert set(starts[:, 0].tolist()) == {3, 4}


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"temperature": 0.5}, "temperature"),
        ({"length_penalty": 2.0}, "length_penalty"),
        ({"typical_p": 0.01}, "typical_p"),
        ({"negative_prompt_ids": IDS}, "negative_prompt_ids"),
        ({"temperature": 0.5, "do_sample": True}, ""),
        ({"length_penalty": 2.0, "num_beams": 2}, ""),
        ({"negative_prompt_ids": IDS, "guidance_scale": 2.0}, ""),
    ],
)
def test_options_without_effect_are_told(options: dict[str, Any], named: str, caplog: pytest.LogCaptureFixture) -> None:
    ids = generate(Standin(), IDS, max_new_tokens=5, **options)
    assert torch.equal(ids, generate(Standin(), IDS, max_new_tokens=5)) or not named
    assert (f"no effect: {named}" in caplog.text) is bool(named)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (torch.tensor([5, 9]), r"\[rows, tokens\]"),
        (torch.tensor([[5.0]]), "whole numbers"),
        (torch.zeros(1, 0, dtype=torch.long), "is empty"),
        ([[5], [6, 7]], "rows of one length"),
        ("text", "tensor of ids"),
    ],
)
def test_inputs_that_make_no_sense(inputs: Any, message: str) -> None:
    with pytest.raises(GenerationError, match=message):
        generate(Standin(), inputs)


def test_a_model_needs_something_to_begin_with() -> None:
    with pytest.raises(GenerationError, match="bos_token_id"):
        generate(Standin(bos_token_id=None))
    with pytest.raises(GenerationError, match="decoder_start_token_id"):
        generate(Standin(encoder=True, bos_token_id=None, decoder_start_token_id=None), IDS)
    with pytest.raises(GenerationError, match="2 tokens for 1 rows"):
        generate(Standin(encoder=True, decoder_start_token_id=[3, 4]), IDS)
    with pytest.raises(GenerationError, match="2 rows"):
        generate(Standin(encoder=True), IDS, decoder_input_ids=IDS.repeat(2, 1))
    with pytest.raises(GenerationError, match="negative_prompt_ids"):
        generate(Standin(encoder=True), IDS, guidance_scale=2.0)
    assert generate(Standin(), max_new_tokens=2)[0, 0] == 1


def test_a_prompt_longer_than_the_positions_is_said_before_any_step() -> None:
    model = Standin()
    model.writing_room = 3
    with pytest.raises(GenerationError, match="positions for 3"):
        generate(model, IDS)
    assert model.steps == 0


@pytest.mark.parametrize("how", [{}, {"num_beams": 2}, {"do_sample": True}, {"num_beams": 2, "do_sample": True}])
@pytest.mark.parametrize(
    ("value", "message"), [(torch.nan, "made NaN of scores"), (-torch.inf, "left a row with no token to choose")]
)
def test_a_processor_that_spoils_the_scores_is_named(how: dict[str, Any], value: float, message: str) -> None:
    def spoil(ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        return scores.fill_(value) if ids.shape[1] > 4 else scores

    with pytest.raises(GenerationError, match=f"spoil {message}"):
        generate(Standin(), IDS, eos_token_id=None, repetition_penalty=1.1, logits_processor=[spoil], **how)


def test_a_model_that_spoils_the_scores_is_named() -> None:
    class Broken(Standin):
        def scores(self, out: torch.Tensor) -> torch.Tensor:
            return super().scores(out) * torch.nan

    for how in ({}, {"num_beams": 2}, {"do_sample": True, "top_k": 0}, {"num_beams": 2, "do_sample": True, "top_k": 0}):
        with pytest.raises(GenerationError, match="scores are NaN"):
            generate(Broken(), IDS, **how)
    assert generate(Broken(), IDS, max_new_tokens=2, remove_invalid_values=True)[0, 3:].tolist() == [0, 0]


def test_a_processor_must_return_scores() -> None:
    for wrong in (None, torch.zeros(1), 3):
        with pytest.raises(GenerationError, match="must return scores"):
            generate(Standin(), IDS, logits_processor=[lambda ids, scores, wrong=wrong: wrong])
    with pytest.raises(GenerationError, match="one per row"):
        generate(Standin(), IDS, stopping_criteria=[lambda ids, scores: torch.zeros(3)])


def test_own_processors_and_criteria_are_plain_callables() -> None:
    seen = []

    def only_seven(ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        seen.append(tuple(ids.shape))
        allowed = torch.full_like(scores, -torch.inf)
        allowed[:, 7] = 0
        return scores + allowed

    def at_six(ids: torch.Tensor, scores: Any) -> bool:
        return ids.shape[1] >= 6

    def first_row(ids: torch.Tensor, scores: Any) -> torch.Tensor:
        return torch.arange(len(ids)) == 0

    out = generate(Standin(), IDS.repeat(2, 1), logits_processor=[only_seven], stopping_criteria=[at_six])
    assert out.tolist() == [[5, 9, 14, 7, 7, 7]] * 2
    assert seen == [(2, 3), (2, 4), (2, 5)]  # rows do not leave under a stranger's eyes
    out = generate(
        Standin(), IDS.repeat(2, 1), logits_processor=[only_seven], stopping_criteria=[first_row], max_new_tokens=3
    )
    assert out.tolist() == [[5, 9, 14, 7, 0, 0], [5, 9, 14, 7, 7, 7]]


def test_prefixes_know_their_source() -> None:
    def allowed(source: int, ids: torch.Tensor) -> list[int]:
        return [20 + source] if len(ids) % 2 else [30 + source, 2]

    for how in ({}, {"num_beams": 2}):
        out = generate(Standin(), IDS.repeat(3, 1), max_new_tokens=3, prefix_allowed_tokens_fn=allowed, **how)
        assert out[:, 3].tolist() == [20, 21, 22]
        assert all(token in (30 + source, 2) for source, token in enumerate(out[:, 4].tolist()))


def test_time_ends_a_text() -> None:
    class Slow(Standin):
        def scores(self, out: torch.Tensor) -> torch.Tensor:
            time.sleep(0.02)
            return super().scores(out)

    assert generate(Slow(), IDS, max_new_tokens=500, eos_token_id=None, max_time=0.1).shape[1] < 100


def test_finished_rows_leave_the_batch() -> None:
    rows = ids_and_mask([5, 9, 14, 7, 3], [11, 4, 4, 8, 30])
    for how in ({}, {"num_beams": 3, "early_stopping": True}):
        together, apart = Standin(), Standin()
        width = how.get("num_beams", 1)
        out = generate(together, **rows, max_new_tokens=30, **how)
        assert together.rows < width * 2 * together.steps - 8
        watched = generate(apart, **rows, max_new_tokens=30, **how, logits_processor=[lambda ids, scores: scores])
        assert torch.equal(out, watched)


def test_results_can_be_trained_on() -> None:
    out = generate(
        Standin(), IDS, max_new_tokens=3, return_dict_in_generate=True, output_scores=True, output_logits=True
    )
    assert not out.sequences.is_inference() and not out.scores[0].is_inference()
    assert len(out.scores) == len(out.logits) == 3
    assert out["sequences"] is out[0]
    table = torch.nn.Embedding(VOCAB, 4)
    table(out.sequences).sum().backward()
    assert table.weight.grad is not None


def test_logits_are_kept_as_the_model_gave_them() -> None:
    options = {"return_dict_in_generate": True, "output_logits": True, "max_new_tokens": 3}
    plain = generate(Standin(), IDS, **options)
    for rules in ({"suppress_tokens": [1, 2, 3]}, {"repetition_penalty": 2.0}):
        ruled = generate(Standin(), IDS, **options, **rules)
        assert torch.equal(ruled.logits[0], plain.logits[0])
    assert torch.equal(generate(Standin(), IDS, **options, num_beams=2).logits[0][:1], plain.logits[0])


def test_constraints_that_share_a_beginning_are_both_open() -> None:
    either = [Constraint([[3, 4], [3, 5]])]
    begun = Progress.after(either, [9, 3])
    assert sorted(begun.wanted()) == [4, 5]
    assert begun.with_token(4).complete and begun.with_token(5).complete
    assert begun.bank == 1
    broken = begun.with_token(9)
    assert not broken.complete and broken.wanted() == [3] and broken.bank == 0


def test_constraints_are_met_in_any_order() -> None:
    both = [phrasal([3, 4]), phrasal([7])]
    assert Progress.after(both, [7, 1, 3, 4]).complete
    assert Progress.after(both, [3, 4, 7]).complete
    assert not Progress.after(both, [3, 7, 4]).complete
    with pytest.raises(GenerationError, match="begins another"):
        Constraint([[3], [3, 4]])
