"""The calls of pipelines that write."""

from __future__ import annotations

from typing import Any

from .pipeline_cases import EMPTY, case

Case = dict[str, Any]

PROMPTS = ["The film was", "In 1969 the first 🚀 men", "한국어 and  ünïcödé, isn't"]
ARTICLE = "The Apollo program was designed to land humans on the Moon. Six of the missions achieved this goal."
GREEDY = {"do_sample": False, "max_new_tokens": 12}
BEAMS = {**GREEDY, "num_beams": 3}
SHORT = {"max_new_tokens": 14}
IDS = {**SHORT, "return_tensors": True}  # where the reference shows tokens of languages that no file calls special


def text_generation() -> list[Case]:
    families = ("gpt2", "ctrl", "openai-gpt")
    one = PROMPTS[0]
    return [
        *(case(name, text, **GREEDY) for name in families for text in PROMPTS[:2]),
        case("gpt2", PROMPTS[2], **GREEDY),
        *(case(name, one, **BEAMS, num_return_sequences=2, no_repeat_ngram_size=2) for name in families),
        *(case(name, one, **GREEDY, return_full_text=False, repetition_penalty=1.5) for name in families),
        *(case(name, PROMPTS[:2], **GREEDY, return_tensors=True) for name in families),
        case("gpt2", PROMPTS, **GREEDY),
        case("gpt2", PROMPTS[:1], **BEAMS),
        case("gpt2", PROMPTS, **BEAMS, return_full_text=False),
        case("gpt2", one, max_new_tokens=12),
        case("gpt2", one, max_new_tokens=8, num_return_sequences=3, top_k=5, temperature=1.3),
        case("openai-gpt", one, max_new_tokens=12),
        case("gpt2", one, init={"do_sample": False}, max_new_tokens=6),
        case("gpt2", one, init={"do_sample": False, "max_new_tokens": 4, "return_full_text": False}),
        case("gpt2", one, init={"do_sample": False, "max_new_tokens": 4, "return_full_text": False}, max_new_tokens=7),
        case("gpt2", one, init={"prefix": "A review: "}, **GREEDY),
        case("gpt2", one, **GREEDY, prefix="A review: ", return_full_text=False),
        case("gpt2", one, **GREEDY, clean_up_tokenization_spaces=False),
        case("openai-gpt", PROMPTS[2], **GREEDY, clean_up_tokenization_spaces=False, return_full_text=False),
        case("gpt2", one, **GREEDY, skip_special_tokens=False),
        case("gpt2", one, **GREEDY, add_special_tokens=False, padding=False),
        case("gpt2", one, **GREEDY, stop_sequence=" the"),
        case("gpt2", ARTICLE, **GREEDY, handle_long_generation="hole"),
        case("gpt2", ARTICLE + ARTICLE, **GREEDY, handle_long_generation="hole"),
        case("gpt2", ARTICLE, **GREEDY, tokenizer_encode_kwargs={"truncation": True, "max_length": 5}),
        case("gpt2", "", **GREEDY),
        case("gpt2", one, **GREEDY, return_dict_in_generate=True, output_scores=True, top_k=0, return_tensors=True),
        case("gpt2-rules", one, do_sample=False),
        case("gpt2-rules", one, do_sample=False, max_new_tokens=5),
        case("gpt2-rules", PROMPTS[:2], do_sample=False, return_full_text=False, repetition_penalty=1.0),
        case("openai-gpt", "", **GREEDY),
        case("gpt2", one, **GREEDY, return_full_text=True, return_tensors=True),
        case("gpt2", one, **GREEDY, return_full_text=True, return_text=True),
        case("gpt2", one, **GREEDY, handle_long_generation="cut"),
        *(case("gpt2", text, **GREEDY) for text in EMPTY[1:-1]),
        case("gpt2", None, **GREEDY),
        case("gpt2", [{"role": "user", "content": "Hi"}], **GREEDY),
        case("gpt2", ARTICLE * 4, **GREEDY),
        case("gpt2", one, max_new_tokens=100, do_sample=False, handle_long_generation="hole"),
        case("gpt2", one, **GREEDY, max_new_token=3),
    ]


def text_to_text() -> list[Case]:
    families = ("bart", "t5", "marian", "mbart")
    return [
        *(case(name, text, **SHORT) for name in families for text in (PROMPTS[0], ARTICLE)),
        *(case(name, PROMPTS[:2], **SHORT, num_beams=1) for name in families),
        *(case(name, PROMPTS[:1], **SHORT, num_beams=1) for name in families),
        *(case(name, PROMPTS[0], **SHORT, num_return_sequences=2) for name in families),
        *(case(name, PROMPTS[:2], **SHORT, num_return_sequences=2) for name in families[:2]),
        *(case(name, PROMPTS[0], **SHORT, return_tensors=True) for name in families),
        case("t5", PROMPTS[:2], **SHORT, return_tensors=True, num_return_sequences=3),
        case("t5", PROMPTS[0], **SHORT, return_tensors=False),
        case("t5", PROMPTS[0], **SHORT, clean_up_tokenization_spaces=True),
        case("t5", ARTICLE * 2, **SHORT, truncation=True),
        case("t5", ARTICLE * 3, **SHORT),
        case("bart", ARTICLE * 2, **SHORT, truncation=True),
        case("bart", "", **SHORT),
        case("t5", "", **SHORT),
        case("bart", PROMPTS[0], init={"num_beams": 2, "max_new_tokens": 9}),
        case("bart", PROMPTS[0], init={"num_beams": 2, "max_new_tokens": 9}, max_new_tokens=5, min_new_tokens=5),
        case("bart", PROMPTS[0], **SHORT, repetition_penalty=1.6, min_new_tokens=8, no_repeat_ngram_size=2),
        case("bart", PROMPTS[0], **SHORT, stop_sequence=" the"),
        case("bart", None, **SHORT),
        case("bart", PROMPTS[0], **SHORT, num_beam=3),
        case("bart", PROMPTS[0], **SHORT, num_return_sequences=9),
    ]


def summarization() -> list[Case]:
    return [
        *(case(name, ARTICLE, **SHORT) for name in ("bart", "t5")),
        *(case(name, [ARTICLE, PROMPTS[0]], **SHORT) for name in ("bart", "t5")),
        case("t5", ARTICLE, **SHORT, return_tensors=True),
        case("t5", ARTICLE, **SHORT, num_beams=1, min_length=2),
        case("bart", ARTICLE, **SHORT, num_return_sequences=3, no_repeat_ngram_size=0),
        case("bart", ARTICLE * 3, **SHORT, truncation=True),
        case("bart", ARTICLE * 9, **SHORT),
        *(case(name, [ARTICLE, PROMPTS[0]], **SHORT, num_beams=3) for name in ("pegasus", "mt5")),
        case("pegasus", ARTICLE * 3, truncation=True, num_beams=3),
    ]


def translation() -> list[Case]:
    romanian = {"src_lang": "en_XX", "tgt_lang": "ro_RO"}
    return [
        *(case("marian", text, **SHORT) for text in PROMPTS),
        case("marian", PROMPTS, **SHORT),
        case("marian", ">>fra<< " + PROMPTS[0], **SHORT),
        case("marian", [">>deu<< " + text for text in PROMPTS], **SHORT, num_return_sequences=2),
        case("marian", PROMPTS[0]),
        case("mbart", PROMPTS[0], **romanian, **SHORT),
        case("mbart", PROMPTS[:2], **romanian, **SHORT),
        case("mbart", PROMPTS[0], init=romanian, **SHORT),
        case("mbart", PROMPTS[0], init=romanian, src_lang="de_DE", tgt_lang="fr_XX", **SHORT),
        case("mbart", PROMPTS[0], **romanian, **SHORT, return_tensors=True),
        case("mbart", PROMPTS[0], **SHORT),
        case("mbart", PROMPTS[0], src_lang="en_XX", **SHORT),
        case("mbart50", PROMPTS, **romanian, **SHORT),
        case("m2m_100", PROMPTS, src_lang="en", tgt_lang="ro", **IDS),
        case("m2m_100", PROMPTS[0], init={"src_lang": "en", "tgt_lang": "ro"}, tgt_lang="ko", **IDS),
        case("m2m_100", PROMPTS[0], src_lang="en", tgt_lang="eng_Latn", **SHORT),
        case("nllb", PROMPTS, src_lang="eng_Latn", tgt_lang="ron_Latn", **SHORT),
        case("nllb", PROMPTS[0], init={"src_lang": "eng_Latn", "tgt_lang": "kor_Hang"}, **SHORT),
        case("nllb", PROMPTS[0], tgt_lang="kor_Hang", **SHORT),
        case("t5", PROMPTS[0], **SHORT),
        case("bart", PROMPTS[0], **SHORT),
        case("bart", PROMPTS[0], **romanian, **SHORT),
        case("bart", None, **SHORT),
    ]


def translation_en_to_fr() -> list[Case]:
    return [
        case("t5", PROMPTS[0], **SHORT),
        case("t5", PROMPTS[:2], **SHORT, num_beams=1),
        case("bart", PROMPTS[0], **SHORT),
        case("m2m_100", PROMPTS[0], **IDS),
    ]


CASES = {
    "text-generation": text_generation(),
    "text2text-generation": text_to_text(),
    "summarization": summarization(),
    "translation": translation(),
    "translation_en_to_fr": translation_en_to_fr(),
}
