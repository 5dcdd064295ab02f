"""Write a tokenizer as Transformers 4.57 does: configuration, special tokens, tokenizer.json and the original files."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokenizers import AddedToken, models

from lamina.errors import TokenizerError
from lamina.tokenizers.files import backend_errors
from lamina.tokenizers.vocabulary import ROLES

if TYPE_CHECKING:
    from lamina.tokenizers.tokenizer import Tokenizer

UNSAVED = {"name_or_path", "added_tokens_decoder", "use_fast"}


def save(tokenizer: Tokenizer, folder: Path, prefix: str) -> tuple[str, ...]:
    """Write every file of a tokenizer and name them."""
    mark = prepare(folder, prefix)
    written = [
        write_json(folder / f"{mark}tokenizer_config.json", configuration(tokenizer)),
        write_json(folder / f"{mark}special_tokens_map.json", special_tokens(tokenizer)),
        *map(Path, save_vocabulary(tokenizer, folder, prefix)),
    ]
    size = tokenizer.vocab_size
    later = {token: index for token, index in tokenizer.added_tokens_encoder.items() if index >= size}
    if later:
        written.append(write_json(folder / f"{mark}added_tokens.json", later))
    if tokenizer.is_fast:
        with tokenizer._lock, backend_errors("Saving tokenizer.json"):
            tokenizer._backend.no_truncation()
            tokenizer._cut = None
            written.append(write_text(folder / f"{mark}tokenizer.json", tokenizer._backend.to_str(pretty=True)))
    return tuple(map(str, written))


def save_vocabulary(tokenizer: Tokenizer, folder: Path, prefix: str) -> tuple[str, ...]:
    """Write the original vocabulary files and name them."""
    mark = prepare(folder, prefix)
    assembly = tokenizer._assembly
    if assembly.splitter is not None:
        return tuple(map(str, assembly.splitter.save(folder, mark)))
    written = []
    for path in assembly.originals:
        target = folder / (mark + path.name)
        if path.is_file() and not (target.exists() and target.samefile(path)):
            shutil.copyfile(path, target)
        if target.is_file():
            written.append(str(target))
    if not assembly.originals and isinstance(tokenizer._backend.model, models.WordPiece | models.BPE):
        with backend_errors("Saving the vocabulary"):
            written += tokenizer._backend.model.save(str(folder), prefix or None)
    return tuple(written)


def prepare(folder: Path, prefix: str) -> str:
    """Make the folder, and refuse prefixes that would lead out of it."""
    if prefix and (Path(prefix).name != prefix or prefix.startswith(".")):
        raise TokenizerError(f"filename_prefix={prefix!r} should be a plain name.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TokenizerError(f"Cannot save a tokenizer to {folder}: {error.strerror}.") from error
    return f"{prefix}-" if prefix else ""


def configuration(tokenizer: Tokenizer) -> dict[str, Any]:
    """The contents of tokenizer_config.json."""
    config = {key: plain(value) for key, value in tokenizer.init_kwargs.items() if key not in UNSAVED}
    for role in ROLES:
        if role in config or role in tokenizer._special or role in tokenizer.recipe.special_tokens:
            config[role] = getattr(tokenizer, role)  # None where the kind's usual token is not wanted
    config |= {
        "additional_special_tokens": tokenizer.additional_special_tokens,
        "model_max_length": tokenizer.model_max_length,
        "padding_side": tokenizer.padding_side,
        "truncation_side": tokenizer.truncation_side,
        "clean_up_tokenization_spaces": tokenizer.clean_up_tokenization_spaces,
        "added_tokens_decoder": {str(i): flags(t) for i, t in sorted(tokenizer.added_tokens_decoder.items())},
        "tokenizer_class": tokenizer.recipe.class_name,
    }
    if not config["additional_special_tokens"]:
        del config["additional_special_tokens"]
    if tokenizer.recipe.class_name == "PreTrainedTokenizerFast":
        config["model_input_names"] = tokenizer.model_input_names
    return config


def special_tokens(tokenizer: Tokenizer) -> dict[str, Any]:
    """The contents of special_tokens_map.json."""
    found: dict[str, Any] = {}
    for role, token in tokenizer._special.items():
        found[role] = flags(token) if isinstance(token, AddedToken) else token
        if isinstance(token, AddedToken):
            del found[role]["special"]
    if tokenizer.additional_special_tokens:
        found["additional_special_tokens"] = tokenizer.additional_special_tokens
    return found


def flags(token: AddedToken) -> dict[str, Any]:
    """An added token in its JSON form."""
    return {
        "content": token.content,
        "lstrip": token.lstrip,
        "normalized": token.normalized,
        "rstrip": token.rstrip,
        "single_word": token.single_word,
        "special": token.special,
    }


def plain(value: Any) -> Any:
    """A JSON value of an option."""
    if isinstance(value, AddedToken):
        return str(value)
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value


def write_json(path: Path, value: Any) -> Path:
    """Write JSON as the reference lays it out."""
    return write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> Path:
    """Write a file whole or not at all."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise TokenizerError(f"Cannot write {path}: {error.strerror}.") from error
    return path
