"""Models of published shapes with random weights, made once in .cache/bench-models, and what contenders read of them.

    python -m benchmarks.models NAME...

makes them with the library that the interpreter has: the reference, or ours where there is none.
"""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
MODELS = ROOT / ".cache" / "bench-models"
SEED = 0
MARIAN: dict[str, Any] = {
    "vocab_size": 58101,
    "d_model": 512,
    "encoder_layers": 6,
    "decoder_layers": 6,
    "encoder_attention_heads": 8,
    "decoder_attention_heads": 8,
    "encoder_ffn_dim": 2048,
    "decoder_ffn_dim": 2048,
    "activation_function": "swish",
    "max_position_embeddings": 512,
    "scale_embedding": True,
    "pad_token_id": 58100,
    "eos_token_id": 0,
    "decoder_start_token_id": 58100,
    "forced_eos_token_id": None,
}
BART = MARIAN | {
    "vocab_size": 50265,
    "d_model": 768,
    "encoder_attention_heads": 12,
    "decoder_attention_heads": 12,
    "encoder_ffn_dim": 3072,
    "decoder_ffn_dim": 3072,
    "activation_function": "gelu",
    "max_position_embeddings": 1024,
    "scale_embedding": False,
    "bos_token_id": 0,
    "pad_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 2,
}
T5: dict[str, Any] = {"vocab_size": 32128, "num_layers": 6, "decoder_start_token_id": 0}
XLM_R = {"vocab_size": 250002, "max_position_embeddings": 514, "type_vocab_size": 1, "layer_norm_eps": 1e-5}
DEBERTA: dict[str, Any] = {
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "vocab_size": 128100,
    "type_vocab_size": 0,
    "relative_attention": True,
    "max_relative_positions": -1,
    "position_buckets": 256,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "pos_att_type": ["p2c", "c2p"],
    "position_biased_input": False,
    "layer_norm_eps": 1e-7,
}
NLLB: dict[str, Any] = {
    "vocab_size": 256206,
    "d_model": 1024,
    "encoder_layers": 12,
    "decoder_layers": 12,
    "encoder_ffn_dim": 4096,
    "decoder_ffn_dim": 4096,
    "encoder_layerdrop": 0,
    "decoder_layerdrop": 0,
    "decoder_start_token_id": 2,
}
THIN = {"n_embd": 48, "n_layer": 12, "n_head": 12, "vocab_size": 64, "bos_token_id": 63, "eos_token_id": 63}
SHAPES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "bert-base": ("BertConfig", "BertModel", {}),
    "bert-base-classifier": ("BertConfig", "BertForSequenceClassification", {}),
    "gpt2": ("GPT2Config", "GPT2LMHeadModel", {}),
    "gpt2-thin": ("GPT2Config", "GPT2LMHeadModel", THIN),
    "marian": ("MarianConfig", "MarianMTModel", MARIAN),
    "t5-small": ("T5Config", "T5ForConditionalGeneration", T5),
    "bart-base": ("BartConfig", "BartForConditionalGeneration", BART),
    "xlm-roberta-base": ("XLMRobertaConfig", "XLMRobertaModel", XLM_R),
    "deberta-v3-base": ("DebertaV2Config", "DebertaV2Model", DEBERTA),
    "nllb-600m": ("M2M100Config", "M2M100ForConditionalGeneration", NLLB),
}
TINY: dict[str, dict[str, Any]] = {  # what a smoke run changes
    "BertConfig": {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128},
    "GPT2Config": {"n_embd": 64, "n_layer": 2, "n_head": 4},
    "MarianConfig": {"d_model": 64, "encoder_layers": 2, "decoder_layers": 2, "encoder_ffn_dim": 128},
    "BartConfig": {"d_model": 48, "encoder_layers": 2, "decoder_layers": 2, "encoder_ffn_dim": 96},
    "XLMRobertaConfig": {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128},
    "DebertaV2Config": {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128},
    "M2M100Config": {"d_model": 64, "encoder_layers": 2, "decoder_layers": 2, "decoder_ffn_dim": 128},
    "T5Config": {"d_model": 64, "num_layers": 2, "d_kv": 8, "d_ff": 128},
}


def make(name: str) -> None:
    """Write the model called `name`, "-tiny" at its end for a smoke run."""
    import torch

    try:
        library = importlib.import_module("transformers")
    except ImportError:
        library = importlib.import_module("lamina")
    config, kind, values = SHAPES[name.removesuffix("-tiny")]
    if name.endswith("-tiny"):
        values = values | TINY[config]
    torch.manual_seed(SEED)
    model = getattr(library, kind)(getattr(library, config)(**values))
    partial = MODELS / f"{name}.partial"
    model.save_pretrained(partial)
    partial.rename(MODELS / name)


def model(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Where contenders find the model, and where they may leave their own forms of it: part of a row's case."""
    name = f"{name}-tiny" if options.smoke else name
    folder = MODELS / name
    if not folder.is_dir():
        python = options.peers if options.peers.exists() else sys.executable
        subprocess.run([str(python), "-m", "benchmarks.models", name], cwd=ROOT, check=True)
    return {"folder": str(folder), "made": str(folder)}


def minilm() -> dict[str, Any]:
    """The published all-MiniLM-L6-v2, whose weights are real."""
    from scripts import assets

    made = MODELS / "minilm"
    made.mkdir(parents=True, exist_ok=True)
    return {"folder": str(assets.fetch("minilm")), "made": str(made), "heads": 12, "hidden": 384}


if __name__ == "__main__":
    MODELS.mkdir(parents=True, exist_ok=True)
    for each in sys.argv[1:]:
        make(each)
