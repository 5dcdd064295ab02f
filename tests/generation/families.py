"""Tiny models of every family that generates, the same for the reference and for us.

Their layers have wider weights than those of tests/families, or they would say one token over and over; the two that
still do are asked under a rule against it as well.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from tests.families.rows.row import TINY
from tests.families.weights import fill

Shapes = Iterable[tuple[str, tuple[int, ...]]]

ARCHITECTURES: dict[
    str, tuple[str, dict[str, Any]]
] = {  # class, and which of its models: its family and what differs from the family's TINY
    "CTRLLMHeadModel": ("ctrl", {}),
    "GPT2LMHeadModel": ("gpt2", {}),
    "OpenAIGPTLMHeadModel": ("openai-gpt", {}),
    "BartForConditionalGeneration": ("bart", {}),
    "MBartForConditionalGeneration": ("mbart", {"scale_embedding": True}),
    "MarianMTModel": ("marian", {"scale_embedding": True, "activation_function": "swish"}),
    "MarianMTModel-wider": (  # a vocabulary for each side, the source's the larger one
        "marian",
        {"share_encoder_decoder_embeddings": False, "tie_word_embeddings": False, "vocab_size": 130},
    ),
    # The reference's cache counts the encoder's layers.
    "T5ForConditionalGeneration": ("t5", {"num_decoder_layers": 2}),
    "MT5ForConditionalGeneration": ("mt5", {"num_decoder_layers": 2}),
    "UMT5ForConditionalGeneration": ("umt5", {"num_decoder_layers": 2}),
    "PegasusForConditionalGeneration": ("pegasus", {"scale_embedding": True, "activation_function": "relu"}),
    "BlenderbotForConditionalGeneration": ("blenderbot", {"scale_embedding": True}),
    "M2M100ForConditionalGeneration": ("m2m_100", {"scale_embedding": False}),
    "BloomForCausalLM": ("bloom", {}),
    "GPTNeoForCausalLM": ("gpt_neo", {}),
    "GPTNeoXForCausalLM": ("gpt_neox", {}),
    "OPTForCausalLM": ("opt", {}),
    "OPTForCausalLM-350m": ("opt", {"do_layer_norm_before": False, "word_embed_proj_dim": 16}),
    "TransfoXLLMHeadModel": ("transfo-xl", {}),
}
STUBBORN = ("BartForConditionalGeneration", "MarianMTModel", "MarianMTModel-wider")
PLAIN = ("embed", "shared", "wte", "wpe", "transformer.w.", "norm", "ln_", "bias", "out_layers")
SCALES = (("embed_positions", 8.0), ("relative_attention_bias", 40.0), *((name, 1.0) for name in PLAIN))
WIDER = {"bart": 3.0, "marian": 3.0, "t5": 3.0}  # the others: 5


def class_name(architecture: str) -> str:
    """The class of one of the models above."""
    return architecture.partition("-")[0]


def config(architecture: str) -> dict[str, Any]:
    family, changes = ARCHITECTURES[architecture]
    return {**TINY[family], **changes}


@cache
def tensor(family: str, name: str, shape: tuple[int, ...]) -> Tensor:
    scale = next((scale for part, scale in SCALES if part in name), WIDER.get(family, 5.0))
    return scale * torch.from_numpy(fill(name, shape))


def write_checkpoint(architecture: str, shapes: Shapes, folder: Path) -> Path:
    """A folder with config.json and model.safetensors; Marian's sinusoids are every reader's own work."""
    folder.mkdir(parents=True, exist_ok=True)
    family, _ = ARCHITECTURES[architecture]
    options: Mapping[str, Any] = {
        "model_type": family,
        "architectures": [class_name(architecture)],
        **config(architecture),
    }
    (folder / "config.json").write_text(json.dumps(options))
    tensors = {name: tensor(family, name, tuple(shape)) for name, shape in shapes}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder
