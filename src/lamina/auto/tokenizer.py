"""AutoTokenizer and the named tokenizer classes: all of them give the one Tokenizer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from ..errors import ConfigError
from ..files.hub import WHERE, resolve
from ..files.shown import shown
from ..tokenizers.tokenizer import Tokenizer

PATTERNS = (
    "config.json",
    "tokenizer.json",
    "tokenizer.*.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "vocab*",
    "merges.txt",
    "*.model",
    "*.spm",
    "*.txt",
)
OBSOLETE = ("resume_download", "code_revision")  # without effect in the reference too: there is no code to download


class NamedTokenizer:
    """A tokenizer class under its reference name; `from_pretrained` returns a Tokenizer."""

    recipe_name: ClassVar[str | None] = None

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path, **options: Any) -> Tokenizer:
        """The tokenizer of a folder, or of a name in the hub's cache or on the hub; other options override its own.

        AutoTokenizer takes the class that `tokenizer_type` (a model_type), tokenizer_config.json or the model's config
        (`config`, else config.json) names, in this order, and the model_type's own where none does.
        `use_fast=False` and `from_slow=True` read the original files although there is a tokenizer.json.
        """
        if options.pop("trust_remote_code", None):
            raise ConfigError("trust_remote_code=True: Lamina never runs code that comes with a checkpoint")
        if options.pop("proxies", None):
            raise ConfigError("proxies: set the environment variables HTTP_PROXY and HTTPS_PROXY instead")
        token = options.pop("use_auth_token", None)
        if token is not None:
            options.setdefault("token", token)
        where = {key: options.pop(key) for key in WHERE if key in options}
        for key in OBSOLETE:
            options.pop(key, None)
        recipe = cls.recipe_name or _recipe(options.pop("tokenizer_type", None))
        options["config"] = _as_mapping(options.get("config"))
        return Tokenizer.from_folder(resolve(name_or_path, PATTERNS, **where), recipe=recipe, **options)


class AutoTokenizer(NamedTokenizer):
    """The right tokenizer for any checkpoint: `AutoTokenizer.from_pretrained(name_or_folder)`."""


def _recipe(tokenizer_type: Any) -> str | None:
    """The kind that a model_type stands for, which the caller puts above what the files say."""
    from ..tokenizers.recipes import MODEL_TYPES

    if tokenizer_type is None:
        return None
    if not isinstance(tokenizer_type, str) or tokenizer_type not in MODEL_TYPES:
        raise ConfigError(f"tokenizer_type={shown(tokenizer_type)} is not one of {', '.join(sorted(MODEL_TYPES))}")
    return MODEL_TYPES[tokenizer_type]


def _as_mapping(config: Any) -> Mapping[str, Any] | None:
    """A model's config as a mapping."""
    found = config.to_dict() if hasattr(config, "to_dict") else config
    if found is not None and not isinstance(found, Mapping):
        raise ConfigError(
            f"config={shown(config)} should be a model's config, such as AutoConfig.from_pretrained gives"
        )
    return found
