"""The caller's options of a tokenizer: which are known, which need the original files, and which are refused."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from lamina.errors import TokenizerError
from lamina.files.shown import shown
from lamina.tokenizers.recipe import Options, Recipe
from lamina.tokenizers.recipes import RECIPES
from lamina.tokenizers.vocabulary import ROLES

logger = logging.getLogger("lamina.tokenizers")

COMMON = {
    *ROLES,
    "additional_special_tokens",
    "chat_template",
    "clean_up_tokenization_spaces",
    "extra_special_tokens",
    "max_len",
    "model_input_names",
    "model_max_length",
    "model_specific_special_tokens",
    "name_or_path",
    "pad_token_type_id",
    "padding_side",
    "split_special_tokens",
    "truncation_side",
    "verbose",
}
# What only the reference's Python classes read, with the values that change nothing.
PYTHON_ONLY: dict[str, tuple[Any, ...]] = {
    "do_basic_tokenize": (True, None),
    "errors": ("replace", None),
    "never_split": (None, [], ()),
    "sp_model_kwargs": (None, {}),
}
CALL = {"add_special_tokens", "is_split_into_words", "max_length", "pad_to_multiple_of", "padding", "return_tensors"}
CALL |= {"return_attention_mask", "return_token_type_ids", "stride", "truncation"}  # which people write here too
ELSEWHERE = {"add_eos_token", "clean_text", "spaces_between_special_tokens", "wordpieces_prefix"}  # of other classes
FILES = {"vocab_file", "merges_file", "tokenizer_file", "tokenizer_object", "gguf_file", "added_tokens_decoder"}


def read_options(recipe: Recipe, stated: Options, overrides: Options) -> str:
    """Check the caller's options and take out those about building; says why the original files are wanted, or "".

    `use_fast=False` reads what the reference's Python classes read, `from_slow=True` too. So does an option of the
    caller that changes what a tokenizer.json holds fixed.
    """
    use_fast, from_slow = overrides.pop("use_fast", True), overrides.pop("from_slow", False)
    python = not use_fast and recipe.class_name != "PreTrainedTokenizerFast"
    for key in overrides.keys() & FILES:
        raise TokenizerError(f"{key}={shown(overrides[key])}: pass the folder that holds the tokenizer's files.")
    check_columns(overrides, "Loading a tokenizer")
    check_python_only(recipe, stated, overrides, python or not recipe.reads_json)
    check_names(recipe, overrides)
    if from_slow:
        return "from_slow=True"
    if python:
        overrides["use_fast"] = False  # the recipe may care
        return "use_fast=False"
    usual = {**recipe.options, **stated}
    for key in overrides.keys() & recipe.options.keys() - recipe.adjustable:
        if overrides[key] != usual[key]:
            return f"{key}={shown(overrides[key])}"
    return ""


def check_python_only(recipe: Recipe, stated: Options, overrides: Options, python: bool) -> None:
    """Refuse what the Rust library cannot do: asked for by the caller, or stated where a Python class would read it."""
    for key, neutral in PYTHON_ONLY.items():
        sources = [overrides, stated] if python else [overrides]
        value = next((source[key] for source in sources if key in source), None)
        if key not in recipe.options and value not in neutral:
            raise TokenizerError(
                f"{key}={shown(value)}: only the reference's Python tokenizers do this, and Lamina does not. "
                f"Leave {key}{' and use_fast=False' if key not in overrides else ''} out."
            )


def check_names(recipe: Recipe, overrides: Options) -> None:
    """Refuse slips of the pen; what this kind does not read is kept, as in the reference, with a word in the log."""
    read = COMMON | recipe.options.keys() | PYTHON_ONLY.keys()
    known = read.union(CALL, ELSEWHERE, *(other.options for other in RECIPES.values()))
    for key in sorted(overrides.keys() - read):
        from difflib import get_close_matches  # here, because most calls have no such option

        nearest = get_close_matches(key, known, 1, 0.8) if key not in known else []
        if nearest:
            raise TokenizerError(f"There is no option {shown(key)}. Did you mean {nearest[0]}?")
        where = "belongs to the calls of a tokenizer and has no effect here" if key in CALL else "has no effect"
        logger.warning("%s of a %s %s.", key, recipe.class_name, where)


def check_columns(options: Mapping[str, Any], where: object) -> None:
    """Refuse column names that are not a list of text."""
    names = options.get("model_input_names")
    if names is None:
        return
    if not isinstance(names, list | tuple) or not names or not all(isinstance(name, str) for name in names):
        raise TokenizerError(f"{where}: model_input_names={shown(names)} is not a list of names such as 'input_ids'.")
