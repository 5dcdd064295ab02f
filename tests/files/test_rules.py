"""Two rules of the source: strangers' values are described by `files.shown`, and files are opened at known places."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import lamina

SOURCE = Path(lamina.__file__).parent
OURS = ("LaminaError", "CheckpointError", "ConfigError", "HubError", "GenerationError")
DESCRIBING = sorted(path for room in ("checkpoint", "legacy", "files") for path in (SOURCE / room).glob("*.py"))
OPENERS = {"open", "read_text", "read_bytes", "is_file", "FileIO", "ZipFile", "memmap", "fromfile"}
OPENS = {  # files that open something, or ask whether it is there, and why each may
    "families/config.py": "a config.json that the caller names by its path",
    "legacy/fairseq.py": "files.paths.read_text",
    "legacy/convert.py": "a .pt that the caller names by its path",
    "legacy/openai_gpt.py": "files.paths.read_text; numpy maps a file that `inside` gave",
    "checkpoint/saving.py": "writes",
    "checkpoint/storage.py": "a second handle on a file that is open",
    "checkpoint/torchfile.py": "zipfile, over a file that is open",
    "cli/__init__.py": "the null device for a stream that is closed",
    "cli/formats.py": "writes",
    "cli/generate.py": "cli.inputs.read_text",
    "cli/inputs.py": "rows that the caller names",
    "cli/options.py": "a text that an option takes from a file",
    "cli/output.py": "writes",
    "cli/run.py": "asks which files of a model an output may not replace",
    "cli/view.py": "opens a browser",
    "cli/resuming.py": "what an earlier run wrote",
    "files/atomic.py": "flushes what was written, holds locks",
    "cli/embed.py": "writes",
    "files/formats.py": "asks which names of a pattern are files",
    "files/hub.py": "says that a file is not a folder; names and commits in the cache",
    "files/jsonfile.py": "files.paths.read_bytes",
    "files/paths.py": "the door itself",
    "files/tables.py": "rows that the caller names",
    "generation/config.py": "says that a file is no folder",
    "inference/batching.py": "a note in the user's own cache",
    "nn/runtime.py": "the memory that the system gives this process",
    "pipelines/create.py": "the model inside the package",
    "sentences/folder.py": "files.paths.read_text",
    "serving/playground.py": "the package's own pages",
    "tokenizers/files.py": "the tokenizers' own door",
    "tokenizers/loading.py": "tokenizers.files.read_text",
    "tokenizers/recipes/marian.py": "writes",
    "tokenizers/recipes/moses.py": "tokenizers.files.read_text",
    "tokenizers/tokenizer.py": "writes",
    "tokenizers/sentencepiece.py": "tokenizers.files.read_bytes",
    "tokenizers/training.py": "texts that the caller names",
    "training/checkpointing.py": "writes",
    "training/folders.py": "flushes and measures what was written",
    "training/glue.py": "rows that the caller names",
    "training/loggers.py": "writes",
    "training/lora.py": "writes",
    "training/readers.py": "rows that the caller names",
    "training/sharding.py": "torch's reader of a run's own parts",
    "training/tables.py": "rows that the caller names",
}


def unbounded(tree: ast.AST) -> Iterator[int]:
    """Lines where a value is written in full: `!r`, `repr()`, a cut `str()`, or another library's error."""
    own = {line for node in ast.walk(tree) if getattr(node, "name", "") == "__repr__" for line in lines(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.FormattedValue) and node.conversion != -1 and node.lineno not in own:
            yield node.lineno
        if isinstance(node, ast.Call) and called(node) == "repr":
            yield node.lineno
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Call) and called(node.value) == "str":
            yield node.lineno
        if isinstance(node, ast.ExceptHandler) and node.name and getattr(node.type, "id", "") not in OURS:
            for inner in ast.walk(node):
                if isinstance(inner, ast.FormattedValue) and getattr(inner.value, "id", "") == node.name:
                    yield inner.lineno


def lines(node: ast.AST) -> range:
    return range(node.lineno, (node.end_lineno or 0) + 1)  # type: ignore[attr-defined]


def called(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


@pytest.mark.parametrize("path", DESCRIBING, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_values_of_strangers_are_described_in_one_bounded_way(path: Path) -> None:
    found = list(unbounded(ast.parse(path.read_text(encoding="utf-8"))))
    assert not found or path.name == "shown.py", f"{path.name}: use files.shown in lines {found}"


def test_the_rule_sees_every_form() -> None:
    text = "f'{a!r}'\nrepr(a)\nstr(a)[:5]\ntry: b\nexcept ValueError as e: raise C(f'{e}')\n"
    assert sorted(unbounded(ast.parse(text))) == [1, 2, 3, 5]


def test_every_place_that_opens_a_file_is_known() -> None:
    """A new one either reads through `files.paths`, or has its reason here."""
    unknown = {
        name
        for path in SOURCE.rglob("*.py")
        if (name := path.relative_to(SOURCE).as_posix()) not in OPENS and not name.startswith("viewer/")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and called(node) in OPENERS
    }
    assert not unknown
