"""AutoTokenizer and the named tokenizer classes: all of them give the one Tokenizer."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from ..errors import ConfigError
from ..files.hub import resolve
from ..tokenizers.tokenizer import Tokenizer

PATTERNS = (
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab*",
    "merges.txt",
    "*.model",
    "*.spm",
    "*.txt",
)
WHERE = ("revision", "cache_dir", "token", "local_files_only", "force_download", "subfolder")
IGNORED = ("trust_remote_code", "config", "tokenizer_type", "proxies", "resume_download", "legacy", "from_slow")


class NamedTokenizer:
    """A tokenizer class under its reference name; `from_pretrained` returns a Tokenizer."""

    recipe_name: ClassVar[str | None] = None

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path, *, use_fast: bool = True, **options: Any) -> Tokenizer:
        """The tokenizer of a folder, or of a name in the hub's cache or on the hub; other options override its own."""
        if options.pop("trust_remote_code", None):
            raise ConfigError("trust_remote_code=True: Lamina never runs code that comes with a checkpoint")
        where = {key: options.pop(key) for key in WHERE if key in options}
        for key in IGNORED:
            options.pop(key, None)
        folder = resolve(name_or_path, PATTERNS, **where)
        return Tokenizer.from_folder(folder, recipe=cls.recipe_name or _recipe(folder), **options)


class AutoTokenizer(NamedTokenizer):
    """The right tokenizer for any checkpoint: `AutoTokenizer.from_pretrained(name_or_folder)`."""


def _recipe(folder: Path) -> str | None:
    """What the model's family uses, where the folder has a config.json that names a family we know."""
    from ..families import MODULES, family
    from ..files.jsonfile import read_json

    path = folder / "config.json"
    if not path.is_file():
        return None
    model_type = read_json(path).get("model_type")
    return family(model_type).tokenizer if model_type in MODULES else None
