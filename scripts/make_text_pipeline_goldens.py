"""What the pipelines of Transformers 4.57.6 that write answer: tests/pipelines/golden/writing.json and writers.json.

Run with an environment that has transformers==4.57.6: `python scripts/make_text_pipeline_goldens.py`.
"""

from __future__ import annotations

import json
import sys
import tempfile
import warnings
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import safe_open
from transformers import pipeline

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from scripts import assets  # noqa: E402
from scripts.text_pipeline_cases import CASES  # noqa: E402
from tests.pipelines.checkpoints import GOLDEN  # noqa: E402
from tests.pipelines.writers import SHAPES, WRITERS, write_config, write_writer  # noqa: E402

SEED = 7


def record_shapes() -> None:
    """Names and shapes of every checkpoint's tensors, as the reference saves them."""
    lines = []
    for name, writer in WRITERS.items():
        with tempfile.TemporaryDirectory() as folder:
            write_config(name, Path(folder))
            config = transformers.AutoConfig.from_pretrained(folder)
            getattr(transformers, writer.architecture)(config).save_pretrained(folder)
            with safe_open(Path(folder) / "model.safetensors", "pt") as tensors:
                shapes = {tensor: tensors.get_slice(tensor).get_shape() for tensor in tensors.keys()}  # noqa: SIM118
        lines.append(f"{json.dumps(name)}: {json.dumps(shapes)}")
    SHAPES.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def plain(value: Any) -> Any:
    """An answer as JSON in which tensors and lists differ."""
    if isinstance(value, torch.Tensor):
        return {"tensor": value.tolist()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return float(f"{value:.6g}") if isinstance(value, float) else value


def answered(task: str, case: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The case with what the reference made of it."""
    try:
        pipe = pipeline(task, model=str(folder), device="cpu", **deepcopy(case.get("init", {})))
        torch.manual_seed(SEED)
        found = pipe(*deepcopy(case["args"]), **deepcopy(case.get("kwargs", {})))
    except Exception as error:
        return {**case, "error": type(error).__name__}
    return {**case, "output": plain(found)}


def main() -> None:
    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(1)
    record_shapes()
    lines = []
    with tempfile.TemporaryDirectory() as work:
        folders = {name: write_writer(name, Path(work), assets.fetch) for name in WRITERS}
        for task, cases in CASES.items():
            found = [answered(task, case, folders[case["checkpoint"]]) for case in cases]
            lines += [json.dumps({"task": task, **case}, ensure_ascii=False) for case in found]
            print(task, len(found), "errors:", [n for n, case in enumerate(found) if "error" in case])
    (GOLDEN / "writing.json").write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
