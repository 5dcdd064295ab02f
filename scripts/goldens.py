"""Make the golden files of the tests: what the reference answers, for all that Lamina must answer alike.

    python scripts/goldens.py                            what can be made, and with what
    python scripts/goldens.py pipelines families/bert    make all of a subject, or one part of it
    python scripts/goldens.py --check generation/types   say where the reference differs from the files, write nothing

Run it in an environment that holds the reference (`pip install -e ".[dev]"`). Most of it is Transformers 4.57.6;
searches that it gave up come from 4.40.2, and Transformer-XL from 4.37.2, the last version in which it works.
"""

from __future__ import annotations

import json
import math
import sys
import warnings
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SUBJECTS = {
    "families": "each row of tests/families/rows; transfo-xl by 4.37.2",
    "generation": "searches, settings and types by 4.57.6, classic by 4.40.2, families by each of the three",
    "pipelines": "4.57.6",
    "sentences": "sentence-transformers 5.7.0 on 4.57.6",
    "tokenizers": "each kind of tests/tokenizers/kinds.py, and layouts",
    "training": "metrics (with seqeval 1.2.2) and schedules",
    "transfo_xl": "what Transformer-XL writes, by 4.37.2",
    "vocabularies": "the small vocabularies of tests/tokenizers/fixtures (with sacremoses); libraries' versions matter",
}


def same(found: Any, kept: Any) -> bool:
    """Whether two answers are equal: NaN is NaN, and other numbers agree to five digits."""
    if isinstance(found, dict) and isinstance(kept, dict):
        return found.keys() == kept.keys() and all(same(found[key], kept[key]) for key in found)
    if isinstance(found, list) and isinstance(kept, list):
        return len(found) == len(kept) and all(map(same, found, kept))
    if isinstance(found, float) or isinstance(kept, float):
        return (
            found == kept or (found != found and kept != kept) or math.isclose(found, kept, rel_tol=2e-5, abs_tol=1e-5)
        )
    return bool(found == kept)


def plain(path: Path, content: bytes) -> Any:
    """The content of a golden file as JSON."""
    if path.suffix == ".json":
        return json.loads(content)
    if path.suffix != ".safetensors":
        return list(content)
    from safetensors.numpy import load

    size = int.from_bytes(content[:8], "little")
    return {"header": json.loads(content[8 : 8 + size]), **{k: v.tolist() for k, v in load(content).items()}}


def made(asked: str) -> Iterator[tuple[Path, bytes]]:
    """The files of a subject, or of one of its parts."""
    subject, _, part = asked.partition("/")
    module = import_module(f"scripts.golden.{subject}")
    parts = module.names()
    if part and part not in parts:
        raise SystemExit(f"{subject} has no {part!r}; it has {', '.join(parts)}")
    for name in [part] if part else parts:
        print(f"{subject}/{name}", flush=True)
        yield from module.make(name)


def main(asked: list[str]) -> int:
    """Make or check what is asked for; 1 where a check finds a difference."""
    check = "--check" in asked
    chosen = [each for each in asked if each != "--check"]
    if not chosen or {each.partition("/")[0] for each in chosen} - SUBJECTS.keys():
        raise SystemExit("\n".join(f"{name:<14}{made_by}" for name, made_by in SUBJECTS.items()))
    warnings.simplefilter("ignore")
    differing = 0
    for each in chosen:
        for path, content in made(each):
            if not check:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            elif not path.is_file() or not same(plain(path, content), plain(path, path.read_bytes())):
                differing += 1
                print(f"  {path.relative_to(ROOT)} differs")
    return int(differing > 0)


if __name__ == "__main__":
    sys.path[:0] = [str(ROOT), str(ROOT / "src")]
    raise SystemExit(main(sys.argv[1:]))
