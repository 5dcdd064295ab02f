"""Tiny checkpoints with real vocabularies, written anew for every run: weights are a function of the tensors' names."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.numpy import save_file

from tests.families.weights import fill

FIXTURES = Path(__file__).resolve().parent.parent / "tokenizers" / "fixtures"
GOLDEN = Path(__file__).resolve().parent / "golden"

SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
}
BART_SIZES = {
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 48,
    "max_position_embeddings": 64,
}
MOODS = {"0": "GRIM", "1": "PLAIN", "2": "MERRY"}
INFERENCE = {"0": "contradiction", "1": "neutral", "2": "entailment"}
TAGS = {"0": "O", "1": "B-PER", "2": "I-PER", "3": "B-LOC", "4": "I-LOC", "5": "MISC"}


def _config(family: str, head: str, labels: Mapping[str, str] | None = None, **values: Any) -> dict[str, Any]:
    names = {} if labels is None else {"id2label": labels, "label2id": {name: int(key) for key, name in labels.items()}}
    return {**FAMILIES[family], "architectures": [PREFIXES[family] + head], **names, **values}


FAMILIES: dict[str, dict[str, Any]] = {
    "bert": {"model_type": "bert", "vocab_size": 30522, **SIZES},
    "roberta": {
        "model_type": "roberta",
        "vocab_size": len(json.loads((FIXTURES / "roberta" / "vocab.json").read_text(encoding="utf-8"))),
        **SIZES,
        "max_position_embeddings": 66,
        "type_vocab_size": 1,
        "pad_token_id": 1,
        "bos_token_id": 0,
        "eos_token_id": 2,
    },
    "albert": {
        "model_type": "albert",
        "vocab_size": 500,
        **SIZES,
        "embedding_size": 16,
        "pad_token_id": 0,
        "bos_token_id": 2,
        "eos_token_id": 3,
    },
}
FAMILIES["bart"] = {
    "model_type": "bart",
    "vocab_size": FAMILIES["roberta"]["vocab_size"],
    **BART_SIZES,
    "forced_eos_token_id": None,
}
FAMILIES["gpt2"] = {  # one token more than the files have: <|endoftext|>
    "model_type": "gpt2",
    "vocab_size": FAMILIES["roberta"]["vocab_size"] + 1,
    "n_embd": 32,
    "n_layer": 2,
    "n_head": 4,
    "n_positions": 64,
}
FAMILIES["t5"] = {
    "model_type": "t5",
    "vocab_size": 600,
    "d_model": 32,
    "d_kv": 8,
    "d_ff": 48,
    "num_layers": 2,
    "num_heads": 4,
    "relative_attention_num_buckets": 8,
    "relative_attention_max_distance": 20,
    "pad_token_id": 0,
    "eos_token_id": 1,
    "decoder_start_token_id": 0,
}
PREFIXES = {"bert": "Bert", "roberta": "Roberta", "albert": "Albert", "bart": "Bart", "gpt2": "GPT2", "t5": "T5"}

CHECKPOINTS: dict[str, dict[str, Any]] = {
    "bert-moods": _config("bert", "ForSequenceClassification", MOODS),
    "bert-topics": _config("bert", "ForSequenceClassification", MOODS, problem_type="multi_label_classification"),
    "bert-rating": _config("bert", "ForSequenceClassification", {"0": "STARS"}, problem_type="regression"),
    "bert-spam": _config("bert", "ForSequenceClassification", {"0": "SPAM"}),
    "roberta-moods": _config("roberta", "ForSequenceClassification", MOODS),
    "bert-nli": _config("bert", "ForSequenceClassification", INFERENCE),
    "albert-nli": _config("albert", "ForSequenceClassification", {"0": "ENTAIL", "1": "OTHER"}),
    "bart-nli": _config("bart", "ForSequenceClassification", INFERENCE),
    "bert-tags": _config("bert", "ForTokenClassification", TAGS),
    "bert-cased-tags": _config("bert", "ForTokenClassification", TAGS),
    "roberta-tags": _config("roberta", "ForTokenClassification", TAGS),
    "albert-tags": _config("albert", "ForTokenClassification", TAGS),
    "bert-mask": _config("bert", "ForMaskedLM"),
    "roberta-mask": _config("roberta", "ForMaskedLM"),
    "bart-mask": _config("bart", "ForConditionalGeneration"),
    "bert-qa": _config("bert", "ForQuestionAnswering"),
    "roberta-qa": _config("roberta", "ForQuestionAnswering"),
    "albert-qa": _config("albert", "ForQuestionAnswering"),
    "gpt2-moods": _config("gpt2", "ForSequenceClassification", MOODS),
    "gpt2-tags": _config("gpt2", "ForTokenClassification", TAGS),
    "gpt2-qa": _config("gpt2", "ForQuestionAnswering"),
    "t5-tags": _config("t5", "ForTokenClassification", TAGS),
    "t5-qa": _config("t5", "ForQuestionAnswering"),
    "t5-moods": _config("t5", "ForSequenceClassification", MOODS),
    "bert-body": _config("bert", "Model"),
    "bert-cased-body": _config("bert", "Model"),
    "roberta-body": _config("roberta", "Model"),
    "t5-body": _config("t5", "Model"),
    "t5-encoder": _config("t5", "EncoderModel"),
}


def write_tokenizer(name: str, folder: Path, bert_vocabulary: Path) -> None:
    """The tokenizer files of checkpoint `name`."""
    config: dict[str, Any] = {"model_max_length": 64}
    if name.startswith("bert"):
        shutil.copy(bert_vocabulary, folder / "vocab.txt")
        config |= {"tokenizer_class": "BertTokenizer", "do_lower_case": "-cased" not in name}
    elif name.startswith(("albert", "t5")):
        family = name.split("-")[0]
        shutil.copy(FIXTURES / family / "spiece.model", folder)
        config |= {"tokenizer_class": "AlbertTokenizer" if family == "albert" else "T5Tokenizer"}
    else:
        for file in ("vocab.json", "merges.txt"):
            shutil.copy(FIXTURES / "roberta" / file, folder)
        kinds = {"bart": "BartTokenizer", "gpt2": "GPT2Tokenizer", "roberta": "RobertaTokenizer"}
        config |= {"tokenizer_class": kinds[name.split("-")[0]], "add_prefix_space": name == "roberta-tags"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")


def write_config(name: str, folder: Path) -> None:
    """The config.json of checkpoint `name`."""
    (folder / "config.json").write_text(json.dumps(CHECKPOINTS[name]), encoding="utf-8")


def write_weights(shapes: Mapping[str, list[int]], folder: Path) -> None:
    """The weights, every tensor filled by its name."""
    tensors = {tensor: fill(tensor, tuple(shape)) for tensor, shape in shapes.items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def write_checkpoint(name: str, folder: Path, bert_vocabulary: Path) -> Path:
    """The whole checkpoint `name` in a new folder under `folder`."""
    target = folder / name
    target.mkdir()
    shapes = json.loads((GOLDEN / "tensors.json").read_text(encoding="utf-8"))
    write_config(name, target)
    write_tokenizer(name, target, bert_vocabulary)
    write_weights(shapes[name], target)
    return target
