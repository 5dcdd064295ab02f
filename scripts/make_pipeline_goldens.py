"""What Transformers 4.57.6 answers for every task, option and tricky input: tests/pipelines/golden/*.json.

Run with an environment that has transformers==4.57.6: `python scripts/make_pipeline_goldens.py`.
"""

from __future__ import annotations

import inspect
import json
import sys
import tempfile
import warnings
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from safetensors import safe_open
from transformers import pipeline
from transformers.pipelines import SUPPORTED_TASKS

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from scripts import assets  # noqa: E402
from scripts.pipeline_cases import CASES, SENTENCES  # noqa: E402
from tests.pipelines.checkpoints import (  # noqa: E402
    CHECKPOINTS,
    GOLDEN,
    write_checkpoint,
    write_config,
)

WRITING = ("text-generation", "text2text-generation", "summarization", "translation")


def record_shapes() -> None:
    """Names and shapes of every checkpoint's tensors, as the reference saves them."""
    shapes = {}
    for name in CHECKPOINTS:
        with tempfile.TemporaryDirectory() as folder:
            write_config(name, Path(folder))
            config = transformers.AutoConfig.from_pretrained(folder)
            model = getattr(transformers, config.architectures[0])(config)
            model.save_pretrained(folder)
            with safe_open(Path(folder) / "model.safetensors", "pt") as tensors:
                shapes[name] = {tensor: tensors.get_slice(tensor).get_shape() for tensor in tensors.keys()}  # noqa: SIM118
    write(GOLDEN / "tensors.json", shapes)


def write(path: Path, content: Any) -> None:
    if isinstance(content, list):
        text = "[\n" + ",\n".join(json.dumps(item, ensure_ascii=False) for item in content) + "\n]\n"
    else:
        rows = (f"{json.dumps(key)}: {json.dumps(value)}" for key, value in content.items())
        text = "{\n" + ",\n".join(rows) + "\n}\n"
    path.write_text(text, encoding="utf-8")


def plain(value: Any) -> Any:
    """An answer as JSON that keeps the types apart which users can tell apart."""
    if isinstance(value, np.float32):
        return {"float32": float(f"{value:.8g}")}
    if isinstance(value, np.generic):
        raise TypeError(f"{type(value)} in an answer: give it a form of its own")
    if isinstance(value, torch.Tensor):
        return {"tensor": plain(value.tolist())}
    if isinstance(value, float):
        return float(f"{value:.8g}")
    if isinstance(value, list) and len(value) > 2 and all(isinstance(item, dict) for item in value):
        keys = list(value[0])
        return {"keys": keys, "rows": [[plain(item.pop(key)) for key in keys] for item in value]}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value


def answer(pipe: Any, case: dict[str, Any]) -> dict[str, Any]:
    """The case with what the reference made of it."""
    try:
        # The reference changes arguments in place, so it gets a copy.
        return {**case, "output": plain(pipe(*deepcopy(case["args"]), **deepcopy(case.get("kwargs", {}))))}
    except Exception as error:
        return {**case, "error": type(error).__name__}


def record_options() -> None:
    """Every option that a task knows by name, in its call or in one of its steps."""
    options = {}
    for task in (*CASES, *WRITING):
        kind = SUPPORTED_TASKS[task]["impl"]
        names: dict[str, None] = {}
        for step in (kind._sanitize_parameters, kind.preprocess, kind.postprocess):
            for name, parameter in list(inspect.signature(step).parameters.items())[
                2 - (step is kind._sanitize_parameters) :
            ]:
                if parameter.kind is not parameter.VAR_KEYWORD and not name.startswith("_"):
                    names[name] = None
        options[task] = list(names)
    write(GOLDEN / "options.json", options)


def record_similarities() -> None:
    """Cosines of mean-pooled states of a published sentence model, one text at a time."""
    folder = assets.fetch("minilm")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder).eval()

    def vector(text: str) -> torch.Tensor:
        with torch.no_grad():
            inputs = tokenizer(text, truncation=True, max_length=256, return_tensors="pt")
            return model(**inputs).last_hidden_state[0].mean(0)

    cases = []
    for source, *others in SENTENCES:
        cosines = [torch.cosine_similarity(vector(source), vector(other), dim=0).item() for other in others]
        cases.append({"source_sentence": source, "sentences": others, "output": plain(cosines)})
    write(GOLDEN / "sentence-similarity.json", cases)


def main() -> None:
    GOLDEN.mkdir(exist_ok=True)
    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(1)
    record_shapes()
    record_options()
    record_similarities()
    with tempfile.TemporaryDirectory() as work:
        vocabulary = assets.fetch("minilm") / "vocab.txt"
        folders = {name: write_checkpoint(name, Path(work), vocabulary) for name in CHECKPOINTS}
        for task, cases in CASES.items():
            answered = []
            for case in cases:
                folder = str(folders[case["checkpoint"]])
                try:
                    pipe = pipeline(task, model=folder, device="cpu", **deepcopy(case.get("init", {})))
                except Exception as error:
                    answered.append({**case, "error": type(error).__name__})
                    continue
                answered.append(answer(pipe, case))
            write(GOLDEN / f"{task}.json", answered)
            print(task, len(answered), sum("error" in case for case in answered))


if __name__ == "__main__":
    main()
