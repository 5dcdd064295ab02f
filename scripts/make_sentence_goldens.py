"""What sentence-transformers 5.7.0 makes of every sentence model: tests/pipelines/golden/sentence-models.json.

Run with an environment that has it: `python scripts/make_sentence_goldens.py`.
"""

from __future__ import annotations

import json
import logging
import sys
import tempfile
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import torch
from sentence_transformers import CrossEncoder, SentenceTransformer

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from scripts import assets  # noqa: E402
from tests.pipelines.checkpoints import GOLDEN, write_checkpoint  # noqa: E402
from tests.pipelines.sentence_folders import FOLDERS, TEXTS, write_sentence_folder  # noqa: E402
from tests.pipelines.sentence_pairs import DOCUMENTS, PAIR_FOLDERS, QUERY, write_pair_folder  # noqa: E402


def short(values: Any) -> Any:
    """Numbers to six digits."""
    return [short(value) for value in values] if isinstance(values, list) else float(f"{values:.6g}")


def main() -> None:
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as work:

        @cache
        def body(name: str) -> Path:
            return write_checkpoint(name, Path(work), assets.fetch("minilm") / "vocab.txt")

        for number, (name, folder) in enumerate(FOLDERS.items()):
            written = write_sentence_folder(name, Path(work) / str(number), body)
            model = SentenceTransformer(str(written), device="cpu", local_files_only=True)
            for call in folder.calls:
                vectors = torch.from_numpy(model.encode(TEXTS, **call))
                similar = model.similarity(vectors[:1], vectors[1:])[0]
                rows.append(
                    {
                        "folder": name,
                        "call": call,
                        "vectors": short(vectors.tolist()),
                        "similar": short(similar.tolist()),
                    }
                )
        for number, name in enumerate(PAIR_FOLDERS):
            written = write_pair_folder(name, Path(work) / f"pair{number}", body)
            ranked = CrossEncoder(str(written), device="cpu", local_files_only=True).rank(QUERY, DOCUMENTS)
            rows.append({"pairs": name, "ranks": [[one["corpus_id"], short(float(one["score"]))] for one in ranked]})
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    (GOLDEN / "sentence-models.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    print(len(rows))


if __name__ == "__main__":
    main()
