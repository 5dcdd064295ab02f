"""Folders of tiny sentence models: every combination of modules and files that changes vectors."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors.numpy import save_file

from tests.families.weights import fill

OLD = "sentence_transformers.models."
NEW = {
    "Transformer": "sentence_transformers.base.modules.transformer.Transformer",
    "Pooling": "sentence_transformers.sentence_transformer.modules.pooling.Pooling",
    "Dense": "sentence_transformers.base.modules.dense.Dense",
    "LayerNorm": "sentence_transformers.sentence_transformer.modules.layer_norm.LayerNorm",
    "Dropout": "sentence_transformers.sentence_transformer.modules.dropout.Dropout",
    "Normalize": "sentence_transformers.sentence_transformer.modules.normalize.Normalize",
    "WeightedLayerPooling": (
        "sentence_transformers.sentence_transformer.modules.weighted_layer_pooling.WeightedLayerPooling"
    ),
}
WIDTH = 32
MEAN = ("Pooling", {"word_embedding_dimension": WIDTH, "pooling_mode_mean_tokens": True})
NORMALIZE = ("Normalize", {})
TEXTS = ["a happy dog", "HELLO World, of [MASK] and ÜNÏCÖDÉ things", "", "one two three four and then some " * 12]
Module = tuple[str, Mapping[str, Any]]


def dense(size: int, to: int, function: str | None = None, **more: Any) -> Module:
    named = {} if function is None else {"activation_function": f"torch.nn.modules.{function}"}
    return "Dense", {"in_features": size, "out_features": to, "bias": True, **named, **more}


@dataclass(frozen=True)
class Folder:
    """One sentence model: modules after the Transformer, and what its files say."""

    modules: tuple[Module, ...] = (MEAN,)
    reading: Mapping[str, Any] = field(default_factory=dict)  # sentence_bert_config.json
    comparing: Mapping[str, Any] = field(default_factory=dict)  # config_sentence_transformers.json
    tokenizer: Mapping[str, Any] = field(default_factory=dict)  # further words of tokenizer_config.json
    body: str = "bert-body"
    place: str = ""
    types: Mapping[str, str] | None = None  # of the modules; None: the older names
    reading_file: str = "sentence_bert_config.json"
    calls: tuple[Mapping[str, Any], ...] = ({},)


def pooled(**said: Any) -> tuple[Module, ...]:
    return (("Pooling", {"word_embedding_dimension": WIDTH, **said}),)


LAYERS = ("WeightedLayerPooling", {"word_embedding_dimension": WIDTH, "layer_start": 1, "num_hidden_layers": 2})
ALL_LAYERS = {"config_args": {"output_hidden_states": True}}
FUNCTIONS = (
    *("activation.ELU", "activation.GELU", "activation.Hardswish", "activation.Hardtanh", "activation.LeakyReLU"),
    *("activation.LogSigmoid", "activation.Mish", "activation.ReLU6", "activation.SELU", "activation.SiLU"),
    *("activation.Sigmoid", "activation.Softplus", "activation.Softsign", "activation.Tanh"),
)
PROMPTS = {"prompts": {"query": "query: ", "passage": "Passage here: ", "plain": ""}}
METHODS = ({"method": "encode_query"}, {"method": "encode_document"})
ASKED = (*METHODS, {}, {"prompt_name": "query"}, {"prompt": "By itself "}, {"prompt_name": "plain"})
SAVED_NOW = {
    "transformer_task": "feature-extraction",
    "modality_config": {"text": {"method": "forward", "method_output_name": "last_hidden_state"}},
    "module_output_name": "token_embeddings",
}
FOLDERS: dict[str, Folder] = {
    "mean": Folder(),
    "normalized": Folder((MEAN, NORMALIZE)),
    **{
        mode: Folder(pooled(**{f"pooling_mode_{mode}{'' if mode in ('lasttoken',) else '_tokens'}": True}))
        for mode in ("max", "mean_sqrt_len", "weightedmean", "lasttoken")
    },
    "cls": Folder(pooled(pooling_mode_cls_token=True, pooling_mode_mean_tokens=False)),
    "none switched on": Folder(pooled(pooling_mode_cls_token=False, pooling_mode_mean_tokens=False)),
    "switched on, joined": Folder(pooled(pooling_mode_mean_tokens=True, pooling_mode_cls_token=True)),
    "named": Folder((("Pooling", {"embedding_dimension": WIDTH, "pooling_mode": "cls", "include_prompt": True}),)),
    "named, joined": Folder(pooled(pooling_mode=["mean", "cls", "max"])),
    "dense": Folder((MEAN, dense(WIDTH, 8))),
    "dense, identity": Folder((MEAN, dense(WIDTH, 8, "linear.Identity", bias=False))),
    "dense, relu, norm, dense": Folder(
        (MEAN, dense(WIDTH, 16, "activation.ReLU"), ("LayerNorm", {"dimension": 16}), dense(16, 4, "activation.GELU"))
    ),
    "dense, then normalized": Folder((MEAN, ("Dropout", {"dropout": 0.5}), dense(WIDTH, 8), NORMALIZE)),
    "normalized, then dense": Folder((MEAN, NORMALIZE, dense(WIDTH, 8))),
    "dense of tokens": Folder((dense(WIDTH, WIDTH, module_input_name="token_embeddings"), MEAN)),
    "lower case": Folder(reading={"max_seq_length": 50, "do_lower_case": True}, body="bert-cased-body"),
    "case kept": Folder(reading={"max_seq_length": 50, "do_lower_case": False}, body="bert-cased-body"),
    "cut": Folder(reading={"max_seq_length": 6}),
    "cut later than the tokenizer": Folder(reading={"max_seq_length": 30}, tokenizer={"model_max_length": 9}),
    "cut by the tokenizer": Folder(tokenizer={"model_max_length": 9}),
    "cut by an argument": Folder(reading={"max_seq_length": 30, "tokenizer_args": {"model_max_length": 7}}),
    "older layout": Folder((MEAN, NORMALIZE), reading={"max_seq_length": 7}, place="0_Transformer"),
    "older file": Folder(
        reading={"max_seq_length": 7}, body="roberta-body", reading_file="sentence_roberta_config.json"
    ),
    "saved now": Folder((MEAN, dense(WIDTH, 8), NORMALIZE), reading=SAVED_NOW, types=NEW),
    "prompts": Folder(comparing=PROMPTS, calls=ASKED),
    "default prompt": Folder(comparing={**PROMPTS, "default_prompt_name": "query"}, calls=ASKED),
    "prompt left out": Folder(pooled(pooling_mode="mean", include_prompt=False), comparing=PROMPTS, calls=ASKED),
    "prompt left out, weighted": Folder(
        pooled(pooling_mode=["weightedmean", "cls"], include_prompt=False), comparing=PROMPTS, calls=ASKED[2:4]
    ),
    "lower case, prompts": Folder(
        reading={"do_lower_case": True},
        comparing={"prompts": {"q": "Represent THIS: "}, "default_prompt_name": "q"},
        body="bert-cased-body",
    ),
    **{name: Folder(comparing={"similarity_fn_name": name}) for name in ("cosine", "dot", "euclidean", "manhattan")},
    "layers weighted": Folder((LAYERS, MEAN), reading=ALL_LAYERS),
    "layers weighted, all of it": Folder((LAYERS, MEAN, dense(WIDTH, 8), NORMALIZE), reading=ALL_LAYERS),
    "layers that the model does not give": Folder((LAYERS, MEAN)),
    "encoder of two": Folder((MEAN, dense(WIDTH, 8, "linear.Identity", bias=False), NORMALIZE), body="t5-encoder"),
    "two, read by the encoder": Folder((MEAN,), body="t5-body"),
    **{f"dense, {name}": Folder((MEAN, dense(WIDTH, 3, name))) for name in FUNCTIONS},
    "first numbers": Folder((MEAN, NORMALIZE), comparing={"truncate_dim": 5}),
}


# What encode can be asked, of "normalized" and "dense" with all TEXTS, and with the first alone.
ENCODING: tuple[Mapping[str, Any], ...] = (
    {},
    {"convert_to_tensor": True},
    {"convert_to_numpy": False},
    {"normalize_embeddings": True},
    {"truncate_dim": 5},
    {"truncate_dim": 5, "normalize_embeddings": True, "convert_to_tensor": True},
    {"output_value": "token_embeddings"},
    *({"precision": precision} for precision in ("int8", "uint8", "binary", "ubinary")),
    {"precision": "uint8", "convert_to_tensor": True},
    {"precision": "binary", "convert_to_numpy": False},
)


def write_sentence_folder(name: str, target: Path, body: Callable[[str], Path]) -> Path:
    """The folder `name`, made of the files of one of the bodies in checkpoints.py."""
    said = FOLDERS[name]
    home = target / said.place
    shutil.copytree(body(said.body), home)
    _says(
        home / "tokenizer_config.json", {**json.loads((home / "tokenizer_config.json").read_text()), **said.tokenizer}
    )
    if said.reading:
        _says(home / said.reading_file, said.reading)
    if said.comparing:
        _says(target / "config_sentence_transformers.json", said.comparing)
    types = said.types or {kind: OLD + kind for kind in NEW}
    listing = [{"idx": 0, "name": "0", "path": said.place, "type": types["Transformer"]}]
    for number, (kind, config) in enumerate(said.modules, 1):
        place = f"{number}_{kind}"
        listing.append({"idx": number, "name": str(number), "path": place, "type": types[kind]})
        (target / place).mkdir()
        _says(target / place / "config.json", config)
        if kind in ("Dense", "LayerNorm", "WeightedLayerPooling"):
            save_file(_weights(kind, config, place), target / place / "model.safetensors")
    _says(target / "modules.json", listing)
    return target


def _weights(kind: str, config: Mapping[str, Any], place: str) -> dict[str, Any]:
    if kind == "LayerNorm":
        shapes: dict[str, tuple[int, ...]] = {name: (config["dimension"],) for name in ("norm.weight", "norm.bias")}
    elif kind == "WeightedLayerPooling":
        shapes = {"layer_weights": (config["num_hidden_layers"] + 1 - config["layer_start"],)}
    else:
        shapes = {"linear.weight": (config["out_features"], config["in_features"])}
        if config["bias"]:
            shapes["linear.bias"] = shapes["linear.weight"][:1]
    return {name: fill(f"{place}.{name}", shape) for name, shape in shapes.items()}


def _says(path: Path, values: Any) -> None:
    path.write_text(json.dumps(values), encoding="utf-8")
