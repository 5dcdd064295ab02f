from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from lamina import BertConfig, Tokenizer, pipeline
from lamina.cli.train import RECIPES
from lamina.errors import TrainingInterrupted
from lamina.training import recipes
from tests.cli.conftest import Finished
from tests.training import samples

Run = Callable[..., Finished]
DYING = """
import os, signal
from lamina.cli import main
from lamina.training import folders

publish = folders.publish

def dying(output, step, write):
    publish(output, step, write if step < 6 else lambda folder: (write(folder), os.kill(os.getpid(), signal.SIGKILL)))

folders.publish = dying
main()
"""  # lamina, killed when its third checkpoint is written and has no name yet


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
        (("token-classification", "--label-column", "tag"), 2, "'tag' is not a number"),
        (("text-classification", "--set", "learning_rat=1"), 1, "no training argument 'learning_rat'"),
        (("translation",), 1, "a.csv, row 2: no text in the column 'source'"),
        (("question-answering", "--set", "n_best=many"), 1, "n_best='many' should be int"),
        (("text-classification", "--set", "warmup_ratio=much"), 1, "warmup_ratio='much' should be float"),
        (("text-classification", "--set", "warmup"), 2, "'warmup' is not NAME=VALUE"),
        (("text-classification", "--early-stopping", "1"), 1, "early_stopping needs something to evaluate on"),
        (("text-classification", "--epochs", "0"), 1, "num_train_epochs must be above 0"),
        (("text-classification", "--task", "colla"), 1, "no GLUE task 'colla'; there are cola"),
        (("language-modeling", "--packing", "loose"), 1, "packing='loose' is unknown: one of documents, notebook"),
        (("question-answering",), 1, "a.csv, row 2: needs text in the column 'question'"),
        (("multiple-choice",), 1, "a.csv, row 2: no text in the column 'sent1'"),
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


def test_settings_of_the_recipe_and_training_arguments_are_both_set(lamina: Run, model: str, tmp_path: Path):
    data = samples.write_conll(tmp_path / "names.conll")
    done = lamina("train", "token-classification", "--model", model, "--train", str(data), "--output",
                  str(tmp_path / "out"), "--from-scratch", "--set", "piece_level_scores=true", "--set", "max_steps=2",
                  "--lora", "2")  # fmt: skip
    assert done.status == 0, done.err
    card = (tmp_path / "out" / "README.md").read_text()
    assert "| piece_level_scores | `True` |" in card and "| max_steps | `2` |" in card and "| lora | `2` |" in card


def test_a_run_that_was_asked_to_end_has_the_status_of_its_signal(
    lamina: Run, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def stopped(*arguments: object) -> None:
        raise TrainingInterrupted("training was asked to end at step 3", 143)

    monkeypatch.setattr("lamina.training.recipes.token_classification.fit", stopped)
    data = samples.write_conll(tmp_path / "names.conll")
    done = lamina("train", "token-classification", "--model", model, "--train", str(data), "--output",
                  str(tmp_path / "out"), "--from-scratch")  # fmt: skip
    assert done.status == 143 and done.err == "lamina: training was asked to end at step 3\n"


def test_a_killed_run_goes_on_to_the_same_last_bit(lamina: Run, model: str, tmp_path: Path):
    data = samples.write_conll(tmp_path / "names.conll")

    def command(out: str) -> list[str]:
        return ["train", "token-classification", "--model", model, "--train", str(data),
                "--output", str(tmp_path / out), "--from-scratch",
                "--save-steps", "2", "--epochs", "4", "--batch-size", "4"]  # fmt: skip

    assert lamina(*command("whole")).status == 0
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}  # another number, other last bits
    killed = subprocess.run([sys.executable, "-c", DYING, *command("killed")], env=environment, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert (tmp_path / "killed" / "checkpoint-4").is_dir() and not (tmp_path / "killed" / "checkpoint-6").exists()
    assert not (tmp_path / "killed" / "model.safetensors").exists()
    assert lamina(*command("killed"), "--resume").status == 0
    weights = [(tmp_path / out / "model.safetensors").read_bytes() for out in ("whole", "killed")]
    assert weights[0] == weights[1]
