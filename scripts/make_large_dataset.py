"""Writes a large set of made-up reviews as Parquet, for benchmarks and for trying the viewer at size.

python -m scripts.make_large_dataset FOLDER --rows 10000000 --files 10
"""

from __future__ import annotations

import argparse
import itertools
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

# The first words are the most frequent ones, as in any language.
VOCABULARY = tuple(
    word
    for line in (
        "the a of and to in it was that film story man woman river winter captain silver garden letter music thunder",
        "harbor window night morning slowly never always finds loses keeps remembers house street city old young quiet",
        "bright strange simple little great heart voice hand road door sea mountain summer silence money war love",
    )
    for word in line.split()
)
CHUNK = 100_000  # rows made at once, and rows of a row group
LANGUAGES = ("en", "ko", "fr", "ar", "de")
NAMES = ["negative", "neutral", "positive"]


def sentences(draw: np.random.Generator, rows: int, mean: int) -> pa.Array:
    """Texts of lognormal length over a Zipf-like vocabulary."""
    lengths = np.clip(draw.lognormal(np.log(mean), 0.6, rows).astype(int), 3, 20 * mean)
    shares = 1 / np.arange(1, len(VOCABULARY) + 1)
    words = draw.choice(len(VOCABULARY), int(lengths.sum()), p=shares / shares.sum())
    vocabulary = np.array(VOCABULARY)
    ends = np.cumsum(lengths)
    return pa.array(
        [" ".join(vocabulary[words[end - length : end]]) for end, length in zip(ends, lengths, strict=True)]
    )


def chunk(draw: np.random.Generator, start: int, rows: int, mean: int) -> pa.Table:
    """Rows from `start` on."""
    stars = draw.integers(1, 6, rows)
    table = pa.table(
        {
            "id": pa.array(np.arange(start, start + rows)),
            "text": sentences(draw, rows, mean),
            "label": pa.array(np.digitize(stars, [3, 4])),
            "stars": pa.array(stars.astype(np.int8), mask=draw.random(rows) < 0.03),
            "votes": pa.array(draw.integers(0, 10_000, rows)),
            "score": pa.array(draw.normal(0, 1, rows)),
            "language": pa.array(np.array(LANGUAGES)[draw.integers(0, len(LANGUAGES), rows)]),
            "written": pa.array(draw.integers(1_500_000_000, 1_790_000_000, rows), pa.timestamp("s")),
        }
    )
    features = {"label": {"names": NAMES, "_type": "ClassLabel"}}
    return table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})


def write(folder: Path, rows: int, files: int = 1, mean: int = 20, seed: int = 0) -> None:
    """Write `rows` rows over `files` files; `mean` is the middle number of words of a text."""
    folder.mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng(seed)
    bounds = np.linspace(0, rows, files + 1).astype(int)
    for place, (start, end) in enumerate(itertools.pairwise(bounds)):
        path = folder / f"train-{place:05}-of-{files:05}.parquet"
        writer: pq.ParquetWriter | None = None
        for at in range(start, end, CHUNK):
            table = chunk(draw, at, min(CHUNK, end - at), mean)
            writer = writer or pq.ParquetWriter(path, table.schema)
            writer.write_table(table)
        if writer is not None:
            writer.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--files", type=int, default=4)
    parser.add_argument("--words", type=int, default=20, help="the middle number of words of a text")
    options = parser.parse_args()
    write(options.folder, options.rows, options.files, options.words)


if __name__ == "__main__":
    main()
