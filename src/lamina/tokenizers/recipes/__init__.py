"""The kinds of tokenizers there are, by the names that family files use."""

from lamina.tokenizers.recipe import Recipe
from lamina.tokenizers.recipes.bytelevel import BART, GPT2, ROBERTA
from lamina.tokenizers.recipes.bytes import BYT5
from lamina.tokenizers.recipes.fastbpe import CTRL, GPT
from lamina.tokenizers.recipes.marian import MARIAN
from lamina.tokenizers.recipes.stored import STORED
from lamina.tokenizers.recipes.unigram import ALBERT, MBART, MBART50, T5
from lamina.tokenizers.recipes.wordpiece import BERT, DISTILBERT, ELECTRA
from lamina.tokenizers.recipes.words import TRANSFO_XL

# The order matters where a tokenizer_config.json says a class that several kinds are saved as: the first one is it.
ALL = (ALBERT, BART, BERT, BYT5, CTRL, DISTILBERT, ELECTRA, GPT, GPT2, MARIAN, MBART, MBART50, ROBERTA, STORED, T5)
RECIPES: dict[str, Recipe] = {recipe.name: recipe for recipe in (*ALL, TRANSFO_XL)}

# The kind that a config.json's model_type stands for, where no tokenizer_config.json says.
MODEL_TYPES = {name: name for name in RECIPES if name != "json"} | {
    "openai-gpt": "gpt",
    "transfo-xl": "transfo_xl",
}
