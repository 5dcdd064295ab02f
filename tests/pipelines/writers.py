"""Tiny checkpoints that write, with real vocabularies; their weights are a function of the tensors' names."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from tests.families.rows.row import TINY
from tests.generation.families import tensor
from tests.pipelines.checkpoints import FIXTURES, GOLDEN

Find = Callable[[str], Path]  # the path of an asset
SHAPES = GOLDEN / "writers.json"
POSITIONS = 64


@dataclass(frozen=True)
class Writer:
    """One checkpoint: its family, class and tokenizer, and what its config says beyond the family's TINY."""

    family: str
    architecture: str
    tokenizer: str
    files: Mapping[str, str]  # name -> a path below the tokenizers' fixtures, or "asset:NAME"
    config: Mapping[str, Any]
    generation: Mapping[str, Any] = field(default_factory=dict)  # generation_config.json


def _fixture(folder: str, *names: str) -> dict[str, str]:
    return {name: f"{folder}/{name}" for name in names}


BYTES = _fixture("roberta", "vocab.json", "merges.txt")
SUMMARY = {
    "max_length": 24,
    "min_length": 6,
    "no_repeat_ngram_size": 3,
    "num_beams": 3,
    "early_stopping": True,
    "length_penalty": 2.0,
}
GPT2 = {"vocab_size": 702, "n_positions": POSITIONS, "bos_token_id": 701, "eos_token_id": 701, "pad_token_id": None}
PAIRED = {"max_position_embeddings": POSITIONS, "decoder_layers": 2}
BART = {**PAIRED, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "forced_eos_token_id": 2}
WRITERS: dict[str, Writer] = {
    "gpt2": Writer("gpt2", "GPT2LMHeadModel", "GPT2Tokenizer", BYTES, GPT2),
    "gpt2-rules": Writer(
        "gpt2",
        "GPT2LMHeadModel",
        "GPT2Tokenizer",
        BYTES,
        GPT2,
        {"max_length": 30, "repetition_penalty": 1.4, "bos_token_id": 701, "eos_token_id": 701},
    ),
    "ctrl": Writer(
        "ctrl",
        "CTRLLMHeadModel",
        "CTRLTokenizer",
        _fixture("ctrl", "vocab.json", "merges.txt"),
        {"vocab_size": 706, "n_positions": POSITIONS},
    ),
    "openai-gpt": Writer(
        "openai-gpt",
        "OpenAIGPTLMHeadModel",
        "OpenAIGPTTokenizer",
        _fixture("gpt", "vocab.json", "merges.txt"),
        {"vocab_size": 600, "n_positions": POSITIONS},
    ),
    "bart": Writer(
        "bart",
        "BartForConditionalGeneration",
        "BartTokenizer",
        BYTES,
        {
            **BART,
            "vocab_size": 701,
            "decoder_start_token_id": 2,
            "task_specific_params": {"summarization": SUMMARY},
        },
    ),
    "mbart": Writer(
        "mbart",
        "MBartForConditionalGeneration",
        "MBartTokenizer",
        {"sentencepiece.bpe.model": "asset:sentencepiece_en"},
        {**BART, "vocab_size": 1027, "scale_embedding": True, "decoder_start_token_id": 2},
    ),
    "mbart50": Writer(
        "mbart",
        "MBartForConditionalGeneration",
        "MBart50Tokenizer",
        {"sentencepiece.bpe.model": "asset:sentencepiece_en"},
        {**BART, "vocab_size": 1054, "scale_embedding": True, "decoder_start_token_id": 2},
    ),
    "m2m_100": Writer(
        "m2m_100",
        "M2M100ForConditionalGeneration",
        "M2M100Tokenizer",
        _fixture("m2m_100", "vocab.json", "sentencepiece.bpe.model"),
        {**BART, "vocab_size": 509, "scale_embedding": True, "decoder_start_token_id": 2},
    ),
    "nllb": Writer(
        "m2m_100",
        "M2M100ForConditionalGeneration",
        "NllbTokenizer",
        {"sentencepiece.bpe.model": "asset:sentencepiece_en"},
        {**BART, "vocab_size": 1206, "scale_embedding": True, "decoder_start_token_id": 2},
        {"max_length": 20, "decoder_start_token_id": 2, "bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 1},
    ),
    "pegasus": Writer(
        "pegasus",
        "PegasusForConditionalGeneration",
        "PegasusTokenizer",
        _fixture("t5", "spiece.model"),
        {
            **PAIRED,
            "vocab_size": 603,
            "eos_token_id": 1,
            "forced_eos_token_id": 1,
            "decoder_start_token_id": 0,
            **SUMMARY,
        },
    ),
    "mt5": Writer(
        "mt5",
        "MT5ForConditionalGeneration",
        "T5Tokenizer",
        _fixture("t5", "spiece.model"),
        {"vocab_size": 600, "num_decoder_layers": 2, "eos_token_id": 1},
    ),
    "marian": Writer(
        "marian",
        "MarianMTModel",
        "MarianTokenizer",
        _fixture("marian", "source.spm", "target.spm", "vocab.json"),
        {
            **PAIRED,
            "vocab_size": 402,
            "decoder_vocab_size": 402,
            "pad_token_id": 401,
            "decoder_start_token_id": 401,
            "eos_token_id": 0,
            "forced_eos_token_id": 0,
            "bad_words_ids": [[401]],
            "num_beams": 4,
            "max_length": 40,
            "scale_embedding": True,
            "activation_function": "swish",
        },
    ),
    "t5": Writer(
        "t5",
        "T5ForConditionalGeneration",
        "T5Tokenizer",
        _fixture("t5", "spiece.model"),
        {
            "vocab_size": 600,
            "num_decoder_layers": 2,
            "eos_token_id": 1,
            "task_specific_params": {
                "summarization": {**SUMMARY, "prefix": "summarize: "},
                "translation_en_to_de": {"prefix": "translate English to German: ", "max_length": 24, "num_beams": 2},
                "translation_en_to_fr": {"prefix": "translate English to French: ", "max_length": 24, "num_beams": 2},
            },
        },
    ),
}


def write_config(name: str, folder: Path) -> None:
    """The config.json, generation_config.json and tokenizer_config.json of writer `name`."""
    writer = WRITERS[name]
    known = {"model_type": writer.family, "architectures": [writer.architecture]}
    write(folder / "config.json", {**known, **TINY[writer.family], **writer.config})
    write(folder / "tokenizer_config.json", {"tokenizer_class": writer.tokenizer, "model_max_length": POSITIONS})
    if writer.generation:
        write(folder / "generation_config.json", writer.generation)


def write(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")


def write_writer(name: str, folder: Path, find: Find) -> Path:
    """The whole checkpoint `name` in a new folder under `folder`."""
    target, writer = folder / name, WRITERS[name]
    target.mkdir()
    write_config(name, target)
    for file, source in writer.files.items():
        asset = source.removeprefix("asset:")
        shutil.copy(FIXTURES / source if asset == source else find(asset), target / file)
    shapes = json.loads(SHAPES.read_text(encoding="utf-8"))[name]
    tensors = {key: tensor(writer.family, key, tuple(shape)) for key, shape in shapes.items()}
    save_file(tensors, target / "model.safetensors", metadata={"format": "pt"})
    return target
