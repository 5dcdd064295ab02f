"""Every public way to write: on a disk that fails, or killed, it leaves the old files or the new ones, and no litter.

A row for each writer. A method or function that saves and has no row here fails the last test.
"""

from __future__ import annotations

import errno
import importlib
import inspect
import json
import os
import pkgutil
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import lamina
from lamina.errors import LaminaError
from lamina.files import hub
from lamina.files.atomic import PREFIX, finish
from lamina.inference import batching as budget
from lamina.legacy.convert import convert_checkpoint
from lamina.tokenizers import Tokenizer
from lamina.training import add_lora, save_adapter
from lamina.training.checkpointing import save_model
from lamina.training.loggers import JsonLines
from lamina.training.recipes.card import Card, draw_curves, write_card
from lamina.training.recipes.question_answering import write_answers
from lamina.training.recipes.text_classification import Settings
from lamina.viewer.keeping import written

from .assets import asset
from .faults import Disk, die, ended, forked
from .pipelines.checkpoints import write_checkpoint
from .sentences.folders import write_sentence_folder
from .tokenizers.kinds import FIXTURES
from .training.tiny import bert, gpt2, trainer

SMALL = {"num_hidden_layers": 1, "hidden_size": 8, "intermediate_size": 8}
Write = Callable[[Path], Any]
Make = Callable[[Path, pytest.MonkeyPatch], tuple[Write, Write]]


@dataclass(frozen=True)
class Row:
    """`make` gives what writes the old files into a folder and what writes the new ones; `covers` are public names."""

    make: Make
    covers: tuple[str, ...]


def models(make: Callable[..., Any] = bert, first: Any = None, **options: Any) -> Make:
    def made(place: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Write, Write]:
        old, new = make(**SMALL), make(**SMALL, initializer_range=0.5)
        new.config.update({"note": "new"})
        return lambda at: old.save_pretrained(at, **(first or {})), lambda at: new.save_pretrained(at, **options)

    return made


def quantized(place: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Write, Write]:
    model = bert(hidden_size=32, num_hidden_layers=1)
    model.save_pretrained(place / "plain")
    packed = type(model).from_pretrained(place / "plain", precision="int8")
    return model.save_pretrained, packed.save_pretrained


def writers(place: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Write, Write]:
    options = {"n_layer": 1, "n_embd": 8}
    old, new = gpt2(**options), gpt2(**options, initializer_range=0.5)
    new.generation_config = lamina.GenerationConfig(num_beams=3)
    new.config.update({"note": "new"})
    return old.save_pretrained, new.save_pretrained


def configs(place: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Write, Write]:
    return lamina.BertConfig().save_pretrained, lamina.BertConfig(note="new").save_pretrained


def options(place: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Write, Write]:
    return lamina.GenerationConfig().save_pretrained, lamina.GenerationConfig(num_beams=3).save_pretrained


def tokenizers(name: str, recipe: str) -> Make:
    def made(place: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Write, Write]:
        old = Tokenizer.from_folder(FIXTURES / name, recipe)
        new = Tokenizer.from_folder(FIXTURES / name, recipe, model_max_length=7)
        new.add_tokens(["deniz"])
        return old.save_pretrained, new.save_pretrained

    return made


def vocabularies(name: str, recipe: str) -> Make:
    def made(place: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Write, Write]:
        tokenizer = Tokenizer.from_folder(FIXTURES / name, recipe)

        def old(at: Path) -> None:
            for file in tokenizer.save_vocabulary(at):
                Path(file).write_bytes(b"old")

        return old, tokenizer.save_vocabulary

    return made


def pipelines(place: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Write, Write]:
    sizes = {"vocab_size": 702, "n_layer": 1, "n_embd": 8, "bos_token_id": 701, "eos_token_id": 701}
    tokenizer = Tokenizer.from_folder(FIXTURES / "roberta", "gpt2")
    old, new = (
        lamina.pipeline("text-generation", gpt2(**sizes, initializer_range=scale), tokenizer=tokenizer, device="cpu")
        for scale in (0.02, 0.5)
    )
    return old.save_pretrained, new.save_pretrained


def trainers(place: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Write, Write]:
    old, new = (trainer(place, bert(**SMALL, initializer_range=scale)) for scale in (0.02, 0.5))
    for each in (old, new):
        each.processing_class = Tokenizer.from_folder(FIXTURES / "roberta", "roberta")
    return old.save_model, new.save_model


def adapted_trainers(place: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Write, Write]:
    old, new = (trainer(place, add_lora(bert(**SMALL, initializer_range=scale), 2)) for scale in (0.02, 0.5))
    return old.save_model, new.save_model


def adapters(place: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Write, Write]:
    old, new = add_lora(bert(**SMALL), 2), add_lora(bert(**SMALL, initializer_range=0.5), 4)
    return lambda at: save_adapter(old, at), lambda at: save_adapter(new, at)


def modules(place: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Write, Write]:
    old, new = torch.nn.Linear(2, 2), torch.nn.Linear(2, 3)
    return lambda at: save_model(old, at), lambda at: save_model(new, at)


def cards(place: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Write, Write]:
    settings = Settings(model="base", train="t.csv", output=place)
    drawn: dict[Any, bytes] = {}

    def draw(history: Any, path: Callable[[], Path]) -> bool:
        """Drawing takes longer than all of the rest, and is done once for each card here."""
        key = json.dumps(history)
        if key not in drawn:
            assert draw_curves(history, lambda: place / "drawn.png")
            drawn[key] = (place / "drawn.png").read_bytes()
        path().write_bytes(drawn[key])
        return True

    monkeypatch.setattr("lamina.training.recipes.card.draw_curves", draw)
    args = trainer(place).args

    def card(loss: float) -> Card:
        return Card("text-classification", settings, args, {"loss": loss}, [{"loss": loss, "step": 1}], {"train": None})

    return lambda at: write_card(at, card(1.0)), lambda at: write_card(at, card(0.5))


def sentence_models(place: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Write, Write]:
    def body(name: str) -> Path:
        return write_checkpoint(name, place, asset("minilm") / "vocab.txt")

    folder = write_sentence_folder("dense, then normalized", place / "source", body)
    old, new = (lamina.SentenceTransformer(str(folder), prompts={"query": text}, device="cpu") for text in ("", "new"))
    return old.save_pretrained, new.save_pretrained


def answers(place: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Write, Write]:
    def ranked(text: str) -> Any:
        return SimpleNamespace(ranked={"q": [{"text": text, "score": 1.0}]})

    return lambda at: write_answers(at, ranked("old")), lambda at: write_answers(at, ranked("new"))


def logs(place: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Write, Write]:
    def begin(at: Path, history: list[dict[str, Any]]) -> None:
        lines = JsonLines()
        lines.begin(SimpleNamespace(output_dir=str(at)), history)  # type: ignore[arg-type]
        lines.end()

    return lambda at: begin(at, [{"loss": 1.0, "step": 1}]), lambda at: begin(at, [{"loss": 0.5, "step": 1}])


def conversions(place: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Write, Write]:
    """In place: `.bin` becomes safetensors beside it."""
    model = bert(**SMALL)
    return lambda at: model.save_pretrained(at, safe_serialization=False), lambda at: convert_checkpoint(at, at)


def conversions_elsewhere(place: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Write, Write]:
    bert(**SMALL).save_pretrained(place / "source", safe_serialization=False)
    return lambda at: at.mkdir(), lambda at: convert_checkpoint(place / "source", at)


def caches(place: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Write, Write]:
    def write(at: Path, content: bytes) -> None:
        with written(at / "kept") as fresh:
            fresh.write_bytes(content)

    return lambda at: write(at, b"old"), lambda at: write(at, b"new")


def budgets(place: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Write, Write]:
    def keep(at: Path, tokens: int) -> None:
        with monkeypatch.context() as patched:
            patched.setattr(budget, "budget_file", lambda: at / "batching.json")
            budget.keep_budget("cuda", tokens)

    return lambda at: keep(at, 512), lambda at: keep(at, 1024)


def notes(place: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Write, Write]:
    return lambda at: hub._note_commit(at, "main", "0" * 40), lambda at: hub._note_commit(at, "main", "1" * 40)


MODEL = ("PreTrainedModel.save_pretrained", "save_weights", "write_safetensors")
TOKENIZER = ("Tokenizer.save_pretrained", "write_json")
VOCABULARY = ("Tokenizer.save_vocabulary", "Splitter.save")
ROWS = {
    "model": Row(models(), MODEL),
    "model in shards": Row(models(max_shard_size=600), MODEL),
    "model out of shards": Row(models(first={"max_shard_size": 600}), MODEL),
    "model as .bin": Row(models(safe_serialization=False), MODEL),
    "quantized model": Row(quantized, MODEL),
    "model that writes": Row(writers, MODEL),
    "config": Row(configs, ("PretrainedConfig.save_pretrained", "PretrainedConfig.to_json_file", "atomic.write_text")),
    "generation options": Row(options, ("GenerationConfig.save_pretrained", "GenerationConfig.to_json_file")),
    "sentence model": Row(
        sentence_models, ("SentenceBase.save_pretrained", "SentenceBase.save", "write_folder", "Module.save")
    ),
    "pipeline": Row(pipelines, ("Pipeline.save_pretrained",)),
    "trainer": Row(trainers, ("Trainer.save_model", "checkpointing.save_model")),
    "trainer of an adapter": Row(adapted_trainers, ("Trainer.save_model",)),
    "adapter": Row(adapters, ("save_adapter",)),
    "any module": Row(modules, ("checkpointing.save_model",)),
    "card": Row(cards, ("write_card",)),
    "answers": Row(answers, ("write_answers",)),
    "log": Row(logs, ()),
    "conversion in place": Row(conversions, ("convert_checkpoint",)),
    "conversion": Row(conversions_elsewhere, ("convert_checkpoint", "cli.convert.convert")),
    "viewer's cache": Row(caches, ("keeping.written",)),
    "token budget": Row(budgets, ("keep_budget",)),
    "hub note": Row(notes, ()),
    **{
        f"{what}, {name}": Row(make(folder, recipe), covers)
        for name, folder, recipe in (
            ("byte-level", "roberta", "roberta"),
            ("unigram", "t5", "t5"),
            ("fast BPE", "ctrl", "ctrl"),
            ("marian", "marian", "marian"),
            ("words", "transfo_xl", "transfo_xl"),
        )
        for what, make, covers in (("tokenizer", tokenizers, TOKENIZER), ("vocabulary", vocabularies, VOCABULARY))
    },
}
ELSEWHERE = {  # writers that are not of this table, and why
    "Trainer.save_checkpoint": "tests/training/test_crashes.py kills it hundreds of times",
    "Snapshot.save": "the same",
    "publish": "the same",
    "sharding.write": "fills a folder that publish makes whole; tests/training/test_ranks.py",
    "Job.write": "adds rows to a file that a stopped run goes on with; tests/cli/test_nothing_lost.py",
    "Output.write": "the same",
    "output.write_cells": "fills a file that make_file makes whole; tests/cli/test_nothing_lost.py",
    "cli.generate.write": "prints",
    "RowSearch.written": "tensors in memory",
    "KeyValueCache.write": "tensors in memory",
    "Writing.write": "tokens of an answer, in memory",
    "Unseekable.write": "bytes of a download, in memory",
}
SETTINGS = re.compile(
    r"\.(TrainingArguments|RecipeSettings)\.|Completion\.written|written_as|(Pipeline|Job)\.written|written_text"
)  # no calls
FOUND = re.compile(
    r"(save|write|written|publish|dump|export|to_json_file|keep_budget|convert_checkpoint|convert)(_\w+)?"
)
CONVERSIONS = re.compile(r"convert_(tokens|ids)_|convert_to_|convert\.export|cells\.dumps")  # of values


def contents(folder: Path) -> dict[str, dict[str, bytes]]:
    """The files of each folder below `folder`, and itself."""
    found: dict[str, dict[str, bytes]] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and PREFIX not in str(path):
            found.setdefault(str(path.parent.relative_to(folder)), {})[path.name] = path.read_bytes()
    return found


def litter(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.name.startswith(PREFIX) or ".part" in path.name]


class Scene:
    """A folder with the old files, in which the new ones are written again and again."""

    def __init__(self, make: Make, place: Path, monkeypatch: pytest.MonkeyPatch):
        place.mkdir()
        self.write_old, self.write = make(place, monkeypatch)
        self.pristine, self.folder = place / "pristine", place / "folder"
        self.write_old(self.pristine)
        shutil.copytree(self.pristine, self.folder)
        self.write(self.folder)
        self.old, self.new = contents(self.pristine), contents(self.folder)
        assert self.old != self.new, "a row whose old and new files are the same shows nothing"

    def reset(self) -> None:
        shutil.rmtree(self.folder)
        shutil.copytree(self.pristine, self.folder)

    def moments(self, removing: bool) -> list[int]:
        """Operations of a save to fail at: the first, the last, where files are moved, and some of those between."""
        self.reset()
        with Disk(0, die, flushing=False, removing=removing).mounted() as disk:
            self.write(self.folder)
        last = disk.count
        between = range(6, last - 14, max(1, last // 6))
        return sorted({*range(1, min(6, last) + 1), *between, *range(max(1, last - 14), last + 1)})

    def check(self) -> None:
        """Each folder holds its old files or its new ones."""
        found = contents(self.folder)
        for name in {*self.old, *self.new, *found}:
            states = (self.old.get(name), self.new.get(name))
            assert found.get(name) in states, (name, sorted(found.get(name, {})))


@pytest.fixture(params=ROWS, ids=str)
def scene(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    return Scene(ROWS[request.param].make, tmp_path / "scene", monkeypatch)


def test_a_disk_that_fails_leaves_the_old_files_or_the_new(scene: Scene) -> None:
    """A full one and a broken one by turns."""
    number = errno.ENOSPC

    def fail() -> None:
        raise OSError(number, os.strerror(number))

    failures, moments = 0, scene.moments(removing=False)
    for turn, failing in enumerate(moments):
        number = (errno.ENOSPC, errno.EIO)[turn % 2]
        scene.reset()
        try:
            with Disk(failing, fail, flushing=False).mounted():
                scene.write(scene.folder)
        except LaminaError as problem:
            assert os.strerror(number) in str(problem)
            failures += 1
        scene.check()
        assert litter(scene.folder) == []
    assert failures > len(moments) / 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked processes")
def test_a_kill_leaves_the_old_files_or_the_new(scene: Scene) -> None:
    for number, failing in enumerate(scene.moments(removing=True)):
        scene.reset()

        def work(at: int = failing) -> None:
            torch.set_num_threads(1)
            with Disk(at, die, flushing=False, removing=True).mounted():
                scene.write(scene.folder)

        assert ended(forked(work)) == -9
        for folder in (scene.folder, *(path for path in scene.folder.rglob("*") if path.is_dir())):
            finish(folder)
        scene.check()
        if number % 5 == 0 and contents(scene.folder) == scene.old:
            scene.write(scene.folder)
            assert contents(scene.folder) == scene.new and litter(scene.folder) == [], "the next save clears up"


def public_writers() -> set[str]:
    """Functions and methods anywhere in the package that are called as what writes is called."""
    found = set()
    for module in pkgutil.walk_packages(lamina.__path__, "lamina."):
        if module.name.endswith("__main__"):
            continue
        for name, value in vars(importlib.import_module(module.name)).items():
            if name.startswith("_") or getattr(value, "__module__", None) != module.name:
                continue
            members = vars(value) if inspect.isclass(value) else {"": value} if inspect.isfunction(value) else {}
            for member in members:
                if FOUND.fullmatch(member or name):
                    found.add(f"{module.name}.{name}{'.' if member else ''}{member}")
    return {name for name in found if not CONVERSIONS.search(name) and not SETTINGS.search(name)}


def test_every_public_writer_has_a_row() -> None:
    known = {*ELSEWHERE, *(name for row in ROWS.values() for name in row.covers)}
    found = public_writers()
    assert len(found) > 25
    inherited = {name for name in found if name.startswith("lamina.tokenizers.recipes.") and name.endswith(".save")}
    unknown = sorted(name for name in found - inherited if not any(f".{name}".endswith(f".{each}") for each in known))
    assert unknown == [], "a writer that no row makes fail"
    assert {each for each in known if not any(f".{name}".endswith(f".{each}") for name in found)} == set()
