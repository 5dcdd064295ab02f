"""Record which tokenizer the reference takes for each published layout: run with Transformers 4.57.6.

Writes tests/tokenizers/layouts.json. With Lamina importable too (PYTHONPATH=src) and a folder named, reads there what
Lamina saved of each layout (NAME/) and says where the reference answers otherwise than it did for the layout itself.
"""

from __future__ import annotations

import json
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
warnings.simplefilter("ignore")

import transformers  # noqa: E402

from scripts import assets  # noqa: E402
from tests.tokenizers.layouts import GOLDENS, LAYOUTS, REFUSED, Layout, change, facts, write  # noqa: E402

transformers.logging.set_verbosity(50)


def read(folder: Path, layout: Layout) -> dict[str, Any]:
    """What the reference makes of a folder."""
    tokenizer = change(transformers.AutoTokenizer.from_pretrained(folder, **layout.options), layout)
    name = type(tokenizer).__name__
    found = {"class": name if name == "PreTrainedTokenizerFast" else name.removesuffix("Fast"), **facts(tokenizer)}
    return {**found, "limit": min(found["limit"], 10**12)}


def record(layout: Layout) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        return read(write(Path(folder), layout, assets.fetch), layout)


def refused(layout: Layout) -> bool:
    try:
        record(layout)
    except Exception:
        return True
    return False


def check_saved(folder: Path) -> None:
    """Compare what the reference makes of Lamina's saved folders with the goldens."""
    goldens = json.loads(GOLDENS.read_text(encoding="utf-8"))
    for name, expected in goldens.items():
        found = read(folder / name, Layout())
        wrong = {key: (expected[key], found[key]) for key in expected if expected[key] != found[key]}
        print(name, wrong or "same")


def main() -> None:
    if sys.argv[1:]:
        check_saved(Path(sys.argv[1]))
        return
    assert all(refused(layout) for layout, _ in REFUSED.values())
    rows = {}
    for name, layout in LAYOUTS.items():
        try:
            rows[name] = record(layout)
        except Exception as error:
            print(name, type(error).__name__, str(error)[:300])
    lines = ",\n".join(
        f"{json.dumps(n)}: {json.dumps(r, ensure_ascii=False, separators=(',', ':'))}" for n, r in rows.items()
    )
    GOLDENS.write_text("{\n" + lines + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
