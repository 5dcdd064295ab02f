"""A tokenizer.json that says everything itself, whatever made it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from lamina.errors import TokenizerError
from lamina.tokenizers.files import TokenizerFolder
from lamina.tokenizers.recipe import PLAIN_INPUTS, Assembly, Options, Recipe


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
