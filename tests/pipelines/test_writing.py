"""Pipelines that write: batches, order, options in layers, long texts, languages, and what is refused."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from lamina.errors import LaminaError
from lamina.generation import GenerationConfig, TextStreamer
from lamina.pipelines import pipeline
from lamina.pipelines.generating import overridden, said_later

Greedy = Callable[..., Any]
PROMPTS = ["The film was", "In", "In 1969 the first 🚀 men went far away and", "a b c d e f g h i j k", "한국어"]
PROMPTS.append(PROMPTS[0])
CROWDED = ["a " * words for words in (52, 58, 58, 60)]  # they leave little of 64 positions, and each its own part
ARTICLE = "The Apollo program was designed to land humans on the Moon. Six of the missions achieved this goal. " * 4
FRENCH = {"src_lang": "en_XX", "tgt_lang": "fr_XX"}


@pytest.fixture
def greedy(made: Callable[..., Any]) -> Callable[..., Any]:
    """A greedy pipeline for a task."""
    return lambda task, name, **options: made(task, name, **{"do_sample": False, **options})


@pytest.mark.parametrize(
    "options",
    [
        {"max_new_tokens": 9},
        {"max_length": 30},
        {"max_new_tokens": 63},
        {"max_new_tokens": 12, "stop_strings": ["if", "ve"]},
        {"max_new_tokens": 12, "stop_sequence": "if st"},
        {"max_new_tokens": 8, "num_beams": 3, "num_return_sequences": 2},
        {"max_new_tokens": 9, "repetition_penalty": 1.5, "return_tensors": True},
        {"max_new_tokens": 14, "no_repeat_ngram_size": 1, "min_length": 12},
        {"max_new_tokens": 6, "return_dict_in_generate": True, "output_scores": True},
    ],
    ids=lambda options: "-".join(options),
)
@pytest.mark.parametrize("name", ["gpt2", "openai-gpt"])
def test_a_continuation_does_not_depend_on_what_shares_its_batch(
    greedy: Greedy, name: str, options: dict[str, Any]
) -> None:
    pipe = greedy("text-generation", name)
    prompts = CROWDED if options == {"max_new_tokens": 63} else PROMPTS
    prompts = [prompt for prompt in prompts if name == "gpt2" or prompt.isascii()]
    alone = [pipe(prompt, **options) for prompt in prompts]
    together = pipe(prompts, **options)
    if "output_scores" in options:
        scores = [[torch.tensor(record.pop("scores")) for (record,) in answers] for answers in (alone, together)]
        assert all(torch.allclose(one, other, atol=1e-4) for one, other in zip(*scores, strict=True))
    assert together == alone
    if "output_scores" not in options:
        assert list(pipe((prompt for prompt in prompts), **options, batch_size=3)) == together


@pytest.mark.parametrize(
    ("name", "task", "options"),
    [
        ("bart", "summarization", {}),
        ("t5", "summarization", {"num_beams": 1, "encoder_no_repeat_ngram_size": 2}),
        ("marian", "translation", {"num_return_sequences": 2}),
        ("mbart", "translation", {**FRENCH, "encoder_repetition_penalty": 1.5}),
    ],
)
def test_a_text_for_a_text_does_not_depend_on_what_shares_its_batch(
    greedy: Greedy, name: str, task: str, options: dict[str, Any]
) -> None:
    pipe = greedy(task, name, max_new_tokens=10)
    alone = [pipe(text, **options) for text in PROMPTS]
    together = pipe(PROMPTS, **options)
    assert together == (alone if "num_return_sequences" in options else [records[0] for records in alone])
    assert list(pipe(iter(PROMPTS), **options)) == alone


def test_rows_without_a_padding_token_share_batches(greedy: Greedy, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe, sizes = greedy("text-generation", "gpt2", max_new_tokens=3), []
    generate = pipe.model.generate
    monkeypatch.setattr(pipe.model, "generate", lambda **o: sizes.append(len(o["input_ids"])) or generate(**o))
    pipe(PROMPTS)
    assert sizes == [len(PROMPTS)]
    sizes.clear()
    pipe(PROMPTS, num_beams=100, max_new_tokens=1, batch_size=7)
    assert max(sizes) == 2  # beams are rows of the model too


def test_a_stop_string_ends_a_text_and_is_its_end(greedy: Greedy) -> None:
    pipe = greedy("text-generation", "gpt2", max_new_tokens=12, return_full_text=False)
    stopped = [answer[0]["generated_text"] for answer in pipe(PROMPTS, stop_sequence="if st")]
    whole = [answer[0]["generated_text"] for answer in pipe(PROMPTS)]
    assert any("if" in text for text in whole)
    for text, longer in zip(stopped, whole, strict=True):
        assert longer.startswith(text)
        assert "if st" not in text[:-5]


def test_streamed_prompts_come_in_order_and_answers_too(greedy: Greedy) -> None:
    pipe = greedy("text-generation", "gpt2", max_new_tokens=5)
    with redirect_stdout(io.StringIO()) as shown:
        answers = pipe(PROMPTS[2::-1], streamer=TextStreamer(pipe.tokenizer, skip_special_tokens=True))
    assert shown.getvalue().splitlines() == [answer[0]["generated_text"] for answer in answers]
    with pytest.raises(LaminaError, match="num_beams=1"):
        pipe("In", streamer=TextStreamer(pipe.tokenizer), num_beams=2)


def test_the_option_said_last_counts_and_a_length_replaces_the_other() -> None:
    config = GenerationConfig(max_new_tokens=256, num_beams=4, max_length=90)
    assert overridden(config, {"max_length": 30}).max_new_tokens is None
    assert overridden(config, {"max_new_tokens": 5}).max_new_tokens == 5
    assert overridden(config, {"prefix": "a: ", "min_new_tokens": 2}).min_new_tokens == 2
    assert said_later({"max_new_tokens": 9, "top_k": 3}, {"max_length": 4}) == {"top_k": 3, "max_length": 4}
    assert said_later({"max_length": 4}, {"max_new_tokens": None, "top_k": 3}) == {
        "max_length": 4,
        "max_new_tokens": None,
        "top_k": 3,
    }


def test_defaults_stand_under_the_models_options_the_tasks_and_the_callers(
    greedy: Greedy, checkpoint: Callable[[str], Path]
) -> None:
    pipe = pipeline("text-generation", model=checkpoint("gpt2"))
    config = pipe.settings.config
    assert (config.max_new_tokens, config.do_sample, config.temperature) == (256, True, 0.7)
    pipe.model.generation_config = GenerationConfig(temperature=0.9, max_length=40, eos_token_id=701)
    config = pipeline("text-generation", model=pipe.model, tokenizer=pipe.tokenizer).settings.config
    assert (config.max_new_tokens, config.max_length, config.temperature) == (None, 40, 0.9)

    task = greedy("summarization", "bart")
    assert (task.settings.config.num_beams, task.settings.config.min_length) == (3, 6)
    assert (task.settings.config.max_new_tokens, task.settings.config.max_length) == (None, 24)
    assert task.resolve_options({"num_beams": 2, "max_new_tokens": 5}).config.num_beams == 2
    assert greedy("summarization", "bart", num_beams=5).settings.config.num_beams == 5
    assert greedy("text2text-generation", "bart").settings.config.num_beams == 4
    own = GenerationConfig(num_beams=2, max_new_tokens=7)
    assert greedy("summarization", "bart", generation_config=own).settings.config.num_beams == 2


def test_a_prompt_with_little_room_ends_with_the_positions(greedy: Greedy) -> None:
    pipe = greedy("text-generation", "gpt2", return_tensors=True, max_new_tokens=99)
    prompt = "a " * 30
    tokens = len(pipe.tokenizer(prompt)["input_ids"])
    (answer,) = pipe(prompt)
    assert tokens < len(answer["generated_token_ids"]) <= 64
    cut = pipe("a " * 90, truncation=True, max_new_tokens=10)[0]["generated_token_ids"]
    assert len(cut) <= 64


def test_a_prompt_that_leaves_no_position_is_refused(greedy: Greedy) -> None:
    pipe = greedy("text-generation", "gpt2", max_new_tokens=9)
    length = next(size for size in range(200) if len(pipe.tokenizer("a" * size)["input_ids"]) == 64)
    with pytest.raises(
        LaminaError, match='the model reads 64 at most, what it writes included; pass handle_long_generation="'
    ):
        pipe("a" * length)


@pytest.mark.parametrize(
    ("rows", "kept"), [(3, [[[2, 2]], [[2, 5, 2]], [[2, 5, 6, 7]]]), (1, [[[2, 2, 1, 1], [2, 5, 2, 1], [2, 5, 6, 7]]])]
)
def test_padding_behind_the_end_is_left_out(greedy: Greedy, rows: int, kept: list[list[list[int]]]) -> None:
    pipe = greedy("text2text-generation", "bart")  # begins with token 2, which also ends a text; 1 is padding
    written = torch.tensor([[2, 2, 1, 1], [2, 5, 2, 1], [2, 5, 6, 7]])
    found = pipe.select(written, SimpleNamespace(rows=[None] * rows), pipe.settings)
    assert [one.sequences for one in found] == kept


def test_models_that_write_are_given_no_token_types(checkpoint: Callable[[str], Path]) -> None:
    pipe = pipeline("text2text-generation", model=checkpoint("bart"), device="cpu")
    expected = pipe.prepare(PROMPTS, pipe.settings).rows
    pipe.tokenizer.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]  # as tokenizers of BERT's kind
    rows = pipe.prepare(PROMPTS, pipe.settings).rows
    assert [dict(row.inputs) for row in rows] == [dict(row.inputs) for row in expected]


def test_the_embedding_prefix_is_read_and_not_shown(greedy: Greedy) -> None:
    pipe = greedy("text-generation", "gpt2", max_new_tokens=6)
    bare, led = pipe("The film")[0]["generated_text"], pipe("The film", prefix="A: ")[0]["generated_text"]
    whole = pipe("A: The film")[0]["generated_text"]
    assert led.startswith("The film")
    assert "A: " + led == whole
    assert led != bare


@pytest.mark.parametrize(("task", "name"), [("summarization", "bart"), ("translation", "marian")])
def test_a_long_text_is_read_in_windows_of_sentences_and_says_so(greedy: Greedy, task: str, name: str) -> None:
    pipe = greedy(task, name, max_new_tokens=8, min_length=0)
    key = {"summarization": "summary_text", "translation": "translation_text"}[task]
    with pytest.raises(LaminaError, match=r'chunk="sentences".*truncation=True'):
        pipe(ARTICLE)
    short, long = pipe(["Six men.", ARTICLE], chunk="sentences")
    assert short == pipe("Six men.")[0]
    assert list(long) == [key, "chunks"]
    assert long["chunks"] > 2
    finer = pipe(ARTICLE, chunk="sentences", chunk_length=20)[0]
    assert finer["chunks"] > long["chunks"]
    ids = pipe(ARTICLE, chunk="sentences", return_tensors=True)[0]
    assert pipe.tokenizer.decode(ids[key.replace("text", "token_ids")], skip_special_tokens=True)
    many = pipe(ARTICLE, chunk="sentences", num_return_sequences=2)
    assert [record["chunks"] for record in many] == [long["chunks"]] * 2


def test_windows_of_a_marked_text_keep_the_mark(greedy: Greedy) -> None:
    pipe = greedy("translation", "marian", max_new_tokens=6, chunk="sentences")
    marked = pipe(">>fra<< " + ARTICLE)[0]
    assert marked == pipe(ARTICLE, tgt_lang="fra")[0]
    assert marked != pipe(ARTICLE, tgt_lang="deu")[0]


def test_languages_are_found_by_code_beginning_task_or_mark(greedy: Greedy) -> None:
    mbart = greedy("translation_en_to_fr", "mbart", max_new_tokens=5)
    assert (mbart.settings.src_lang, mbart.settings.tgt_lang) == ("en_XX", "fr_XX")
    assert mbart("The film") == greedy("translation", "mbart", max_new_tokens=5)("The film", **FRENCH)
    before = mbart.tokenizer.src_lang
    ids = mbart("The film", return_tensors=True, src_lang="de_DE", tgt_lang="ko_KR")[0]["translation_token_ids"]
    assert ids[1].item() == mbart.tokenizer.lang_code_to_id["ko_KR"]
    assert mbart.tokenizer.src_lang == before
    t5 = greedy("translation", "t5", max_new_tokens=5)
    assert t5("A film", src_lang="en", tgt_lang="fr") == greedy("translation_en_to_fr", "t5", max_new_tokens=5)(
        "A film"
    )
