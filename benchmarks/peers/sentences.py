"""sentence-transformers by `encode`, fastembed by `embed`, and the reference with its pooling written out."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from ..worker import Work


def encode(case: dict[str, Any]) -> Work:
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(case["threads"])
    model, texts = SentenceTransformer(case["folder"], device="cpu"), case["texts"]
    return Work(lambda: model.encode(texts, show_progress_bar=False), lambda found: {"vectors": found.tolist()})


def pooled(case: dict[str, Any], size: int = 32) -> Work:
    """The mean of the states as the model's card writes it out, in batches of texts as they come."""
    import torch
    import transformers

    torch.set_num_threads(case["threads"])
    tokenizer = transformers.AutoTokenizer.from_pretrained(case["folder"])
    model, texts = transformers.AutoModel.from_pretrained(case["folder"]).eval(), case["texts"]

    def run() -> Any:
        found = []
        with torch.inference_mode():
            for start in range(0, len(texts), size):
                inputs = tokenizer(
                    texts[start : start + size], padding=True, truncation=True, max_length=256, return_tensors="pt"
                )
                states, mask = model(**inputs).last_hidden_state, inputs["attention_mask"][..., None]
                found.append(torch.nn.functional.normalize((states * mask).sum(1) / mask.sum(1)))
        return torch.cat(found)

    return Work(run, lambda found: {"vectors": found.tolist()})


def fast(case: dict[str, Any]) -> Work:
    """fastembed reads an ONNX file and the tokenizer's: both from a folder made here, since nothing is downloaded."""
    from fastembed import TextEmbedding

    model = TextEmbedding(
        "sentence-transformers/all-MiniLM-L6-v2", threads=case["threads"], specific_model_path=str(onnx_folder(case))
    )
    texts = case["texts"]
    return Work(lambda: list(model.embed(texts)), lambda found: {"vectors": [vector.tolist() for vector in found]})


def onnx_folder(case: dict[str, Any]) -> Path:
    """The model as fastembed looks for it."""
    target = Path(case["made"]) / "fastembed"
    if target.is_dir():
        return target
    import torch
    import transformers

    class Body(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = transformers.AutoModel.from_pretrained(case["folder"], attn_implementation="eager").eval()

        def forward(self, ids: torch.Tensor, mask: torch.Tensor, types: torch.Tensor) -> torch.Tensor:
            states: torch.Tensor = self.model(ids, mask, types).last_hidden_state
            return states

    partial = target.with_suffix(".partial")
    partial.mkdir(parents=True, exist_ok=True)
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        if (Path(case["folder"]) / name).is_file():
            shutil.copy(Path(case["folder"]) / name, partial / name)
    ids = torch.tensor([[2, 3, 4, 5], [6, 7, 8, 0]])
    names, axes = ("input_ids", "attention_mask", "token_type_ids"), {0: "rows", 1: "tokens"}
    torch.onnx.export(
        Body(),
        (ids, (ids > 0).long(), ids * 0),
        str(partial / "model.onnx"),
        input_names=list(names),
        output_names=["last_hidden_state"],
        dynamic_axes={name: axes for name in (*names, "last_hidden_state")},
        opset_version=17,
        dynamo=False,
    )
    partial.rename(target)
    return target
