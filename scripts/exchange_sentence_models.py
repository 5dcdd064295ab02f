"""Exchange sentence models and cross-encoders with sentence-transformers, both ways, and print how far answers differ.

    PYTHONPATH=src python scripts/exchange_sentence_models.py [NAME ...]

Run it in an environment that holds sentence-transformers (5.7.0) beside what Lamina needs. For every folder of
tests/sentences each side saves what it has loaded, and the other loads that and answers.
"""

from __future__ import annotations

import logging
import sys
import tempfile
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import sentence_transformers as theirs

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from lamina import sentences as ours  # noqa: E402
from scripts.assets import fetch  # noqa: E402
from tests.pipelines.checkpoints import write_checkpoint  # noqa: E402
from tests.sentences.folders import FOLDERS, TEXTS, write_sentence_folder  # noqa: E402
from tests.sentences.pairs import DOCUMENTS, PAIR_FOLDERS, QUERY, write_pair_folder  # noqa: E402

CLOSE = 1e-5


def answer(model: Any, pairs: bool) -> Any:
    return model.predict([(QUERY, text) for text in DOCUMENTS]) if pairs else model.encode(TEXTS)


def differences(source: Path, work: Path, pairs: bool) -> list[float]:
    """How far apart answers lie: of one folder by both, of ours read by them, of theirs read by us."""
    kind = "CrossEncoder" if pairs else "SentenceTransformer"
    first, second = (getattr(side, kind)(str(source), device="cpu") for side in (ours, theirs))
    wanted = answer(second, pairs)
    first.save_pretrained(str(work / "ours"))
    second.save_pretrained(str(work / "theirs"))
    crossed = getattr(theirs, kind)(str(work / "ours"), device="cpu"), getattr(ours, kind)(str(work / "theirs"))
    return [float(np.abs(answer(model, pairs) - wanted).max()) for model in (first, *crossed)]


def main(names: list[str]) -> int:
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    far = 0
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        body = cache(lambda name: write_checkpoint(name, work, fetch("minilm") / "vocab.txt"))
        for number, name in enumerate(names or [*FOLDERS, *PAIR_FOLDERS]):
            pairs, place = name in PAIR_FOLDERS, work / str(number)
            place.mkdir()
            source = (write_pair_folder if pairs else write_sentence_folder)(name, place / "model", body)
            found = differences(source, place, pairs)
            far += max(found) > CLOSE
            print(f"{name:<34}" + "".join(f"{each:10.1e}" for each in found), flush=True)
    return far


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
