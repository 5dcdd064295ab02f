"""Put a tokenizer together from a folder: which kind it is, which files win, and which tokens are special."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import AddedToken
from tokenizers import Tokenizer as Backend

from lamina.errors import TokenizerError
from lamina.files.jsonfile import parse_json
from lamina.files.paths import read_bytes
from lamina.files.shown import shown
from lamina.tokenizers.components import check_tokenizer_json
from lamina.tokenizers.files import MAX_FILE_BYTES, TokenizerFolder, backend_errors, check_added
from lamina.tokenizers.recipe import Assembly, Options, Recipe
from lamina.tokenizers.recipes import MODEL_TYPES, RECIPES
from lamina.tokenizers.vocabulary import ROLES

# What tokenizer_config.json holds for others than this library.
IGNORED = {
    "added_tokens_decoder",
    "tokenizer_class",
    "auto_map",
    "tokenizer_file",
    "name_or_path",
    "special_tokens_map_file",
}
FLAGS = {"content", "single_word", "lstrip", "rstrip", "normalized", "special"}


def load(folder: str | Path, name: str | None, overrides: Options) -> tuple[Recipe, Assembly, Options]:
    """The parts of a tokenizer stored in a folder, ready for Tokenizer's constructor."""
    files = TokenizerFolder(folder)
    with backend_errors(f"Loading the tokenizer in {files.path}"):
        return assemble(files, name, overrides)


def assemble(files: TokenizerFolder, name: str | None, overrides: Options) -> tuple[Recipe, Assembly, Options]:
    """Settle kind, options and special tokens, and build."""
    config = files.json_object("tokenizer_config.json")
    recipe = choose_recipe(files, config, name)
    stored, data = read_stored(files, recipe)
    added = stored_tokens(files, config, data)
    options = merge_options(files, recipe, config, data, added, overrides)
    if stored is not None:
        originals = [path for name in recipe.files if name.endswith((".model", ".spm")) and (path := files.find(name))]
        assembly = Assembly(stored, originals=originals)
        if recipe.adjust is not None:
            recipe.adjust(stored, options)
    else:
        assembly = recipe.build(files, options)
    add_missing(assembly.backend, added, options)
    if stored is None and recipe.template is not None:
        recipe.template(assembly, options)
    if recipe.switch is not None:
        recipe.switch(assembly, options, False)
    return recipe, assembly, options


def choose_recipe(files: TokenizerFolder, config: Options, name: str | None) -> Recipe:
    """The recipe of this name, or the one that the folder's files speak of."""
    if name is not None:
        if name not in RECIPES:
            raise TokenizerError(f"There is no tokenizer kind {shown(name)}. Kinds: {', '.join(sorted(RECIPES))}.")
        return RECIPES[name]
    stated = str(config.get("tokenizer_class", "")).removesuffix("Fast")
    for recipe in RECIPES.values():
        if recipe.class_name == stated:
            return RECIPES.get(str(config.get("lamina_kind")), recipe)
    model_type = str(files.json_object("config.json").get("model_type", ""))
    if model_type in MODEL_TYPES and stated in ("", "PreTrainedTokenizer", "TokenizersBackend"):
        return RECIPES[MODEL_TYPES[model_type]]
    if files.find("tokenizer.json"):
        return RECIPES["json"]
    if files.find("vocab.txt") and not stated:
        return RECIPES["bert"]
    raise TokenizerError(
        f"Cannot tell what kind of tokenizer {files.path} holds: looked for tokenizer_config.json with a known "
        f"tokenizer_class (found {shown(stated)}), config.json with a known model_type (found {shown(model_type)}) and "
        f"tokenizer.json. It holds: {files.listing()}. Name the kind: recipe='bert', for example."
    )


def read_stored(files: TokenizerFolder, recipe: Recipe) -> tuple[Backend | None, dict[str, Any]]:
    """The tokenizer.json as the Rust library's object and as data, where there is one and the kind reads it."""
    path = files.find("tokenizer.json") if recipe.reads_json else None
    if path is None:
        return None, {}
    content = read_bytes(path, MAX_FILE_BYTES, TokenizerError)
    data = parse_json(content, str(path), TokenizerError)
    check_tokenizer_json(data, path)
    # The larger part by far, which the library holds from here on.
    data["model"] = {key: value for key, value in data["model"].items() if key not in ("vocab", "merges")}
    with backend_errors(f"Reading {path}"):
        return Backend.from_buffer(content), data


def stored_tokens(files: TokenizerFolder, config: Options, data: Options) -> dict[int, AddedToken]:
    """Tokens that were added to the vocabulary, by id: of today's configuration, else of the older files."""
    where = files.path / "tokenizer_config.json"
    if isinstance(config.get("added_tokens_decoder"), dict):
        return {int(index): added_token(value, where) for index, value in config["added_tokens_decoder"].items()}
    tokens = {}
    for item in data.get("added_tokens") or []:
        tokens[int(item["id"])] = added_token(item, "tokenizer.json")
    special = {text_of(config.get(role)) for role in ROLES}
    for token, index in files.json_object("added_tokens.json").items():
        if type(index) is not int:
            where = files.path / "added_tokens.json"
            raise TokenizerError(f"{where}: the id of {shown(token)} is {shown(index)}, not a number.")
        tokens.setdefault(index, AddedToken(token, normalized=token not in special, special=token in special))
    return tokens


def merge_options(
    files: TokenizerFolder,
    recipe: Recipe,
    config: Options,
    data: Options,
    added: Mapping[int, AddedToken],
    overrides: Options,
) -> Options:
    """Everything that can be set, the later winning: of the kind, tokenizer.json, the configuration, the caller."""
    options: Options = {**recipe.options, **recipe.special_tokens}
    padding, truncation = data.get("padding") or {}, data.get("truncation") or {}
    if padding:
        options.setdefault("pad_token", padding.get("pad_token"))
        options["padding_side"] = str(padding.get("direction", "right")).lower()
    if truncation:
        options["truncation_side"] = str(truncation.get("direction", "right")).lower()
    stated = {key: value for key, value in config.items() if key not in IGNORED}
    if "added_tokens_decoder" not in config:
        stated |= files.json_object("special_tokens_map.json")
    known = {token.content: token for token in added.values()}
    where = files.path / "tokenizer_config.json"
    for role in ROLES:
        if stated.get(role) is not None:
            stated[role] = token_like(stated[role], recipe.special_tokens.get(role), known, where)
        if isinstance(overrides.get(role), str):
            overrides = {**overrides, role: token_like(overrides[role], recipe.special_tokens.get(role), known, where)}
    extra = stated.get("additional_special_tokens") or stated.get("extra_special_tokens")
    stated.pop("additional_special_tokens", None)
    if isinstance(extra, list) and extra:
        stated["additional_special_tokens"] = [token_like(token, None, {}, where) for token in extra]
    options |= {**stated, "name_or_path": str(files.path), **overrides}
    if recipe.complete is not None:
        recipe.complete(options)
    return options


def token_like(value: Any, default: Any, known: Mapping[str, AddedToken], where: object) -> str | AddedToken:
    """A special token from a file, with the flags stated there or usual for its kind."""
    if isinstance(value, AddedToken):
        return value
    if isinstance(value, dict):
        return added_token({**value, "special": True}, where)
    if not isinstance(value, str):
        raise TokenizerError(f"{where}: a special token is {shown(value)}, not text.")
    if value in known:
        return known[value]
    if isinstance(default, AddedToken):
        return AddedToken(
            value, lstrip=default.lstrip, rstrip=default.rstrip, normalized=default.normalized, special=True
        )
    return value


def added_token(value: Any, where: object) -> AddedToken:
    """An AddedToken out of its JSON form."""
    if not isinstance(value, dict) or not isinstance(value.get("content"), str) or not value["content"]:
        raise TokenizerError(f"{where}: {shown(value)} is not an added token; it needs a content that is text.")
    flags = {key: bool(value[key]) for key in FLAGS & value.keys() if key != "content"}
    return AddedToken(value["content"], **flags)


def text_of(value: Any) -> str | None:
    """The text of a special token in any of the forms files have."""
    return value.get("content") if isinstance(value, dict) else value


def add_missing(backend: Backend, added: Mapping[int, AddedToken], options: Options) -> None:
    """Make the Rust library know stored and special tokens that it does not know yet, or knows with other flags."""
    present = backend.get_added_tokens_decoder()
    known = {repr(token) for token in present.values()}
    tokens = [token for _, token in sorted(added.items()) if repr(token) not in known]
    names = {token.content for token in present.values()} | {token.content for token in tokens}
    extra = options.get("additional_special_tokens") or []
    special = [options[role] for role in ROLES if options.get(role) is not None] + list(extra)
    contents = {str(token) for token in special}
    for token in special:
        if isinstance(token, AddedToken) or token not in names:
            tokens.append(token if isinstance(token, AddedToken) else AddedToken(token, special=True))
            names.add(str(token))
    for token in tokens:
        token.special = token.special or token.content in contents
    check_added([token.content for token in tokens], options.get("name_or_path"))
    if tokens:
        with backend_errors("Adding the special tokens"):
            backend.add_tokens(tokens)
