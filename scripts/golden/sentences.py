"""What sentence-transformers 5.7.0 makes of folders of every module, of MiniLM, and of what its functions are given."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from scripts.assets import fetch
from tests.families.weights import fill
from tests.sentences import GOLDEN
from tests.sentences.folders import ENCODING, FOLDERS, TEXTS, write_sentence_folder
from tests.sentences.functions import FUNCTIONS
from tests.sentences.pairs import DOCUMENTS, PAIR_FOLDERS, PREDICTING, QUERY, write_pair_folder

from .forms import lines
from .pipelines import bodies, plain

PAIRS = [(QUERY, document) for document in DOCUMENTS]
PUBLISHED = (
    "A happy dog.",
    "행복한 강아지",
    "Stock markets fell sharply today, and nobody knows why. " * 9,
    "",
    "naïve café №5",
)


def names() -> list[str]:
    return ["models", "answers", "minilm", "functions"]


def make(name: str) -> Iterator[tuple[Path, bytes]]:
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    yield GOLDEN / f"{name}.json", lines(list(globals()[name]()))


def shown(value: Any) -> dict[str, Any]:
    """An answer with its kind, type and shape, and its first numbers."""
    if isinstance(value, list):
        return {"kind": "list", "items": [shown(one) for one in value]}
    numbers = torch.as_tensor(np.asarray(value)) if not isinstance(value, torch.Tensor) else value
    kind = "tensor" if isinstance(value, torch.Tensor) else type(value).__name__
    flat = plain(numbers.double().flatten()[:200].tolist(), 8)
    return {"kind": kind, "dtype": str(numbers.dtype), "shape": list(numbers.shape), "values": flat}


def models() -> Iterator[dict[str, Any]]:
    """Vectors and rankings of every layout."""
    from sentence_transformers import CrossEncoder, SentenceTransformer

    with tempfile.TemporaryDirectory() as work:
        body = bodies(Path(work))
        for number, (name, folder) in enumerate(FOLDERS.items()):
            written = write_sentence_folder(name, Path(work) / str(number), body)
            model = SentenceTransformer(str(written), device="cpu", local_files_only=True)
            for call in folder.calls:
                asked = dict(call)
                vectors = torch.from_numpy(getattr(model, asked.pop("method", "encode"))(TEXTS, **asked))
                similar = model.similarity(vectors[:1], vectors[1:])[0]
                numbers = {"vectors": plain(vectors.tolist(), 8), "similar": plain(similar.tolist(), 8)}
                yield {"folder": name, "call": call, **numbers}
        for number, name in enumerate(PAIR_FOLDERS):
            written = write_pair_folder(name, Path(work) / f"pair{number}", body)
            ranked = CrossEncoder(str(written), device="cpu", local_files_only=True).rank(QUERY, DOCUMENTS)
            ranks = [[one["corpus_id"], plain(float(one["score"]), 8)] for one in ranked]
            yield {"pairs": name, "ranks": ranks}


def answers() -> Iterator[dict[str, Any]]:
    """What encode and predict give in every form that can be asked for."""
    from sentence_transformers import CrossEncoder, SentenceTransformer

    with tempfile.TemporaryDirectory() as work:
        body = bodies(Path(work))
        for name in ("normalized", "dense"):
            model = SentenceTransformer(str(write_sentence_folder(name, Path(work) / name, body)), device="cpu")
            for options in ENCODING:
                for single in (False, True):
                    found = model.encode(TEXTS[0] if single else TEXTS, **options)
                    yield {"folder": name, "options": options, "single": single, "found": shown(found)}
        for name, setting, options in PREDICTING:
            scorer = CrossEncoder(str(body(name)), device="cpu", **setting)
            for single in (False, True):
                found = scorer.predict(PAIRS[0] if single else PAIRS, **options)
                yield {
                    "classifier": name,
                    "setting": setting,
                    "options": options,
                    "single": single,
                    "found": shown(found),
                }


def minilm() -> Iterator[dict[str, Any]]:
    """Vectors of the published MiniLM."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(fetch("minilm")), device="cpu")
    for text, vector in zip(PUBLISHED, model.encode(list(PUBLISHED)), strict=True):
        yield {"text": text, "vector": plain(vector.tolist(), 8)}


def functions() -> Iterator[dict[str, Any]]:
    """What the functions over vectors give for some that are drawn by name."""
    from sentence_transformers import util

    a, b = torch.from_numpy(fill("a", (7, 12))), torch.from_numpy(fill("b", (30, 12)))
    for name, arguments, options in FUNCTIONS:
        given = [{"a": a, "b": b, "b7": b[:7], "a1": a[0]}[each] for each in arguments]
        asked = {key: np.array(value) if key == "ranges" else value for key, value in options.items()}
        found = getattr(util, name)(*given, **asked)
        plainly = found if isinstance(found, list) else shown(found)
        yield {"function": name, "arguments": arguments, "options": options, "found": plain(plainly, 8, columns=False)}
