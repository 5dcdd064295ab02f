"""docs/sentences.md as printed: its Python runs. The models named are MiniLM and a tiny classifier here."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lamina.sentences import SentenceTransformer
from tests.assets import asset

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "sentences.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS)
def test_the_python_runs(
    checkpoint: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: str
) -> None:
    monkeypatch.chdir(tmp_path)
    minilm = str(asset("minilm"))
    block = block.replace("cross-encoder/ms-marco-MiniLM-L6-v2", str(checkpoint("bert-spam")))
    block = block.replace("sentence-transformers/all-MiniLM-L6-v2", minilm).replace("all-MiniLM-L6-v2", minilm)
    names: dict[str, Any] = {}
    exec(compile(block, "sentences.md", "exec"), names)
    if "hits" in names:
        assert names["hits"][0][0]["corpus_id"] == 0
        assert SentenceTransformer("small", device="cpu").get_embedding_dimension() == 64
