"""Put a tokenizer together from a folder: which kind it is, which files win, and which tokens are special."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, models, pre_tokenizers
from tokenizers import Tokenizer as Backend

from lamina.errors import TokenizerError
from lamina.files.jsonfile import parse_json
from lamina.files.paths import read_bytes, read_text
from lamina.files.shown import shown
from lamina.tokenizers.components import check_tokenizer_json
from lamina.tokenizers.files import MAX_FILE_BYTES, TokenizerFolder, backend_errors, check_added
from lamina.tokenizers.limits import read_names
from lamina.tokenizers.recipe import Assembly, Options, Recipe, apply_template, set_settings
from lamina.tokenizers.recipes import MODEL_TYPES, RECIPES, class_recipe
from lamina.tokenizers.vocabulary import ROLES, named_tokens

CONFIG, MAP, PLAIN_NAME = "tokenizer_config.json", "special_tokens_map.json", "tokenizer.json"
# What tokenizer_config.json holds for others than this library.
IGNORED = {"added_tokens_decoder", "tokenizer_class", "auto_map", "fast_tokenizer_files", "init_inputs", "name_or_path"}
IGNORED |= {"merges_file", "special_tokens_map_file", "tokenizer_file", "vocab_file"}
FLAGS = {"single_word", "lstrip", "rstrip", "normalized", "special"}
FILE_VERSION = re.compile(r"tokenizer\.(\d+(?:\.\d+)*)\.json")
REFERENCE = (4, 57, 6)  # files made for later versions of Transformers are not for us

COMMON = {*ROLES, "additional_special_tokens", "chat_template", "clean_up_tokenization_spaces", "extra_special_tokens"}
COMMON |= {"max_len", "model_input_names", "model_max_length", "model_specific_special_tokens", "name_or_path"}
COMMON |= {"pad_token_type_id", "padding_side", "split_special_tokens", "truncation_side", "verbose"}
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

logger = logging.getLogger("lamina.tokenizers")


def load(folder: str | Path, name: str | None, overrides: Options) -> tuple[Recipe, Assembly, Options]:
    """Settle kind, options and special tokens of a folder, and build: what Tokenizer's constructor takes."""
    files = TokenizerFolder(folder)
    config = files.json_object(CONFIG)
    recipe, named = choose_recipe(files, config, name, overrides.pop("config", None))
    stated = read_stated(files, config)
    wishes = read_options(recipe, stated, overrides)
    stored, data = read_stored(files, recipe, config)
    added = stored_tokens(files, config, data, {**stated, **overrides})
    options = merge_options(files, recipe, stated, data, added, overrides, None if named else stored)
    slow = options.pop("from_slow", "")
    reason = wishes or ("from_slow=True" if slow is True else slow)
    if stored is not None and not reason:
        assembly = Assembly(stored)
        prefix = options.get("add_prefix_space", False)
        if prefix is not None:  # null leaves it as the tokenizer.json says
            set_settings(stored, "pre_tokenizer", pre_tokenizers.ByteLevel, add_prefix_space=prefix)
        if recipe.adjust is not None:
            recipe.adjust(stored, options)
    else:
        assembly = build(files, recipe, options, reason)
        stored = None
        if assembly.splitter is not None:
            place(assembly, added)
    pieces = (files.find(name) for name in recipe.files if name.endswith(".model"))
    assembly.originals = [path for path in pieces if path is not None]
    add_missing(assembly.backend, added, options)
    if stored is None:
        apply_template(recipe, assembly.backend, options)
    if recipe.switch is not None:
        recipe.switch(assembly, options, False)
    return recipe, assembly, options


def build(files: TokenizerFolder, recipe: Recipe, options: Options, reason: str) -> Assembly:
    try:
        return recipe.build(files, options)
    except TokenizerError as error:
        if reason and files.find("tokenizer.json"):
            raise TokenizerError(f"{reason} needs more than tokenizer.json: {error}") from error
        raise


def place(assembly: Assembly, added: Mapping[int, AddedToken]) -> None:
    """Give added tokens the ids that the files state, as the reference's Python classes do; its fast ones count on."""
    backend = assembly.backend
    vocab = backend.get_vocab(with_added_tokens=False)
    stated = {token.content: index for index, token in added.items()}
    if any(vocab.get(token) != index for token, index in stated.items()):
        assembly.vocab_size, assembly.placed = assembly.vocab_size or len(vocab), stated
        backend.model = models.WordLevel(vocab | stated, unk_token=backend.model.unk_token)


def choose_recipe(files: TokenizerFolder, config: Options, name: str | None, model: Any) -> tuple[Recipe, bool]:
    """The kind, and whether somebody named it: the caller, tokenizer_config.json, or config.json's tokenizer_class.

    Where nobody did, config.json's model_type and the files there are speak of it. `model` stands for config.json.
    """
    if name is not None:
        if name not in RECIPES:
            raise TokenizerError(f"There is no tokenizer kind {shown(name)}. Kinds: {', '.join(sorted(RECIPES))}.")
        return RECIPES[name], True
    if config.get("tokenizer_class"):
        return named_recipe(files.path / CONFIG, config, config["tokenizer_class"]), True
    model = files.json_object("config.json") if model is None else model
    if model.get("tokenizer_class"):
        return named_recipe(files.path / "config.json", model, model["tokenizer_class"]), True
    model_type = model.get("model_type")
    if isinstance(model_type, str) and model_type in MODEL_TYPES:
        usual = RECIPES[MODEL_TYPES[model_type]]
        if usual.files and "vocab.txt" not in usual.files and not files.find(*usual.files, "tokenizer.json"):
            return (RECIPES["bert"] if files.find("vocab.txt") else usual), False  # klue/roberta, say, is BERT's
        return usual, False
    if own_code(config) or own_code(model):
        raise TokenizerError(
            f"{files.path} brings its own tokenizer as code (auto_map), which Lamina never runs. Say what it is: "
            "recipe='json' reads its tokenizer.json, recipe='bert' its vocab.txt, and so on."
        )
    if files.find("tokenizer.json"):
        return RECIPES["json"], False
    if files.find("vocab.txt"):
        return RECIPES["bert"], False
    raise TokenizerError(
        f"Cannot tell what kind of tokenizer {files.path} holds: looked for tokenizer_config.json or config.json with "
        f"a tokenizer_class, config.json with a known model_type (found {shown(model_type)}) and tokenizer.json. "
        f"It holds: {files.listing()}. Name the kind: recipe='bert', for example."
    )


def own_code(config: Options) -> bool:
    auto = config.get("auto_map")
    return isinstance(auto, list) or (isinstance(auto, dict) and "AutoTokenizer" in auto)


def named_recipe(where: Path, config: Options, stated: Any) -> Recipe:
    """The kind that a file's tokenizer_class stands for; another is never taken in its place."""
    recipe = class_recipe(stated) if isinstance(stated, str) else None
    if recipe is None:
        code = ", which comes as code (auto_map) that Lamina never runs" if own_code(config) else ""
        raise TokenizerError(
            f"{where} names the tokenizer_class {shown(stated)}{code}: no class that Lamina knows. If another class "
            "reads the same files, load with that one, such as BertTokenizer.from_pretrained(folder) for a vocab.txt; "
            "PreTrainedTokenizerFast.from_pretrained(folder) takes a tokenizer.json as it stands."
        )
    return recipe


def read_stated(files: TokenizerFolder, config: Options) -> Options:
    stated = {key: value for key, value in config.items() if key not in IGNORED}
    if "added_tokens_decoder" not in config:
        older = files.json_object(MAP)
        first, second = stated.get("additional_special_tokens"), older.get("additional_special_tokens")
        stated |= older
        if isinstance(first, list) and isinstance(second, list):
            known = {text_of(token) for token in first}
            stated["additional_special_tokens"] = first + [token for token in second if text_of(token) not in known]
    template = files.find("chat_template.jinja")
    if template is not None:
        stated["chat_template"] = read_text(template, MAX_FILE_BYTES, TokenizerError)
    if stated.get("model_input_names") is not None:
        read_names(stated["model_input_names"], files.path / CONFIG)
    return stated


def read_stored(files: TokenizerFolder, recipe: Recipe, config: Options) -> tuple[Backend | None, dict[str, Any]]:
    """The tokenizer.json as the Rust library's object and as data, where there is one and the kind reads it."""
    name = stored_name(config)
    path = files.find(name) if recipe.reads_json else None
    if path is None:
        if recipe.reads_json and name != PLAIN_NAME:
            files.require(name)
        return None, {}
    content = read_bytes(path, MAX_FILE_BYTES, TokenizerError)
    data = parse_json(content, str(path), TokenizerError)
    check_tokenizer_json(data, path)
    # The larger part by far, which the library holds from here on.
    data["model"] = {key: value for key, value in data["model"].items() if key not in ("vocab", "merges")}
    with backend_errors(f"Reading {path}"):
        return Backend.from_buffer(content), data


def stored_name(config: Options) -> str:
    """The name of the tokenizer.json for Transformers 4.57, where the folder holds one for each of several versions."""
    listed = config.get("fast_tokenizer_files")
    versions = {}
    for name in listed if isinstance(listed, list) else ():
        found = FILE_VERSION.fullmatch(name) if isinstance(name, str) else None
        if found and (version := tuple(map(int, found[1].split(".")))) <= REFERENCE:
            versions[version] = name
    return versions[max(versions)] if versions else PLAIN_NAME


def stored_tokens(files: TokenizerFolder, config: Options, data: Options, stated: Options) -> dict[int, AddedToken]:
    """Tokens that were added to the vocabulary, by id: of today's configuration, else of the older files."""
    where = files.path / CONFIG
    if isinstance(config.get("added_tokens_decoder"), dict):
        return {int(index): added_token(value, where) for index, value in config["added_tokens_decoder"].items()}
    tokens = {}
    for item in data.get("added_tokens") or []:
        tokens[int(item["id"])] = added_token(item, "tokenizer.json")
    extra = stated.get("additional_special_tokens")
    special = {text_of(stated.get(role)) for role in ROLES}
    special |= {text_of(token) for token in extra} if isinstance(extra, list) else set()
    for token, index in files.json_object("added_tokens.json").items():
        if type(index) is not int:
            where = files.path / "added_tokens.json"
            raise TokenizerError(f"{where}: the id of {shown(token)} is {shown(index)}, not a number.")
        tokens.setdefault(index, AddedToken(token, normalized=token not in special, special=token in special))
    return tokens


def merge_options(
    files: TokenizerFolder,
    recipe: Recipe,
    stated: Options,
    data: Options,
    added: Mapping[int, AddedToken],
    overrides: Options,
    complete: Backend | None,
) -> Options:
    """Everything that can be set, the later winning: of the kind, tokenizer.json, the configuration, the caller.

    `complete` is a tokenizer.json for which nobody named the class: it has all its tokens, and gets none of the kind's.
    """
    usual = dict(recipe.special_tokens)
    if complete is not None:
        usual = {r: token for r, token in usual.items() if isinstance(token, list) or in_vocabulary(complete, token)}
    options: Options = {**recipe.options, **usual}
    padding, truncation = data.get("padding") or {}, data.get("truncation") or {}
    if padding:
        options.setdefault("pad_token", padding.get("pad_token"))
        options["padding_side"] = str(padding.get("direction", "right")).lower()
    if truncation:
        options["truncation_side"] = str(truncation.get("direction", "right")).lower()
    known = {token.content: token for token in added.values()}
    where = files.path / CONFIG
    stated, overrides = (
        {key: read_tokens(key, value, recipe, known, where) for key, value in source.items()}
        for source in (stated, overrides)
    )
    options |= {**stated, "name_or_path": str(files.path), **overrides}
    if isinstance(options.get("extra_special_tokens"), list):  # what Transformers 5 calls them
        extra = options.pop("extra_special_tokens")
        options["additional_special_tokens"] = options.get("additional_special_tokens") or extra
    if recipe.complete is not None:
        recipe.complete(options)
    if complete is not None and options.get("additional_special_tokens"):
        asked = {str(t) for source in (stated, overrides) for t in source.get("additional_special_tokens") or []}
        kept = [t for t in options["additional_special_tokens"] if str(t) in asked or in_vocabulary(complete, t)]
        options["additional_special_tokens"] = kept
    return options


def in_vocabulary(backend: Backend, token: str | AddedToken) -> bool:
    return backend.token_to_id(str(token)) is not None


def read_tokens(key: str, value: Any, recipe: Recipe, known: Mapping[str, AddedToken], where: object) -> Any:
    """The value of an option, special tokens with the flags stated there or usual for their kind."""
    if value is None:
        return None
    if key in ROLES:
        return token_like(value, recipe.special_tokens.get(key), known, where)
    if key in ("additional_special_tokens", "extra_special_tokens") and isinstance(value, list | tuple):
        return [token_like(token, None, {}, where) for token in value]
    if key in ("extra_special_tokens", "model_specific_special_tokens") and isinstance(value, dict):
        return {name: token_like(token, None, known, where) for name, token in value.items()}
    if key in ("additional_special_tokens", "extra_special_tokens", "model_specific_special_tokens"):
        raise TokenizerError(f"{where}: {key} is {shown(value)}, not a list of tokens.")
    return value


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
        flags = {name: getattr(default, name) for name in ("lstrip", "rstrip", "normalized")}
        return AddedToken(value, **flags, special=True)
    return value


def added_token(value: Any, where: object) -> AddedToken:
    if not isinstance(value, dict) or not isinstance(value.get("content"), str) or not value["content"]:
        raise TokenizerError(f"{where}: {shown(value)} is not an added token; it needs a content that is text.")
    flags = {key: bool(value[key]) for key in FLAGS & value.keys()}
    return AddedToken(value["content"], **flags)


def text_of(value: Any) -> str | None:
    """The text of a special token in any of the forms files have."""
    found = value.get("content") if isinstance(value, dict) else value
    return None if found is None else str(found)


def add_missing(backend: Backend, added: Mapping[int, AddedToken], options: Options) -> None:
    """Make the Rust library know stored and special tokens that it does not know yet, or knows with other flags."""
    present = backend.get_added_tokens_decoder()
    known = {repr(token) for token in present.values()}
    tokens = [token for _, token in sorted(added.items()) if repr(token) not in known]
    names = {token.content for token in present.values()} | {token.content for token in tokens}
    extra = options.get("additional_special_tokens") or []
    special = [options[role] for role in ROLES if options.get(role) is not None] + list(extra)
    special += named_tokens(options).values()
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


def read_options(recipe: Recipe, stated: Options, overrides: Options) -> str:
    """Check the caller's options and take out those about building; says why the original files are wanted, or "".

    `use_fast=False` reads what the reference's Python classes read, `from_slow=True` too. So does an option of the
    caller that changes what a tokenizer.json holds fixed.
    """
    use_fast, from_slow = overrides.pop("use_fast", True), overrides.pop("from_slow", False)
    python = not use_fast and recipe.class_name != "PreTrainedTokenizerFast"
    for key in overrides.keys() & FILES:
        raise TokenizerError(f"{key}={shown(overrides[key])}: pass the folder that holds the tokenizer's files.")
    if overrides.get("model_input_names") is not None:
        read_names(overrides["model_input_names"])
    check_python_only(recipe, stated, overrides, python or not recipe.reads_json)
    check_names(recipe, overrides)
    if from_slow:
        return "from_slow=True"
    if python:
        overrides["use_fast"] = False  # the recipe may care
        return "use_fast=False"
    usual = {**recipe.options, **stated}
    for key in overrides.keys() & set(recipe.fixed):
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
