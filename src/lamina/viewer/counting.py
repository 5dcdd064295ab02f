"""Counts tokens, in a process of its own: `python -m lamina.viewer.counting THREADS FOLDER`.

A line of JSON in, a list of texts, gives a line of JSON out, how many tokens each has. The first line out says how the
tokenizer was read, or {"error": why}. Apart from the server because a tokenizer's files may hold any regular
expression, and some can be made to run for years: a process can be ended, a call into native code cannot.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import LaminaError
from ..files.jsonfile import read_json_object
from ..files.paths import inside, present

if TYPE_CHECKING:
    from tokenizers import Tokenizer

UNLIMITED = 1_000_000  # a model_max_length beyond this says that there is none


def read_settings(folder: Path) -> dict[str, Any]:
    """The tokenizer_config.json, empty where there is no such file or no object in it."""
    try:
        return read_json_object(inside(folder, "tokenizer_config.json"))
    except LaminaError:
        return {}


def open_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer of a folder: tokenizer.json, or the vocabulary of a BERT or GPT-2 kind. Raises ValueError."""
    from tokenizers import Tokenizer
    from tokenizers.implementations.bert_wordpiece import BertWordPieceTokenizer
    from tokenizers.implementations.byte_level_bpe import ByteLevelBPETokenizer

    if present(folder, "tokenizer.json"):
        tokenizer = Tokenizer.from_file(str(inside(folder, "tokenizer.json")))
        tokenizer.no_truncation()  # files often hold what their last training cut and padded to
        tokenizer.no_padding()
        return tokenizer
    if present(folder, "vocab.txt"):
        lower = bool(read_settings(folder).get("do_lower_case", True))
        return BertWordPieceTokenizer(str(inside(folder, "vocab.txt")), lowercase=lower)._tokenizer
    if present(folder, "merges.txt") and present(folder, "vocab.json"):
        vocab, merges = inside(folder, "vocab.json"), inside(folder, "merges.txt")
        return ByteLevelBPETokenizer(str(vocab), str(merges))._tokenizer
    raise ValueError("it has neither tokenizer.json nor vocab.txt nor vocab.json with merges.txt")


def longest_input(folder: Path) -> int | None:
    """Tokens that the tokenizer's model reads, where its files say so."""
    most = read_settings(folder).get("model_max_length")
    return int(most) if isinstance(most, int | float) and 0 < most <= UNLIMITED else None


def main() -> None:
    """Answer lines until there are no more."""
    threads, folder = sys.argv[1], Path(sys.argv[2])
    os.environ.update(TOKENIZERS_PARALLELISM="true", RAYON_NUM_THREADS=threads)
    try:
        tokenizer = open_tokenizer(folder)
    except Exception as error:  # the library raises plain Exception
        print(json.dumps({"error": " ".join(str(error).split())[:300]}), flush=True)
        return
    print(json.dumps({"model_max_length": longest_input(folder)}), flush=True)
    for line in sys.stdin.buffer:
        encoded = tokenizer.encode_batch(json.loads(line))
        print(json.dumps([len(each) for each in encoded]), flush=True)


if __name__ == "__main__":
    main()
