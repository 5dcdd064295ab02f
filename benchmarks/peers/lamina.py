"""Ours, by its public calls alone."""

from __future__ import annotations

from tempfile import TemporaryDirectory
from typing import Any

import torch

import lamina
from lamina.inference.batching import abreast, run_by_length, side_by_side, token_budget
from lamina.inference.rows import Row, pack_rows
from lamina.nn.model import read_packed

from ..worker import Work
from .rows import arguments, collate, dataset, losses
from .writing import writing


def load(case: dict[str, Any], kind: str, precision: str | None = None, dtype: str = "float32") -> Any:
    torch.set_num_threads(case["threads"])
    model = getattr(lamina, kind).from_pretrained(case["folder"], precision=precision, dtype=dtype)
    return model.to(case.get("device", "cpu"))


def encode(case: dict[str, Any], precision: str | None = None, dtype: str = "float32") -> Work:
    """First token's vector of every row of ids, packed as pipelines pack them."""
    model = load(case, "AutoModel", precision, dtype)
    rows = [Row({"input_ids": ids}) for ids in case["ids"]]
    budget = token_budget(model.device.type)

    @torch.inference_mode()
    def read(batch: list[Row]) -> list[torch.Tensor]:
        packed, lengths = pack_rows(batch, model.device)
        states = read_packed(model, packed.inputs["input_ids"], lengths).last_hidden_state
        return [each[0] for each in packed.own(states)]

    wide = abreast(model)
    each = side_by_side if wide > 1 else map

    def run() -> list[torch.Tensor]:
        found = run_by_length(rows, read, len, tokens=budget, packed=True, abreast=wide, each=each)
        if model.device.type != "cpu":
            torch.cuda.synchronize()
        return found

    return Work(run, lambda found: {"vectors": [vector.float().tolist() for vector in found]})


def read_one(case: dict[str, Any], precision: str | None = None) -> Work:
    """One row of ids through the model's own call."""
    model, ids = load(case, "AutoModel", precision), torch.tensor(case["ids"])

    def run() -> torch.Tensor:
        with torch.inference_mode():
            states: torch.Tensor = model(input_ids=ids).last_hidden_state
        return states[:, 0]

    return Work(run, lambda found: {"vectors": found.tolist()})


def embed(case: dict[str, Any], precision: str | None = None) -> Work:
    """Texts through SentenceTransformer's `encode`."""
    torch.set_num_threads(case["threads"])
    model, texts = lamina.SentenceTransformer(case["folder"], precision=precision), case["texts"]
    return Work(lambda: model.encode(texts, show_progress_bar=False), lambda found: {"vectors": found.tolist()})


def pool(case: dict[str, Any], precision: str | None = None) -> Work:
    """The same texts through the pipeline that compares sentences."""
    torch.set_num_threads(case["threads"])
    embedder, texts = lamina.pipeline("sentence-similarity", model=case["folder"], precision=precision), case["texts"]
    return Work(lambda: embedder.embed(texts), lambda found: {"vectors": torch.as_tensor(found).tolist()})


def generate(
    case: dict[str, Any], kind: str, precision: str | None = None, dtype: str = "float32", size: int = 64
) -> Work:
    """`case["new"]` tokens after every prompt, or for every source; `case["forced"]` is scored for the comparison."""
    return writing(load(case, kind, precision, dtype), case, "sorted", size)


def tokenize(case: dict[str, Any], one_by_one: bool = False) -> Work:
    tokenizer = lamina.AutoTokenizer.from_pretrained(case["folder"])
    texts = case["texts"]
    if one_by_one:
        return Work(lambda: [tokenizer(text)["input_ids"] for text in texts], lambda found: {"ids": found})
    return Work(lambda: tokenizer(texts)["input_ids"], lambda found: {"ids": found})


def train(case: dict[str, Any], kind: str = "AutoModelForSequenceClassification", **ways: Any) -> Work:
    """`case["steps"]` steps from the same weights every time; `ways` are arguments of training."""
    from lamina.training import Trainer, TrainingArguments  # here, since other rows measure what is in memory

    torch.set_num_threads(case["threads"])
    model = getattr(lamina, kind).from_pretrained(case["folder"], **case["config"])
    start = {name: tensor.clone() for name, tensor in model.state_dict().items()}

    def run() -> list[dict[str, Any]]:
        model.load_state_dict(start)
        with TemporaryDirectory() as folder:
            args = TrainingArguments(**arguments(case, folder), **ways)
            trainer = Trainer(model, args, data_collator=collate, train_dataset=dataset(case))
            trainer.train()
        history: list[dict[str, Any]] = trainer.state.log_history
        return history

    return Work(run, losses)


def read_weights(case: dict[str, Any], kind: str, precision: str | None = None) -> Work:
    """From nothing to a first answer; the model is kept until its memory was measured."""

    def run() -> Any:
        model = load(case, kind, precision)
        with torch.inference_mode():
            model(input_ids=torch.tensor(case["ids"]))  # mapped weights come into memory when they are read
        return model

    return Work(run)
