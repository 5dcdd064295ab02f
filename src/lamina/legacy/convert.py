"""`lamina convert`: checkpoints of other times and tools, written anew as safetensors with the files around them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from ..checkpoint.files import open_mapped, open_weights
from ..checkpoint.pickles import TIMES, read_pickle
from ..checkpoint.saving import save_weights
from ..checkpoint.storage import MappedFile, Stream, Weights
from ..checkpoint.torchfile import LEGACY_MAGIC, read_torch_tree
from ..errors import CheckpointError, ConfigError
from ..families import MODULES, family
from ..families.config import PretrainedConfig
from ..files.atomic import finish, left_over, staged
from ..files.jsonfile import read_json_object
from ..files.paths import inside, listed, local_path, present
from ..files.shown import few, shown
from . import Converted, fairseq, openai_gpt

CARRIED = (".json", ".txt", ".model", ".spm")  # tokenizer and generation files, copied as they are
VOCABULARY = 256 << 20  # bytes that a pickled vocabulary may take: words are many, and small in a file


def convert_checkpoint(source: str | Path, target: str | Path, *, variant: str | None = None) -> list[Path]:
    """Write the checkpoint in `source` to the folder `target` as config.json, model.safetensors and vocabulary files.

    Understands any folder that Lamina loads (`.bin` becomes safetensors, Transformer-XL's vocab.pkl becomes vocab.txt),
    fairseq's RoBERTa (a `.pt` with dict.txt beside it, and encoder.json and vocab.bpe where it has GPT-2's vocabulary)
    and the original GPT (params_*.npy). No pickle is executed. Gives the files written; raises CheckpointError.
    """
    source, target = local_path(source, CheckpointError), local_path(target, CheckpointError)
    if not source.exists():
        raise CheckpointError(f"{source} is not there")
    same = target.exists() and target.resolve() == source.resolve()
    if target.is_dir():
        finish(target)
    if target.exists() and not same and (not target.is_dir() or not all(map(left_over, target.iterdir()))):
        raise CheckpointError(f"{target} already exists and is not empty")
    converted = _read(source, variant)
    with staged(target, CheckpointError) as new:
        files = [*save_weights(target, converted.tensors)]
        for path in converted.carried:
            if not same:
                shutil.copyfile(path, new(path.name))
                files.append(target / path.name)
        for name, text in {**converted.texts, "config.json": _json(converted.config)}.items():
            new(name).write_text(text, encoding="utf-8", newline="\n")
            files.append(target / name)
    return files


def _read(source: Path, variant: str | None) -> Converted:
    if source.is_file():
        return fairseq.read(source)
    if present(source, "params_shapes.json"):
        return openai_gpt.read(source)
    if present(source, "config.json"):
        return _read_folder(source, variant)
    found = [name for name in listed(source, CheckpointError) if name.endswith(".pt")]
    if len(found) != 1:
        raise CheckpointError(
            f"{source} has neither config.json, nor params_shapes.json, nor one .pt file: "
            f"{f'name one of {few(found)}' if found else 'there is nothing to convert'}"
        )
    return fairseq.read(inside(source, found[0]))


def _read_folder(source: Path, variant: str | None) -> Converted:
    config = read_json_object(inside(source, "config.json", ConfigError))
    PretrainedConfig.from_dict(config)  # refuses what could not be loaded either
    texts = {}
    if present(source, "vocab.pkl"):
        words, lower_case = read_vocabulary(inside(source, "vocab.pkl"))
        texts["vocab.txt"] = "".join(f"{word}\n" for word in words)
        options = "tokenizer_config.json"
        settings = read_json_object(inside(source, options)) if present(source, options) else {}
        texts["tokenizer_config.json"] = _json({"lower_case": lower_case, **settings})
    carried = [
        inside(source, name)
        for name in listed(source, CheckpointError)
        if name.endswith(CARRIED) and not name.endswith(".index.json") and name not in ("config.json", *texts)
    ]
    with open_weights(source, variant=variant) as weights:
        return Converted(config, once(weights, config), texts, tuple(carried))


def once(weights: Weights, config: Mapping[str, Any]) -> dict[str, Tensor]:
    """The tensors of a checkpoint, those stored under several names once, under the one the family writes."""
    written = _written_names(config)
    groups: dict[Any, list[str]] = {}
    for name in weights:
        shared = (weights.location(name), weights.shape(name)) if 0 not in weights.shape(name) else name
        groups.setdefault(shared, []).append(name)
    tensors = {}
    for names in groups.values():
        kept = [name for name in names if name in written or name.rpartition(".")[0] in written][:1] or names
        for name in kept:
            tensors[name] = weights[name] if name == kept[0] else weights[name].clone()
    return tensors


def _written_names(config: Mapping[str, Any]) -> set[str]:
    """What today's table calls a body's tensors, with and without its prefix; they tell the owner of tied ones."""
    if config.get("model_type") not in MODULES:
        return set()
    found = family(config["model_type"])
    values = PretrainedConfig.from_dict(config).values()
    heads = [task.names(values) if callable(task.names) else task.names for task in found.tasks]
    body, *others = (
        {row.split(" | ")[0].partition("^")[0] for row in table.values()} for table in (found.names(values), *heads)
    )
    prefixes = {"", found.prefix, *(task.prefix for task in found.tasks if task.prefix)}
    return {prefix + row for prefix in prefixes for row in body}.difference(*others)


def read_vocabulary(path: Path) -> tuple[list[str], bool]:
    """The words of Transformer-XL's vocab.pkl in order of their numbers, and whether it is of lower-cased text.

    The file is a pickled dictionary, or torch.save's form of one; neither is executed.
    """
    file, tree = open_mapped(path, _vocabulary_tree)
    file.close()
    words = tree.get("idx2sym") if isinstance(tree, dict) else None
    if not isinstance(words, list) and isinstance(tree, dict) and isinstance(tree.get("sym2idx"), dict):
        numbers = tree["sym2idx"]
        if not all(type(number) is int for number in numbers.values()):
            raise CheckpointError(f"{path}: sym2idx must map words to whole numbers")
        words = sorted(numbers, key=numbers.__getitem__)
    if not isinstance(words, list) or not words:
        raise CheckpointError(f"{path} holds no Transformer-XL vocabulary (idx2sym or sym2idx)")
    for word in words:
        if not isinstance(word, str) or word.split() != [word]:
            raise CheckpointError(f"{path}: {shown(word)} is not a word that one line of vocab.txt can hold")
    if len(set(words)) != len(words):
        raise CheckpointError(f"{path} lists some words twice")
    return words, bool(tree.get("lower_case", False))


def _vocabulary_tree(file: MappedFile) -> Any:
    if file.read(0, 4) == b"PK\x03\x04":
        return read_torch_tree(file, VOCABULARY)
    tree = read_pickle(Stream(file), str(file.path), max(VOCABULARY, TIMES * file.size))
    return read_torch_tree(file, VOCABULARY) if tree == LEGACY_MAGIC else tree


def _json(values: Mapping[str, Any]) -> str:
    return json.dumps(values, indent=2, sort_keys=True) + "\n"
