"""Where options of generation may stand, asked of the reference and of us alike.

Each case writes a checkpoint whose config.json has the keys of `config` and whose generation_config.json those of
`file` (None: there is none), loads it with `load`, sets `changes` on the model's config (or `own` on its
generation_config) and generates with `call`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .families import write_checkpoint

GOLDEN = Path(__file__).parent / "golden"
CLASSES = {"bart": "BartForConditionalGeneration", "gpt2": "GPT2LMHeadModel", "t5": "T5ForConditionalGeneration"}
PROMPTS = [[21, 50, 9], [66, 12, 40]]
TYPES = [[7, 7, 12], [3, 40, 40]]
PLAIN = {"eos_token_id": 33, "pad_token_id": 1, "decoder_start_token_id": 2, "forced_eos_token_id": None}
MADE = {"_from_model_config": True}
TASKS = {"summarization": {"num_beams": 4, "prefix": "summarize: ", "max_length": 7}}

CASES: dict[str, dict[str, Any]] = {
    "nothing": {},
    "load": {"load": {"num_beams": 3, "max_length": 8}},
    "load over a file": {"file": {"num_beams": 2, "max_length": 11}, "load": {"num_beams": 3, "max_length": 8}},
    "load over a made file": {"file": {**MADE, "num_beams": 2, "max_length": 11}, "load": {"num_beams": 3}},
    "load over config.json": {"config": {"num_beams": 2}, "load": {"num_beams": 3, "no_repeat_ngram_size": 2}},
    "load a special token": {"file": {"eos_token_id": 5}, "load": {"eos_token_id": 9}},
    "changed": {"changes": {"num_beams": 3, "max_length": 6}},
    "changed beside a file": {"file": {"max_length": 9}, "changes": {"num_beams": 3, "max_length": 6}},
    "changed beside a made file": {"file": {**MADE, "max_length": 9}, "changes": {"num_beams": 3}},
    "changed to the default": {"config": {"num_beams": 3}, "changes": {"num_beams": 1}},
    "changed beside options set": {"changes": {"num_beams": 3}, "own": {"max_length": 7}},
    "a special token changed": {"changes": {"eos_token_id": 9}},
    "a special token changed with an option": {"changes": {"eos_token_id": 9, "max_length": 12}},
    "changed under a call": {"changes": {"num_beams": 3, "max_length": 6}, "call": {"max_length": 9}},
    "new tokens over a length": {"changes": {"max_length": 12}, "call": {"max_new_tokens": 3}},
    "config.json": {"config": {"num_beams": 3, "max_length": 12, "min_length": 11, "length_penalty": 2.0}},
    "config.json, early": {"config": {"num_beams": 3, "early_stopping": True, "num_return_sequences": 2}},
    "config.json beside a file": {"config": {"num_beams": 3, "max_length": 12}, "file": {"max_length": 9}},
    "config.json beside a made file": {"config": {"num_beams": 3, "max_length": 12}, "file": {**MADE, "max_length": 9}},
    "a made file alone": {"file": {**MADE, "max_length": 9, "num_beams": 3}},
    "bad words": {"config": {"bad_words_ids": [[8], [50]], "no_repeat_ngram_size": 2}},
    "bad words in a file": {"file": {"bad_words_ids": [[8], [50]], "no_repeat_ngram_size": 2}},
    "suppressed": {"config": {"suppress_tokens": [8, 50], "begin_suppress_tokens": [77]}},
    "penalties": {"file": {"repetition_penalty": 1.7, "encoder_no_repeat_ngram_size": 1}},
    "forced first": {"config": {"forced_bos_token_id": 44}},
    "forced first, changed": {"changes": {"forced_bos_token_id": 44}},
    "forced last": {"config": {"forced_eos_token_id": 33, "max_length": 9}},
    "forced last in a file": {"file": {"forced_eos_token_id": 33, "max_length": 9}},
    "two ends": {"file": {"eos_token_id": [33, 8]}},
    "groups in config.json are met": {"config": {"num_beams": 4, "length_penalty": 0.5}, "call": {"max_length": 12}},
    "another start": {"file": {"decoder_start_token_id": 7, "bos_token_id": 5}},
    "a decoder's own": {"config": {"decoder_num_beams": 3, "decoder_max_length": 12}},
    "a task's own": {"config": {"task_specific_params": TASKS}},
    "unknown keys": {"file": {"house_style": "dry", "max_length": 12}},
}
FOR_ENCODERS = ("forced first", "forced first, changed", "a decoder's own", "another start", "penalties")


def rows() -> list[tuple[str, str]]:
    """Family and case of each row."""
    return [(family, case) for family in CLASSES for case in CASES if family != "gpt2" or case not in FOR_ENCODERS]


def write_settings(family: str, case: dict[str, Any], folder: Path) -> Path:
    """The checkpoint of a case."""
    known = json.loads((GOLDEN / "families-4.57.6.json").read_text())[CLASSES[family]]
    shapes = [(line.split()[0], tuple(map(int, line.split()[1:]))) for line in known["shapes"]]
    write_checkpoint(CLASSES[family], shapes, folder)
    values = json.loads((folder / "config.json").read_text()) | PLAIN | case.get("config", {})
    (folder / "config.json").write_text(json.dumps(values))
    if case.get("file") is not None:
        text = json.dumps(PLAIN | case["file"] | {"transformers_version": "4.57.6"})
        (folder / "generation_config.json").write_text(text)
    return folder
