"""docs/pipelines.md from the table of options: `python -m scripts.options_page` writes it, a test compares."""

from __future__ import annotations

from pathlib import Path

from lamina.pipelines.create import ALIASES
from lamina.pipelines.options import OPTIONS, TOKENIZING, Option

PAGE = Path(__file__).resolve().parent.parent / "docs" / "pipelines.md"
HEAD = """# Options of the pipelines

Every option may be given when a pipeline is made, `pipeline(task, model, top_k=3)`, and again in a call, which comes
first. What stands in no table is refused by name. Pipelines that write take the options of generation too
(`generation.md`); those marked † pass the tokenizer's arguments on. This page is written by
`python -m scripts.options_page` from `lamina/pipelines/options.py`, the table that pipelines, server and command line
read.
"""


def values(option: Option) -> str:
    if option.kind == "choice":
        return ", ".join(f"`{choice}`" for choice in option.choices)
    least = f" from {option.least}" if option.kind == "count" else ""
    return {"flag": "True, False", "count": f"whole number{least}", "any": ""}.get(option.kind, option.kind)


def rows(table: dict[str, Option]) -> str:
    lines = [
        f"| `{name}` | {option.help} | {values(option)} | {'' if option.default is None else f'`{option.default!r}`'} |"
        for name, option in table.items()
    ]
    return "\n".join(["| option | meaning | values | default |", "|---|---|---|---|", *lines])


def page() -> str:
    parts = [HEAD]
    for task, table in OPTIONS.items():
        also = "".join(f", `{alias}`" for alias, name in ALIASES.items() if name == task)
        mark = " †" if set(TOKENIZING) <= set(table) else ""
        own = {name: option for name, option in table.items() if not mark or name not in TOKENIZING}
        parts.append(f"## `{task}`{also}{mark}\n\n{rows(own)}\n")
    parts.append(f"## † The tokenizer's arguments\n\n{rows(dict(TOKENIZING))}\n")
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
