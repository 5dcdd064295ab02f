"""Small models and data of one kind each, made from a seed: what the tests of the loop train on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import lamina
from lamina.training import Trainer, TrainingArguments

SIZES = {"vocab_size": 50, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
Row = dict[str, Any]


def bert(architecture: str = "BertForSequenceClassification", **options: Any) -> Any:
    torch.manual_seed(0)
    config = lamina.BertConfig(**SIZES | {"max_position_embeddings": 32} | options)
    return getattr(lamina, architecture)(config)


def gpt2(**options: Any) -> Any:
    torch.manual_seed(0)
    sizes = {"vocab_size": 50, "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 32, "eos_token_id": 1}
    return lamina.GPT2LMHeadModel(lamina.GPT2Config(**sizes | {"bos_token_id": 1, "pad_token_id": 0} | options))


def t5(**options: Any) -> Any:
    torch.manual_seed(0)
    sizes = {"vocab_size": 50, "d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2}
    return lamina.T5ForConditionalGeneration(lamina.T5Config(**sizes | {"decoder_start_token_id": 0} | options))


def sentences(count: int = 24, seed: int = 0, longest: int = 12) -> list[Row]:
    """Rows of several lengths whose label is whether token 7 is among them."""
    generator = torch.Generator().manual_seed(seed)
    rows = []
    for number in range(count):
        length = int(torch.randint(3, longest + 1, (), generator=generator))
        ids = torch.randint(8, 50, (length,), generator=generator).tolist()
        if number % 2:
            ids[1] = 7
        rows.append({"input_ids": ids, "label": number % 2})
    return rows


def tagged(count: int = 24, seed: int = 0, unlabelled: float = 0.5) -> list[Row]:
    """Rows with a label for each token, some of them -100, in numbers that differ from row to row."""
    generator = torch.Generator().manual_seed(seed)
    rows = []
    for row in sentences(count, seed):
        ids = torch.tensor(row["input_ids"])
        labels = ids.clone()
        labels[torch.rand(len(ids), generator=generator) < unlabelled] = -100
        labels[-1] = ids[-1]
        rows.append({"input_ids": ids.tolist(), "labels": labels.tolist()})
    return rows


def collate(rows: list[Row]) -> dict[str, Tensor]:
    """Padded on the right: ids and mask with 0, labels of tokens with -100."""
    width = max(len(row["input_ids"]) for row in rows)

    def filled(values: list[int], filler: int) -> list[int]:
        return values + [filler] * (width - len(values))

    batch = {
        "input_ids": torch.tensor([filled(row["input_ids"], 0) for row in rows]),
        "attention_mask": torch.tensor([filled([1] * len(row["input_ids"]), 0) for row in rows]),
    }
    if "label" in rows[0]:
        batch["labels"] = torch.tensor([row["label"] for row in rows])
    if "labels" in rows[0]:
        batch["labels"] = torch.tensor([filled(row["labels"], -100) for row in rows])
    return batch


def arguments(folder: Path, **options: Any) -> TrainingArguments:
    """Eight steps of four rows without files, unless told otherwise."""
    settings = {
        "output_dir": str(folder),
        "per_device_train_batch_size": 4,
        "max_steps": 8,
        "learning_rate": 1e-3,
        "save_strategy": "no",
        "logging_steps": 1,
        "use_cpu": True,
        "disable_tqdm": True,
    }
    return TrainingArguments(**settings | options)


def trainer(folder: Path, model: Any = None, rows: Any = None, **options: Any) -> Trainer:
    """A trainer over `sentences`; options that are no arguments of training go to the Trainer."""
    own = (
        "eval_dataset",
        "compute_metrics",
        "callbacks",
        "optimizers",
        "data_collator",
        "preprocess_logits_for_metrics",
    )
    given = {name: options.pop(name) for name in own if name in options}
    given = {"data_collator": collate} | given
    model = bert() if model is None else model
    rows = sentences() if rows is None else rows
    return Trainer(model, arguments(folder, **options), train_dataset=rows, **given)


def weights(model: Any) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    """To the last bit."""
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def difference(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    assert one.keys() == other.keys()
    return max(float((one[name] - other[name]).abs().max()) for name in one)
