"""A tokenizer.json that says everything itself, whatever made it."""

from __future__ import annotations

from lamina.tokenizers.files import TokenizerFolder
from lamina.tokenizers.recipe import Assembly, Options, Recipe


def build(folder: TokenizerFolder, options: Options) -> Assembly:
    """Fail with the name of the file that is missing: loading reads it before building anything."""
    folder.require("tokenizer.json")
    raise AssertionError("tokenizer.json is read before")


STORED = Recipe(name="json", class_name="PreTrainedTokenizerFast", files=(), build=build, special_tokens={})
