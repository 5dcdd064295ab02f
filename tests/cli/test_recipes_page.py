"""docs/recipes.md as printed: every command trains, and its Python runs. The models named are tiny here."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Finished
from tests.training import samples
from tests.training.hub import fill_cache

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "recipes.md").read_text(encoding="utf-8")
COMMANDS = [line for line in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)[0].splitlines() if line]
SCORES = {
    "classifier": "accuracy",
    "cola": "matthews",
    "writer": "perplexity",
    "filler": "perplexity",
    "tagger": "f1",
    "reader": "exact_match",
    "chooser": "accuracy",
    "translator": "bleu",
    "summarizer": "rouge1",
    "embedder": "recall_at_10",
}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill_cache(tmp_path_factory.mktemp("home") / "hub")


def write_files(folder: Path) -> None:
    """Every file that the page names, small."""
    labelled = [(context, i % 2) for i, (context, _, _) in enumerate(samples.FACTS)]
    for name in ("train", "dev"):
        (folder / f"{name}.csv").write_text("text,label\n" + "".join(f'"{t}",{"ab"[n]}\n' for t, n in labelled))
        (folder / f"{name}.en").write_text("".join(f"{source}\n" for source, _ in samples.PAIRS))
        (folder / f"{name}.ro").write_text("".join(f"{target}\n" for _, target in samples.PAIRS))
        (folder / "CoLA").mkdir(exist_ok=True)
        (folder / "CoLA" / f"{name}.tsv").write_text("".join(f"x\t{n}\t\t{t}\n" for t, n in labelled))
        samples.write_summaries(folder / f"{name}.jsonl")
        samples.write_squad(folder / f"{name}-v1.1.json")
    for name in ("pairs.csv", "pairs.dev.csv"):
        (folder / name).write_text("anchor,positive\n" + "".join(f"{one},{other}\n" for one, other in samples.PAIRS))
    for name in ("train", "valid"):
        (folder / f"wiki.{name}.txt").write_text("\n".join(context for context, _, _ in samples.FACTS))
        samples.write_conll(folder / f"{name}.conll")
    for name in ("train", "val"):
        samples.write_swag(folder / f"swag.{name}.csv")


@pytest.mark.parametrize("command", COMMANDS, ids=[command.rpartition(" ")[2] for command in COMMANDS])
def test_every_command_runs_as_printed(
    lamina: Callable[..., Finished], cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
):
    monkeypatch.setenv("HF_HUB_CACHE", str(cache))
    monkeypatch.chdir(tmp_path)
    write_files(tmp_path)
    program, *arguments = shlex.split(command)
    done = lamina(*arguments)
    assert program == "lamina" and done.status == 0, done.err
    folder = tmp_path / arguments[-1]
    assert f"eval_{SCORES[folder.name]}" in json.loads(done.out.splitlines()[-1])
    assert {"config.json", "model.safetensors", "README.md", "curves.png"} <= {file.name for file in folder.iterdir()}


def test_the_readme_prints_the_same_commands():
    readme = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
    printed = [line for line in readme.splitlines() if line.startswith("lamina train ")]
    assert printed and set(printed) <= set(COMMANDS)


def test_the_python_runs(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(cache))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)
    (block,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict[str, object] = {}
    exec(compile(block, "recipes.md", "exec"), names)
    results = names["results"]
    assert isinstance(results, dict) and 0 <= results["eval_accuracy"] <= 1


def test_every_option_on_the_page_exists():
    import inspect

    from lamina.cli.options import spelled
    from lamina.cli.train import train

    known = {spelled(name) for name in inspect.signature(train).parameters} | {"--causal", "--nproc-per-node"}
    assert set(re.findall(r"--[a-z][a-z-]+", PAGE)) <= known
