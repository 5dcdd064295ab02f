from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lamina import BertConfig, Tokenizer, pipeline
from lamina.cli.train import RECIPES
from lamina.training import recipes
from tests.cli.conftest import Finished
from tests.training import samples

Run = Callable[..., Finished]


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("shape")
    tokenizer = Tokenizer.train([" ".join(row) for row in samples.PLACES], kind="wordpiece", vocab_size=120)
    tokenizer.save_pretrained(folder)
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    BertConfig(vocab_size=len(tokenizer), max_position_embeddings=64, **shape).save_pretrained(folder)
    return str(folder)


def test_the_command_knows_every_recipe():
    assert RECIPES == recipes.RECIPES


def test_a_recipe_trains_resumes_and_leaves_a_model(lamina: Run, model: str, tmp_path: Path):
    data, out = samples.write_conll(tmp_path / "names.conll"), tmp_path / "out"
    command = ("train", "token-classification", "--model", model, "--train", str(data), "--eval", str(data),
               "--output", str(out), "--from-scratch", "--save-steps", "2", "--set", "logging_steps=2")  # fmt: skip
    done = lamina(*command, "--epochs", "1")
    assert done.status == 0, done.err
    results = json.loads(done.out.splitlines()[-1])
    assert 0 <= results["eval_f1"] <= 1 and results["eval_loss"] > 0
    assert pipeline("token-classification", str(out)) is not None
    assert (out / "README.md").exists()
    again = lamina(*command, "--epochs", "1")
    assert again.status == 1 and "holds checkpoints of another run" in again.err and again.err.count("\n") == 1
    resumed = lamina(*command, "--epochs", "1", "--resume")
    assert resumed.status == 0, resumed.err
    assert json.loads(resumed.out.splitlines()[-1])["eval_loss"] == results["eval_loss"]


def test_resume_starts_where_there_is_no_checkpoint(lamina: Run, model: str, tmp_path: Path):
    data = tmp_path / "a.csv"
    data.write_text("sentence,kind\nParis,a\nLondon,b\n")
    done = lamina("train", "text-classification", "--model", model, "--train", str(data), "--output",
                  str(tmp_path / "out"), "--resume", "--from-scratch", "--epochs", "1", "--text-column", "sentence",
                  "--label-column", "kind")  # fmt: skip
    assert done.status == 0, done.err
    assert pipeline("text-classification", str(tmp_path / "out"))("Paris")[0]["label"] in ("a", "b")


@pytest.mark.parametrize(
    ("arguments", "status", "complaint"),
    [
        (("text-clasification",), 2, "did you mean text-classification"),
        (("text-classification", "--stride", "3"), 2, "text-classification has no such option"),
        (("text-classification", "--text-column", "body"), 1, "a.csv, row 2: no value in the column 'body'"),
        (("token-classification", "--label-column", "tag"), 2, "'tag' is no number"),
        (("text-classification", "--set", "learning_rat=1"), 1, "no training argument 'learning_rat'"),
        (("translation",), 1, "a.csv, row 2: no text in the column 'source'"),
    ],
)
def test_mistakes_are_told_in_one_line(
    lamina: Run, model: str, tmp_path: Path, arguments: tuple[str, ...], status: int, complaint: str
):
    data = tmp_path / "a.csv"
    data.write_text("text,label\nParis,a\nLondon,b\n")
    rest = ("--model", model, "--train", str(data), "--output", str(tmp_path / "out"), "--from-scratch")
    done = lamina("train", *arguments, *rest)
    assert done.status == status and complaint in " ".join(done.err.replace("│", " ").split())
    assert "Traceback" not in done.err and (status == 2 or done.err.count("\n") == 1)
