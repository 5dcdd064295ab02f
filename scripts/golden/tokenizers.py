"""What the reference's tokenizers answer, by kind, and which one it takes for each published layout: 4.57.6.

`python -m scripts.golden.tokenizers FOLDER`, with Lamina's sources on the path, reads there what Lamina saved of each
layout (FOLDER/NAME) and says where the reference answers otherwise than it did for the layout itself.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sentencepiece
import transformers

from scripts.assets import fetch
from tests.tokenizers.kinds import BRIEF, CALLS, FIXTURES, GOLDEN, KINDS, TARGETS, TEXTS, WINDOWS, WORDS, Kind, fill
from tests.tokenizers.layouts import GOLDENS, LAYOUTS, REFUSED, Layout, change, facts, write

from .forms import compact, table

SAVED = {"roberta": "roberta_saved", "albert": "albert_saved"}


def names() -> list[str]:
    return [*KINDS, "layouts"]


def make(name: str) -> Iterator[tuple[Path, bytes]]:
    transformers.logging.set_verbosity(50)
    if name == "layouts":
        yield GOLDENS, table(layouts(), tight=True)
    else:
        for file, content in saved(KINDS[name]) if name in SAVED else ():
            yield FIXTURES / SAVED[name] / file, content
        yield GOLDEN / f"{name}.json", compact(record(KINDS[name]))


def pieces(path: Path) -> list[str]:
    model = sentencepiece.SentencePieceProcessor(model_file=str(path))
    return [model.id_to_piece(index) for index in range(len(model))]


def arguments(call: dict[str, Any]) -> dict[str, Any]:
    call = dict(call)
    if call.pop("pairs", False):
        call["text"] = [tuple(pair) for pair in call["text"]]
    return call


def answer(tokenizer: Any, call: dict[str, Any]) -> dict[str, Any] | None:
    """What a call returns, or None where it fails: a text too short to be cut as asked."""
    try:
        found = dict(tokenizer(**arguments(call)))
        # The Python tokenizers say in the log that they could not cut a text, and return it whole.
        failed = str(call.get("truncation")).startswith("only") and len(found["input_ids"]) > call["max_length"]
        return None if failed and not tokenizer.is_fast else found
    except Exception as error:
        assert "too short" in str(error), error
        return None


def record_text(tokenizer: Any, kind: Kind, text: str) -> dict[str, Any]:
    row: dict[str, Any] = {"text": text}
    options = {"return_offsets_mapping": True} if kind.aligned else {}
    found = tokenizer(text, **options)
    row["ids"] = found["input_ids"]
    if kind.aligned:
        row["offsets"] = [list(pair) for pair in found["offset_mapping"]]
        row["words"] = found.word_ids()
        row["tokens"] = found.tokens()
    else:
        row["tokens"] = tokenizer.tokenize(text)
    row["decoded"] = tokenizer.decode(row["ids"])
    row["bare"] = tokenizer.decode(row["ids"], skip_special_tokens=True, clean_up_tokenization_spaces=True)
    return row


def load(kind: Kind, folder: str) -> Any:
    fill(Path(folder), kind, fetch, pieces)
    loaded = getattr(transformers, kind.reference)
    return loaded.from_pretrained(folder, **kind.options) if kind.files else loaded(**kind.options)


def saved(kind: Kind) -> Iterator[tuple[str, bytes]]:
    """The files that the reference saves of a tokenizer, which a kind of its own reads."""
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as target:
        tokenizer = load(kind, folder)
        tokenizer.init_kwargs["name_or_path"] = tokenizer.name_or_path = ""
        tokenizer.save_pretrained(target)
        yield from [(path.name, path.read_bytes()) for path in sorted(Path(target).iterdir())]


def record(kind: Kind) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        tokenizer = load(kind, folder)
        calls = [*CALLS, *(WINDOWS if kind.aligned else [])][:: 3 if kind.brief else 1]
        result: dict[str, Any] = {
            "texts": [record_text(tokenizer, kind, text) for text in (BRIEF if kind.brief else TEXTS)],
            "calls": [{"call": call, "found": answer(tokenizer, call)} for call in calls],
            "special_tokens_map": tokenizer.special_tokens_map if not kind.brief else None,
            "special_ids": tokenizer.all_special_ids,
            "size": [tokenizer.vocab_size, len(tokenizer)],
            "inputs": list(tokenizer.model_input_names),
            "specials": [tokenizer.num_special_tokens_to_add(pair) for pair in (False, True)],
            "added": {str(index): repr(token) for index, token in tokenizer.added_tokens_decoder.items()},
        }
        byte_level = kind.reference.startswith(("Roberta", "Bart", "GPT2"))
        if kind.aligned and (tokenizer.add_prefix_space or not byte_level):
            found = tokenizer(WORDS, is_split_into_words=True)
            result["presplit"] = {"ids": found["input_ids"], "words": found.word_ids()}
        result["built"] = tokenizer.build_inputs_with_special_tokens([7, 8], [9])
        if kind.recipe in TARGETS:
            tokenizer.tgt_lang = TARGETS[kind.recipe]
            result["target"] = tokenizer(text_target=TEXTS[2])["input_ids"]
            result["target_decoded"] = tokenizer.decode(result["target"])
            result["after_target"] = tokenizer(TEXTS[2])["input_ids"]
        if kind.recipe in ("nllb", "m2m_100", "mbart50") and not kind.brief:
            result["languages"] = {code: in_language(tokenizer, code) for code in codes_of(tokenizer)}
        return result


def codes_of(tokenizer: Any) -> list[str]:
    """Every language that a tokenizer knows; the fast ones of NLLB list the codes as special tokens."""
    return list(getattr(tokenizer, "lang_code_to_id", None) or tokenizer.additional_special_tokens)


def in_language(tokenizer: Any, code: str) -> list[int]:
    tokenizer.src_lang = code
    return list(tokenizer("a")["input_ids"])


def facts_of(folder: Path, layout: Layout) -> dict[str, Any]:
    """What the reference makes of a folder."""
    tokenizer = change(transformers.AutoTokenizer.from_pretrained(folder, **layout.options), layout)
    name = type(tokenizer).__name__
    found = {"class": name if name == "PreTrainedTokenizerFast" else name.removesuffix("Fast"), **facts(tokenizer)}
    return {**found, "limit": min(found["limit"], 10**12)}


def record_layout(layout: Layout) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        return facts_of(write(Path(folder), layout, fetch), layout)


def refused(layout: Layout) -> bool:
    try:
        record_layout(layout)
    except Exception:
        return True
    return False


def check_saved(folder: Path) -> None:
    """Compare what the reference makes of Lamina's saved folders with the goldens."""
    goldens = json.loads(GOLDENS.read_text(encoding="utf-8"))
    for name, expected in goldens.items():
        found = facts_of(folder / name, Layout())
        wrong = {key: (expected[key], found[key]) for key in expected if expected[key] != found[key]}
        print(name, wrong or "same")


def layouts() -> dict[str, Any]:
    """What each layout is read as."""
    if passed := [name for name, (layout, _) in REFUSED.items() if not refused(layout)]:
        raise SystemExit(f"the reference reads {', '.join(passed)}, which tests/tokenizers/layouts.py says it refuses")
    found = {}
    for name, layout in LAYOUTS.items():
        try:
            found[name] = record_layout(layout)
        except Exception as error:
            print(name, type(error).__name__, str(error)[:300])
    return found


if __name__ == "__main__":
    check_saved(Path(sys.argv[1]))
