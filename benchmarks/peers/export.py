"""The reference's encoders as ONNX files."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def exported(case: dict[str, Any]) -> Path:
    """The model as ONNX, made once."""
    target = Path(case["made"]) / "model.onnx"
    if not target.is_file():
        import torch
        import transformers

        class Body(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.model = transformers.AutoModel.from_pretrained(case["folder"], attn_implementation="eager").eval()

            def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
                states: torch.Tensor = self.model(input_ids=ids, attention_mask=mask).last_hidden_state
                return states

        ids = torch.tensor([[2, 3, 4, 5], [6, 7, 8, 0]])
        axes = {0: "rows", 1: "tokens"}
        partial = target.with_suffix(".partial")
        torch.onnx.export(
            Body(),
            (ids, (ids > 0).long()),
            str(partial),
            input_names=["ids", "mask"],
            output_names=["states"],
            dynamic_axes={"ids": axes, "mask": axes, "states": axes},
            opset_version=17,
            dynamo=False,
        )
        partial.rename(target)
    return target
