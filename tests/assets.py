"""Where tests find real weights, vocabularies and data: `asset("minilm")` is a path in the cache."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts import assets


def asset(name: str) -> Path:
    """The file or folder called `name` in `scripts/assets.py`.

    Fails the test, saying what to run, where the registry does not answer; skips it only where npm is missing.
    """
    if reason := assets.missing_tool(name):
        pytest.skip(reason)
    try:
        return assets.fetch(name)
    except assets.AssetUnavailable as error:
        pytest.fail(f"asset {name!r} is not there: {error}", pytrace=False)
