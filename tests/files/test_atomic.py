"""A save comes into its folder whole or not at all: together, in any order of deaths, beside others, never outside."""

from __future__ import annotations

import errno
import os
from itertools import count
from pathlib import Path
from typing import Any

import pytest

import lamina
from lamina.checkpoint.files import open_weights
from lamina.errors import CheckpointError, ConfigError, TrainingError
from lamina.files.atomic import PREFIX, WHOLE, finish, release, staged, staged_folder, succeed, take, write_text
from lamina.files.hub import resolve
from lamina.tokenizers import Tokenizer

from ..faults import Disk, die, ended, forked
from ..tokenizers.kinds import FIXTURES

OLD = {"a": "old", "b": "old", "gone": "old", "own": "mine"}
NEW = {"a": "new", "b": "new", "c": "new", "own": "mine"}


def fill(folder: Path, files: dict[str, str]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def held(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}


def hidden(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("."))


def save(folder: Path) -> None:
    with staged(folder, CheckpointError) as new:
        new("a").write_text("new")
        with staged(folder, ConfigError) as more:
            more("b").write_text("new")
            more.drop("gone")
            more.drop("never")
        write_text(folder / "c", "new", ConfigError)


def test_parts_are_saved_as_one(tmp_path: Path) -> None:
    fill(tmp_path, OLD)
    with pytest.raises(ZeroDivisionError), staged(tmp_path, CheckpointError):
        save(tmp_path)
        assert held(tmp_path) == OLD
        raise ZeroDivisionError
    assert held(tmp_path) == OLD and not hidden(tmp_path)
    save(tmp_path)
    assert held(tmp_path) == NEW and not hidden(tmp_path)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked processes")
def test_a_killed_save_is_old_or_comes_whole_with_the_next_look(tmp_path: Path) -> None:
    moved = 0
    for failing in count(1):
        folder = fill(tmp_path / str(failing), OLD)

        def work(at: int = failing, folder: Path = folder) -> None:
            with Disk(at, die, removing=True).mounted():
                save(folder)

        if ended(forked(work)) == 0:
            break
        moved += held(folder) not in (OLD, NEW)
        assert resolve(folder, ["*"]) == folder  # what every from_pretrained begins with
        assert held(folder) in (OLD, NEW)
        assert [name for name in hidden(folder) if name == WHOLE] == []
        save(folder)
        assert held(folder) == NEW and not hidden(folder), "the next save clears away what was left"
    assert moved >= 2, "some died between two moves"


@pytest.mark.parametrize("part", ["all", "config.json", "model.safetensors", "generation_config.json"])
def test_every_door_finishes_a_save_that_was_cut_off(part: str, tmp_path: Path) -> None:
    """New weights under an old config, of the same shapes, would load and answer wrongly."""
    sizes = {"vocab_size": 702, "n_layer": 1, "n_embd": 8, "n_head": 2}
    old, new = (lamina.GPT2LMHeadModel(lamina.GPT2Config(**sizes, activation_function=it)) for it in ("relu", "gelu"))
    new.generation_config = lamina.GenerationConfig(num_beams=3)
    tokenizer = Tokenizer.from_folder(FIXTURES / "roberta", "gpt2")
    doors: dict[str, Any] = {
        "model": lambda: lamina.GPT2LMHeadModel.from_pretrained(folder).config.activation_function,
        "auto": lambda: lamina.AutoModelForCausalLM.from_pretrained(folder).config.activation_function,
        "config": lambda: lamina.AutoConfig.from_pretrained(folder).activation_function,
        "options": lambda: lamina.GenerationConfig.from_pretrained(folder).num_beams,
        "tokenizer": lambda: Tokenizer.from_folder(folder) and "gelu",
        "weights": lambda: open_weights(folder).close() or "gelu",  # type: ignore[func-returns-value]
    }
    for name, door in doors.items():
        folder = tmp_path / name
        old.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        new.save_pretrained(folder / WHOLE)
        for path in [path for path in (folder / WHOLE).iterdir() if part not in ("all", path.name)]:
            path.replace(folder / path.name)  # was moved before the process died
        assert door() in ("gelu", 3), name
        assert not hidden(folder), name


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_save_that_fails_leaves_one_of_both_and_nothing_else(number: int, tmp_path: Path) -> None:
    def fail() -> None:
        raise OSError(number, os.strerror(number))

    words = set()
    for failing in count(1):
        folder = fill(tmp_path / str(failing), OLD)
        with Disk(failing, fail).mounted() as disk:
            try:
                save(folder)
            except (CheckpointError, ConfigError) as problem:
                assert os.strerror(number) in str(problem)
                words.add((held(folder) == OLD, "unchanged" in str(problem), "are whole" in str(problem)))
        assert held(folder) in (OLD, NEW) and not hidden(folder)
        if disk.count < failing:
            break
    assert words == {(True, True, False), (False, False, True)}, "the message says which"


def test_a_save_that_nobody_may_finish_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(fill(tmp_path, OLD) / WHOLE, {"a": "new"})

    def refused(*_: Any) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", refused)
        with pytest.raises(ConfigError, match=r"was cut off.*Permission denied.*right to write"):
            finish(tmp_path, ConfigError)
    finish(tmp_path)
    assert held(tmp_path) == {**OLD, "a": "new"} and not hidden(tmp_path)


def test_a_link_in_the_place_of_a_save_is_not_followed(tmp_path: Path) -> None:
    fill(tmp_path / "elsewhere", {"secret": "kept"})
    folder = fill(tmp_path / "folder", OLD)
    (folder / WHOLE).symlink_to(tmp_path / "elsewhere")
    finish(folder)
    assert held(folder) == OLD and held(tmp_path / "elsewhere") == {"secret": "kept"}


@pytest.mark.parametrize("name", ["../out", "in/side", "..", "", "/tmp/out"])
def test_names_are_plain(name: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="not a plain file name"), staged(tmp_path / "x", CheckpointError) as new:
        new(name)
    assert not (tmp_path / "x").exists()


def test_a_folder_in_a_file_s_place_is_refused_before_anything_is_moved(tmp_path: Path) -> None:
    fill(tmp_path, OLD)
    (tmp_path / "c").mkdir()
    with pytest.raises(CheckpointError, match=r"c is a folder.*unchanged"):
        save(tmp_path)
    assert held(tmp_path) == OLD and not hidden(tmp_path)


def test_what_a_live_save_writes_is_not_cleared_away(tmp_path: Path) -> None:
    dead = fill(tmp_path / (PREFIX + "dead"), {"a": "half"})
    live = fill(tmp_path / (PREFIX + "live"), {"a": "half"})
    handle = take(live)
    assert handle is not None
    save(tmp_path)
    assert live.is_dir() and not dead.exists()
    release(handle)
    save(tmp_path)
    assert not hidden(tmp_path)


def test_locks_go_with_their_process_and_are_not_inherited(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    flags = os.O_RDWR | os.O_CREAT
    (said, say), (end, ending) = os.pipe(), os.pipe()

    def hold() -> None:
        assert take(path, flags) is not None
        forked(lambda: (os.write(say, b"here"), os.read(end, 1)))  # a worker that outlives its parent
        assert os.read(said, 4) == b"here"
        die()

    child = forked(hold)
    assert ended(child) == -9
    handle = take(path, flags)
    assert handle is not None and take(path, flags) is None
    path.unlink()
    other = take(path, flags)
    assert other is not None, "a file of that name that is another"
    for each in (handle, other):
        release(each)
    os.write(ending, b"x")
    for pipe in (said, say, end, ending):
        os.close(pipe)


def test_a_folder_has_its_name_when_it_is_whole(tmp_path: Path) -> None:
    final, aside = fill(tmp_path / "final", {"a": "old", "notes": "mine"}), tmp_path / ".aside"
    with pytest.raises(TrainingError), staged_folder(final, aside, {"a"}):
        fill(aside, {"a": "half"})
        raise TrainingError("no")
    assert held(final) == {"a": "old", "notes": "mine"} and not hidden(tmp_path)
    with staged_folder(final, aside, {"a"}):
        (aside / "a").write_text("new")
    assert held(final) == {"a": "new", "notes": "mine"} and not hidden(tmp_path)


@pytest.mark.parametrize(
    ("final", "own", "after"),
    [
        (None, {"a"}, {"a": "old", "b": "old"}),
        ({"a": "new"}, {"a", "b"}, {"a": "new"}),
        ({"a": "new"}, {"a"}, {"a": "new", "b": "old"}),
        ({"a": "new"}, set(), {"a": "new", "b": "old"}),
        ({"a": "new"}, None, {"a": "new"}),
    ],
)
def test_a_folder_that_was_put_aside_is_settled(
    final: dict[str, str] | None, own: set[str] | None, after: dict[str, str], tmp_path: Path
) -> None:
    older = fill(tmp_path / "older", {"a": "old", "b": "old"})
    if final is not None:
        fill(tmp_path / "final", final)
    succeed(older, tmp_path / "final", own)
    assert held(tmp_path / "final") == after and not older.exists()
