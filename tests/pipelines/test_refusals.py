"""Everything a caller can get wrong is one exception of ours, with a message that says what to do."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from lamina.errors import LaminaError, PipelineError
from lamina.pipelines import pipeline
from lamina.pipelines.inputs import AdvisedError
from tests.pipelines.tasks import TASKS

Made = Callable[..., Any]
LONG = "word " * 100
ARTICLE = "The Apollo program was designed to land humans on the Moon. Six of the missions achieved this goal. " * 4
LABELS = {"candidate_labels": ["a", "b"]}
READING: list[tuple[str, tuple[Any, ...], dict[str, Any], str]] = [
    *(
        (task, (text,), LABELS if "zero" in task else {}, message)
        for task in (
            "text-classification",
            "token-classification",
            "fill-mask",
            "feature-extraction",
            "zero-shot-classification",
        )
        for text, message in (
            (None, "the text is None"),
            (["fine [MASK]", None], "input 1: the text is None"),
            (["fine [MASK]", 7], r"input 1: the text must be a string, not int \(7\)"),
            (7, "must be a string, not int"),
            (float("nan"), r"must be a string, not float \(nan\)"),
            (["fine [MASK]", float("nan")], r"input 1: the text must be a string, not float \(nan\)"),
            (["fine [MASK]", b"text"], r"input 1: the text must be a string, not bytes \(b'text'\)"),
            (("fine [MASK]", object()), "input 1: the text must be a string, not object"),
            (["fine [MASK]"] * 500 + [str], "input 500: the text must be a string, not the class str"),
            (str, "must be a string, not the class str"),
            (pd.Series(["fine [MASK]", None]), "input 1: the text "),
            (pd.DataFrame({"text": ["fine"]}), "a whole table; pass one column of it"),
        )
    ),
    (
        "text-classification",
        (LONG,),
        {},
        r"the text has 102 tokens and the model reads 64 at most; pass truncation=True",
    ),
    ("text-classification", (["ok", LONG],), {}, r"input 1: .* 102 tokens"),
    ("feature-extraction", (["ok", LONG],), {}, r"input 1: .* 102 tokens"),
    ("text-classification", (["ok", ["a", "b"]],), {}, 'input 1: a pair of texts is {"text"'),
    ("text-classification", ({"txt": "a"},), {}, "KeyDataset"),
    ("text-classification", ({"text": "a", "label": 1},), {}, "KeyDataset"),
    ("text-classification", ("a",), {"top_k": 0}, "top_k is 0"),
    ("text-classification", ("a",), {"top_k": "many"}, "top_k is 'many'"),
    ("text-classification", ("a",), {"trunction": True}, "knows no argument 'trunction'; did you mean truncation"),
    ("text-classification", ("a",), {"topk": 2}, "knows no argument 'topk'; did you mean top_k"),
    ("text-classification", ("a",), {"function_to_apply": "cube"}, "sigmoid, softmax, none"),
    ("text-classification", ("a",), {"batch_size": 0}, "batch_size is 0"),
    ("token-classification", ("a",), {"aggregation_strategy": "most"}, "none, simple, first, average, max"),
    ("token-classification", ("a",), {"stride": 62, "aggregation_strategy": "max"}, "windows hold 62 tokens"),
    ("token-classification", ("a",), {"stride": -1, "aggregation_strategy": "max"}, "stride is -1"),
    ("token-classification", ("a",), {"stribe": 1}, "knows no argument 'stribe'; did you mean stride"),
    ("token-classification", ("a",), {"xyz": 1}, "knows no argument 'xyz'; it takes ignore_labels"),
    ("token-classification", ("a b",), {"is_split_into_words": True}, "list of words"),
    ("token-classification", (["a", ""],), {"is_split_into_words": True}, "word 1 is empty"),
    ("fill-mask", ("no mask",), {}, r"no mask token \(\[MASK\]\) in 'no mask'"),
    ("fill-mask", ("",), {}, "no mask token"),
    ("fill-mask", (["a [MASK]", "no mask"],), {}, "input 1: .*no mask token"),
    ("fill-mask", ("a [MASK]",), {"top_k": 0}, "top_k is 0"),
    ("fill-mask", ("a [MASK]",), {"top_k": 99999}, "only 30522 tokens"),
    ("fill-mask", ("a [MASK]",), {"targets": []}, "none of the targets"),
    ("fill-mask", ("a [MASK]",), {"targets": [3]}, "a target must be a string"),
    ("fill-mask", ("a [MASK]",), {"tokenizer_kwargs": {"cut": True}}, "knows no argument 'cut'"),
    ("question-answering", (), {"question": "q"}, "needs a context"),
    ("question-answering", (), {"context": "c"}, "needs a question"),
    ("question-answering", ("q",), {}, "needs a context"),
    ("question-answering", (), {"question": "", "context": "c"}, "the question is empty"),
    ("question-answering", (), {"question": ["q", "r"], "context": ["c"]}, "2 questions for 1 contexts"),
    ("question-answering", (), {"question": "q", "context": ["c"]}, "one question for a list of contexts"),
    ("question-answering", ({"question": "q"},), {}, "'context' is missing"),
    ("question-answering", (["q", "c", "d"],), {}, "input 0: expected a dictionary"),
    ("question-answering", (), {"question": "q", "context": "c", "top_k": 0}, "top_k is 0"),
    ("question-answering", (), {"question": "q", "context": "c", "doc_stride": 9, "max_seq_len": 8}, "doc_stride is 9"),
    ("question-answering", (), {"question": "a b c d e", "context": "c", "max_seq_len": 6}, "longest question has 7"),
    ("question-answering", (), {"question": "q", "context": LONG, "max_seq_len": 90}, "the model reads 64"),
    *(("zero-shot-classification", (text,), LABELS, "the text is empty") for text in ("", ["fine", ""])),
    ("zero-shot-classification", ("a",), {}, "needs candidate_labels"),
    ("zero-shot-classification", ("a",), {"candidate_labels": " , "}, "candidate_labels is empty"),
    ("zero-shot-classification", ("a",), {"candidate_labels": ["a", None]}, "a candidate label is None"),
    ("zero-shot-classification", ("a",), {**LABELS, "hypothesis_template": "no place"}, "hypothesis_template"),
    ("zero-shot-classification", ("a",), {**LABELS, "hypothesis_template": "{} and {}"}, "hypothesis_template"),
    ("zero-shot-classification", ("a",), {"candidate_labels": [LONG]}, "leaves no room for the text within 64"),
    ("zero-shot-classification", ("a", "b", "c"), {}, "nothing further by position"),
    ("feature-extraction", (LONG,), {}, "102 tokens"),
    ("feature-extraction", ("a",), {"tokenize_kwargs": {"cut": 1}}, "knows no argument 'cut'"),
    ("sentence-similarity", (), {"sentences": ["a"]}, "source_sentence is None"),
    ("sentence-similarity", (), {"source_sentence": "a"}, "sentences must be a list"),
    ("sentence-similarity", (), {"source_sentence": "a", "sentences": ["b", None]}, "sentence 1 is None"),
    ("sentence-similarity", ({"source": "a"},), {}, "pass source_sentence= and sentences="),
]


WRITING: list[tuple[str, str, Any, dict[str, Any], str]] = [
    ("text-generation", "gpt2", "a " * 80, {}, 'handle_long_generation="hole"'),
    ("text-generation", "gpt2", ["a", "a " * 80], {}, "input 1: .*the model reads 64"),
    ("text-generation", "gpt2", "a", {"handle_long_generation": "cut"}, 'must be None or "hole"'),
    ("text-generation", "gpt2", "a", {"handle_long_generation": "hole", "max_new_tokens": 64}, "leave no room"),
    ("text-generation", "gpt2", "The film was", {"max_length": 2}, "max_length is 2, which counts the prompt"),
    ("text-generation", "gpt2", "a", {"num_beems": 2}, "did you mean num_beams"),
    ("text-generation", "gpt2", "a", {"num_return_sequences": 2}, "greedy search finds one sequence"),
    ("text-generation", "gpt2", "a", {"stop_sequence": ""}, "stop_sequence is ''"),
    ("text-generation", "gpt2", "a", {"return_type": 5}, "tensors, new_text, full_text"),
    ("text-generation", "gpt2", "a", {"return_text": True, "return_full_text": False}, "exclude each other"),
    ("text-generation", "gpt2", "a", {"return_text": True, "return_tensors": True}, "exclude each other"),
    ("text-generation", "gpt2", "a", {"generation_config": {"top_k": 1}}, "pass a GenerationConfig"),
    ("text-generation", "gpt2", "a", {"tokenizer_encode_kwargs": {"cut": 1}}, "knows no argument 'cut'"),
    ("text-generation", "gpt2", {"role": "user", "content": "Hi"}, {}, "made before chats"),
    ("text-generation", "gpt2", [[{"role": "user", "content": "Hi"}]], {}, "input 0: .*made before chats"),
    ("text-generation", "gpt2", None, {}, "the prompt is None"),
    *(
        (task, name, [*["a"] * 300, wrong], options, f"input 300: the \\w+ must be a string, not {kind}")
        for task, name, options in (
            ("text-generation", "gpt2", {}),
            ("text2text-generation", "t5", {}),
            ("summarization", "bart", {}),
            ("translation", "marian", {"tgt_lang": "fra"}),
        )
        for wrong, kind in ((7, "int"), (float("nan"), "float"), (b"a", "bytes"), (str, "the class str"))
    ),
    ("text-generation", "openai-gpt", "", {}, "no bos_token_id"),
    ("summarization", "bart", ARTICLE, {}, 'chunk="sentences"'),
    ("summarization", "bart", "a", {"chunk": "words"}, "chunk is 'words'; it must be None or \"sentences\""),
    ("summarization", "bart", "a", {"stride": 2}, 'pass chunk="sentences" too'),
    ("summarization", "bart", "a b c", {"chunk": "sentences", "chunk_length": 2}, "chunk_length is 2"),
    ("summarization", "bart", "a", {"chunk": "sentences", "chunk_length": 0}, "at least 1"),
    ("summarization", "bart", "a", {"return_tensors": True, "return_text": True}, "exclude each other"),
    ("summarization", "bart", "a", {"num_return_sequences": 9}, "greater than num_beams"),
    ("translation", "marian", "a", {"stride": 1}, "translate sentences twice"),
    ("translation", "marian", "a", {"tgt_lang": "kor"}, "it knows deu, fra"),
    ("translation", "marian", [">>fra<< a", ">>kor<< a"], {}, "input 1: the language at the beginning .* deu, fra"),
    ("translation", "mbart", "a", {}, "needs src_lang and tgt_lang; src_lang is missing, one of ar_AR, cs_CZ"),
    ("translation", "mbart", "a", {"src_lang": "en"}, "tgt_lang is missing"),
    ("translation", "mbart", "a", {"src_lang": "en", "tgt_lang": "xx"}, "it knows ar_AR"),
    ("translation", "mbart", "a", {"src_lang": 3}, "must be a language code"),
    ("translation", "mbart50", "a", {"src_lang": "en"}, "tgt_lang is missing, one of af_ZA, .*, zh_CN$"),
    ("translation", "m2m_100", "a", {"src_lang": "en", "tgt_lang": "fr_XX"}, "it knows af, am, ar, .*, zu$"),
    ("translation", "nllb", "a", {"src_lang": "eng", "tgt_lang": "en"}, "tgt_lang is 'en', .* ace_Arab, .*, zul_Latn$"),
    ("translation", "nllb", "a", {"src_lang": "eng", "tgt_lang": "zho"}, "it knows zho_Hans, zho_Hant$"),
    ("translation_eng_Latn_to_zho", "nllb", "a", {}, "the target language of the task is 'zho', .* zho_Hans, zho_Hant"),
    ("translation", "t5", "a", {"tgt_lang": "fr"}, "needs both src_lang and tgt_lang; it names en to de, en to fr"),
    ("translation", "t5", "a", {"src_lang": "en", "tgt_lang": "ko"}, "names no en to ko"),
    ("translation_en_to_xx", "mbart", "a", {}, "the target language of the task is 'xx'"),
]


WRONG = [
    *((PipelineError, task, TASKS[task].checkpoint, *called) for task, *called in READING),
    *((LaminaError, task, name, (inputs,), *called) for task, name, inputs, *called in WRITING),
]


@pytest.mark.parametrize(("error", "task", "name", "args", "options", "message"), WRONG)
def test_a_wrong_call_is_one_error_that_says_what_to_do(
    made: Made,
    error: type[LaminaError],
    task: str,
    name: str,
    args: tuple[Any, ...],
    options: dict[str, Any],
    message: str,
) -> None:
    usual = {"do_sample": False} if error is LaminaError else {}
    with pytest.raises(error, match=message):
        made(task, name, **usual)(*args, **options)


def test_a_wrong_item_of_a_stream_is_named(made: Made) -> None:
    answers = made("text-classification", "bert-moods")(text for text in ("one", "two", "three", None))
    next(answers)
    with pytest.raises(PipelineError, match="input 3: the text is None"):
        list(answers)


def test_a_class_without_a_name_is_refused(checkpoint: Callable[[str], Path]) -> None:
    pipe = pipeline("text-classification", model=checkpoint("bert-moods"), device="cpu")
    pipe.model.config.id2label = {0: "GRIM"}
    with pytest.raises(PipelineError, match="class 1, which id2label"):
        pipe("text", top_k=None)


def test_a_tokenizer_without_a_mask_is_refused(checkpoint: Callable[[str], Path]) -> None:
    pipe = pipeline("fill-mask", model=checkpoint("bert-mask"), device="cpu")
    pipe.tokenizer.mask_token = None
    with pytest.raises(PipelineError, match="no mask token"):
        pipeline("fill-mask", model=pipe.model, tokenizer=pipe.tokenizer)


def test_options_without_effect_are_taken_and_told(made: Made, caplog: pytest.LogCaptureFixture) -> None:
    pipe = made("zero-shot-classification", "bert-nli")
    assert pipe("text", truncation=True, **LABELS) == pipe("text", **LABELS)
    assert "truncation has no effect" in caplog.text


def test_an_answer_needs_no_words_in_the_context(made: Made) -> None:
    pipe = made("question-answering", "bert-qa")
    assert pipe(question="what?", context="   ") == {"score": 0.0, "start": 0, "end": 0, "answer": ""}


def test_no_answer_is_longer_than_asked_for(made: Made) -> None:
    pipe = made("question-answering", "bert-qa")
    answers = pipe(question="who?", context="A a B b", max_answer_len=1, top_k=9)
    assert sorted(answer["answer"].lower() for answer in answers) == ["a", "b"]


def test_a_refusal_passes_between_processes_with_its_advice(made: Made) -> None:
    with pytest.raises(AdvisedError) as refused:
        made("text-classification", "bert-moods")(["ok", LONG])
    passed = pickle.loads(pickle.dumps(refused.value))
    assert str(passed) == str(refused.value)
    assert passed.said(lambda name, value: None) == refused.value.said(lambda name, value: None)
    assert str(passed).startswith("input 1: ")


def test_every_refusal_is_also_a_value_error() -> None:
    assert issubclass(PipelineError, ValueError)
    assert issubclass(PipelineError, LaminaError)


def test_a_model_for_something_else_and_a_pair_without_a_usual_model_are_refused(
    checkpoint: Callable[[str], Path],
) -> None:
    with pytest.raises(LaminaError, match="gpt2 has no such head"):
        pipeline("summarization", model=checkpoint("gpt2"))
    loaded = pipeline("text-generation", model=checkpoint("gpt2"))
    with pytest.raises(LaminaError, match="translation needs a seq2seq-lm model"):
        pipeline("translation", model=loaded.model, tokenizer=loaded.tokenizer)
    with pytest.raises(LaminaError, match="no model is usual for it, only for en to fr, en to de, en to ro"):
        pipeline("translation_ko_to_fr")
    with pytest.raises(LaminaError, match="translation_xx_to_yy"):
        pipeline("translation_ko", model=checkpoint("marian"))
