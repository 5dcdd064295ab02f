"""Folders of tiny cross-encoders, which score a query with each of some documents."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

QUERY, DOCUMENTS = "who walked on the moon", ["Neil Armstrong", "a film about dogs", "", "the moon " * 9]
IDENTITY, SIGMOID = "torch.nn.modules.linear.Identity", "torch.nn.modules.activation.Sigmoid"
Says = Mapping[str, Mapping[str, Any]]  # file to what is added to it
PAIR_FOLDERS: dict[str, Says] = {
    "nothing said": {},
    "identity": {"config.json": {"sentence_transformers": {"activation_fn": IDENTITY, "version": "4.1.0"}}},
    "sigmoid": {"config.json": {"sentence_transformers": {"activation_fn": SIGMOID}}},
    "older word": {"config.json": {"sbert_ce_default_activation_function": IDENTITY}},
    "saved now": {
        "config_sentence_transformers.json": {
            "model_type": "CrossEncoder",
            "activation_fn": IDENTITY,
            "prompts": {},
            "default_prompt_name": None,
        },
        "sentence_bert_config.json": {
            "transformer_task": "sequence-classification",
            "modality_config": {"text": {"method": "forward", "method_output_name": "logits"}},
            "module_output_name": "scores",
        },
    },
    "both words": {
        "config.json": {
            "sentence_transformers": {"activation_fn": SIGMOID},
            "sbert_ce_default_activation_function": IDENTITY,
        }
    },
}


def write_pair_folder(name: str, target: Path, body: Callable[[str], Path]) -> Path:
    """The cross-encoder `name`, made of a classifier with one label."""
    shutil.copytree(body("bert-spam"), target)
    for file, said in PAIR_FOLDERS[name].items():
        path = target / file
        known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        path.write_text(json.dumps({**known, **said}), encoding="utf-8")
    if name == "saved now":
        module = {
            "idx": 0,
            "name": "0",
            "path": "",
            "type": "sentence_transformers.base.modules.transformer.Transformer",
        }
        (target / "modules.json").write_text(json.dumps([module]), encoding="utf-8")
    return target


# What predict can be asked: the classifier, arguments of the constructor, and those of the call.
PREDICTING: tuple[tuple[str, Mapping[str, Any], Mapping[str, Any]], ...] = (
    ("bert-spam", {}, {}),
    ("bert-spam", {}, {"convert_to_tensor": True}),
    ("bert-spam", {}, {"convert_to_numpy": False}),
    ("bert-spam", {}, {"apply_softmax": True}),
    ("bert-spam", {"max_length": 7}, {}),
    ("bert-spam", {"prompts": {"ask": "Is it so? "}, "default_prompt_name": "ask"}, {}),
    ("bert-spam", {"prompts": {"ask": "Is it so? "}}, {"prompt_name": "ask"}),
    ("bert-moods", {}, {}),
    ("bert-moods", {}, {"apply_softmax": True}),
    ("bert-moods", {}, {"apply_softmax": True, "convert_to_tensor": True}),
    ("roberta-moods", {"max_length": 9}, {}),
)
