"""What a path is taken for: splits, configs, cards, saved data sets, the Hub's cache, and what is left out."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from lamina.viewer.dataset import Dataset
from lamina.viewer.errors import NotFound, SourceError
from lamina.viewer.settings import Settings
from lamina.viewer.sources import open_dataset
from tests.viewer.data import records, write_arrow, write_jsonl, write_parquet, write_text


def names(dataset: Dataset) -> dict[str, dict[str, list[str]]]:
    return {
        config.name: {split.name: [file.name for file in split.files] for split in config.splits.values()}
        for config in dataset.configs.values()
    }


def test_splits_by_file_name(tmp_path: Path):
    for name in ("train-1.csv", "train-2.csv", "train-10.csv", "dev.csv", "test/part.csv"):
        write_text(tmp_path / name, "a,b\n1,2\n")
    assert names(open_dataset(tmp_path)) == {
        "default": {
            "train": ["train-1.csv", "train-2.csv", "train-10.csv"],
            "validation": ["dev.csv"],
            "test": ["test/part.csv"],
        }
    }


def test_files_that_name_no_split_are_train_and_hidden_ones_nothing(tmp_path: Path):
    for name in ("a.jsonl", "b.jsonl", ".hidden.jsonl", "__cache__/c.jsonl", ".git/d.jsonl"):
        write_text(tmp_path / name, "{}\n")
    assert names(open_dataset(tmp_path)) == {"default": {"train": ["a.jsonl", "b.jsonl"]}}


def test_every_format_is_shown(tmp_path: Path):
    write_text(tmp_path / "a.csv", "x\n1\n")
    write_text(tmp_path / "b.csv", "x\n1\n")
    write_text(tmp_path / "c.jsonl", "{}\n")
    write_text(tmp_path / "README.txt", "prose\n")
    assert names(open_dataset(tmp_path)) == {"default": {"train": ["a.csv", "b.csv"]}, "json": {"train": ["c.jsonl"]}}


def test_a_file_and_a_pattern(tmp_path: Path):
    write_text(tmp_path / "one.csv", "x\n1\n")
    write_text(tmp_path / "two.csv", "x\n1\n")
    write_text(tmp_path / "deep" / "test.csv", "x\n1\n")
    assert names(open_dataset(tmp_path / "one.csv")) == {"default": {"train": ["one.csv"]}}
    assert names(open_dataset(f"{tmp_path}/*.csv")) == {"default": {"train": ["one.csv", "two.csv"]}}
    found = names(open_dataset(f"{tmp_path}/**/*.csv"))
    assert found == {"default": {"train": ["one.csv", "two.csv"], "test": ["deep/test.csv"]}}


CARD = """---
license: mit
configs:
- config_name: english
  data_files:
  - split: train
    path: [en/a.csv, "en/b*.csv"]
  - split: test
    path: en/t.csv
- config_name: french
  data_dir: fr
  default: true
dataset_info:
- config_name: english
  features:
  - name: x
    dtype:
      class_label:
        names: {'0': "no", '1': "yes"}
  - name: y
    list: string
  - name: z
    struct:
    - name: a
      dtype: int32
---
# A data set
"""


def test_a_card(tmp_path: Path):
    write_text(tmp_path / "README.md", CARD)
    for name in ("en/a.csv", "en/b1.csv", "en/b2.csv", "en/t.csv", "fr/train.csv", "fr/dev.csv"):
        write_text(tmp_path / name, "x\n1\n")
    found = open_dataset(tmp_path)
    assert names(found) == {
        "english": {"train": ["en/a.csv", "en/b1.csv", "en/b2.csv"], "test": ["en/t.csv"]},
        "french": {"train": ["fr/train.csv"], "validation": ["fr/dev.csv"]},
    }
    assert found.default == "french" and found.info["license"] == "mit" and not found.failures
    assert found.split("english", "train").features == {
        "x": {"names": ["no", "yes"], "_type": "ClassLabel"},
        "y": {"feature": {"dtype": "string", "_type": "Value"}, "_type": "List"},
        "z": {"a": {"dtype": "int32", "_type": "Value"}},
    }


@pytest.mark.parametrize(
    ("card", "said"),
    [
        ("---\nconfigs: [\n---\n", "not YAML"),
        ("---\na: &x [1]\nb: *x\n---\n", "aliases"),
        ("---\nconfigs:\n- config_name: [1]\n---\n", "no name for a config"),
        ("---\nconfigs:\n- config_name: a/b\n  data_files: '*'\n---\n", "no name for a config"),
        ("---\nconfigs:\n- data_files: 3\n---\n", "must be patterns"),
        ("---\nconfigs:\n- data_files: missing.csv\n---\n", "no file matches"),
        ("---\nconfigs:\n- data_files: ../*\n---\n", "no file matches"),
        ("---\ndataset_info:\n  features: 7\n---\n", "make no sense"),
        ("---\ndataset_info:\n  features:\n  - name: x\n    dtype: {class_label: {names: {'5': a}}}\n---\n", "gaps"),
    ],
)
def test_a_card_that_makes_no_sense_is_named_and_the_data_shown(tmp_path: Path, card: str, said: str):
    write_text(tmp_path / "README.md", card)
    write_text(tmp_path / "train.csv", "x\n1\n")
    found = open_dataset(tmp_path)
    assert names(found) == {"default": {"train": ["train.csv"]}}
    assert any(said in failure.message and "README.md" in failure.message for failure in found.failures)


def saved(folder: Path, split: str | None = None) -> None:
    write_arrow(folder / "data-00000-of-00001.arrow", records(3))
    features = {"id": {"dtype": "int64", "_type": "Value"}, "label": {"names": ["no", "yes"], "_type": "ClassLabel"}}
    write_text(folder / "dataset_info.json", json.dumps({"features": features}))
    state = {"_data_files": [{"filename": "data-00000-of-00001.arrow"}], "_split": split}
    write_text(folder / "state.json", json.dumps(state))


def test_what_save_to_disk_wrote(tmp_path: Path):
    saved(tmp_path / "one", "validation")
    found = open_dataset(tmp_path / "one")
    assert names(found) == {"default": {"validation": ["data-00000-of-00001.arrow"]}}
    assert found.split(None, None).features is not None
    saved(tmp_path / "two" / "train")
    saved(tmp_path / "two" / "test")
    write_text(tmp_path / "two" / "dataset_dict.json", '{"splits": ["train", "test", "gone"]}')
    found = open_dataset(tmp_path / "two")
    assert list(found.configs["default"].splits) == ["train", "test"]
    assert "gone/state.json is missing" in found.failures[0].message


def test_the_hubs_cache(tmp_path: Path, settings: Settings):
    commit = "a" * 40
    repository = settings.hub_cache / "datasets--org--name"
    blob = write_jsonl(repository / "blobs" / "123", records(2))
    link = repository / "snapshots" / commit / "train.jsonl"
    link.parent.mkdir(parents=True)
    link.symlink_to(os.path.relpath(blob, link.parent))
    write_text(repository / "refs" / "main", commit)
    found = open_dataset("org/name", settings)
    assert found.name == "org/name" and names(found) == {"default": {"train": ["train.jsonl"]}}
    assert names(open_dataset(f"org/name@{commit}", settings)) == names(found)
    with pytest.raises(SourceError, match=r"org/other.*the Hub is off"):
        open_dataset("org/other", settings)


@pytest.mark.parametrize("name", ["", "no such thing", "a/b/c", "../secret", "org/na--me", "a\0b", "org/name@../x"])
def test_names_that_are_none(name: str, settings: Settings):
    with pytest.raises(SourceError):
        open_dataset(name, settings)


def test_links_out_of_the_folder_are_not_followed(tmp_path: Path):
    write_text(tmp_path / "secret.csv", "x\nsecret\n")
    write_text(tmp_path / "secrets" / "more.csv", "x\nsecret\n")
    folder = tmp_path / "data"
    write_text(folder / "train.csv", "x\n1\n")
    (folder / "link.csv").symlink_to(tmp_path / "secret.csv")
    (folder / "inner.csv").symlink_to("train.csv")
    (folder / "folder").symlink_to(tmp_path / "secrets")
    (folder / "gone.csv").symlink_to("nothing.csv")
    found = open_dataset(folder)
    told = {failure.file: failure.message for failure in found.failures}
    assert "leads out" in told["link.csv"] and "not followed" in told["folder"] and "gone.csv" in told
    assert all("secret" not in str(file.path) for file in found.files)
    assert "inner.csv" in {file.name for file in found.files}


def test_special_files_and_unreadable_ones_are_named(tmp_path: Path):
    write_text(tmp_path / "train.csv", "x\n1\n")
    write_text(tmp_path / "packed.csv.bz2", "")
    os.mkfifo(tmp_path / "pipe.csv")
    told = {failure.file: failure.message for failure in open_dataset(tmp_path).failures}
    assert "not a regular file" in told["pipe.csv"] and "compressed" in told["packed.csv.bz2"]


def test_nothing_to_show(tmp_path: Path):
    with pytest.raises(SourceError, match="no Parquet"):
        open_dataset(tmp_path)
    write_text(tmp_path / "script.py", "")
    with pytest.raises(SourceError, match="neither Parquet"):
        open_dataset(tmp_path / "script.py")
    with pytest.raises(SourceError, match="no file matches"):
        open_dataset(f"{tmp_path}/*.csv")


def test_names_of_configs_and_splits(tmp_path: Path):
    write_parquet(tmp_path / "train.parquet", records(1))
    found = open_dataset(tmp_path)
    with pytest.raises(NotFound, match=r"'other'.*default"):
        found.config("other")
    with pytest.raises(NotFound, match=r"'dev'.*train"):
        found.split(None, "dev")


def test_the_revision_follows_the_files(tmp_path: Path):
    path = write_text(tmp_path / "train.csv", "x\n1\n")
    first = open_dataset(tmp_path).revision
    assert first == open_dataset(tmp_path).revision and len(first) == 40
    path.write_text("x\n12\n")
    assert open_dataset(tmp_path).revision != first
