"""Attacks that were published against loaders of checkpoints, each of them tried here: an error, and nothing happens.

The numbers are of CVEs and of issues of the reference library; the table follows what they did, not where they stood.
"""

from __future__ import annotations

import importlib
import json
import os
import pickle
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from lamina.checkpoint import files, saving
from lamina.checkpoint.convert import NUMBER
from lamina.checkpoint.files import open_weights, save_weights
from lamina.errors import CheckpointError, ConfigError, HubError, LaminaError
from lamina.families import config
from lamina.families.config import PretrainedConfig
from lamina.files import hub, paths
from lamina.files.hub import resolve
from lamina.generation.config import GenerationConfig
from lamina.legacy import fairseq
from lamina.legacy.convert import convert_checkpoint, read_vocabulary

from .attacks import SAFETENSORS, TORCH, Attack, old_torch, zipped

BERT = {"model_type": "bert"}


@pytest.mark.parametrize("name", SAFETENSORS)
def test_malformed_safetensors(tmp_path: Path, name: str) -> None:
    data, says = SAFETENSORS[name]
    path = tmp_path / "model.safetensors"
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=says) as caught:
        open_weights(tmp_path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("name", TORCH)
def test_malformed_and_hostile_bin(tmp_path: Path, name: str) -> None:
    make, says = TORCH[name]
    path, mark = tmp_path / "pytorch_model.bin", tmp_path / "mark"
    path.write_bytes(make(mark))
    with pytest.raises(CheckpointError, match=says) as caught:
        open_weights(tmp_path)
    assert str(path) in str(caught.value)
    assert not mark.exists(), "the pickle was run"


def test_the_attack_would_work_on_pickle_itself(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Attack(tmp_path / "mark")))
    assert (tmp_path / "mark").exists()


@pytest.mark.parametrize("wrap", [bytes, old_torch, lambda data: zipped({"x/data.pkl": data})])
def test_2023_7018_and_2025_14921_commands_in_a_vocabulary(tmp_path: Path, wrap: Callable[[bytes], bytes]) -> None:
    (tmp_path / "vocab.pkl").write_bytes(wrap(pickle.dumps({"idx2sym": ["a"], "x": Attack(tmp_path / "mark")}, 2)))
    with pytest.raises(CheckpointError, match="Nothing of it was run"):
        read_vocabulary(tmp_path / "vocab.pkl")
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize("zipfile_too", [True, False])
def test_2024_11392_to_11394_commands_in_what_is_converted(tmp_path: Path, zipfile_too: bool) -> None:
    data = pickle.dumps({"args": Attack(tmp_path / "mark"), "model": {}}, 2)
    (tmp_path / "model.pt").write_bytes(zipped({"x/data.pkl": data}) if zipfile_too else old_torch(data))
    with pytest.raises(CheckpointError, match="Nothing of it was run"):
        convert_checkpoint(tmp_path / "model.pt", tmp_path / "out")
    assert not (tmp_path / "mark").exists() and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "shard",
    [
        "../outside.safetensors",
        "/etc/passwd",
        "sub/model.safetensors",
        "..",
        "",
        ".hidden.safetensors",
        "C:\\x.safetensors",
        "model.safetensors\0.safetensors",
        "model.safetensors\n",
        "model.pkl",
        "modell\u0435.safetensors",
        5,
        None,
        ["model.safetensors"],
    ],
)
def test_issue_46097_shards_outside_the_folder(tmp_path: Path, shard: Any) -> None:
    save_weights(tmp_path / "outside", {"a": torch.zeros(1)})
    (tmp_path / "outside" / "model.safetensors").rename(tmp_path / "outside.safetensors")
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": shard}}))
    with pytest.raises(CheckpointError, match=r"index\.json sends to .* not the plain name of a weights file"):
        open_weights(folder)


@pytest.mark.parametrize("index", [{}, {"weight_map": {}}, {"weight_map": ["x"]}, []])
def test_indexes_without_a_map(tmp_path: Path, index: Any) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match=r"weight_map|JSON object"):
        open_weights(tmp_path)


def test_indexes_that_promise_too_much(tmp_path: Path) -> None:
    save_weights(tmp_path, {"a": torch.zeros(1), "b": torch.zeros(1)}, max_shard_size=4)
    index = tmp_path / "model.safetensors.index.json"
    mapping = json.loads(index.read_text())["weight_map"]
    index.write_text(json.dumps({"weight_map": mapping | {"c": mapping["a"]}}))
    with pytest.raises(CheckpointError, match=r"00001-of-00002\.safetensors has no tensor 'c'"):
        open_weights(tmp_path)
    index.write_text(json.dumps({"weight_map": mapping | {"c": "model-00003-of-00003.safetensors"}}))
    with pytest.raises(CheckpointError, match=r"model-00003-of-00003\.safetensors cannot be opened"):
        open_weights(tmp_path)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_links_out_of_the_folder_are_not_followed(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "model"
    save_weights(tmp_path, {"a": torch.zeros(1)})
    (tmp_path / "config.json").write_text(json.dumps(BERT))
    folder.mkdir()
    (folder / name).symlink_to(tmp_path / name)
    with pytest.raises(LaminaError, match="outside its folder"):
        open_weights(folder) if name.startswith("model") else PretrainedConfig.from_pretrained(folder)
    (folder / name).unlink()
    (folder / "kept").mkdir()
    (tmp_path / name).rename(folder / "kept" / name)
    (folder / name).symlink_to(f"kept/{name}")
    open_weights(folder).close() if name.startswith("model") else PretrainedConfig.from_pretrained(folder)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "pytorch_model.bin", "generation_config.json"])
def test_links_to_nowhere_are_told_and_not_passed_over(tmp_path: Path, name: str) -> None:
    (tmp_path / name).symlink_to(tmp_path / "nowhere")
    doors = {
        "config.json": PretrainedConfig.from_pretrained,
        "generation_config.json": GenerationConfig.from_pretrained,
    }
    with pytest.raises(LaminaError, match=f"{name} cannot be opened: it is a link to .*nowhere"):
        doors.get(name, open_weights)(tmp_path)


def test_pipes_and_folders_are_no_weights(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match="not a regular file"):
        open_weights(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / "model.safetensors").mkdir()
    with pytest.raises(CheckpointError, match="not a regular file"):
        open_weights(tmp_path)


def test_2026_9856_names_of_tensors_are_never_paths(tmp_path: Path) -> None:
    odd = {"../../outside": torch.zeros(1), "/etc/x\0": torch.ones(1), "a/b": torch.zeros(2)}
    save_weights(tmp_path / "model", odd, max_shard_size=4)
    assert {path.parent for path in tmp_path.rglob("*") if path.is_file()} == {tmp_path / "model"}
    with open_weights(tmp_path / "model") as weights:
        assert set(weights) == set(odd)


@pytest.mark.parametrize(
    "values",
    [
        {"_attn_implementation_internal": "evil/kernel"},  # 2026-4372
        {"trust_remote_code": True},  # 2026-5241
        {"auto_map": {"AutoModel": "modeling.Evil"}},
        {"custom_generate": "evil/repository"},  # 2026-80047
        {"index_path": "/etc/passwd"},  # 2023-6730
    ],
)
def test_keys_of_a_config_choose_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, values: dict[str, Any]
) -> None:
    (tmp_path / "config.json").write_text(json.dumps({**BERT, **values}))
    imported: list[str] = []
    monkeypatch.setattr(importlib, "import_module", lambda name, *_: imported.append(name))
    config = PretrainedConfig.from_pretrained(tmp_path)
    assert not imported
    config.save_pretrained(tmp_path / "again")
    written = json.loads((tmp_path / "again" / "config.json").read_text())
    assert "_attn_implementation_internal" not in written, "not handed on to libraries that obey it"


@pytest.mark.parametrize(
    "name", ["https://huggingface.co@evil.example/x", "https://huggingface.co.evil.example", "//evil/x"]
)
def test_2025_3777_addresses_are_no_names(name: str) -> None:
    with pytest.raises(HubError, match="neither a folder here nor the name of a model"):
        resolve(name, ("config.json",))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"model_type": "bert", "model_type": "gpt2"}', "twice"),
        ('{"model_type": "bert", "layer_norm_eps": NaN}', "NaN"),
        ('{"model_type": "bert", "layer_norm_eps": 1e999}', "out of range"),
        ('{"model_type": "bert", "x": ' + "[" * 100 + "]" * 100 + "}", "too deeply"),
        ('{"model_type": "bert", "x": "' + "y" * (1 << 20) + '"}', "at most 1,048,576 are read"),
        ("[]", "JSON object"),
        ("", "not valid JSON"),
    ],
)
def test_hostile_json(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ConfigError, match=says) as caught:
        PretrainedConfig.from_pretrained(tmp_path)
    assert "config.json" in str(caught.value)


def test_every_pattern_is_linear() -> None:
    """2024-12720, 2025-1194, -2099, -3263, -3264, -3933, -5197, -6051, -6638, -6921: patterns that took minutes."""
    rooms = (fairseq, config, files, hub, paths, saving)
    patterns = [value for room in rooms for value in vars(room).values() if isinstance(value, re.Pattern)]
    assert len(patterns) >= 8
    shards = re.compile(rf"model{re.escape('.fp16')}-\d{{5}}-of-\d{{5}}\.safetensors", re.ASCII)
    hostile = (
        "a" * 10**6,
        "1" * 10**6,
        "a." * 500_000,
        ".1" * 500_000 + "x",
        "a/" * 500_000,
        "layers.1." * 100_000 + "x",
    )
    for pattern in (*patterns, NUMBER, shards):
        for text in hostile:
            started = time.process_time()
            pattern.sub("", text) if pattern is NUMBER else pattern.fullmatch(text)
            assert time.process_time() - started < 2, (pattern.pattern, text[:20])
