"""An unmodified `load_dataset` reads a local folder through the viewer's mirror, whole and as a stream.

lamina view FOLDER --port 7861 --no-open
HF_ENDPOINT=http://127.0.0.1:7861 python -m examples.view_as_hub local/NAME
"""

from __future__ import annotations

import itertools
import os
import sys


def main() -> None:
    if len(sys.argv) != 2 or "HF_ENDPOINT" not in os.environ:
        raise SystemExit(__doc__)
    from datasets import load_dataset

    name = sys.argv[1]
    print(load_dataset(name))
    stream = load_dataset(name, streaming=True)
    split = next(iter(stream))
    for row in itertools.islice(stream[split], 3):
        print({column: str(value)[:60] for column, value in row.items()})


if __name__ == "__main__":
    main()
