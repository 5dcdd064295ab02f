"""`lamina generate` and `lamina convert`: what a terminal, a pipe and a mistake get to see."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from lamina import pipeline
from lamina.files.shown import visible
from tests.cli.conftest import Finished

Lamina = Callable[..., Finished]
Writer = Callable[[str], str]

GREEDY = ("--temperature", "0", "-n", "9")
SPEED = r"\d+ tokens in [\d.]+ s, [\d.]+ tokens/s"


def continued(writer: Writer, prompt: str, **options: object) -> str:
    pipe = pipeline("text-generation", model=writer("gpt2"), device="cpu", do_sample=False, return_full_text=False)
    text: str = pipe(prompt, max_new_tokens=9, clean_up_tokenization_spaces=False, **options)[0]["generated_text"]
    return text


def test_a_pipe_gets_the_new_text_and_a_terminal_the_prompt_before_it(lamina: Lamina, writer: Writer) -> None:
    prompt = "The film 🚀 한국어"
    text = continued(writer, prompt)
    done = lamina("generate", writer("gpt2"), prompt, *GREEDY)
    assert (done.status, done.out) == (0, text + "\n")
    assert re.fullmatch(SPEED, done.err.strip())
    shown = lamina("generate", writer("gpt2"), prompt, *GREEDY, terminal=True)
    assert shown.out == f"\x1b[2m{prompt}\x1b[0m{text}\n"
    assert shown.err.startswith("9 tokens in ")
    assert shown.err.rstrip().endswith("tokens/s")


def test_standard_input_may_hold_the_prompt_and_json_all_facts(lamina: Lamina, writer: Writer) -> None:
    done = lamina("generate", writer("gpt2"), *GREEDY, "--json", given="The film\n")
    (facts,) = done.lines
    assert facts["prompt"] == "The film"
    assert facts["text"] == continued(writer, "The film")
    assert facts["tokens"] == 9
    assert facts["tokens_per_second"] == pytest.approx(9 / facts["seconds"], rel=0.1)
    assert done.err == ""


def test_beams_come_whole_and_stop_strings_are_never_shown(lamina: Lamina, writer: Writer) -> None:
    model, prompt = writer("gpt2"), "The film"
    beams = lamina("generate", model, prompt, *GREEDY, "--beams", "3")
    assert beams.out == continued(writer, prompt, num_beams=3) + "\n"
    assert lamina("generate", model, prompt, *GREEDY, "--beams", "3", terminal=True).out.endswith(visible(beams.out))
    text = continued(writer, prompt)
    stop = text[4:6]
    stopped = lamina("generate", model, prompt, *GREEDY, "--stop", stop)
    assert stopped.out == text[: text.find(stop)] + "\n"
    assert "le" in beams.out  # another text may win where this one is cut short
    assert "le" not in lamina("generate", model, prompt, *GREEDY, "--beams", "3", "--stop", "le").out


def test_a_seed_repeats_a_text_and_sampling_options_turn_sampling_on(lamina: Lamina, writer: Writer) -> None:
    command = ["generate", writer("t5"), "The film", "-n", "9"]
    likeliest = lamina(*command).out
    assert likeliest == lamina(*command, "--temperature", "0").out
    drawn = [lamina(*command, "--temperature", "3", "--top-k", "50", "--seed", seed).out for seed in ("1", "1", "2")]
    assert drawn[0] == drawn[1]
    assert len({likeliest, *drawn}) == 3


def test_what_does_not_fit_is_left_out_where_that_is_asked_for(lamina: Lamina, writer: Writer) -> None:
    for model in ("gpt2", "bart"):
        command = ["generate", writer(model), "a " * 99, "-n", "5"]
        done = lamina(*command)
        assert (done.status, "--truncation" in done.err) == (1, True)
        assert lamina(*command, "--truncation").status == 0


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["{gpt2}", "x", "--temperature", "0", "--top-k", "3"], 2, "--temperature"),
        (["{gpt2}", "x", "--top-p", "2"], 2, "--top-p"),
        (["{gpt2}", "x", "--seed", str(2**70)], 2, "--seed"),
        (["{gpt2}", "x", "--stop", ""], 2, "--stop"),
        (["{openai-gpt}", ""], 1, "no bos_token_id"),
        (["{gpt2}/nothing", "x"], 1, "nothing"),
        (["{sentiment}", "x"], 1, "does not write: it is for text-classification; try lamina run text-classification"),
    ],
)
def test_mistakes_are_named_in_a_line(
    lamina: Lamina, writer: Writer, checkpoint: Callable[[str], str], arguments: list[str], status: int, words: str
) -> None:
    places = {name: writer(name) for name in ("gpt2", "openai-gpt")} | {"sentiment": checkpoint("bert-moods")}
    done = lamina("generate", *(argument.format(**places) for argument in arguments))
    assert done.status == status
    assert words in done.err
    assert "Traceback" not in done.err
    assert status == 2 or done.err.count("\n") == 1


def test_a_prompt_that_is_not_utf8_is_an_error_in_a_line(lamina: Lamina, writer: Writer) -> None:
    done = lamina("generate", writer("gpt2"), given=b"\xff\xfe")
    assert (done.status, "not UTF-8" in done.err) == (1, True)


def test_convert_names_its_files_and_what_it_cannot_do(lamina: Lamina, writer: Writer, tmp_path: Path) -> None:
    target = tmp_path / "new"
    done = lamina("convert", writer("gpt2"), str(target))
    assert done.status == 0
    assert {file.name for file in target.iterdir()} >= {"config.json", "model.safetensors", "vocab.json", "merges.txt"}
    assert all(file.name in done.out for file in target.iterdir())
    assert json.loads((target / "config.json").read_text(encoding="utf-8"))["model_type"] == "gpt2"
    again = lamina("convert", writer("gpt2"), str(target))
    assert (again.status, again.err.count("\n")) == (1, 1)
    assert "not empty" in again.err
    assert "is not there" in lamina("convert", str(tmp_path / "gone"), str(tmp_path / "x")).err
