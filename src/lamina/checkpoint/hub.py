"""Models by name: the folder of a cached snapshot."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..errors import HubError


def resolve(
    name_or_path: str | Path,
    patterns: Sequence[str],
    *,
    revision: str = "main",
    cache_dir: str | Path | None = None,
    token: str | bool | None = None,
    local_files_only: bool = False,
    force_download: bool = False,
    subfolder: str = "",
) -> Path:
    """The local folder of a model."""
    folder = Path(name_or_path) / subfolder
    if not folder.is_dir():
        raise HubError(f"{folder} is not a folder")
    return folder
