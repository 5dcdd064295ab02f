"""Translation: pairs of texts in two languages."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from ...errors import DataError
from ...pipelines.translation import configured_pairs, find_code, listed
from ..metrics import installed
from ..readers import read_parallel
from ..written import bleu_scores
from .sequences import SequenceSettings, learn
from .settings import load_model, load_tokenizer

USUAL_LENGTH = 128


@dataclass(frozen=True)
class Settings(SequenceSettings):
    """And: the two languages, for models that mark them, by the codes of their tokenizer: en_XX or en."""

    src_lang: str | None = None
    tgt_lang: str | None = None


def train(settings: Settings) -> dict[str, float]:
    """Fine-tune a model to translate; scored with BLEU on raw text."""
    installed("bleu")
    columns = settings.source_column, settings.target_column
    tables = [read_parallel(source, *columns) for source in settings.sources]
    tokenizer = load_tokenizer(settings)
    model = load_model(settings, "AutoModelForSeq2SeqLM")
    if tokenizer.lang_code_to_id:
        set_languages(settings, tokenizer, model)
    else:
        settings = replace(settings, source_prefix=configured_prefix(settings, model.config))
    return learn(settings, "translation", model, tokenizer, tables, USUAL_LENGTH, bleu_scores)


def configured_prefix(settings: Settings, config: Any) -> str | None:
    """The prefix asked for, or the one that the model's config has for the two languages."""
    pairs = configured_pairs(config)
    asked = settings.src_lang, settings.tgt_lang
    if settings.source_prefix is not None or not (pairs or any(asked)):
        return settings.source_prefix
    for pair, name in pairs.items():
        if pair == asked:
            return str(config.task_specific_params[name].get("prefix") or "")
    known = ", ".join(f"{source} to {target}" for source, target in pairs)
    raise DataError(
        f"the model's config names {known or 'no languages'}; give src_lang and tgt_lang of these, or source_prefix"
    )


def set_languages(settings: Settings, tokenizer: Any, model: Any) -> None:
    """Tell the tokenizer both languages and the model which token its writing begins with."""
    codes = tokenizer.lang_code_to_id
    asked = {"src_lang": settings.src_lang, "tgt_lang": settings.tgt_lang}
    for name, code in asked.items():
        if code is None:
            raise DataError(f"the model marks languages: give {name}, one of {listed(codes)}")
        setattr(tokenizer, name, find_code(codes, code, name))
    mark = codes[tokenizer.tgt_lang]
    ids = tokenizer(text_target="a")
    labels = ids["labels"] if "labels" in ids else ids["input_ids"]
    if labels[-1] == mark:
        # Labels that end in the code are shifted round: it is what the decoder reads first.
        model.config.decoder_start_token_id = model.generation_config.decoder_start_token_id = mark
    else:
        model.config.forced_bos_token_id = model.generation_config.forced_bos_token_id = mark
