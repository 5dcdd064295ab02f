"""What the contenders read: English prose cut to skewed lengths, and random ids where only the count matters."""

from __future__ import annotations

import math
import random
from functools import cache

from scripts import assets

MEDIAN, SPREAD, SHORTEST, LONGEST = 25, 0.8, 4, 256  # tokens of a text: few are long, as in the wild


@cache
def prose() -> str:
    """A novel, 280 KB."""
    return assets.fetch("botchan").read_text(encoding="utf-8")


@cache
def word_pieces() -> list[int]:
    """The novel as MiniLM's tokens, which are bert-base-uncased's."""
    import lamina

    tokenizer = lamina.AutoTokenizer.from_pretrained(assets.fetch("minilm"))
    lines = [line for line in prose().splitlines() if line.strip()]
    return [token for ids in tokenizer(lines, add_special_tokens=False)["input_ids"] for token in ids]


def skewed_texts(count: int, seed: int = 0) -> list[list[int]]:
    """Ids of `count` texts between [CLS] and [SEP], of lognormal length."""
    draw = random.Random(seed)
    rows, start, pieces = [], 0, word_pieces()
    for _ in range(count):
        length = min(LONGEST, max(SHORTEST, round(draw.lognormvariate(math.log(MEDIAN), SPREAD))))
        rows.append([101, *pieces[start : start + length - 2], 102])
        start += length
    return rows


def skewed_prose(count: int, seed: int = 0) -> list[str]:
    """`count` texts of lognormal length in words, for what reads text and not ids."""
    draw = random.Random(seed)
    words, texts, start = prose().split(), [], 0
    for _ in range(count):
        length = min(LONGEST // 2, max(SHORTEST, round(draw.lognormvariate(math.log(MEDIAN / 1.4), SPREAD))))
        texts.append(" ".join(words[start : start + length]))
        start = (start + length) % (len(words) - LONGEST)
    return texts


def random_ids(rows: int, length: int, vocabulary: int, seed: int = 0) -> list[list[int]]:
    """Ids without the first ten and the last, among which special tokens are."""
    draw = random.Random(seed)
    return [[draw.randrange(10, vocabulary - 1) for _ in range(length)] for _ in range(rows)]


def skewed_ids(rows: int, vocabulary: int, last: int, seed: int = 0) -> list[list[int]]:
    """As `random_ids`, of lognormal length up to 128, each ending in `last`."""
    draw = random.Random(seed)
    lengths = [min(128, max(SHORTEST, round(draw.lognormvariate(math.log(MEDIAN), SPREAD)))) for _ in range(rows)]
    return [[draw.randrange(10, vocabulary - 1) for _ in range(length - 1)] + [last] for length in lengths]
