"""Writing whole or not at all has one home: whatever else opens a file to write, or renames one, is named here."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).parent.parent / "src" / "lamina"
ALLOWED = {  # file and call -> why it needs no staging
    ("files/atomic.py", "os.replace"): "the one home",
    ("files/atomic.py", "os.rename"): "the one home",
    ("training/folders.py", "os.write"): "the lock's note of who holds it",
    ("training/loggers.py", "open"): "a log, one line after the other; begun by write_text",
    ("training/checkpointing.py", "open"): "in the folder aside that publish makes whole",
    ("training/checkpointing.py", "write_text"): "the same",
    ("checkpoint/saving.py", "torch.save"): "into a file at the place that staged gives",
    ("viewer/statistics.py", "write_bytes"): "at the place that keeping.written gives",
    ("tokenizers/files.py", "write_text"): "at the place that staged gives",
    ("cli/embed.py", "open"): "at the place that the job's output gives",
    ("cli/output.py", "open"): "a device or pipe; rows that are added to what a stopped run has left",
}
MODE = re.compile(r"[rbt]*[wax+][wax+bt]*")
METHODS = {"write_text", "write_bytes", "savefig"}
FUNCTIONS = {"os.replace", "os.rename", "os.renames", "os.link", "os.write", "shutil.move", "shutil.copyfile",
             "shutil.copy", "shutil.copy2", "shutil.copytree", "torch.save", "np.save", "save_file"}  # fmt: skip


def staged_place(call: ast.Call) -> bool:
    """Whether a call writes at what `new(...)`, the function that `staged` gives, or `path()` returns."""
    targets = [*call.args, call.func.value if isinstance(call.func, ast.Attribute) else None]
    return any(
        isinstance(target, ast.Call) and isinstance(target.func, ast.Name) and target.func.id in ("new", "path")
        for target in targets
    )


def opens_to_write(call: ast.Call, place: int) -> bool:
    """Whether an `open`, whose mode is the argument at `place`, may write; what else is opened has no mode."""
    given = [word.value for word in call.keywords if word.arg == "mode"] or call.args[place : place + 1]
    modes = {node.value for each in given for node in ast.walk(each) if isinstance(node, ast.Constant)}
    return any(isinstance(mode, str) and MODE.fullmatch(mode) for mode in modes)


def writes(tree: ast.AST) -> Iterator[tuple[ast.Call, str]]:
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        name = ast.unparse(call.func)
        last = call.func.attr if isinstance(call.func, ast.Attribute) else ""
        if name in FUNCTIONS or last in METHODS:
            yield call, last if last in METHODS else name
        elif name in ("open", "io.open") or last == "open":
            if opens_to_write(call, 1 if name in ("open", "io.open") else 0):
                yield call, "open"
        elif last in ("rename", "replace") and len(call.args) == 1 and not call.keywords:
            yield call, last  # of a Path: text has two arguments


def test_nothing_else_writes() -> None:
    found = set()
    for path in sorted(SOURCE.rglob("*.py")):
        for call, name in writes(ast.parse(path.read_text(encoding="utf-8"))):
            if not staged_place(call):
                found.add((str(path.relative_to(SOURCE)), name))
    unknown = sorted(found - ALLOWED.keys())
    assert unknown == [], "write through files/atomic.py, or say here why this needs not"
    gone = sorted(ALLOWED.keys() - found)
    assert gone == [], "take out of the list what is no more"
