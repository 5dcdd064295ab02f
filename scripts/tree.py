"""Rules of the tree that no linter knows: room sizes, and nothing that ties it to one machine."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "lamina"
FILE_LINES = 600
FUNCTION_LINES = 40

# Written as character classes, so that this file does not break its own rule.
MACHINE = re.compile(
    r"[/]work[/]|[/]farm[/]|[/]root[/]|[.]library|package[-]lists|files[.]pythonhosted|registry[.]npmjs|deb[.]debian"
)
# Lines and files that a room of src/lamina may have. They only sink: a change that needs more says why in its commit.
# Raised last for fifteen families and what their attention needs (families, nn, root, tokenizers), for sentence models
# (sentences, a recipe in training, embed and search in cli), and for rows read once below pipelines (inference).
# The core (all but cli, inference, scale, serving, training, viewer) is to have 15,500 lines in 95 files: what it still
# says twice has to go.
ROOMS = {
    "(root)": (483, 4),
    "auto": (746, 3),
    "checkpoint": (1_733, 8),
    "cli": (3_043, 15),
    "families": (4_421, 37),
    "files": (1_668, 8),
    "generation": (3_266, 10),
    "inference": (1_711, 7),
    "legacy": (458, 4),
    "nn": (3_198, 13),
    "pipelines": (3_121, 15),
    "scale": (124, 2),
    "sentences": (1_794, 6),
    "serving": (5_630, 37),
    "tokenizers": (4_756, 21),
    "training": (7_077, 52),
    "viewer": (6_058, 46),
}
VAGUE_NAMES = {"utils.py", "helpers.py", "util.py", "helper.py", "misc.py", "common.py"}


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [path for name in listed.split("\0") if name and (path := ROOT / name).is_file()]


def function_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its signature and docstring: long lists of arguments do not count."""
    body = node.body[1:] if ast.get_docstring(node, clean=False) is not None else node.body
    return (node.end_lineno or 0) - body[0].lineno + 1 if body else 0


def too_large(path: Path, text: str) -> Iterator[str]:
    name = path.relative_to(ROOT)
    if (count := len(text.splitlines())) > FILE_LINES:
        yield f"{name}: {count} lines, over {FILE_LINES}: two jobs in one file?"
    for node in ast.walk(ast.parse(text)):
        if (
            isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            and (count := function_lines(node)) > FUNCTION_LINES
        ):
            yield f"{name}:{node.lineno}: {node.name} has {count} lines, over {FUNCTION_LINES}"


def room_sizes() -> dict[str, tuple[int, int]]:
    """Lines and files of every room."""
    found: dict[str, tuple[int, int]] = {}
    for path in tracked():
        if path.suffix == ".py" and path.is_relative_to(SOURCE):
            parts = path.relative_to(SOURCE).parts
            room = parts[0] if len(parts) > 1 else "(root)"
            lines, files = found.get(room, (0, 0))
            found[room] = (lines + len(path.read_text(encoding="utf-8").splitlines()), files + 1)
    return found


def over_budget() -> Iterator[str]:
    for room, (lines, files) in sorted(room_sizes().items()):
        most_lines, most_files = ROOMS.get(room, (0, 0))
        if lines > most_lines or files > most_files:
            yield f"src/lamina/{room}: {lines:,} lines in {files} files; its budget is {most_lines:,} in {most_files}"


def complaints() -> Iterator[str]:
    yield from over_budget()
    for path in tracked():
        name = path.relative_to(ROOT)
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(text.splitlines(), 1):
            if MACHINE.search(line):
                yield f"{name}:{number}: a path or host of one machine: {line.strip()[:100]}"
        if path.suffix == ".py" and path.is_relative_to(ROOT / "src"):
            if path.name in VAGUE_NAMES:
                yield f"{name}: the name says nothing of what lives there"
            yield from too_large(path, text)


if __name__ == "__main__":
    if "--rooms" in sys.argv:
        for room, (lines, files) in sorted(room_sizes().items()):
            most_lines, most_files = ROOMS.get(room, (0, 0))
            print(f"{room:12} {lines:6,} of {most_lines:6,} lines, {files:3} of {most_files:3} files")
        sys.exit()
    found = list(complaints())
    print("\n".join(found) if found else "Tree: no complaints")
    sys.exit(bool(found))
