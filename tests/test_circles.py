"""No file of ours needs another that needs it, lazy imports and those for types included."""

from __future__ import annotations

from collections.abc import Iterator

from tests.test_import_order import SOURCE, files, imports, module_of

OPEN = {frozenset({"training.loop", "training.search", "training.trainer"})}  # of a room that is still to be rebuilt


def graph() -> dict[str, set[str]]:
    """The files of ours that each one imports."""
    modules = {module_of(path): path for path in files()}
    found: dict[str, set[str]] = {module: set() for module in modules}
    for module, path in modules.items():
        for _, name in imports(path):
            while name and name not in modules:
                name = name.rpartition(".")[0]
            if name and name != module:
                found[module].add(name)
    return found


def reached(edges: dict[str, set[str]], start: str) -> set[str]:
    """All that `start` leads to."""
    seen, ahead = set[str](), [start]
    while ahead:
        for name in edges[ahead.pop()] - seen:
            seen.add(name)
            ahead.append(name)
    return seen


def circles() -> Iterator[frozenset[str]]:
    edges = graph()
    everywhere = {name: reached(edges, name) for name in edges}
    for name, there in everywhere.items():
        if name in there:
            yield frozenset(other for other in there if name in everywhere[other])


def test_files_need_each_other_one_way():
    assert len(graph()) == len(list(SOURCE.rglob("*.py"))) - 1
    assert set(circles()) <= OPEN
