"""What runs where nobody names a model: the usual one of the Hub, or the small one inside this package."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..checkpoint.files import weight_patterns
from ..errors import HubError, PipelineError
from ..files.hub import resolve
from .catalog import ALIASES, CatalogEntry
from .languages import task_languages
from .notices import announce

ASSETS = Path(__file__).resolve().parent.parent / "assets"
EMBEDDED = {"text-classification": ASSETS / "sentiment"}


def choose_default(task: str, entry: CatalogEntry, where: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The usual model of `task` and where to read it, or the embedded folder where the Hub is out of reach.

    `where` are the hub's options. Raises PipelineError where neither is there.
    """
    languages = task_languages(task)
    if all(languages) and languages not in entry.languages:
        known = ", ".join(f"{source} to {target}" for source, target in entry.languages)
        raise PipelineError(f"{task}: no model is usual for it, only for {known}; pass model=")
    pinned = where.get("revision") or entry.revision
    # A cache filled by name alone knows the newest commit and not the pinned one; it comes before any network.
    places: list[dict[str, Any]] = [
        {**where, "revision": pinned, "local_files_only": True},
        {**where, "revision": where.get("revision"), "local_files_only": True},
        {**where, "revision": pinned},
    ]
    failure: HubError | None = None
    for place in places:
        try:
            folder = resolve(entry.model, weight_patterns(), **place)
        except HubError as error:
            failure = error
            continue
        if any(folder.glob("*.safetensors")) or any(folder.glob("*.bin")):
            announce(f"No model was given; {entry.model} (revision {place['revision'] or 'main'}) is used.")
            return entry.model, place
    embedded = EMBEDDED.get(ALIASES.get(task, task))
    if embedded is None or not (embedded / "config.json").is_file():
        raise PipelineError(
            f"{task}: no model was given, and the usual one, {entry.model}, is neither cached nor reachable "
            f"({failure}); pass model= with the name of a cached model or a local folder"
        )
    announce(f"No model was given and {entry.model} is out of reach; the small model inside Lamina is used.")
    return str(embedded), {}
