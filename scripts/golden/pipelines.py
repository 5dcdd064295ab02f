"""What pipelines answer for every task, option and tricky input: 4.57.6."""

from __future__ import annotations

import inspect
import tempfile
from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from safetensors import safe_open
from transformers.pipelines import SUPPORTED_TASKS

from scripts.assets import fetch
from tests.pipelines.checkpoints import CHECKPOINTS, GOLDEN, write_checkpoint, write_config
from tests.pipelines.writers import SHAPES, WRITERS, write_writer
from tests.pipelines.writers import write_config as write_writer_config

from . import pipeline_cases, writing_cases
from .forms import lines, table

SEED = 7
FILES = ("tensors", "options", "sentence-similarity", "writers", "writing")


def names() -> list[str]:
    return [*pipeline_cases.CASES, *FILES]


def make(name: str) -> Iterator[tuple[Path, bytes]]:
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(1)
    match name:
        case "tensors":
            yield GOLDEN / "tensors.json", table({one: shapes(one, write_config) for one in CHECKPOINTS})
        case "writers":
            yield SHAPES, table({one: shapes(one, write_writer_config) for one in WRITERS})
        case "options":
            yield GOLDEN / "options.json", table(options())
        case "sentence-similarity":
            yield GOLDEN / "sentence-similarity.json", lines(similarities())
        case "writing":
            yield GOLDEN / "writing.json", lines(writing())
        case _:
            yield GOLDEN / f"{name}.json", lines(reading(name))


def shapes(name: str, write: Callable[[str, Path], Any]) -> dict[str, list[int]]:
    """Names and shapes of a checkpoint's tensors, as the reference saves them."""
    with tempfile.TemporaryDirectory() as folder:
        write(name, Path(folder))
        config = transformers.AutoConfig.from_pretrained(folder)
        getattr(transformers, config.architectures[0])(config).save_pretrained(folder)
        with safe_open(Path(folder) / "model.safetensors", "pt") as tensors:
            return {tensor: tensors.get_slice(tensor).get_shape() for tensor in tensors.keys()}  # noqa: SIM118


def plain(value: Any, digits: int = 8, columns: bool = True) -> Any:
    """An answer as JSON that keeps the types apart which users can tell apart; records as `columns` and rows."""
    if isinstance(value, np.float32):
        return {"float32": float(f"{value:.{digits}g}")}
    if isinstance(value, np.generic):
        raise TypeError(f"{type(value)} in an answer: give it a form of its own")
    if isinstance(value, torch.Tensor):
        return {"tensor": plain(value.tolist(), digits, columns)}
    if isinstance(value, float):
        return float(f"{value:.{digits}g}")
    if columns and isinstance(value, list) and len(value) > 2 and all(isinstance(item, dict) for item in value):
        keys = list(value[0])
        return {"keys": keys, "rows": [[plain(item.pop(key)) for key in keys] for item in value]}
    if isinstance(value, list):
        return [plain(item, digits, columns) for item in value]
    if isinstance(value, dict):
        return {key: plain(item, digits, columns) for key, item in value.items()}
    return value


def answered(task: str, case: dict[str, Any], folder: Path, **form: Any) -> dict[str, Any]:
    """The case with what the reference made of it; it changes arguments in place, so it gets copies."""
    try:
        pipe = transformers.pipeline(task, model=str(folder), device="cpu", **deepcopy(case.get("init", {})))
        torch.manual_seed(SEED)
        found = pipe(*deepcopy(case["args"]), **deepcopy(case.get("kwargs", {})))
        return {**case, "output": plain(found, **form)}
    except Exception as error:
        return {**case, "error": type(error).__name__}


def reading(task: str) -> list[dict[str, Any]]:
    """The answers of one task that reads."""
    cases = pipeline_cases.CASES[task]
    with tempfile.TemporaryDirectory() as work:
        folders = bodies(Path(work))
        return [answered(task, case, folders(case["checkpoint"])) for case in cases]


def writing() -> list[dict[str, Any]]:
    """The answers of all tasks that write."""
    with tempfile.TemporaryDirectory() as work:
        folders = {name: write_writer(name, Path(work), fetch) for name in WRITERS}
        return [
            {"task": task, **answered(task, case, folders[case["checkpoint"]], digits=6, columns=False)}
            for task, cases in writing_cases.CASES.items()
            for case in cases
        ]


def bodies(work: Path) -> Callable[[str], Path]:
    """A function that gives the folder of a small checkpoint, written once."""
    return cache(lambda name: write_checkpoint(name, work, fetch("minilm") / "vocab.txt"))


def options() -> dict[str, list[str]]:
    """Every option that a task knows by name, in its call or in one of its steps."""
    found = {}
    for task in (*pipeline_cases.CASES, *list(writing_cases.CASES)[:4]):
        kind = SUPPORTED_TASKS[task]["impl"]
        known: dict[str, None] = {}
        for step in (kind._sanitize_parameters, kind.preprocess, kind.postprocess):
            for name, parameter in list(inspect.signature(step).parameters.items())[
                2 - (step is kind._sanitize_parameters) :
            ]:
                if parameter.kind is not parameter.VAR_KEYWORD and not name.startswith("_"):
                    known[name] = None
        found[task] = list(known)
    return found


def similarities() -> list[dict[str, Any]]:
    """Cosines of mean-pooled states of a published sentence model, one text at a time."""
    folder = fetch("minilm")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder).eval()

    def vector(text: str) -> torch.Tensor:
        with torch.no_grad():
            inputs = tokenizer(text, truncation=True, max_length=256, return_tensors="pt")
            return model(**inputs).last_hidden_state[0].mean(0)

    cases = []
    for source, *others in pipeline_cases.SENTENCES:
        cosines = [torch.cosine_similarity(vector(source), vector(other), dim=0).item() for other in others]
        cases.append({"source_sentence": source, "sentences": others, "output": plain(cosines)})
    return cases
