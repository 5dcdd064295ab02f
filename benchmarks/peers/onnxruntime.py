"""ONNX Runtime: exported with torch, fused by its own optimizer, made 8-bit by its own quantizer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from ..worker import Work
from .batches import arrange, every, padded
from .export import exported


def fused(case: dict[str, Any]) -> Path:
    target = Path(case["made"]) / "fused.onnx"
    if not target.is_file():
        from onnxruntime.transformers.optimizer import optimize_model

        sizes = {"num_heads": case["heads"], "hidden_size": case["hidden"]}
        optimize_model(str(exported(case)), model_type="bert", **sizes).save_model_to_file(str(target))
    return target


def narrowed(source: Path) -> Path:
    """8-bit weights by channel, activations by tensor as they come."""
    target = source.with_name(f"{source.stem}-int8.onnx")
    if not target.is_file():
        import onnx
        from onnxruntime.quantization import QuantType, quantize_dynamic

        # A fused graph has tensors whose type is written nowhere.
        untyped = {"DefaultTensorType": onnx.TensorProto.FLOAT}
        quantize_dynamic(str(source), str(target), per_channel=True, weight_type=QuantType.QInt8, extra_options=untyped)
    return target


def encode(
    case: dict[str, Any], precision: str = "fp32", policy: str = "budget", fuse: bool = True, apart: bool = False
) -> Work:
    """`apart`: as many batches at once as there are threads, each on one of them."""
    at_once = case["threads"] if apart else 1
    source = fused(case) if fuse else exported(case)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = case["threads"] // at_once, 1
    file = source if precision == "fp32" else narrowed(source)
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    rows = case["ids"]

    def read(batch: list[int]) -> Any:
        ids, mask = (np.array(each, dtype=np.int64) for each in padded(rows, batch))
        return session.run(None, {"ids": ids, "mask": mask})[0][:, 0]

    return Work(
        lambda: every(read, arrange(rows, policy), at_once),
        lambda found: {"vectors": [vector.tolist() for vector in found]},
    )
