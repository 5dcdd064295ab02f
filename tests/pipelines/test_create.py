"""From a task or a model to a pipeline: names, defaults, what is loaded and what is refused."""

from __future__ import annotations

import ast
import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import lamina
from lamina.errors import ConfigError, HubError, LaminaError, PipelineError
from lamina.inference.rows import accelerator, choose_device
from lamina.pipelines import (
    FeatureExtractionPipeline,
    FillMaskPipeline,
    QuestionAnsweringPipeline,
    SentenceSimilarityPipeline,
    TextClassificationPipeline,
    TokenClassificationPipeline,
    ZeroShotClassificationPipeline,
    create,
    pipeline,
)
from lamina.pipelines.create import TASKS, find_task

Checkpoint = Callable[[str], Path]
USUAL = "distilbert/distilbert-base-uncased-finetuned-sst-2-english"


@pytest.mark.parametrize(
    ("task", "name", "expected"),
    [
        ("text-classification", "bert-moods", TextClassificationPipeline),
        ("sentiment-analysis", "roberta-moods", TextClassificationPipeline),
        ("token-classification", "albert-tags", TokenClassificationPipeline),
        ("ner", "bert-tags", TokenClassificationPipeline),
        ("fill-mask", "bert-mask", FillMaskPipeline),
        ("question-answering", "bert-qa", QuestionAnsweringPipeline),
        ("zero-shot-classification", "bert-nli", ZeroShotClassificationPipeline),
        ("feature-extraction", "bert-body", FeatureExtractionPipeline),
        ("sentence-similarity", "bert-body", SentenceSimilarityPipeline),
    ],
)
def test_a_task_makes_its_pipeline(checkpoint: Checkpoint, task: str, name: str, expected: type) -> None:
    pipe = pipeline(task, model=str(checkpoint(name)), device=-1)
    assert type(pipe) is expected
    assert pipe.task == task
    assert pipe.device == torch.device("cpu")
    assert not pipe.model.training


@pytest.mark.parametrize(
    ("name", "task"),
    [
        ("bert-moods", "text-classification"),
        ("bert-tags", "token-classification"),
        ("roberta-mask", "fill-mask"),
        ("albert-qa", "question-answering"),
        ("bert-body", "feature-extraction"),
    ],
)
def test_a_model_alone_says_what_it_is_for(checkpoint: Checkpoint, name: str, task: str) -> None:
    pipe = pipeline(model=checkpoint(name))
    assert pipe.task == task
    assert pipeline(model=pipe.model, tokenizer=pipe.tokenizer).task == task


def test_a_folder_of_a_sentence_model_is_for_sentences(checkpoint: Checkpoint, tmp_path: Path) -> None:
    folder = shutil.copytree(checkpoint("bert-body"), tmp_path / "model")
    (folder / "modules.json").write_text("[]")
    assert type(pipeline(model=folder)) is SentenceSimilarityPipeline


def test_the_public_name_is_this_function() -> None:
    assert lamina.pipeline is pipeline


def test_arguments_that_are_refused(checkpoint: Checkpoint) -> None:
    folder = checkpoint("bert-moods")
    loaded = pipeline("text-classification", model=folder)
    wrong: list[tuple[dict[str, Any], str]] = [
        ({}, "a task, a model, or both"),
        ({"task": "object-detection"}, "no task 'object-detection'; known are feature-extraction, .*zero-shot"),
        ({"task": "ner", "tokenizer": str(folder)}, "a tokenizer without a model"),
        ({"task": "ner", "model": loaded.model, "tokenizer": loaded.tokenizer}, "AutoModelForTokenClassification"),
        ({"task": "text-classification", "model": loaded.model}, "pass tokenizer="),
        ({"model": folder, "trust_remote_code": True}, "never runs code"),
        ({"model": folder, "framework": "tf"}, "PyTorch"),
        ({"model": folder, "feature_extractor": object()}, "read text only"),
        ({"model": folder, "device": "abacus"}, "no device"),
        ({"model": folder, "device_map": {"a": 0, "b": 1}}, "spreads a model"),
        ({"model": folder, "batch_size": -2}, "batch_size is -2"),
        ({"model": folder, "dtype": "float16", "model_kwargs": {"dtype": "float16"}}, "given twice"),
        ({"model": folder, "top_k": "all"}, "top_k is 'all'"),
    ]
    for arguments, message in wrong:
        with pytest.raises(PipelineError, match=message):
            pipeline(**arguments)


def test_a_model_without_an_architecture_needs_a_task(checkpoint: Checkpoint, tmp_path: Path) -> None:
    folder = shutil.copytree(checkpoint("bert-body"), tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    for architectures in (None, ["BertForSomething"], ["BertForNextSentencePrediction"]):
        (folder / "config.json").write_text(json.dumps({**config, "architectures": architectures}))
        with pytest.raises(PipelineError, match="does not say what it is for; pass task="):
            pipeline(model=folder)


def test_a_family_without_the_head_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "ctrl"}))
    with pytest.raises(ConfigError, match="AutoModelForQuestionAnswering: ctrl has no such head"):
        pipeline("question-answering", model=tmp_path)


def test_a_missing_folder_is_refused() -> None:
    with pytest.raises(LaminaError):
        pipeline("ner", model="./no/such/folder")


def test_arguments_that_are_taken(checkpoint: Checkpoint) -> None:
    folder = checkpoint("bert-moods")
    expected = pipeline("text-classification", model=folder)("text")
    for arguments in (
        {"use_fast": False, "num_workers": 4, "framework": "pt", "trust_remote_code": False},
        {"tokenizer": str(folder), "config": str(folder)},
        {"tokenizer": (str(folder), {"do_lower_case": True})},
        {"device": "cpu", "device_map": None, "dtype": None},
        {"device_map": "cpu", "torch_dtype": "float32"},
        {"device_map": {"": "cpu"}, "model_kwargs": {"torch_dtype": torch.float32}},
    ):
        pipe = pipeline("text-classification", model=folder, **arguments)
        assert pipe("text", num_workers=2) == expected


def test_half_precision_is_the_models(checkpoint: Checkpoint) -> None:
    folder = checkpoint("bert-tags")
    pipe = pipeline("ner", model=folder, dtype="bfloat16", device="cpu")
    assert pipe.dtype is torch.bfloat16
    exact = {entity["word"]: entity["score"] for entity in pipeline("ner", model=folder)("some text", ignore_labels=[])}
    for entity in pipe("some text", ignore_labels=[]):
        assert float(entity["score"]) == pytest.approx(float(exact[entity["word"]]), abs=0.05)


def test_a_pipeline_of_ones_own(checkpoint: Checkpoint) -> None:
    class Loud(TextClassificationPipeline):
        def postprocess(self, *args: Any) -> Any:
            return super().postprocess(*args)["label"].upper() + "!"

    pipe = pipeline("text-classification", model=checkpoint("bert-moods"), pipeline_class=Loud)
    assert pipe(["text"])[0] in {"GRIM!", "PLAIN!", "MERRY!"}


def test_what_is_saved_answers_alike(checkpoint: Checkpoint, tmp_path: Path) -> None:
    pipe = pipeline("text-classification", model=checkpoint("bert-moods"))
    pipe.save_pretrained(tmp_path / "saved")
    assert pipeline(model=tmp_path / "saved")("some text") == pipe("some text")


def test_devices() -> None:
    cpu = torch.device("cpu")
    first = torch.device("cpu") if accelerator() is None else torch.device(str(accelerator()), 0)
    assert choose_device(None, cpu) == choose_device(0, cpu) == first
    assert choose_device(-1, torch.device("meta")) == torch.device("meta")
    assert choose_device("cpu", cpu) == choose_device(cpu, cpu) == cpu
    for absent in ("xpu:3", "vulkan"):
        with pytest.raises(PipelineError, match="not available"):
            choose_device(absent, cpu)


@pytest.fixture
def cut_off(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty hub cache and no network; the folder of the cache."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    create.announce.cache_clear()
    return tmp_path / "hub"


def test_without_model_and_network_the_embedded_one_answers(
    cut_off: Path, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(create.EMBEDDED, "text-classification", checkpoint("bert-moods"))
    with caplog.at_level(logging.WARNING):
        for task in ("sentiment-analysis", "text-classification"):
            assert set(pipeline(task)("fine")[0]) == {"label", "score"}
    said = [record.message for record in caplog.records if record.name.startswith("lamina.pipelines.")]
    assert said == [f"No model was given and {USUAL} is out of reach; the small model inside Lamina is used."]


def test_without_model_and_network_other_tasks_say_what_to_do(cut_off: Path) -> None:
    for task, entry in TASKS.items():
        if task not in create.EMBEDDED:
            with pytest.raises(PipelineError, match=f"{entry.model}, is neither cached nor reachable .* local folder"):
                pipeline(task)


@pytest.mark.parametrize("revision", ["714eb0f", "main"])
def test_the_usual_model_is_taken_from_the_cache(
    cut_off: Path, checkpoint: Checkpoint, revision: str, caplog: pytest.LogCaptureFixture
) -> None:
    repository = cut_off / ("models--" + USUAL.replace("/", "--"))
    commit = "714eb0fa89d2f80546fda750413ed43d93601a13"
    shutil.copytree(checkpoint("bert-moods"), repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / revision).write_text(commit)
    pipe = pipeline("sentiment-analysis")
    assert pipe.model.name_or_path == USUAL
    assert pipe("fine") == pipeline(model=checkpoint("bert-moods"))("fine")
    assert f"{USUAL} (revision {revision}) is used" in caplog.text


def test_a_cache_without_weights_is_no_model(
    cut_off: Path, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = cut_off / ("models--" + USUAL.replace("/", "--"))
    (repository / "snapshots" / "abc").mkdir(parents=True)
    shutil.copy(checkpoint("bert-moods") / "config.json", repository / "snapshots" / "abc")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc")
    monkeypatch.setitem(create.EMBEDDED, "text-classification", checkpoint("bert-spam"))
    assert pipeline("sentiment-analysis")("fine")[0]["label"] == "SPAM"


def test_every_default_names_its_owner() -> None:
    assert all(entry.model.count("/") == 1 for entry in TASKS.values())
    assert find_task("ner") is TASKS["token-classification"]
    assert issubclass(HubError, OSError)


def test_what_draws_on_a_terminal_is_loaded_when_there_is_something_to_draw() -> None:
    source = Path(lamina.__file__).parent
    drawing = {source / name for name in ("cli", "serving", "training", "viewer")}
    for path in source.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if "rich" in text and not drawing & set(path.parents):
            nodes = ast.parse(text).body
            loaded = {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
            loaded |= {name.name for node in nodes if isinstance(node, ast.Import) for name in node.names}
            assert not any(str(name).partition(".")[0] == "rich" for name in loaded), path
