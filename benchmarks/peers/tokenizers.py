"""The Rust tokenizers by themselves: what both the reference and we stand on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tokenizers

from ..worker import Work


def tokenize(case: dict[str, Any], one_by_one: bool = False) -> Work:
    tokenizer = tokenizers.Tokenizer.from_file(str(Path(case["folder"]) / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    texts = case["texts"]
    if one_by_one:
        return Work(lambda: [tokenizer.encode(text).ids for text in texts], lambda found: {"ids": found})
    return Work(lambda: [each.ids for each in tokenizer.encode_batch_fast(texts)], lambda found: {"ids": found})
