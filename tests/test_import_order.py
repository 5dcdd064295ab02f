"""Imports go one way, from plain data at the bottom to commands at the top; read from the source, lazy ones too."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import lamina
from lamina.families import MODULES, family

SOURCE = Path(lamina.__file__).parent
LAYERS = (
    {"errors"},
    {"files"},
    {"spec"},
    {"tokenizers", "nn"},
    {"families"},
    {"checkpoint"},
    {"generation", "legacy"},
    {"inference"},
    {"auto"},
    {"assets"},
    {"sentences"},
    {"pipelines"},
    {"training", "serving", "scale"},
    {"cli"},
    {"__main__"},
)
RANK = {room: rank for rank, layer in enumerate(LAYERS) for room in layer}
ALONE = "viewer"
FAMILY_BLIND = ("sentences", "pipelines", "training", "serving")


def room_of(module: str) -> str:
    """The room that `module`, a dotted name below `lamina`, belongs to."""
    return module.partition(".")[0]


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and dotted name below `lamina` of everything of ours that a file imports, wherever in it."""
    package = ("lamina", *path.relative_to(SOURCE).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        found: list[str] = []
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            source = ".".join(part for part in (base, node.module) if part)
            found = [f"{source}.{alias.name}" for alias in node.names]
        for name in found:
            if name.startswith("lamina."):
                yield node.lineno, name.removeprefix("lamina.")


def files() -> list[Path]:
    return sorted(path for path in SOURCE.rglob("*.py") if path != SOURCE / "__init__.py")


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize("path", files(), ids=module_of)
def test_imports_go_one_way(path: Path):
    here = room_of(module_of(path))
    assert here in RANK or here == ALONE, f"{here} has no place in the order"
    for line, name in imports(path):
        there = room_of(name)
        if here == ALONE or there == ALONE:
            allowed = here == there or here == "cli" or there in ("errors", "files")
        elif there in RANK:
            allowed = RANK[there] < RANK[here] or there == here
        else:
            allowed = there.startswith("__")  # the version
        assert allowed, f"{module_of(path)}, line {line}: {here} may not import {name}"


def test_there_are_no_circles():
    """Also among imports for the type checker alone, and those inside functions: who reads one file needs no other."""
    modules = {module_of(path): path for path in files()}
    graph: dict[str, set[str]] = {}
    for module, path in modules.items():
        named = [name for _, name in imports(path)]
        while any(name and name not in modules for name in named):
            named = [name if name in modules else name.rpartition(".")[0] for name in named]
        graph[module] = {name for name in named if name and name != module and not module.startswith(f"{name}.")}
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


@pytest.mark.parametrize("room", [room for room in FAMILY_BLIND if (SOURCE / room).is_dir()])
def test_rooms_that_name_no_family(room: str):
    forbidden = set(MODULES) | {task.architecture for name in MODULES for task in family(name).tasks}
    for path in sorted((SOURCE / room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            named = {
                ast.Constant: lambda node: node.value,
                ast.Name: lambda node: node.id,
                ast.Attribute: lambda node: node.attr,
            }.get(type(node))
            value = named(node) if named else None
            assert not (isinstance(value, str) and value in forbidden), f"{path.name}:{node.lineno} names {value}"


@pytest.mark.parametrize(
    "statement",
    [
        "import lamina",
        "import lamina.spec",
        "import lamina.errors",
        "import lamina.families.names",
        "from lamina.families import MODULES, family; [family(name) for name in MODULES if name != 'transfo-xl']",
        "import lamina.tokenizers.tokenizer",
        "from lamina import BertConfig; BertConfig()",
        "from lamina import AutoTokenizer, Tokenizer",
    ],
)
def test_torch_stays_out(statement: str):
    code = f"{statement}\nimport sys\nassert 'torch' not in sys.modules, 'torch was imported'"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
