"""Data sets of the Hub by name: from its cache where they are in it, fetched where they are not."""

from __future__ import annotations

import re
from pathlib import Path

from .errors import SourceError
from .settings import Settings

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)?", re.ASCII)
COMMIT = re.compile(r"[0-9a-f]{40}", re.ASCII)
PATTERNS = ["README.md"] + [
    f"*.{suffix}{packed}"
    for suffix in ("parquet", "csv", "tsv", "json", "jsonl", "ndjson", "txt", "arrow")
    for packed in ("", ".gz", ".zst")
]


def snapshot(name: str, settings: Settings) -> tuple[Path, str]:
    """The folder of a data set's files and its name; `name@revision` pins one. Raises SourceError."""
    name, _, revision = name.partition("@")
    if not NAME.fullmatch(name) or len(name) > 200 or "--" in name or ".." in name:
        raise SourceError(f"{name!r} is neither a file or folder here nor the name of a data set, such as 'org/name'")
    revision = revision or "main"
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._/-]{0,200}", revision, re.ASCII) or ".." in revision:
        raise SourceError(f"{revision!r} is not a revision: pass a branch, a tag or a commit")
    found = cached(settings.hub_cache / f"datasets--{name.replace('/', '--')}", revision)
    if found is not None:
        return found, name
    if settings.offline:
        raise SourceError(f"{name!r} ({revision}) is neither here nor in {settings.hub_cache}, and the Hub is off")
    return fetch(name, revision, settings), name


def cached(repository: Path, revision: str) -> Path | None:
    """The snapshot of a revision in the cache, None where there is none."""
    commit = revision
    if not COMMIT.fullmatch(revision):
        try:
            with (repository / "refs" / revision).open(encoding="ascii") as file:
                commit = file.read(100).strip()
        except (OSError, ValueError):
            return None
    folder = repository / "snapshots" / commit
    return folder if COMMIT.fullmatch(commit) and folder.is_dir() and any(folder.iterdir()) else None


def fetch(name: str, revision: str, settings: Settings) -> Path:
    """Download what can be shown of a data set into the Hub's cache."""
    from huggingface_hub import snapshot_download

    try:
        folder = snapshot_download(
            name,
            repo_type="dataset",
            revision=revision,
            cache_dir=settings.hub_cache,
            endpoint=settings.endpoint,
            token=settings.token,
            allow_patterns=PATTERNS,
        )
    except Exception as problem:  # the library's and its HTTP client's errors share no base class
        reason = " ".join(f"{type(problem).__name__}: {problem}".split())[:300]
        raise SourceError(
            f"{name!r} ({revision}) is neither a file or folder here nor in {settings.hub_cache}, and could not be "
            f"fetched from {settings.endpoint}: {reason}"
        ) from None
    return Path(str(folder))
