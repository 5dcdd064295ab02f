"""Tokenizer files with random changes, and the calls that meet them."""

from __future__ import annotations

import contextlib
import copy
import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lamina.errors import LaminaError
from lamina.tokenizers import Tokenizer
from tests.tokenizers.kinds import FIXTURES
from tests.tokenizers.test_files import SPECIALS

# The file that is changed: the folder it is from (None: a small BERT's), and what else has to go to make it count.
FILES: dict[str, tuple[str | None, str]] = {
    "tokenizer.json": (None, ""),
    "tokenizer_config.json": (None, ""),
    "special_tokens_map.json": (None, "added_tokens_decoder"),
    "added_tokens.json": (None, "added_tokens_decoder"),
    "vocab.txt": (None, "tokenizer.json"),
    "spiece.model": ("t5", "tokenizer.json"),
    "source.spm": ("marian", ""),
    "sentencepiece.bpe.model": ("m2m_100", ""),
    "spm.model": ("deberta_v2", "tokenizer.json"),
    "vocab.json": ("roberta", "tokenizer.json"),
    "merges.txt": ("gpt", "tokenizer.json"),
}
VALUES: list[Any] = [
    *(None, True, False, 0, -1, 1, 2**31, 2**32, 2**63, 2**64, 10**30, 1e308, -1.5, "", "a", "[CLS]", "\ud800", "\0"),
    *("x" * 2000, [], {}, [None], [[]], {"a": 1}, ["a", "b"], [0, 1], "<s>", "$A", "left", "a b", ":0"),
    *({"type": "Lowercase"}, {"type": "Sequence"}, {"String": ""}, {"content": "x"}, 1e999),
]


def start(folder: Path, name: str) -> Path:
    """A saved tokenizer that has the file."""
    kind = FILES[name][0]
    source = FIXTURES / str(kind)
    if kind is None:
        source = folder / "source"
        source.mkdir()
        (source / "vocab.txt").write_text(SPECIALS)
    tokenizer = Tokenizer.from_folder(source, kind or "bert", model_max_length=16)
    tokenizer.add_tokens(["<new>"])
    tokenizer.save_pretrained(folder / "start")
    return folder / "start"


def changed(draw: random.Random, source: Path, name: str, folder: Path) -> Path:
    """A copy of the folder whose file of this name is changed."""
    shutil.copytree(source, folder)
    gone = FILES[name][1]
    if gone == "tokenizer.json":
        (folder / gone).unlink()
    elif gone:
        config = json.loads((folder / "tokenizer_config.json").read_text())
        del config[gone]
        (folder / "tokenizer_config.json").write_text(json.dumps(config))
    content = (folder / name).read_bytes()
    if name.endswith(".json") and draw.random() < 0.85:
        content = json.dumps(change_value(draw, json.loads(content))).encode()
    else:
        content = change_bytes(draw, content)
    (folder / name).write_bytes(content)
    return folder


def change_value(draw: random.Random, data: Any) -> Any:
    """JSON with up to three values changed, gone, renamed or doubled."""
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        places = list(places_of(data))[1:]
        if not places:
            return data
        *way, last = draw.choice(places)
        holder = data
        for key in way:
            holder = holder[key]
        kind = draw.random()
        if kind < 0.2:
            del holder[last]
        elif kind < 0.75:
            holder[last] = copy.deepcopy(draw.choice(VALUES))
        elif isinstance(holder, list):
            holder.append(copy.deepcopy(holder[last]))
        else:
            holder[draw.choice(["x", "type", "id", "content", "ids", "normalizers"])] = holder.pop(last)
    return data


def places_of(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where the values of JSON are, of long lists the first only."""
    yield at
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in list(items)[:40]:
        yield from places_of(item, (*at, key))


def change_bytes(draw: random.Random, content: bytes) -> bytes:
    """Bytes changed, put in, gone, doubled or cut off."""
    data = bytearray(content)
    for _ in range(draw.choice((1, 1, 2, 4, 8))):
        place, kind = draw.randrange(len(data) or 1), draw.random()
        if kind < 0.4 and data:
            data[place] = draw.randrange(256)
        elif kind < 0.6:
            del data[place : place + draw.choice((1, 2, 8, 100))]
        elif kind < 0.8:
            data[place:place] = draw.randbytes(draw.choice((1, 2, 8)))
        elif kind < 0.9:
            data[place:place] = data[place : place + 50]
        else:
            del data[place:]
    return bytes(data)


def use(tokenizer: Tokenizer, saved: Path) -> None:
    """Ask everything of a tokenizer; each question is answered or refused."""
    for call in (
        lambda: tokenizer("a b the [MASK] é <s> Hello"),
        lambda: tokenizer(["Hello world", "a"], padding=True, truncation=True, max_length=8),
        lambda: tokenizer("a", "b", return_special_tokens_mask=True, return_offsets_mapping=tokenizer.is_fast),
        lambda: tokenizer(["a b"], padding="max_length", truncation=True),
        lambda: tokenizer.decode([0, 1, 2, 3, 5]),
        lambda: tokenizer.decode([0, 1, 2], skip_special_tokens=True),
        lambda: tokenizer.tokenize("a b"),
        lambda: tokenizer.pad({"input_ids": [[1], [1, 2]]}),
        lambda: tokenizer.build_inputs_with_special_tokens([1, 2], [3]),
        lambda: tokenizer.prepare_for_model([1, 2, 3]),
        lambda: tokenizer.convert_tokens_to_ids(["a", "zz"]),
        lambda: (tokenizer.special_tokens_map, repr(tokenizer), tokenizer.all_special_ids, len(tokenizer)),
        lambda: Tokenizer.from_folder(Path(tokenizer.save_pretrained(saved)[0]).parent),
        lambda: tokenizer.add_special_tokens({"pad_token": "[PAD]"}),
    ):
        with contextlib.suppress(LaminaError):
            call()
