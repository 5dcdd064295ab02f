"""The reference, as its documentation says to use it."""

from __future__ import annotations

from tempfile import TemporaryDirectory
from typing import Any

import torch
import transformers

from ..worker import Work
from .batches import arrange, padded
from .rows import arguments, collate, dataset, losses
from .writing import writing


def load(case: dict[str, Any], kind: str, dtype: str = "float32") -> Any:
    torch.set_num_threads(case["threads"])
    model = getattr(transformers, kind).from_pretrained(case["folder"], dtype=getattr(torch, dtype))
    return model.eval().to(case.get("device", "cpu"))


def wait(case: dict[str, Any]) -> None:
    """An accelerator answers later: wait for what was asked so far."""
    if case.get("device", "cpu") != "cpu":
        torch.cuda.synchronize()


def encode(case: dict[str, Any], policy: str = "arrival", dtype: str = "float32", filler: int = 0) -> Work:
    """First token's vector of every row of ids."""
    model, rows = load(case, "AutoModel", dtype), case["ids"]

    def run() -> list[torch.Tensor]:
        found: dict[int, torch.Tensor] = {}
        with torch.inference_mode():
            for batch in arrange(rows, policy):
                ids, mask = (torch.tensor(each, device=model.device) for each in padded(rows, batch, filler))
                states = model(input_ids=ids, attention_mask=mask).last_hidden_state
                found.update(zip(batch, states[:, 0], strict=True))
        wait(case)
        return [found[number] for number in range(len(rows))]

    return Work(run, lambda found: {"vectors": [vector.float().tolist() for vector in found]})


def generate(case: dict[str, Any], kind: str, dtype: str = "float32", policy: str = "arrival", size: int = 32) -> Work:
    """`case["new"]` tokens after every prompt, or for every source; `case["forced"]` is scored for the comparison."""
    return writing(load(case, kind, dtype), case, policy, size)


def tokenize(case: dict[str, Any], one_by_one: bool = False) -> Work:
    tokenizer = transformers.AutoTokenizer.from_pretrained(case["folder"])
    texts = case["texts"]
    if one_by_one:
        return Work(lambda: [tokenizer(text)["input_ids"] for text in texts], lambda found: {"ids": found})
    return Work(lambda: tokenizer(texts)["input_ids"], lambda found: {"ids": found})


def train(case: dict[str, Any], kind: str = "AutoModelForSequenceClassification", **ways: Any) -> Work:
    """As ours; batches hold the same rows in the same order, unless `ways` have them grouped by length."""
    torch.set_num_threads(case["threads"])
    model = getattr(transformers, kind).from_pretrained(case["folder"], **case["config"])
    start = {name: tensor.clone() for name, tensor in model.state_dict().items()}

    class Ordered(transformers.Trainer):  # type: ignore[misc]
        def _get_train_sampler(self, *given: Any) -> Any:
            grouped = "train_sampling_strategy" in ways
            return super()._get_train_sampler(*given) if grouped else case["order"]

    def run() -> list[dict[str, Any]]:
        model.load_state_dict(start)
        with TemporaryDirectory() as folder:
            args = transformers.TrainingArguments(**arguments(case, folder), report_to="none", **ways)
            trainer = Ordered(model, args, data_collator=collate, train_dataset=dataset(case))
            trainer.train()
        history: list[dict[str, Any]] = trainer.state.log_history
        return history

    return Work(run, losses)


def read_weights(case: dict[str, Any], kind: str) -> Work:
    """From nothing to a first answer; the model is kept until its memory was measured."""

    def run() -> Any:
        model = load(case, kind)
        with torch.inference_mode():
            model(input_ids=torch.tensor(case["ids"]))  # mapped weights come into memory when they are read
        return model

    return Work(run)
