"""A cache of the Hub that holds tiny random models under the names that courses and documentation give."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch

import lamina
from tests.assets import asset
from tests.pipelines.checkpoints import FIXTURES
from tests.pipelines.writers import write_writer

COMMIT = "0123456789abcdef0123456789abcdef01234567"
SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
WRITERS = {"distilgpt2": "gpt2", "Helsinki-NLP/opus-mt-en-ro": "marian", "t5-small": "t5"}


def snapshot(cache: Path, name: str) -> Path:
    """The folder in which the cache keeps the one version there is of `name`."""
    folder = cache / f"models--{name.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(COMMIT)
    return folder / "snapshots" / COMMIT


def publish(cache: Path, name: str, model: Any, files: dict[str, Path], **tokenizer: Any) -> None:
    """Put a model and its tokenizer's files into the cache."""
    folder = snapshot(cache, name)
    model.save_pretrained(folder)
    for file, source in files.items():
        shutil.copyfile(source, folder / file)
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer))


def fill_cache(cache: Path) -> Path:
    """All the models that the seven notebooks name."""
    torch.manual_seed(0)
    words = {"vocab.txt": asset("minilm") / "vocab.txt"}
    distil = lamina.DistilBertConfig(dim=32, n_layers=2, n_heads=4, hidden_dim=64)
    publish(cache, "distilbert-base-uncased", lamina.DistilBertForMaskedLM(distil), words, do_lower_case=True,
            model_max_length=512)  # fmt: skip
    bert = lamina.BertConfig(**SIZES)
    publish(cache, "bert-base-uncased", lamina.BertForMaskedLM(bert), words, do_lower_case=True, model_max_length=512)
    bytes_ = {name: FIXTURES / "roberta" / name for name in ("vocab.json", "merges.txt")}
    count = len(json.loads(bytes_["vocab.json"].read_text(encoding="utf-8")))
    roberta = lamina.RobertaConfig(**SIZES, vocab_size=count, type_vocab_size=1, max_position_embeddings=130)
    publish(cache, "distilroberta-base", lamina.RobertaForMaskedLM(roberta), bytes_, model_max_length=128)
    for name, writer in WRITERS.items():
        folder = snapshot(cache, name)
        folder.parent.mkdir(parents=True)
        write_writer(writer, folder.parent, asset).rename(folder)
    return cache
