"""The hub's cache on disk, read without its library: which folder a name and revision stand for, and what is in it.

Layout (huggingface_hub's): models--org--name/{refs/REVISION, snapshots/COMMIT/FILES, blobs/, trees/COMMIT.json}.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from ..errors import HubError
from .jsonfile import INDEX_BYTES, read_json
from .paths import PLAIN_NAME, read_text
from .shown import shown

COMMIT = re.compile(r"[0-9a-f]{40}", re.ASCII)
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)?", re.ASCII)
REVISION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/-]{0,200}", re.ASCII)
PLAIN_WEIGHTS = re.compile(r"(?:pytorch_)?model(?:-\d{5}-of-\d{5})?\.(?:safetensors|bin)", re.ASCII)
ACCESSORY = (  # files that alone make up neither a model nor a tokenizer
    "config.json",
    "generation_config.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "*.index.json",
)


def cache_root(cache_dir: str | Path | None) -> Path:
    """The cache's folder: the argument, HF_HUB_CACHE, HF_HOME/hub, or the user's cache folder."""
    if cache_dir is not None:
        return Path(cache_dir).expanduser()
    direct = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    if direct:
        return Path(direct).expanduser()
    home = os.environ.get("HF_HOME")
    base = Path(home) if home else Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface"
    return base.expanduser() / "hub"


def check_name(name: str, revision: str) -> None:
    """Refuse names and revisions that the hub could not have, before they become part of a path."""
    if not NAME.fullmatch(name) or len(name) > 200 or "--" in name or ".." in name:
        raise HubError(f"{shown(name)} is neither a folder here nor the name of a model, such as 'org/name'")
    if not REVISION.fullmatch(revision) or ".." in revision:
        raise HubError(f"{shown(revision)} is no revision: pass a branch, a tag or a commit")


def repository(name: str, cache_dir: str | Path | None) -> Path:
    """Where the cache keeps a model."""
    return cache_root(cache_dir) / f"models--{name.replace('/', '--')}"


def cached_commit(folder: Path, revision: str) -> str | None:
    """The commit a revision stood for when it was last fetched."""
    if COMMIT.fullmatch(revision):
        return revision
    try:
        commit = read_text(folder / "refs" / revision, 100, HubError).strip()
    except HubError:
        return None
    return commit if COMMIT.fullmatch(commit) else None


def choose(names: Iterable[str], patterns: Sequence[str], subfolder: str = "") -> list[str]:
    """Of a repository's files those that match, in one folder only; each weight once.

    `.bin` weights are chosen only where there are no safetensors, variants such as fp16 and other tensors (optimizer
    states, training arguments) only where the patterns leave no plain weights.
    """
    start = f"{subfolder}/" if subfolder else ""
    inner = {name.removeprefix(start): name for name in names if name.startswith(start)}
    plain = [name for name in inner if PLAIN_NAME.fullmatch(name)]
    chosen = [name for name in plain if any(fnmatchcase(name, pattern) for pattern in patterns)]
    if any(name.startswith("model") and name.endswith((".safetensors", ".safetensors.index.json")) for name in chosen):
        chosen = [name for name in chosen if not name.endswith((".bin", ".bin.index.json"))]
    tensors = {name for name in chosen if name.endswith((".bin", ".safetensors"))}
    if plain_weights := {name for name in tensors if PLAIN_WEIGHTS.fullmatch(name)}:
        chosen = [name for name in chosen if name in plain_weights or name not in tensors]
    return sorted(inner[name] for name in chosen)


def complete(folder: Path, commit: str, patterns: Sequence[str], subfolder: str) -> bool:
    """Whether a snapshot holds what the patterns ask for, as far as can be told without the network.

    Where the cache has the list of the commit's files, exactly; else by there being weights, or a vocabulary, and
    all the shards that an index names.
    """
    snapshot = folder / "snapshots" / commit
    listed = _listed(folder / "trees" / f"{commit}.json")
    if listed is not None:
        chosen = choose(listed, patterns, subfolder)
        return bool(chosen) and all((snapshot / name).exists() for name in chosen)
    here = _files(snapshot / subfolder)
    principal = [pattern for pattern in patterns if pattern not in ACCESSORY] or list(patterns)
    found = [name for name in here if any(fnmatchcase(name, pattern) for pattern in principal)]
    indexes = [name for name in here if name.endswith((".safetensors.index.json", ".bin.index.json"))]
    wants_shards = any(fnmatchcase(name, pattern) for name in indexes for pattern in patterns)
    return bool(found) and (not wants_shards or all(_has_shards(snapshot / subfolder, name, here) for name in indexes))


def any_match(folder: Path, patterns: Sequence[str]) -> bool:
    """Whether a folder holds anything the patterns ask for."""
    return any(fnmatchcase(name, pattern) for name in _files(folder) for pattern in patterns)


def _files(folder: Path) -> set[str]:
    try:
        return {entry.name for entry in os.scandir(folder) if os.path.exists(entry.path)}
    except OSError:
        return set()


def _listed(path: Path) -> list[str] | None:
    if not path.is_file():
        return None
    try:
        tree = read_json(path, INDEX_BYTES, HubError)
    except HubError:
        return None
    files = tree.get("files") if isinstance(tree, dict) else None
    return list(files) if isinstance(files, dict) else None


def _has_shards(folder: Path, index: str, here: set[str]) -> bool:
    try:
        mapping = read_json(folder / index, INDEX_BYTES, HubError).get("weight_map", {})
        return set(mapping.values()) <= here
    except (HubError, AttributeError, TypeError):
        return True  # unreadable: the loader says so better than a second download
