"""What is saved comes back the same, in the files that the reference writes."""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lamina.errors import TokenizerError
from lamina.tokenizers import Tokenizer
from tests.assets import asset
from tests.tokenizers.kinds import FIXTURES, KINDS, fill
from tests.tokenizers.test_parity import pieces


def test_added_tokens_and_settings_are_kept(tmp_path: Path, bert: Tokenizer) -> None:
    bert.add_tokens(["newword"])
    bert.add_special_tokens({"additional_special_tokens": ["<user>"]})
    bert.padding_side, bert.model_max_length = "left", 77
    bert("a", truncation=True, max_length=4)
    bert.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "added_tokens.json").read_text()) == {"<user>": 30523, "newword": 30522}
    assert json.loads((tmp_path / "tokenizer.json").read_text())["truncation"] is None
    again = Tokenizer.from_folder(tmp_path)
    assert again.tokenize("a newword<user>") == ["a", "newword", "<user>"]
    assert again.additional_special_tokens == ["<user>"]
    assert (again.padding_side, again.model_max_length) == ("left", 77)


@pytest.mark.parametrize("kind", ["ctrl", "marian", "transfo_xl"])
def test_added_tokens_of_kinds_cut_in_python_are_kept(kind: str, tmp_path: Path) -> None:
    ours = Tokenizer.from_folder(FIXTURES / kind, kind)
    ours.add_tokens(["<sep>"])
    ours.save_pretrained(tmp_path)
    again = Tokenizer.from_folder(tmp_path)
    assert again("went <sep> school") == ours("went <sep> school")
    assert len(again) == len(ours)


def test_older_files_without_tokenizer_json(tmp_path: Path, bert: Tokenizer) -> None:
    bert.save_vocabulary(tmp_path)
    (tmp_path / "added_tokens.json").write_text('{"newword": 30522}')
    (tmp_path / "special_tokens_map.json").write_text('{"mask_token": {"content": "[MASK]", "lstrip": true}}')
    old = Tokenizer.from_folder(tmp_path)
    assert old("a newword [MASK]", add_special_tokens=False)["input_ids"] == [1037, 30522, 103]
    assert old.added_tokens_decoder[103].lstrip
    assert not bert.added_tokens_decoder[103].lstrip


def test_class_rules_hold_whatever_tokenizer_json_says(tmp_path: Path, bert: Tokenizer) -> None:
    bert.save_pretrained(tmp_path)
    distilbert = Tokenizer.from_folder(tmp_path, "distilbert")
    assert list(distilbert("a", "b")) == ["input_ids", "attention_mask"]
    cased = Tokenizer.from_folder(tmp_path, "bert", do_lower_case=False)
    assert cased.tokenize("Hello") != bert.tokenize("Hello")
    (tmp_path / "tokenizer_config.json").write_text("{}")
    (tmp_path / "config.json").write_text('{"model_type": "distilbert"}')
    assert Tokenizer.from_folder(tmp_path).recipe.name == "distilbert"
    (tmp_path / "config.json").unlink()
    assert Tokenizer.from_folder(tmp_path).recipe.name == "json"


def test_mask_of_roberta_takes_the_space_before_it(tmp_path: Path) -> None:
    data = json.loads((FIXTURES / "roberta_saved" / "tokenizer.json").read_text(encoding="utf-8"))
    for token in data["added_tokens"]:
        token["lstrip"] = False
    (tmp_path / "tokenizer.json").write_text(json.dumps(data), encoding="utf-8")
    ours = Tokenizer.from_folder(tmp_path, "roberta")
    assert ours("the <mask>", add_special_tokens=False)["input_ids"] == [
        *ours("the").input_ids[1:-1],
        ours.mask_token_id,
    ]


def test_prefix_and_places_that_cannot_be_written(tmp_path: Path, roberta: Tokenizer) -> None:
    assert sorted(Path(p).name for p in roberta.save_vocabulary(tmp_path, "x")) == ["x-merges.txt", "x-vocab.json"]
    for prefix in ("../x", "a/b", ".hidden"):
        with pytest.raises(TokenizerError, match="plain name"):
            roberta.save_pretrained(tmp_path, prefix)
    (tmp_path / "file").write_text("")
    with pytest.raises(TokenizerError, match="cannot be written: File exists"):
        roberta.save_pretrained(tmp_path / "file")


@contextmanager
def full_disk() -> Iterator[None]:
    """No file may grow beyond a few bytes: what is written by Python or by the Rust library then fails half-way."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


@contextmanager
def failing(owner: Any, name: str, error: BaseException, after: int = 0) -> Iterator[None]:
    """One function that does its work so many times and then fails."""
    real, calls = getattr(owner, name), iter(range(after))

    def fail(*arguments: Any, **options: Any) -> Any:
        if next(calls, None) is None:
            raise error
        return real(*arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, fail)
        yield


FAULTS: dict[str, Callable[[], Any]] = {
    "a full disk": full_disk,
    "a bad disk": lambda: failing(os, "fsync", OSError(errno.EIO, "Input/output error")),
    "a bad disk later": lambda: failing(os, "fsync", OSError(errno.EIO, "Input/output error"), 2),
    "a disk that may not be written": lambda: failing(
        Path, "mkdir", PermissionError(errno.EACCES, "Permission denied")
    ),
    "an end from outside": lambda: failing(os, "fsync", KeyboardInterrupt()),
}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


SAVED = ("bert", "roberta", "gpt", "albert", "t5", "ctrl", "byt5", "marian_separate", "transfo_xl")
SAVES = [
    (part, name, fault)
    for part in ("save_pretrained", "save_vocabulary")
    for name in SAVED
    for fault in FAULTS
    if part == "save_pretrained" or (name != "byt5" and fault != "a bad disk later")  # one vocabulary file, or none
]


@pytest.mark.parametrize(("part", "name", "fault"), SAVES)
def test_what_was_there_stays_whole(part: str, name: str, fault: str, tmp_path: Path) -> None:
    kind = KINDS[name]
    folder = fill(tmp_path / "folder", kind, asset, pieces)
    ours = Tokenizer.from_folder(folder, kind.recipe, **kind.options)
    ours.save_pretrained(folder)
    ours = Tokenizer.from_folder(folder)
    ours.add_tokens(["<later>"])
    before = contents(folder)
    with pytest.raises((TokenizerError, KeyboardInterrupt)), FAULTS[fault]():
        getattr(ours, part)(folder)
    assert contents(folder) == before
    written = getattr(ours, part)(folder)
    assert {Path(path).name for path in written} <= contents(folder).keys()
    if part == "save_pretrained":
        assert Tokenizer.from_folder(folder)("a <later> b") == ours("a <later> b")


def test_originals_that_are_gone_or_lead_elsewhere_since(
    tmp_path: Path, marian: Tokenizer, caplog: pytest.LogCaptureFixture
) -> None:
    source = tmp_path / "source"
    shutil.copytree(FIXTURES / "t5", source)
    t5 = Tokenizer.from_folder(source, "t5")
    (source / "spiece.model").rename(tmp_path / "elsewhere")
    t5.save_pretrained(tmp_path / "gone")
    assert "spiece.model is gone" in caplog.text
    assert Tokenizer.from_folder(tmp_path / "gone")("a") == t5("a")
    (source / "spiece.model").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(TokenizerError, match="is a link to"):
        t5.save_pretrained(tmp_path / "led")
    assert not any((tmp_path / "led").glob("*"))


def test_options_that_json_cannot_hold(tmp_path: Path) -> None:
    for wrong in (object(), {1: 2, "a": 3}, 10**5000):
        ours = Tokenizer.from_folder(FIXTURES / "gpt", "gpt", note=wrong)
        with pytest.raises(TokenizerError, match=r"option .* cannot be written"):
            ours.save_pretrained(tmp_path)
    ours = Tokenizer.from_folder(FIXTURES / "gpt", "gpt", note="\ud800")
    ours.save_pretrained(tmp_path)
    assert Tokenizer.from_folder(tmp_path).init_kwargs["note"] == "\ud800"


@pytest.mark.parametrize("pad", ["[LATER]", None])
def test_marian_with_a_later_pad_token_comes_back(pad: str | None, tmp_path: Path) -> None:
    ours = Tokenizer.from_folder(FIXTURES / "marian", "marian")
    if pad:
        ours.add_special_tokens({"pad_token": pad})
    else:
        ours.pad_token = None
    ours.save_pretrained(tmp_path)
    again = Tokenizer.from_folder(tmp_path)
    assert (again.pad_token, again.pad_token_id, again("Botchan")) == (pad, ours.pad_token_id, ours("Botchan"))
