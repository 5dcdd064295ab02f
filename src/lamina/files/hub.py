"""Models by name: from the hub's cache where they are in it, fetched once where they are not.

Layout of the cache (huggingface_hub's, read without it): models--org--name/{refs/REVISION, snapshots/COMMIT/FILES,
blobs/, trees/COMMIT.json}.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

from ..errors import HubError, LaminaError
from .atomic import finish, write_text
from .jsonfile import INDEX_BYTES, read_json
from .paths import PLAIN_NAME, local_path, read_text
from .shown import cut, shown

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
ENDPOINT = "https://huggingface.co"
WHERE: Mapping[str, tuple[type, ...]] = {  # the options of `resolve`, and what each may be beside None
    "revision": (str,),
    "cache_dir": (str, os.PathLike),
    "token": (str, bool),
    "local_files_only": (bool,),
    "force_download": (bool,),
    "subfolder": (str,),
}
KINDS = {str: "text", bool: "true or false", os.PathLike: "a path"}
logger = logging.getLogger("lamina")
NETWORK_ERRORS = {"ConnectionError", "Timeout", "TimeoutError", "ChunkedEncodingError", "TransportError"}
# The bases, by name, of what the HTTP libraries raise that huggingface_hub has used over the years.


def resolve(
    name_or_path: str | Path,
    patterns: Sequence[str],
    *,
    revision: str | None = None,
    cache_dir: str | Path | None = None,
    token: str | bool | None = None,
    local_files_only: bool = False,
    force_download: bool = False,
    subfolder: str | None = "",
) -> Path:
    """The local folder that holds a model's files.

    A folder is taken as it is. A name is looked up in the hub's cache first, and where the revision asked for is there
    no network is touched: pass a 40-digit commit to pin one, force_download=True to follow a branch that has moved.
    Otherwise the files that match `patterns` (names or globs, such as "*.safetensors") are fetched, all of one commit.
    HF_HOME, HF_HUB_CACHE, HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE and TRANSFORMERS_OFFLINE are honored. Raises HubError.
    """
    local = local_path(name_or_path, HubError)
    given = (revision, cache_dir, token, local_files_only, force_download, subfolder)
    check_kinds(dict(zip(WHERE, given, strict=True)), WHERE, HubError)
    subfolder = subfolder or ""
    if any(part in ("..", "") for part in subfolder.split("/")) and subfolder:
        raise HubError(f"subfolder {shown(subfolder)} must be a plain relative path")
    if local.is_dir() and str(name_or_path):
        if revision not in (None, "main", local.name):
            _note_revision(local, revision)
        return _existing(local, subfolder)
    name, revision = str(name_or_path), revision or "main"
    if local.is_file():
        raise HubError(f"{local} is a file: pass the folder that holds it")
    check_name(name, revision)
    repo = repository(name, cache_dir)
    commit = cached_commit(repo, revision)
    snapshot = repo / "snapshots" / commit if commit else None
    if commit and snapshot and not force_download and complete(repo, commit, patterns, subfolder):
        return _existing(snapshot, subfolder)
    fallback = snapshot if snapshot and _matching(_files(snapshot / subfolder), patterns) else None
    if local_files_only or _offline():
        if fallback:
            return _existing(fallback, subfolder)
        why = "local_files_only=True" if local_files_only else "HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is set"
        raise HubError(
            f"there is no folder {shown(name)} here, it ({revision}) is not in the cache at {cache_root(cache_dir)}, "
            f"and {why}"
        )
    try:
        return _existing(_fetch(name, patterns, revision, cache_dir, token, force_download, subfolder), subfolder)
    except HubError as problem:
        if fallback and not force_download and unreachable(problem.__cause__):
            return _existing(fallback, subfolder)
        raise


def check_kinds(options: Mapping[str, Any], kinds: Mapping[str, tuple[type, ...]], error: type[LaminaError]) -> None:
    """`error` for an option that is neither None nor of its kinds."""
    for name, value in options.items():
        if value is not None and name in kinds and not isinstance(value, kinds[name]):
            raise error(f"{name}={shown(value)}: it must be {' or '.join(KINDS[kind] for kind in kinds[name])}")


@cache
def _note_revision(folder: Path, revision: str | None) -> None:
    logger.warning("%s is a folder here: revision=%s, for models of the Hub, changes nothing", folder, shown(revision))


def _existing(folder: Path, subfolder: str) -> Path:
    found = folder / subfolder
    if not found.is_dir():
        raise HubError(f"{folder} has no folder {shown(subfolder)}")
    if not Path(os.path.realpath(found)).is_relative_to(os.path.realpath(folder)):
        raise HubError(f"{found} is a link to a folder outside of {folder}")
    finish(found, HubError)
    return found


def _offline() -> bool:
    values = (os.environ.get(key, "") for key in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"))
    return any(value.upper() in ("1", "ON", "YES", "TRUE") for value in values)


def _fetch(
    name: str,
    patterns: Sequence[str],
    revision: str,
    cache_dir: str | Path | None,
    token: str | bool | None,
    force_download: bool,
    subfolder: str,
) -> Path:
    from huggingface_hub import HfApi, snapshot_download  # here: a second of imports that cached models do not need

    endpoint = os.environ.get("HF_ENDPOINT") or ENDPOINT
    try:
        info = HfApi(endpoint=endpoint, token=token).model_info(name, revision=revision)
        listed = [file.rfilename for file in info.siblings or ()]
        chosen = choose(listed, patterns, subfolder)
        if not chosen or info.sha is None:
            raise HubError(f"{shown(name)} ({revision}) has none of the files wanted: {', '.join(patterns)}")
        folder = snapshot_download(
            name,
            revision=info.sha,
            cache_dir=cache_root(cache_dir),
            token=token,
            endpoint=endpoint,
            force_download=force_download,
            allow_patterns=chosen,
        )
    except HubError:
        raise
    except Exception as problem:  # the library's and its HTTP client's errors share no base class
        raise explain(problem, name, revision, endpoint) from problem
    _note_commit(repository(name, cache_dir), revision, info.sha)
    return Path(folder)


def _note_commit(repo: Path, revision: str, commit: str) -> None:
    """Remember which commit a branch stood for, once all its files are here."""
    if revision != commit:
        write_text(repo / "refs" / revision, commit, HubError)


def explain(problem: BaseException, name: str, revision: str, endpoint: str = ENDPOINT) -> HubError:
    """What went wrong between us and the hub, and what to do about it."""
    chain = _chain(problem)
    for found in chain:
        status = _status(found)
        if status is not None:
            return HubError(_by_status(status, found, name, revision, endpoint))
    if any("Consistency check failed" in str(found) for found in chain):
        return HubError(
            f"a file of {shown(name)} came with the wrong size and was not kept; try again. {_short(problem)}"
        )
    if unreachable(problem):
        return HubError(
            f"there is no folder {shown(name)} here, and {endpoint} cannot be reached for {shown(name)}: "
            f"{_short(problem)}. It is not in the cache either"
        )
    return HubError(f"{shown(name)} ({revision}) could not be fetched: {_short(problem)}")


def unreachable(problem: BaseException | None) -> bool:
    """Whether the hub did not answer at all."""
    kinds = {base.__name__ for found in _chain(problem) for base in type(found).__mro__}
    return bool(kinds & NETWORK_ERRORS) and all(_status(found) is None for found in _chain(problem))


def _chain(problem: BaseException | None) -> list[BaseException]:
    chain: list[BaseException] = []
    while problem is not None and problem not in chain:
        chain.append(problem)
        problem = problem.__cause__ or problem.__context__
    return chain


def _status(problem: BaseException) -> int | None:
    status = getattr(getattr(problem, "response", None), "status_code", None)
    return status if isinstance(status, int) else None


def _by_status(status: int, problem: BaseException, name: str, revision: str, endpoint: str) -> str:
    kinds = {base.__name__ for base in type(problem).__mro__}
    headers: Any = getattr(getattr(problem, "response", None), "headers", {})
    if "GatedRepoError" in kinds or status == 403:
        return (
            f"{shown(name)} is gated ({status}): ask for access at {endpoint}/{name} and pass token=... or set HF_TOKEN"
        )
    if "RevisionNotFoundError" in kinds:
        return f"{shown(name)} has no revision {shown(revision)}: pass a branch, a tag or a commit of it"
    if "EntryNotFoundError" in kinds:
        return f"a file of {shown(name)} ({revision}) is not on the hub: {_short(problem)}"
    if status in (401, 404):
        return (
            f"{shown(name)} is neither a folder here nor a public model at {endpoint} ({status}): check the spelling; "
            "for a private one pass token=... or set HF_TOKEN"
        )
    if status == 429:
        wait = headers.get("Retry-After")
        return f"{endpoint} asks to slow down (429){f', for {wait} s' if wait else ''}: wait, or pass a token"
    return f"{endpoint} failed with status {status} for {shown(name)} ({revision}): {_short(problem)}"


def _short(problem: BaseException) -> str:
    text = cut(str(problem), 200)
    return f"{type(problem).__name__}: {text}" if text else type(problem).__name__


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
        raise HubError(f"{shown(revision)} is not a revision: pass a branch, a tag or a commit")


def repository(name: str, cache_dir: str | Path | None) -> Path:
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
    chosen = _matching(plain, patterns)
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
    indexes = [name for name in here if name.endswith((".safetensors.index.json", ".bin.index.json"))]
    whole = not _matching(indexes, patterns) or all(_has_shards(snapshot / subfolder, name, here) for name in indexes)
    return whole and bool(_matching(here, principal))


def _matching(names: Iterable[str], patterns: Sequence[str]) -> list[str]:
    return [name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)]


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
