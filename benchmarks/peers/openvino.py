"""OpenVINO, reading the ONNX file that export.py writes."""

from __future__ import annotations

from typing import Any

import numpy as np
import openvino

from ..worker import Work
from .batches import arrange, padded
from .export import exported


def encode(case: dict[str, Any], policy: str = "budget") -> Work:
    core = openvino.Core()
    settings = {
        "INFERENCE_NUM_THREADS": case["threads"],
        "NUM_STREAMS": 1,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
    }
    request = core.compile_model(core.read_model(exported(case)), "CPU", settings).create_infer_request()
    rows = case["ids"]

    def run() -> list[Any]:
        found: dict[int, Any] = {}
        for batch in arrange(rows, policy):
            ids, mask = (np.array(each, dtype=np.int64) for each in padded(rows, batch))
            states = next(iter(request.infer({"ids": ids, "mask": mask}).values()))
            found.update(zip(batch, np.array(states[:, 0]), strict=True))
        return [found[number] for number in range(len(rows))]

    return Work(run, lambda found: {"vectors": [vector.tolist() for vector in found]})
