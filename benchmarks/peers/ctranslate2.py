"""CTranslate2. Its converter wants a tokenizer, and attributes that configs no longer hold: both are made up here."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np
from ctranslate2.converters import TransformersConverter

from ..worker import Work
from .batches import arrange, every, padded

KINDS = {"fp32": "float32", "int8": "int8"}


class Names:
    """Stands in for a tokenizer: every token is called by its id, the special ones as the converter expects them."""

    def __init__(self, config: dict[str, Any]):
        self.names = [f"t{number}" for number in range(config["vocab_size"])]
        eos, pad = config.get("eos_token_id"), config.get("pad_token_id")
        self.unk_token = self.names[3]
        for number, name in ((eos, "</s>"), (pad, "<pad>")):
            if number is not None:
                self.names[number] = name
        self.eos_token = self.bos_token = self.names[eos or 0]
        self.pad_token = self.names[pad or 0]

    def get_vocab(self) -> dict[str, int]:
        return {name: number for number, name in enumerate(self.names)}

    def convert_ids_to_tokens(self, number: int) -> str:
        return self.names[number]


class Converter(TransformersConverter):  # type: ignore[misc]
    """The library's own, for folders without a tokenizer and configs of Transformers 5."""

    def load_model(self, model_class: Any, name: str, **options: Any) -> Any:
        model = super().load_model(model_class, name, **options)
        for attribute, value in (("position_embedding_type", "absolute"), ("normalize_before", False)):
            if not hasattr(model.config, attribute):
                setattr(model.config, attribute, value)
        return model

    def load_tokenizer(self, _: Any, name: str, **options: Any) -> Names:
        return names(name)


def names(folder: str) -> Names:
    return Names(json.loads((Path(folder) / "config.json").read_text()))


def converted(case: dict[str, Any], precision: str) -> str:
    """The folder of the model in CTranslate2's own format, made once."""
    target = Path(case["made"]) / f"ctranslate2-{precision}"
    if not target.is_dir():
        partial = target.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        Converter(case["folder"]).convert(str(partial), quantization=KINDS[precision])
        partial.rename(target)
    return str(target)


def encode(case: dict[str, Any], precision: str = "fp32", policy: str = "budget", apart: bool = False) -> Work:
    """`apart`: as many batches at once as there are threads, each on one of them."""
    at_once = case["threads"] if apart else 1
    threads = {"intra_threads": case["threads"] // at_once, "inter_threads": at_once}
    options = {"compute_type": KINDS[precision], **threads}
    encoder = ctranslate2.Encoder(converted(case, precision), device="cpu", **options)
    rows = case["ids"]

    def read(batch: list[int]) -> Any:
        ids, _ = padded(rows, batch)
        lengths = np.array([len(rows[number]) for number in batch], dtype=np.int32)
        view = ctranslate2.StorageView.from_array(np.array(ids, dtype=np.int32))
        output = encoder.forward_batch(view, ctranslate2.StorageView.from_array(lengths))
        return np.array(output.last_hidden_state)[:, 0]

    return Work(
        lambda: every(read, arrange(rows, policy), at_once),
        lambda found: {"vectors": [vector.tolist() for vector in found]},
    )


def generate(case: dict[str, Any], precision: str = "fp32", rows_at_once: int = 64) -> Work:
    """As the reference's, with beams and lengths alike; seq2seq where the case has a first token of the decoder."""
    seq2seq = "start" in case
    engine = ctranslate2.Translator if seq2seq else ctranslate2.Generator
    options = {"compute_type": KINDS[precision], "intra_threads": case["threads"], "inter_threads": 1}
    model = engine(converted(case, precision), device="cpu", **options)
    called, new = names(case["folder"]), case["new"]
    numbers, texts = called.get_vocab(), [[called.names[i] for i in row] for row in case["ids"]]

    def translate() -> list[list[int]]:
        found = model.translate_batch(
            texts,
            beam_size=case["beams"],
            max_decoding_length=new,
            min_decoding_length=new,
            max_batch_size=rows_at_once,
        )
        return [[numbers[name] for name in each.hypotheses[0]] for each in found]

    def go_on() -> list[list[int]]:
        found = model.generate_batch(
            texts, beam_size=case["beams"], max_length=new, min_length=new, include_prompt_in_result=False
        )
        return [list(each.sequences_ids[0]) for each in found]

    def answer(found: list[list[int]]) -> dict[str, Any]:
        if {len(row) for row in found} != {new}:
            raise ValueError(f"asked for {new} tokens, got {sorted({len(row) for row in found})}")
        return {"ids": found}

    return Work(translate if seq2seq else go_on, answer)
