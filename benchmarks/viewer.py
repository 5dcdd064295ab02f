"""Looking at a million reviews: opening them, a page in the middle, a filter, a search, the statistics.

python -m benchmarks.viewer
"""

from __future__ import annotations

import argparse
import os
import shutil
from pathlib import Path

from scripts.make_large_dataset import write

from .harness import ROOT, Contender, Row, main

ROWS = 1_000_000
SMOKE = 20_000
COPIES = 10  # files of a million rows that make the large set
LONG = 78  # words of a text in the middle of it
MOST = 1.0  # seconds for the first page of it
WANTED = 5.0  # times as fast as `datasets` with pandas
BESIDE = 0.5  # at least half as fast as DuckDB by hand
DOINGS = {
    "open": "from the files to the first page",
    "jump": "from the files to a page in the middle",
    "statistics": "from the files to the statistics of every column",
    "page": "once open, a page anywhere",
    "filter": "once open, a filter, its count and first page",
    "search": "once open, a word, its count and first page",
}


def data(options: argparse.Namespace) -> dict[str, object]:
    """The set, made once: several Parquet files of Snappy-compressed row groups, as people have them."""
    rows = SMOKE if options.smoke else ROWS
    folder = ROOT / ".cache" / "bench-data" / f"reviews-{rows}"
    if not folder.is_dir():
        partial = folder.with_name(f"{folder.name}.partial")
        write(partial, rows, files=4)
        os.rename(partial, folder)
    return described(folder, rows)


def large(options: argparse.Namespace) -> dict[str, object]:
    """Ten million long reviews, some 2 GB: one file of a million, ten times."""
    rows = SMOKE if options.smoke else ROWS
    folder = ROOT / ".cache" / "bench-data" / f"long-reviews-{COPIES}x{rows}"
    if not folder.is_dir():
        partial = folder.with_name(f"{folder.name}.partial")
        write(partial, rows, mean=LONG)
        first = next(partial.glob("*.parquet"))
        for place in range(1, COPIES):
            shutil.copy(first, partial / f"train-{place:05}-of-{COPIES:05}.parquet")
        os.rename(first, partial / f"train-00000-of-{COPIES:05}.parquet")
        os.rename(partial, folder)
    return described(folder, COPIES * rows)


def described(folder: Path, rows: int) -> dict[str, object]:
    files = sorted(str(path) for path in folder.glob("*.parquet"))
    return {"folder": str(folder), "files": files, "rows": rows}


def rows(options: argparse.Namespace) -> list[Row]:
    case = data(options)
    found = []
    for what, said in DOINGS.items():
        asked = {"what": what}
        who = [
            Contender("datasets + pandas", "viewer:datasets", asked),
            Contender("DuckDB by hand", "viewer:duckdb", asked),
            Contender("lamina view", "viewer:served", asked, wanted=WANTED),
            Contender("lamina view (beside DuckDB)", "viewer:served", asked, wanted=BESIDE, against="DuckDB by hand"),
        ]
        found.append(Row(f"{said}, {case['rows']:,} reviews", case, who, 1, "calls"))
    big = large(options)
    for what in ("open", "page", "filter"):
        who = [
            Contender("DuckDB by hand", "viewer:duckdb", {"what": what}),
            Contender("lamina view", "viewer:served", {"what": what}, most=MOST if what == "open" else None),
        ]
        found.append(Row(f"{DOINGS[what]}, {big['rows']:,} long reviews", big, who, 1, "calls"))
    found.append(
        Row(f"search index, {case['rows']:,} reviews", case, [Contender("lamina view", "viewer:indexed")], 1, "builds")
    )
    return found


if __name__ == "__main__":
    main("viewer", rows)
