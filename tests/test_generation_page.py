"""The code of docs/generation.md runs, on tiny models under the names that it uses."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.assets import asset
from tests.pipelines.writers import write_writer

PAGE = Path(__file__).resolve().parent.parent / "docs" / "generation.md"


def test_the_python_runs_from_top_to_bottom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for name in ("gpt2", "t5", "mbart", "marian"):
        write_writer(name, tmp_path, asset)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL):
        exec(compile(block, PAGE.name, "exec"), names)
    answer = names["answer"]
    assert isinstance(answer, list)
    assert answer[0]["chunks"] > 1
