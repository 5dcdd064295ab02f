"""The kinds of tokenizers there are, by the names that family files use."""

from lamina.tokenizers.recipe import Recipe
from lamina.tokenizers.recipes.bytelevel import BART, GPT2, ROBERTA
from lamina.tokenizers.recipes.stored import STORED
from lamina.tokenizers.recipes.unigram import ALBERT, MBART, MBART50, T5
from lamina.tokenizers.recipes.wordpiece import BERT, DISTILBERT, ELECTRA

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (ALBERT, BART, BERT, DISTILBERT, ELECTRA, GPT2, MBART, MBART50, ROBERTA, STORED, T5)
}

# The kind that a config.json's model_type stands for, where no tokenizer_config.json says.
MODEL_TYPES = {name: name for name in RECIPES if name != "json"} | {
    "openai-gpt": "gpt",
    "transfo-xl": "transfo_xl",
}
