"""Exchange checkpoints with an installed reference, both ways, and print how far the answers lie apart.

`python scripts/compare_with_reference.py PYTHON [--families NAME ...] [--bin] [--json FILE]`, where PYTHON is an
interpreter that has transformers (4.57.6 or 5.x; 4.37.2 for Transformer-XL). For every row of `tests/families/rows`
Lamina saves a model that the reference loads and answers with, and the reference one that Lamina does the same with,
as safetensors, or with --bin as `.bin` in shards, which hold tied tensors under each of their names.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

OURS, THEIRS = "saved-by-lamina", "saved-by-reference"
PICKLED = {"safe_serialization": False, "max_shard_size": "10KB"}


def answer(folder: Path, form: dict[str, Any]) -> None:
    """The reference's part: load what Lamina saved, save models of its own, and answer with both."""
    import torch
    import transformers
    from safetensors.numpy import save_file

    from scripts.golden.families import call
    from tests.families.rows import ROWS

    transformers.logging.set_verbosity_error()
    torch.set_num_threads(1)
    rows = {row.id: row for row in ROWS}
    for place in sorted(folder.glob("*/*")):
        row = rows[place.name]
        kind = getattr(transformers, row.architecture)
        report: dict[str, Any] = {}
        try:
            if place.parent.name == THEIRS:
                torch.manual_seed(7)
                config = transformers.AutoConfig.for_model(row.family, **row.config)
                config.initializer_range = config.init_std = 0.2  # wide enough to tell tokens apart
                kind(config).save_pretrained(place, **form)
            model, report = kind.from_pretrained(place, output_loading_info=True, attn_implementation="eager")
            with torch.no_grad():
                _, found = call(row, model.eval(), row.inputs())
            save_file({name: np.ascontiguousarray(tensor) for name, tensor in found.items()}, place / "answer.st")
        except Exception as error:  # one row's failure is a line of the table, not the end of it
            report = {"error": [f"{type(error).__name__}: {error}"]}
        (place / "report.json").write_text(json.dumps({key: sorted(map(str, value)) for key, value in report.items()}))
    (folder / "version").write_text(transformers.__version__)


def flat_answer(row: Any, folder: Path) -> dict[str, Any]:
    """Lamina's tensors for `row` with the checkpoint in `folder`."""
    import torch

    import lamina
    from tests.families.goldens import call, flatten

    model = getattr(lamina, row.architecture).from_pretrained(folder)
    hidden = not any("label" in name or name.endswith("_positions") for name in row.inputs())
    with torch.no_grad():
        outputs = call(row, model, row.inputs(), output_hidden_states=hidden, output_attentions=row.attentions)
    return {f"out{at}.{name}": array for at, output in enumerate(outputs) for name, array in flatten(output).items()}


def distance(row: Any, place: Path) -> tuple[float, str]:
    """The widest gap between both libraries' answers from one folder, in units of max(1, |value|); and complaints."""
    from safetensors.numpy import load_file

    from lamina import LaminaError
    from tests.families.goldens import golden, real

    report = {key: value for key, value in json.loads((place / "report.json").read_text()).items() if value}
    if "error" in report:
        return float("nan"), report["error"][0]
    theirs, gap = load_file(place / "answer.st"), 0.0
    try:
        ours = flat_answer(row, place)
    except LaminaError as error:
        return float("nan"), f"Lamina: {error}"
    for name in sorted(theirs.keys() & ours.keys()):
        key = name.partition(".")[2]
        first, second = (real(key, found[name], row.inputs(), golden(row).paired) for found in (ours, theirs))
        gap = max(gap, float((abs(first - second.reshape(first.shape)) / np.maximum(1, abs(first))).max(initial=0.0)))
    lacking = sorted(theirs.keys() - ours.keys())
    # Marian's sinusoids, which the reference makes anew where a file does not hold them.
    report = {key: [name for name in value if name not in golden(row).recreated] for key, value in report.items()}
    complaints = [f"{key} {', '.join(value)}" for key, value in report.items() if value]
    return gap, "; ".join(complaints + ([f"only the reference returns {', '.join(lacking)}"] if lacking else []))


def exchange(rows: list[Any], reference: str, work: Path, form: dict[str, Any]) -> Iterator[dict[str, Any]]:
    import lamina
    from tests.families.goldens import golden, write_checkpoint

    for row in rows:
        source = write_checkpoint(golden(row), work / "source" / row.id)
        getattr(lamina, row.architecture).from_pretrained(source).save_pretrained(work / "swap" / OURS / row.id, **form)
        (work / "swap" / THEIRS / row.id).mkdir(parents=True)
    shutil.rmtree(work / "source")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [reference, __file__, "--answer", str(work / "swap"), *(["--bin"] if form else [])],
        env=environment, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode != 0:
        raise SystemExit(f"the reference did not answer:\n{done.stderr[-3000:]}")
    version = (work / "swap" / "version").read_text()
    for row in rows:
        gaps = {side: distance(row, work / "swap" / side / row.id) for side in (OURS, THEIRS)}
        yield {
            "family": row.family,
            "class": row.architecture,
            "row": row.name,
            "reference": version,
            **{side: gap for side, (gap, _) in gaps.items()},
            "complaints": [f"{side}: {complaint}" for side, (_, complaint) in gaps.items() if complaint],
        }


def print_table(found: list[dict[str, Any]]) -> None:
    """One line per family and class: rows compared, widest gap each way, complaints."""
    print(f"| family | class | rows | {OURS.replace('-', ' ')} | {THEIRS.replace('-', ' ')} |")
    print("|---|---|---|---|---|")
    for name in dict.fromkeys((line["family"], line["class"]) for line in found):
        lines = [line for line in found if (line["family"], line["class"]) == name]
        gaps = [np.max([line[side] for line in lines]) for side in (OURS, THEIRS)]
        print(f"| {name[0]} | {name[1]} | {len(lines)} | {gaps[0]:.1e} | {gaps[1]:.1e} |")
    for line in found:
        for complaint in line["complaints"]:
            print(f"{line['class']}-{line['row']}: {complaint}", file=sys.stderr)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("python", nargs="?", help="an interpreter that has the reference")
    parser.add_argument("--families", nargs="*", help="model types; all that Lamina has unless given")
    parser.add_argument("--bin", action="store_true", help="exchange .bin in shards in place of safetensors")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    parser.add_argument("--answer", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    form = PICKLED if options.bin else {}
    if options.answer is not None:
        answer(options.answer, form)
        return 0
    if options.python is None:
        parser.error("which interpreter has the reference?")
    from tests.families.goldens import ACTIVE

    # The reference's own Transformer-XL went out of order after 4.37.
    wanted = options.families or sorted({row.family for row in ACTIVE} - {"transfo-xl"})
    rows = [row for row in ACTIVE if row.family in wanted]
    with tempfile.TemporaryDirectory() as work:
        found = list(exchange(rows, options.python, Path(work), form))
    print_table(found)
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    wrong = [line for line in found if line["complaints"] or not max(line[OURS], line[THEIRS]) < 2e-5]
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
