"""RoBERTa as fairseq saves it: a `.pt` with its training arguments, and dict.txt beside it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..checkpoint.files import open_mapped
from ..checkpoint.pickles import Record
from ..checkpoint.storage import StoredTensor, check_name
from ..checkpoint.torchfile import read_torch_tree
from ..errors import CheckpointError
from ..files.jsonfile import INDEX_BYTES, read_json_object
from ..files.paths import inside, present, read_text
from ..files.shown import shown
from . import Converted

BODY = re.compile(r"(?:decoder|encoder)\.(?:sentence_encoder\.)?(.+)", re.ASCII)
LAYER = re.compile(r"layers\.(\d+)\.(.+)\.(weight|bias)", re.ASCII)
FIXED = {
    "embed_tokens.weight": "roberta.embeddings.word_embeddings.weight",
    "embed_positions.weight": "roberta.embeddings.position_embeddings.weight",
    **{
        f"{old}.{leaf}": f"roberta.embeddings.LayerNorm.{leaf}"
        for old in ("emb_layer_norm", "layernorm_embedding")
        for leaf in ("weight", "bias")
    },
    **{
        f"lm_head.{part}.{leaf}": f"lm_head.{part}.{leaf}"
        for part in ("dense", "layer_norm")
        for leaf in ("weight", "bias")
    },
    "lm_head.bias": "lm_head.bias",
}
LAYERS = {
    "self_attn.q_proj": "attention.self.query",
    "self_attn.k_proj": "attention.self.key",
    "self_attn.v_proj": "attention.self.value",
    "self_attn.out_proj": "attention.output.dense",
    "self_attn_layer_norm": "attention.output.LayerNorm",
    "fc1": "intermediate.dense",
    "fc2": "output.dense",
    "final_layer_norm": "output.LayerNorm",
}
SILENT = re.compile(r".*(?:\.version|\._float_tensor|lm_head\.weight)", re.ASCII)  # the last is tied
ACTIVATIONS = {"gelu": "gelu", "relu": "relu", "gelu_accurate": "gelu_new", "gelu_fast": "gelu_new"}
WORDS_BYTES = 16 << 20  # of a dictionary or a list of merges: the largest published ones are a tenth of it
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]


def read(path: Path) -> Converted:
    """RoBERTa's tensors, config and vocabulary; its LM head, or its classifier where it has exactly one."""
    file, tree = open_mapped(path, read_torch_tree)
    with file:
        model = tree.get("model") if isinstance(tree, dict) else None
        settings = _settings(tree) if isinstance(model, dict) else None
        if not isinstance(model, dict) or settings is None:
            raise CheckpointError(f"{path} is not a fairseq checkpoint: it has no model with its arguments")
        stored = {check_name(name, path): value for name, value in model.items() if isinstance(value, StoredTensor)}
        tensors = _rename({name: file.mapped(value) for name, value in stored.items()}, path)
        return Converted(_config(tensors, settings, path), tensors, _vocabulary(path, tensors))


def _settings(tree: Mapping[str, Any]) -> dict[str, Any] | None:
    """The model's arguments: a recorded Namespace in old files, a part of `cfg` in newer ones."""
    config = tree.get("cfg")
    found = tree.get("args") or (config.get("model") if isinstance(config, dict) else None)
    found = found.state if isinstance(found, Record) else found
    return found if isinstance(found, dict) else None


def _rename(model: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    heads = sorted({name.split(".")[1] for name in model if name.startswith("classification_heads.")})
    tensors: dict[str, Tensor] = {}
    for name, tensor in model.items():
        if len(heads) == 1 and name.startswith("classification_heads."):
            tensors[name.replace(f"classification_heads.{heads[0]}.", "classifier.")] = tensor
        elif not name.startswith("classification_heads.") and not SILENT.fullmatch(name):
            tensors.update(_renamed(name, tensor, path))
    if len(heads) == 1:
        tensors = {name: tensor for name, tensor in tensors.items() if not name.startswith("lm_head.")}
    words = tensors.get("roberta.embeddings.word_embeddings.weight")
    if words is None or words.dim() != 2:
        raise CheckpointError(f"{path} is not a RoBERTa: it has no matrix embed_tokens")
    tensors["roberta.embeddings.token_type_embeddings.weight"] = torch.zeros(1, words.shape[1], dtype=words.dtype)
    return tensors


def _renamed(name: str, tensor: Tensor, path: Path) -> dict[str, Tensor]:
    body = BODY.fullmatch(name)
    inner = body[1] if body else name
    if inner in FIXED:
        return {FIXED[inner]: tensor}
    layer = LAYER.fullmatch(inner.replace("in_proj_", "in_proj."))
    if layer and layer[2] in LAYERS:
        return {f"roberta.encoder.layer.{layer[1]}.{LAYERS[layer[2]]}.{layer[3]}": tensor}
    if layer and layer[2] == "self_attn.in_proj" and tensor.dim() and tensor.shape[0] % 3 == 0:
        parts = zip(("query", "key", "value"), tensor.chunk(3), strict=True)
        return {f"roberta.encoder.layer.{layer[1]}.attention.self.{part}.{layer[3]}": piece for part, piece in parts}
    raise CheckpointError(f"{path} is not a plain RoBERTa: nothing is known of its tensor {shown(name)}")


def _config(tensors: Mapping[str, Tensor], settings: Mapping[str, Any], path: Path) -> dict[str, Any]:
    words = tensors["roberta.embeddings.word_embeddings.weight"]
    layers = {name.split(".")[3] for name in tensors if name.startswith("roberta.encoder.layer.")}
    inner = tensors.get("roberta.encoder.layer.0.intermediate.dense.weight")
    positions = tensors.get("roberta.embeddings.position_embeddings.weight")
    heads = settings.get("encoder_attention_heads")
    activation = settings.get("activation_fn", "gelu")
    known = isinstance(activation, str) and activation in ACTIVATIONS and _are_rates(settings)
    classifier = tensors.get("classifier.out_proj.weight")
    plain = all(found is None or found.dim() == 2 for found in (inner, positions, classifier))
    if inner is None or positions is None or type(heads) is not int or not known or not plain:
        raise CheckpointError(f"{path} is not a plain RoBERTa: layers, positions, heads or activation are not as there")
    labels = {} if classifier is None else {"id2label": {str(i): f"LABEL_{i}" for i in range(classifier.shape[0])}}
    return {
        "architectures": ["RobertaForMaskedLM" if classifier is None else "RobertaForSequenceClassification"],
        "model_type": "roberta",
        "vocab_size": words.shape[0],
        "hidden_size": words.shape[1],
        "num_hidden_layers": len(layers),
        "num_attention_heads": heads,
        "intermediate_size": inner.shape[0],
        "max_position_embeddings": positions.shape[0],
        "type_vocab_size": 1,
        "hidden_act": ACTIVATIONS[activation],
        "hidden_dropout_prob": float(settings.get("dropout", 0.1)),
        "attention_probs_dropout_prob": float(settings.get("attention_dropout", 0.1)),
        "layer_norm_eps": 1e-5,
        "bos_token_id": 0,
        "pad_token_id": 1,
        "eos_token_id": 2,
        **labels,
    }


def _are_rates(settings: Mapping[str, Any]) -> bool:
    rates = [settings.get(key, 0.1) for key in ("dropout", "attention_dropout")]
    return all(type(rate) in (int, float) and 0 <= rate <= 1 for rate in rates)


def _vocabulary(path: Path, tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """vocab.json and merges.txt: dict.txt's order behind fairseq's four special tokens, <mask> last."""
    folder, rows = path.parent, tensors["roberta.embeddings.word_embeddings.weight"].shape[0]
    if not present(folder, "dict.txt"):
        raise CheckpointError(f"{path} needs its dict.txt beside it: it says which token each row stands for")
    source = inside(folder, "dict.txt")
    lines = read_text(source, WORDS_BYTES, CheckpointError).splitlines()
    words = [line.removesuffix(" #fairseq:overwrite").rpartition(" ")[0] for line in lines if line.strip()]
    merges = "#version: 0.2\n"
    if words and all(word.isdigit() or word.startswith("madeupword") for word in words):
        words, merges = _bytes_of(words, folder, source)
    tokens = [*SPECIAL, *words, "<mask>"]
    if len(tokens) != rows or len(set(tokens)) != rows:
        raise CheckpointError(f"{source} makes {len(set(tokens))} different tokens, {path} has {rows} rows for them")
    vocabulary = {token: number for number, token in enumerate(tokens)}
    options = {"model_max_length": tensors["roberta.embeddings.position_embeddings.weight"].shape[0] - 2}
    return {
        "vocab.json": json.dumps(vocabulary, ensure_ascii=False),
        "merges.txt": merges,
        "tokenizer_config.json": json.dumps({"tokenizer_class": "RobertaTokenizer", **options}, indent=2) + "\n",
    }


def _bytes_of(words: list[str], folder: Path, source: Path) -> tuple[list[str], str]:
    """GPT-2's tokens for a dictionary that lists their numbers, and its merges."""
    if not present(folder, "encoder.json") or not present(folder, "vocab.bpe"):
        raise CheckpointError(f"{source} lists numbers of GPT-2's tokens: put its encoder.json and vocab.bpe beside it")
    encoder = read_json_object(inside(folder, "encoder.json"), INDEX_BYTES, CheckpointError)
    tokens = {str(number): token for token, number in encoder.items()}
    unknown = [word for word in words if word not in tokens and not word.startswith("madeupword")]
    if unknown:
        raise CheckpointError(f"{source} lists {shown(unknown[0])}, which encoder.json does not have")
    return [tokens.get(word, word) for word in words], read_text(
        inside(folder, "vocab.bpe"), WORDS_BYTES, CheckpointError
    )
