"""The kinds of tokenizers there are, by the names that family files use and by the reference's class names.

Beside the families' own, those that work as another does, and those that are read from tokenizer.json alone: there the
class adds its usual special tokens and says which columns a call returns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from tokenizers import AddedToken

from lamina.errors import TokenizerError
from lamina.tokenizers.files import TokenizerFolder
from lamina.tokenizers.recipe import BERT_INPUTS, PLAIN_INPUTS, Assembly, Options, Recipe
from lamina.tokenizers.recipes.bytelevel import BART, BYT5, GPT2, ROBERTA
from lamina.tokenizers.recipes.fastbpe import CTRL, GPT
from lamina.tokenizers.recipes.marian import MARIAN
from lamina.tokenizers.recipes.moses import TRANSFO_XL
from lamina.tokenizers.recipes.unigram import ALBERT, LANGUAGES, MBART, MBART50, T5, speak
from lamina.tokenizers.recipes.wordpiece import BERT, DISTILBERT, ELECTRA, adjust_case

BRACKETS = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "sep_token": "</s>"}
XLM_R = {**BRACKETS, "pad_token": "<pad>", "cls_token": "<s>"}
DEBERTA = {"bos_token": "[CLS]", "eos_token": "[SEP]", "sep_token": "[SEP]", "cls_token": "[CLS]"}
DEBERTA_MORE = {"unk_token": "[UNK]", "pad_token": "[PAD]", "mask_token": "[MASK]"}
NOT_USED = ["<s>NOTUSED", "</s>NOTUSED", "<unk>NOTUSED"]


def mask(content: str, normalized: bool = False) -> AddedToken:
    """A mask token that takes the space before it."""
    return AddedToken(content, lstrip=True, rstrip=False, normalized=normalized, special=True)


def as_class(recipe: Recipe, name: str, stem: str) -> Recipe:
    return replace(recipe, name=name, class_name=f"{stem}Tokenizer")


def stored(
    name: str,
    stem: str,
    inputs: tuple[str, ...],
    special_tokens: Mapping[str, str | AddedToken | list[str]],
    options: Mapping[str, Any] | None = None,
    adjustable: frozenset[str] = frozenset(),
    complete: Callable[[Options], None] | None = None,
    **more: Any,
) -> Recipe:
    class_name = f"{stem}Tokenizer"
    return Recipe(
        name,
        class_name,
        (),
        partial(missing, class_name),
        special_tokens,
        inputs,
        options or {},
        adjustable=adjustable,
        complete=complete,
        **more,
    )


def complete_pegasus(options: Options) -> None:
    stated, sentence, offset = options.get("additional_special_tokens"), options["mask_token_sent"], options["offset"]
    tokens = list(stated or [])
    if sentence is not None and str(sentence) not in map(str, tokens):
        tokens.insert(0, str(sentence))
    unused = range(2, offset) if stated is None else range(len(tokens), offset - 1)
    options["additional_special_tokens"] = [*tokens, *(f"<unk_{i}>" for i in unused)]


def speak_nllb(assembly: Assembly, options: Options, target: bool) -> None:
    """Write the language of NLLB before the text, and behind it where the older behaviour is asked for."""
    speak(assembly, options, target, before=not options["legacy_behaviour"], usual="eng_Latn")


def missing(class_name: str, folder: TokenizerFolder, options: Options) -> Assembly:
    """Say that this class is read from tokenizer.json, and so has been where it could be."""
    folder.require("tokenizer.json")
    raise TokenizerError(f"{class_name} is read from tokenizer.json here, and not from original files.")


STORED = Recipe(
    name="json",
    class_name="PreTrainedTokenizerFast",
    files=(),
    build=partial(missing, "PreTrainedTokenizerFast"),
    special_tokens={},
    options={"add_prefix_space": False},
    adjustable=frozenset({"add_prefix_space"}),
)
# What Transformers 5 calls the same class, there without token types.
BACKEND = replace(STORED, name="backend", model_input_names=PLAIN_INPUTS)


NAMED = (
    *(as_class(BERT, stem.lower(), stem) for stem in ("ConvBert", "LayoutLM", "Lxmert", "MobileBert", "SqueezeBert")),
    *(as_class(BERT, stem.lower(), stem) for stem in ("DPRContextEncoder", "DPRQuestionEncoder")),
    as_class(ROBERTA, "longformer", "Longformer"),
    as_class(BART, "led", "LED"),
    as_class(T5, "mt5", "MT5"),
    stored("xlm_roberta", "XLMRoberta", PLAIN_INPUTS, {**XLM_R, "mask_token": mask("<mask>")}),
    stored("barthez", "Barthez", PLAIN_INPUTS, {**XLM_R, "mask_token": mask("<mask>")}),
    stored(
        "camembert",
        "Camembert",
        PLAIN_INPUTS,
        {**XLM_R, "mask_token": mask("<mask>"), "additional_special_tokens": NOT_USED},
    ),
    stored("deberta_v2", "DebertaV2", BERT_INPUTS, {**DEBERTA, **DEBERTA_MORE}),
    stored(
        "deberta",
        "Deberta",
        ("input_ids", "attention_mask", "token_type_ids"),
        {**DEBERTA, **DEBERTA_MORE},
        {"add_prefix_space": False},
        frozenset({"add_prefix_space"}),
        splits_words=False,
    ),
    stored(
        "mpnet",
        "MPNet",
        PLAIN_INPUTS,
        {**XLM_R, "unk_token": "[UNK]", "mask_token": mask("<mask>")},
        {"do_lower_case": True, "strip_accents": None},
        frozenset({"do_lower_case", "strip_accents"}),
        adjust=adjust_case,
    ),
    stored(
        "big_bird",
        "BigBird",
        PLAIN_INPUTS,
        {**BRACKETS, "sep_token": "[SEP]", "pad_token": "<pad>", "cls_token": "[CLS]", "mask_token": mask("[MASK]")},
    ),
    stored(
        "rembert",
        "RemBert",
        BERT_INPUTS,
        {**DEBERTA, "unk_token": "<unk>", "pad_token": "<pad>", "mask_token": mask("[MASK]")},
    ),
    stored(
        "herbert",
        "Herbert",
        BERT_INPUTS,
        {"unk_token": "<unk>", "sep_token": "</s>", "pad_token": "<pad>", "cls_token": "<s>", "mask_token": "<mask>"},
    ),
    stored(
        "pegasus",
        "Pegasus",
        PLAIN_INPUTS,
        {"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>", "mask_token": "<mask_2>"},
        {"mask_token_sent": "<mask_1>", "offset": 103},
        complete=complete_pegasus,
    ),
    stored(
        "nllb",
        "Nllb",
        PLAIN_INPUTS,
        {**XLM_R, "mask_token": mask("<mask>", normalized=True)},
        {**LANGUAGES, "legacy_behaviour": False},
        frozenset({*LANGUAGES, "legacy_behaviour"}),
        switch=speak_nllb,
    ),
    stored("m2m_100", "M2M100", PLAIN_INPUTS, {**XLM_R}, LANGUAGES),
    stored(
        "gpt_neox",
        "GPTNeoX",
        PLAIN_INPUTS,
        {role: "<|endoftext|>" for role in ("bos_token", "eos_token", "unk_token")},
        {"add_prefix_space": False},
        frozenset({"add_prefix_space"}),
    ),
    stored("xlnet", "XLNet", BERT_INPUTS, {**XLM_R, "sep_token": "<sep>", "cls_token": "<cls>"}),
)

OWN = (ALBERT, BART, BERT, BYT5, CTRL, DISTILBERT, ELECTRA, GPT, GPT2, MARIAN, MBART, MBART50, ROBERTA, T5, TRANSFO_XL)
RECIPES: dict[str, Recipe] = {recipe.name: recipe for recipe in (*OWN, STORED, BACKEND, *NAMED)}

# What the files call a kind: its class, without the "Fast" that some of them carry.
CLASSES: dict[str, Recipe] = {recipe.class_name: recipe for recipe in (*OWN, *NAMED)} | {
    "PreTrainedTokenizer": STORED,
    "TokenizersBackend": BACKEND,
}

# The kind that a config.json's model_type stands for, where no file names a class.
MODEL_TYPES: dict[str, str] = {recipe.name: recipe.name for recipe in (*OWN, *NAMED)} | {
    "deberta-v2": "deberta_v2",
    "gpt_neo": "gpt2",
    "gptj": "gpt2",
    "modernbert": "json",
    "openai-gpt": "gpt",
    "opt": "gpt2",
    "transfo-xl": "transfo_xl",
    "umt5": "t5",
    "xlm-roberta": "xlm_roberta",
}


def class_recipe(name: str) -> Recipe | None:
    """The kind that the reference's class of this name is, with or without its "Fast"."""
    return CLASSES.get(name.removesuffix("Fast"))
