"""What the README says is so: its Python runs, its commands exist, and its Korean twin shows the same."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from lamina.cli.tasks import TASKS
from lamina.pipelines.create import EMBEDDED

ROOT = Path(__file__).resolve().parent.parent
ENGLISH = (ROOT / "README.md").read_text(encoding="utf-8")
KOREAN = (ROOT / "README.ko.md").read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    """The code blocks of one language, without comments, which may be translated."""
    found = re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
    return ["\n".join(line.split(" #")[0].rstrip() for line in block.splitlines()) for block in found]


def links(text: str) -> set[str]:
    return {target for target in re.findall(r"\]\(([^)]+)\)", text) if "://" not in target}


def test_the_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    shutil.copytree(EMBEDDED["text-classification"], tmp_path / "path/or/name")
    monkeypatch.chdir(tmp_path)
    (block,) = blocks(ENGLISH, "python")
    exec(compile(block, "README.md", "exec"), {})
    assert {"config.json", "model.safetensors"} <= {file.name for file in (tmp_path / "folder").iterdir()}


@pytest.mark.parametrize("language", ["sh", "python"])
def test_the_twin_shows_the_same_code(language: str) -> None:
    assert blocks(ENGLISH, language) == blocks(KOREAN, language)


def test_both_name_every_task_and_target() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for text in (ENGLISH, KOREAN):
        assert all(task.name in text for task in TASKS)
        assert set(re.findall(r"`make ([a-z]+)", text)) <= targets


@pytest.mark.parametrize("text", [ENGLISH, KOREAN], ids=["English", "Korean"])
def test_links_lead_somewhere(text: str) -> None:
    assert [target for target in sorted(links(text)) if not (ROOT / target).exists()] == []


def test_the_map_names_files_that_exist() -> None:
    for page in ("docs/design.md", "CONTRIBUTING.md"):
        named = re.findall(r"`([\w./]+(?:\.py|/))`", (ROOT / page).read_text(encoding="utf-8"))
        homes = (ROOT, ROOT / "src" / "lamina", ROOT / "src" / "lamina" / "tokenizers")
        gone = {name for name in named if not any((home / name).exists() for home in homes)}
        assert gone <= {"src/lamina/families/nezha.py"}, f"{page} names {sorted(gone)}"  # the family to be added
