"""Write docs/figures.md: lines per folder, parity per family and head, cold start. Every figure comes from a run.

python scripts/figures.py                 write the page; cold start from benchmarks/results/cold_start.json
python scripts/figures.py --lines         renew its counts of lines alone, which takes a second
python scripts/figures.py --check         refuse the page where its lines are no longer those of the tree
python scripts/figures.py --size          print the lines alone
"""

from __future__ import annotations

import argparse
import ast
import io
import json
import re
import subprocess
import sys
import tempfile
import tokenize
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
PAGE = ROOT / "docs" / "figures.md"
COLD_START = ROOT / "benchmarks" / "results" / "cold_start.json"
REFERENCE_LINES = {  # Transformers 5.23.0, all .py files of the folder; Transformer-XL: 4.57.6, PyTorch files only
    "albert": 1230,
    "bert": 2086,
    "distilbert": 1072,
    "electra": 1472,
    "roberta": 2289,
    "ctrl": 958,
    "gpt": 952,
    "gpt2": 1401,
    "bart": 1463,
    "mbart": 2054,
    "marian": 1660,
    "t5": 2070,
    "transfo_xl": 2597,
}

HEADING = """# Figures

Written by `python scripts/figures.py`; nothing here is typed by hand. `make check` refuses stale counts of lines.

"""
PARITY = "## Parity\n"
AROUND = ("benchmarks", "examples", "scripts", "tests", "**src, all**")
SLACK = 0.03, 60  # a count is stale where it is off by more than this part of it, and by more than so many lines

Table = list[tuple[Any, ...]]


def markdown(heading: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table; all columns but the first are numbers."""
    lines = [heading, ["---", *["---:"] * (len(heading) - 1)], *rows]
    return "\n".join(
        "| " + " | ".join(f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row) + " |" for row in lines
    )


def code_lines(text: str) -> int:
    """Lines that hold code: neither blank, nor comment, nor docstring."""
    idle = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)
    held: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in idle:
            held.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(
            node
        ):
            held -= set(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    return len(held)


def sizes() -> Table:
    """Files, lines and lines of code: the package folder by folder, then what stands around it."""
    names = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    found: dict[str, list[tuple[int, int]]] = {}
    for name in names.split():
        path = ROOT / name
        if not path.is_file():
            continue
        text = path.read_text(encoding="utf-8")
        parts = Path(name).parts
        folder = "/".join(
            parts[:3] if parts[0] == "src" and len(parts) > 3 else parts[:2] if parts[0] == "src" else parts[:1]
        )
        found.setdefault(folder, []).append((len(text.splitlines()), code_lines(text)))
    rows = [
        (name, len(files), sum(a for a, _ in files), sum(b for _, b in files)) for name, files in sorted(found.items())
    ]
    package = [row for row in rows if row[0].startswith("src/")]
    whole = ("**src, all**", *(sum(row[column] for row in package) for column in (1, 2, 3)))
    return [*package, whole, *(row for row in rows if not row[0].startswith("src/"))]


def family_sizes() -> Table:
    """Lines of each family's own file beside the reference's folder for it."""
    files: dict[str, int] = {}
    for path in (ROOT / "src/lamina/families").rglob("*.py"):
        name = path.stem if path.parent.name == "families" else path.parent.name
        files[name] = files.get(name, 0) + len(path.read_text(encoding="utf-8").splitlines())
    rows: Table = [(name, files[name], lines) for name, lines in REFERENCE_LINES.items() if name in files]
    return [*rows, ("**all**", sum(row[1] for row in rows), sum(row[2] for row in rows))]


@dataclass
class Parity:
    """How far one head is from the reference, over all of its rows."""

    rows: int = 0
    states: float = 0.0
    loss: float | None = None  # of rows with labels
    relative: float = 0.0


def parity() -> Table:
    """Largest differences to the stored answers of the reference, per family and head, in float32."""
    import numpy as np
    import torch

    from tests.families.goldens import ACTIVE, call, flatten, golden, load, real, write_checkpoint

    torch.set_num_threads(1)
    found: dict[tuple[str, str], Parity] = {}
    for row in ACTIVE:
        answer, here = golden(row), found.setdefault((row.family, row.architecture), Parity())
        here.rows += 1
        with tempfile.TemporaryDirectory() as folder, torch.no_grad():
            model = load(row, write_checkpoint(answer, Path(folder) / "model"))
            outputs = call(
                row, model, answer.inputs, output_hidden_states=answer.hidden, output_attentions=row.attentions
            )
        for ours, theirs in zip(map(flatten, outputs), answer.outputs, strict=True):
            for key in theirs:
                expected = real(key, theirs[key], answer.inputs, answer.paired)
                difference = np.abs(real(key, ours[key], answer.inputs, answer.paired) - expected)
                worst = float(difference.max(initial=0.0))
                if "loss" in key:
                    here.loss = max(here.loss or 0.0, worst)
                else:
                    here.states = max(here.states, worst)
                here.relative = max(
                    here.relative, float((difference / np.maximum(1, np.abs(expected))).max(initial=0.0))
                )
    return [
        (
            f"{family} · {head}",
            each.rows,
            f"{each.states:.0e}",
            "-" if each.loss is None else f"{each.loss:.0e}",
            f"{each.relative:.0e}",
        )
        for (family, head), each in found.items()
    ]


def cold_start() -> str:
    """The last run of benchmarks/cold_start.py."""
    if not COLD_START.is_file():
        return "Not measured yet: run `scripts/bench cold_start`."
    parts = []
    for name, row in json.loads(COLD_START.read_text(encoding="utf-8")).items():
        lines = {who: line for who, line in row["lines"].items() if "median_s" in line}
        rows = [
            (
                who,
                f"{line['median_s']:.2f}",
                f"{line['min_s']:.2f} - {line['max_s']:.2f}",
                f"{line['ratio']:.1f}" if "ratio" in line else "-",
            )
            for who, line in lines.items()
        ]
        head = f"A sentence classified: {name}, on {row['machine']['cores']} cores ({row['machine']['cpu']})."
        parts.append(f"{head}\n\n{markdown(('process', 'median s', 'min - max s', 'times faster'), rows)}")
    return "\n\n".join(parts)


def lines() -> str:
    """The part of the page that counts lines."""
    return f"""## Lines

Physical lines, and lines of code without blanks, comments and docstrings.

{markdown(("folder", "files", "lines", "code"), sizes())}

A family's own file, and the folder of the same family in Transformers 5.23.0 (Transformer-XL: 4.57.6). Ours stands on
the one block of `nn`; theirs has its own layers, and its configuration, tokenizer and conversion code beside them.

{markdown(("family", "Lamina", "Transformers"), family_sizes())}

"""


def page() -> str:
    """The whole page."""
    return f"""{HEADING}{lines()}{PARITY}

Largest absolute difference to Transformers 4.57.6 (Transformer-XL: 4.37.2) over all rows of `tests/families/rows`,
float32, tiny random models: outputs with hidden states and attention maps, then the loss, then the largest difference
relative to max(1, |value|). The tests also hold gradients, saving and loading to the reference.

{markdown(("family and head", "rows", "outputs", "loss", "relative"), parity())}

## Cold start

{cold_start()}
"""


def counts(text: str) -> dict[str, int]:
    """Lines of code and others by folder or family, as the page's tables say."""
    rows = re.findall(r"^\| (\S[^|]*?) \| ([\d,]+) \| ([\d,]+) \|", text, re.MULTILINE)
    # A folder's first number is its files, a family's its lines.
    return {
        name: int((lines if "/" in name or name in AROUND else first).replace(",", "")) for name, first, lines in rows
    }


def stale() -> list[str]:
    """The counts on the page that are not those of the tree."""
    text = PAGE.read_text(encoding="utf-8")
    said, found = counts(text.partition(PARITY)[0]), counts(lines())
    part, least = SLACK
    return [
        f"{name}: {said.get(name, 0):,} lines on the page, {found.get(name, 0):,} in the tree"
        for name in {**said, **found}
        if abs(said.get(name, 0) - found.get(name, 0)) > max(part * found.get(name, 0), least)
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", action="store_true", help="print the lines per folder and stop")
    parser.add_argument("--lines", action="store_true", help="renew the counts of lines on the page and stop")
    parser.add_argument("--check", action="store_true", help="fail where the page's counts of lines are stale")
    asked = parser.parse_args()
    if asked.size:
        for name, files, count, code in sizes():
            print(f"{name.strip('*'):28} {files:4} files {count:7,} lines {code:7,} of code")
        return 0
    if asked.check:
        found = stale()
        print(
            "\n".join([*found, "docs/figures.md is stale: python scripts/figures.py --lines"])
            if found
            else "Figures: fresh"
        )
        return int(bool(found))
    kept = PAGE.read_text(encoding="utf-8").partition(PARITY)[2] if asked.lines else ""
    PAGE.write_text(f"{HEADING}{lines()}{PARITY}{kept}" if asked.lines else page(), encoding="utf-8")
    print(f"written: {PAGE.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
