"""The kinds of tokenizers there are, by the names that family files use and by the reference's class names.

Beside the families' own, those that work as another does, and those that are read from tokenizer.json alone: there the
class adds its usual special tokens and says which columns a call returns.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from lamina.errors import TokenizerError
from lamina.tokenizers.files import TokenizerFolder
from lamina.tokenizers.recipe import BERT_INPUTS, PLAIN_INPUTS, Assembly, Options, Recipe, Tokens
from lamina.tokenizers.recipes.bytelevel import BART, BLENDERBOT, BYT5, GPT2, GPT_NEOX, ROBERTA
from lamina.tokenizers.recipes.fastbpe import CTRL, GPT
from lamina.tokenizers.recipes.marian import M2M100, MARIAN
from lamina.tokenizers.recipes.moses import TRANSFO_XL
from lamina.tokenizers.recipes.pieces import ALBERT_TOKENS, DEBERTA_TOKENS, KINDS, T5, XLM_R_TOKENS
from lamina.tokenizers.recipes.wordpiece import BERT, DISTILBERT, ELECTRA, MPNET


def stored(name: str, class_name: str, special_tokens: Tokens, inputs: tuple[str, ...], **more: Any) -> Recipe:
    """A kind that is read from tokenizer.json alone."""
    return Recipe(name, class_name, (), partial(missing, class_name), special_tokens, inputs, **more)


def missing(class_name: str, folder: TokenizerFolder, options: Options) -> Assembly:
    """Say that this class is read from tokenizer.json, and so has been where it could be."""
    folder.require("tokenizer.json")
    raise TokenizerError(f"{class_name} is read from tokenizer.json here, and not from original files.")


def as_class(recipe: Recipe, name: str, stem: str) -> Recipe:
    return replace(recipe, name=name, class_name=f"{stem}Tokenizer")


PREFIX = {"add_prefix_space": False}
DEBERTA_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
STORED = stored("json", "PreTrainedTokenizerFast", {}, BERT_INPUTS, options=PREFIX)
# What Transformers 5 calls the same class, there without token types.
BACKEND = replace(STORED, name="backend", model_input_names=PLAIN_INPUTS)
BLOOM_TOKENS = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
HERBERT_TOKENS = {role: XLM_R_TOKENS[role] for role in ("unk_token", "sep_token", "pad_token", "cls_token")}

LIKE_BERT = ("ConvBert", "DPRContextEncoder", "DPRQuestionEncoder", "LayoutLM", "Lxmert", "MobileBert", "SqueezeBert")
OWN = (
    *(BART, BERT, BLENDERBOT, BYT5, CTRL, DISTILBERT, ELECTRA, GPT, GPT2, GPT_NEOX, M2M100, MARIAN, MPNET, ROBERTA),
    *(TRANSFO_XL, *KINDS),
)
NAMED = (
    *(as_class(BERT, stem.lower(), stem) for stem in LIKE_BERT),
    as_class(ROBERTA, "longformer", "Longformer"),
    as_class(BART, "led", "LED"),
    as_class(T5, "mt5", "MT5"),
    stored("big_bird", "BigBirdTokenizer", {**ALBERT_TOKENS, "bos_token": "<s>", "eos_token": "</s>"}, PLAIN_INPUTS),
    stored("bloom", "BloomTokenizer", BLOOM_TOKENS, PLAIN_INPUTS, options=PREFIX),
    stored("deberta", "DebertaTokenizer", DEBERTA_TOKENS, DEBERTA_INPUTS, options=PREFIX, splits_words=False),
    stored("rembert", "RemBertTokenizer", ALBERT_TOKENS, BERT_INPUTS),
    stored("herbert", "HerbertTokenizer", {**HERBERT_TOKENS, "mask_token": "<mask>"}, BERT_INPUTS),
)
RECIPES: dict[str, Recipe] = {recipe.name: recipe for recipe in (*OWN, *NAMED, STORED, BACKEND)}

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
    "mt5": "t5",
    "openai-gpt": "gpt",
    "opt": "gpt2",
    "transfo-xl": "transfo_xl",
    "umt5": "t5",
    "xlm-roberta": "xlm_roberta",
}


def class_recipe(name: str) -> Recipe | None:
    """The kind that the reference's class of this name is, with or without its "Fast"."""
    return CLASSES.get(name.removesuffix("Fast"))
