"""Record what the reference's tokenizers answer: run with Transformers 4.57.6.

Writes tests/tokenizers/golden/KIND.json, and the tokenizers saved by the reference that the fixtures hold.
"""

from __future__ import annotations

import json
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
warnings.simplefilter("ignore")

import sentencepiece  # noqa: E402
import transformers  # noqa: E402

from scripts import assets  # noqa: E402
from tests.tokenizers.kinds import BRIEF, CALLS, FIXTURES, GOLDEN, KINDS, TEXTS, WINDOWS, WORDS, Kind, fill  # noqa: E402

transformers.logging.set_verbosity(50)
SAVED = {"roberta": "roberta_saved", "albert": "albert_saved"}


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


def record(name: str, kind: Kind) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        fill(Path(folder), kind, assets.fetch, pieces)
        loaded = getattr(transformers, kind.reference)
        tokenizer = loaded.from_pretrained(folder, **kind.options) if kind.files else loaded(**kind.options)
        if name in SAVED:
            tokenizer.init_kwargs["name_or_path"] = ""
            tokenizer.name_or_path = ""
            tokenizer.save_pretrained(FIXTURES / SAVED[name])
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
        if kind.recipe in ("mbart", "mbart50", "marian"):
            tokenizer.tgt_lang = "fr_XX" if kind.recipe != "marian" else None
            result["target"] = tokenizer(text_target=TEXTS[2])["input_ids"]
            result["target_decoded"] = tokenizer.decode(result["target"])
            result["after_target"] = tokenizer(TEXTS[2])["input_ids"]
        return result


def main(names: list[str]) -> None:
    GOLDEN.mkdir(exist_ok=True)
    for name in names or KINDS:
        text = json.dumps(record(name, KINDS[name]), ensure_ascii=False, separators=(",", ":"))
        (GOLDEN / f"{name}.json").write_text(text + "\n", encoding="utf-8")
        print(name, len(text))


if __name__ == "__main__":
    main(sys.argv[1:])
