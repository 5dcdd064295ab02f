"""Write a tokenizer as Transformers 4.57 does: configuration, special tokens, tokenizer.json and the original files."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokenizers import AddedToken, models

from lamina.errors import TokenizerError
from lamina.files.atomic import staged
from lamina.files.paths import inside, present
from lamina.files.shown import shown
from lamina.tokenizers.files import backend_errors
from lamina.tokenizers.vocabulary import ROLES

if TYPE_CHECKING:
    from lamina.tokenizers.tokenizer import Tokenizer

logger = logging.getLogger("lamina.tokenizers")

UNSAVED = {"name_or_path", "added_tokens_decoder", "use_fast"}


@backend_errors("Saving a tokenizer")
def save(tokenizer: Tokenizer, folder: Path, prefix: str) -> tuple[str, ...]:
    """Write every file of a tokenizer, or none, and name them."""
    with writing(folder, prefix) as (new, written):
        write_json(new("tokenizer_config.json"), configuration(tokenizer))
        write_json(new("special_tokens_map.json"), special_tokens(tokenizer))
        write_vocabulary(tokenizer, new, prefix)
        size = tokenizer.vocab_size
        later = {token: index for token, index in tokenizer.added_tokens_encoder.items() if index >= size}
        if later:
            write_json(new("added_tokens.json"), later)
        if tokenizer.is_fast:
            new("tokenizer.json").write_text(tokenizer._encoder.save_backend(), encoding="utf-8", newline="\n")
    return tuple(map(str, written))


@backend_errors("Saving a vocabulary")
def save_vocabulary(tokenizer: Tokenizer, folder: Path, prefix: str) -> tuple[str, ...]:
    """Write the original vocabulary files, all or none, and name them."""
    with writing(folder, prefix) as (new, written):
        write_vocabulary(tokenizer, new, prefix)
    return tuple(map(str, written))


@contextmanager
def writing(folder: Path, prefix: str) -> Iterator[tuple[Callable[[str], Path], list[Path]]]:
    """A function that gives the place to write a file at, by its name without the prefix, and where they will stand."""
    if prefix and (Path(prefix).name != prefix or prefix[0] == "." or "\0" in prefix):
        raise TokenizerError(f"filename_prefix={shown(prefix)} should be a plain name.")
    written: list[Path] = []
    with staged(folder, TokenizerError) as new:

        def named(name: str) -> Path:
            name = f"{prefix}-{name}" if prefix else name
            written.append(folder / name)
            return new(name)

        yield named, written


def write_vocabulary(tokenizer: Tokenizer, new: Callable[[str], Path], prefix: str) -> None:
    """Write the original vocabulary files at the places that `new` gives."""
    assembly, model = tokenizer._assembly, tokenizer._backend.model
    if assembly.splitter is not None:
        assembly.splitter.save(new)
        return
    for path in assembly.originals:
        if present(path.parent, path.name):
            shutil.copyfile(inside(path.parent, path.name, TokenizerError), new(path.name))
        else:  # tokenizer.json says the same
            logger.warning("%s is gone, so it is not saved again; tokenizer.json holds what it said.", path)
    if not assembly.originals and isinstance(model, models.WordPiece | models.BPE):
        names = ("vocab.txt",) if isinstance(model, models.WordPiece) else ("vocab.json", "merges.txt")
        places = [new(name).parent for name in names]
        model.save(str(places[0]), prefix or None)


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
    if not config["additional_special_tokens"] and "additional_special_tokens" not in tokenizer.init_kwargs:
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


def write_json(path: Path, value: Any) -> None:
    """Write JSON as the reference lays it out."""
    try:
        text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    except (TypeError, ValueError, RecursionError) as error:
        raise TokenizerError(f"An option of the tokenizer cannot be written to {path.name}: {error}.") from error
    # Half a surrogate pair becomes its escape, which in JSON means the same.
    path.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")
