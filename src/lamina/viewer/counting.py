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

if TYPE_CHECKING:
    from tokenizers import Tokenizer

UNLIMITED = 1_000_000  # a model_max_length beyond this says that there is none


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object, empty where there is no such file or none in it."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def open_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer of a folder: tokenizer.json, or the vocabulary of a BERT or GPT-2 kind. Raises ValueError."""
    from tokenizers import Tokenizer
    from tokenizers.implementations.bert_wordpiece import BertWordPieceTokenizer
    from tokenizers.implementations.byte_level_bpe import ByteLevelBPETokenizer

    whole, words, merges = folder / "tokenizer.json", folder / "vocab.txt", folder / "merges.txt"
    if whole.is_file():
        tokenizer = Tokenizer.from_file(str(whole))
        tokenizer.no_truncation()  # files often hold what their last training cut and padded to
        tokenizer.no_padding()
        return tokenizer
    if words.is_file():
        lower = bool(read_json(folder / "tokenizer_config.json").get("do_lower_case", True))
        return BertWordPieceTokenizer(str(words), lowercase=lower)._tokenizer
    if merges.is_file() and (folder / "vocab.json").is_file():
        return ByteLevelBPETokenizer(str(folder / "vocab.json"), str(merges))._tokenizer
    raise ValueError("it has neither tokenizer.json nor vocab.txt nor vocab.json with merges.txt")


def longest_input(folder: Path) -> int | None:
    """Tokens that the tokenizer's model reads, where its files say so."""
    most = read_json(folder / "tokenizer_config.json").get("model_max_length")
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
