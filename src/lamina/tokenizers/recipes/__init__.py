"""The kinds of tokenizers there are, by the names that family files use and by the reference's class names."""

from lamina.tokenizers.recipe import Recipe
from lamina.tokenizers.recipes.bytelevel import BART, GPT2, ROBERTA
from lamina.tokenizers.recipes.bytes import BYT5
from lamina.tokenizers.recipes.fastbpe import CTRL, GPT
from lamina.tokenizers.recipes.marian import MARIAN
from lamina.tokenizers.recipes.named import NAMED
from lamina.tokenizers.recipes.stored import BACKEND, STORED
from lamina.tokenizers.recipes.unigram import ALBERT, MBART, MBART50, T5
from lamina.tokenizers.recipes.wordpiece import BERT, DISTILBERT, ELECTRA
from lamina.tokenizers.recipes.words import TRANSFO_XL

OWN = (ALBERT, BART, BERT, BYT5, CTRL, DISTILBERT, ELECTRA, GPT, GPT2, MARIAN, MBART, MBART50, ROBERTA, T5, TRANSFO_XL)
RECIPES: dict[str, Recipe] = {recipe.name: recipe for recipe in (*OWN, STORED, BACKEND, *NAMED)}

# What the files call a kind: its class, without the "Fast" that some of them carry.
CLASSES: dict[str, Recipe] = {recipe.class_name: recipe for recipe in (*OWN, *NAMED)} | {
    "PreTrainedTokenizer": STORED,
    "TokenizersBackend": BACKEND,
}

# The kind that a config.json's model_type stands for, where no file names a class.
MODEL_TYPES: dict[str, str] = {recipe.name: recipe.name for recipe in OWN} | {
    "openai-gpt": "gpt",
    "transfo-xl": "transfo_xl",
    "barthez": "barthez",
    "big_bird": "bigbird",
    "camembert": "camembert",
    "convbert": "convbert",
    "deberta": "deberta",
    "deberta-v2": "debertav2",
    "layoutlm": "layoutlm",
    "led": "led",
    "longformer": "longformer",
    "lxmert": "lxmert",
    "mobilebert": "mobilebert",
    "mpnet": "mpnet",
    "mt5": "mt5",
    "nllb": "nllb",
    "pegasus": "pegasus",
    "rembert": "rembert",
    "squeezebert": "squeezebert",
    "xlm-roberta": "xlmroberta",
}


def class_recipe(name: str) -> Recipe | None:
    """The kind that the reference's class of this name is, with or without its "Fast"."""
    return CLASSES.get(name.removesuffix("Fast"))
