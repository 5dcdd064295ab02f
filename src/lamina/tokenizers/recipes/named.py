"""The reference's tokenizer classes beyond the families' own: those that work as another does, and those of a file.

The second sort is read from tokenizer.json alone: the class adds its usual special tokens and says which columns a call
returns. A family that gets a recipe of its own moves its class out of here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from tokenizers import AddedToken

from lamina.tokenizers.recipe import BERT_INPUTS, PLAIN_INPUTS, Assembly, Options, Recipe
from lamina.tokenizers.recipes.bytelevel import BART, ROBERTA
from lamina.tokenizers.recipes.stored import missing
from lamina.tokenizers.recipes.unigram import LANGUAGES, T5, speak
from lamina.tokenizers.recipes.wordpiece import BERT, adjust_case

BRACKETS = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "sep_token": "</s>"}
XLM_R = {**BRACKETS, "pad_token": "<pad>", "cls_token": "<s>"}
DEBERTA = {"bos_token": "[CLS]", "eos_token": "[SEP]", "sep_token": "[SEP]", "cls_token": "[CLS]"}
DEBERTA_MORE = {"unk_token": "[UNK]", "pad_token": "[PAD]", "mask_token": "[MASK]"}
NOT_USED = ["<s>NOTUSED", "</s>NOTUSED", "<unk>NOTUSED"]


def mask(content: str, normalized: bool = False) -> AddedToken:
    """A mask token that takes the space before it."""
    return AddedToken(content, lstrip=True, rstrip=False, normalized=normalized, special=True)


def as_class(recipe: Recipe, stem: str) -> Recipe:
    """A class that works as another one does."""
    return replace(recipe, name=stem.lower(), class_name=f"{stem}Tokenizer")


def stored(
    stem: str,
    inputs: tuple[str, ...],
    special_tokens: Mapping[str, str | AddedToken | list[str]],
    options: Mapping[str, Any] | None = None,
    adjustable: frozenset[str] = frozenset(),
    complete: Callable[[Options], None] | None = None,
    **more: Any,
) -> Recipe:
    """A class that is read from tokenizer.json."""
    name = f"{stem}Tokenizer"
    return Recipe(
        stem.lower(),
        name,
        (),
        partial(missing, name),
        special_tokens,
        inputs,
        options or {},
        adjustable=adjustable,
        complete=complete,
        **more,
    )


def complete_pegasus(options: Options) -> None:
    """List the sentence mask and the unused tokens among the special tokens."""
    stated, sentence, offset = options.get("additional_special_tokens"), options["mask_token_sent"], options["offset"]
    tokens = list(stated or [])
    if sentence is not None and str(sentence) not in map(str, tokens):
        tokens.insert(0, str(sentence))
    unused = range(2, offset) if stated is None else range(len(tokens), offset - 1)
    options["additional_special_tokens"] = [*tokens, *(f"<unk_{i}>" for i in unused)]


def speak_nllb(assembly: Assembly, options: Options, target: bool) -> None:
    """Write the language of NLLB before the text, and behind it where the older behaviour is asked for."""
    speak(assembly, options, target, before=not options["legacy_behaviour"], usual="eng_Latn")


NAMED = (
    *(as_class(BERT, stem) for stem in ("ConvBert", "LayoutLM", "Lxmert", "MobileBert", "SqueezeBert")),
    *(as_class(BERT, stem) for stem in ("DPRContextEncoder", "DPRQuestionEncoder")),
    as_class(ROBERTA, "Longformer"),
    as_class(BART, "LED"),
    as_class(T5, "MT5"),
    stored("XLMRoberta", PLAIN_INPUTS, {**XLM_R, "mask_token": mask("<mask>")}),
    stored("Barthez", PLAIN_INPUTS, {**XLM_R, "mask_token": mask("<mask>")}),
    stored(
        "Camembert",
        PLAIN_INPUTS,
        {**XLM_R, "mask_token": mask("<mask>"), "additional_special_tokens": NOT_USED},
    ),
    stored("DebertaV2", BERT_INPUTS, {**DEBERTA, **DEBERTA_MORE}),
    stored(
        "Deberta",
        ("input_ids", "attention_mask", "token_type_ids"),
        {**DEBERTA, **DEBERTA_MORE},
        {"add_prefix_space": False},
        frozenset({"add_prefix_space"}),
        splits_words=False,
    ),
    stored(
        "MPNet",
        PLAIN_INPUTS,
        {**XLM_R, "unk_token": "[UNK]", "mask_token": mask("<mask>")},
        {"do_lower_case": True, "strip_accents": None},
        frozenset({"do_lower_case", "strip_accents"}),
        adjust=adjust_case,
    ),
    stored(
        "BigBird",
        PLAIN_INPUTS,
        {**BRACKETS, "sep_token": "[SEP]", "pad_token": "<pad>", "cls_token": "[CLS]", "mask_token": mask("[MASK]")},
    ),
    stored(
        "RemBert", BERT_INPUTS, {**DEBERTA, "unk_token": "<unk>", "pad_token": "<pad>", "mask_token": mask("[MASK]")}
    ),
    stored(
        "Herbert",
        BERT_INPUTS,
        {"unk_token": "<unk>", "sep_token": "</s>", "pad_token": "<pad>", "cls_token": "<s>", "mask_token": "<mask>"},
    ),
    stored(
        "Pegasus",
        PLAIN_INPUTS,
        {"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>", "mask_token": "<mask_2>"},
        {"mask_token_sent": "<mask_1>", "offset": 103},
        complete=complete_pegasus,
    ),
    stored(
        "Nllb",
        PLAIN_INPUTS,
        {**XLM_R, "mask_token": mask("<mask>", normalized=True)},
        {**LANGUAGES, "legacy_behaviour": False},
        frozenset({*LANGUAGES, "legacy_behaviour"}),
        switch=speak_nllb,
    ),
)
