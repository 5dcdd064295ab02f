"""Foreign checkpoints come out under today's names, the real RoBERTa with the predictions it was published for."""

from __future__ import annotations

import argparse
import collections
import json
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from lamina.auto import find
from lamina.checkpoint.files import open_weights
from lamina.errors import CheckpointError, ConfigError
from lamina.legacy.convert import convert_checkpoint, read_vocabulary

from ..assets import asset

HEAVY = (
    "EVQLVESGGGLVQPGGSLRLSCAASGFTFSSYAMSWVRQAPGKGLEWVSAISGSGGSTYYADSVKGRFTISRDNSKNTLYLQMNSLRAEDTAVYYCAKDRGGYYYYYGMDVW"
    "GQGTTVTVSS"
)
LIGHT = "DIQMTQSPSSLSASVGDRVTITCRASQSISSYLNWYQQKPGKAPKLLIYAASSLQSGVPSRFSGSGSGTDFTLTISSLQPEDFATYYCQQSYSTPPTFGQGTKVEIK"


@pytest.mark.parametrize(("chain", "sequence", "hits"), [("vh", HEAVY, 121), ("vl", LIGHT, 105)])
def test_a_real_fairseq_roberta_predicts_what_was_masked(tmp_path: Path, chain: str, sequence: str, hits: int) -> None:
    convert_checkpoint(asset("roberta_sapiens") / f"checkpoint_{chain}.pt", tmp_path / "out")
    model = find("RobertaForMaskedLM").from_pretrained(tmp_path / "out")
    numbers = json.loads((tmp_path / "out" / "vocab.json").read_text())
    assert [numbers[token] for token in ("<s>", "<pad>", "</s>", "<unk>", "A", "<mask>")] == [0, 1, 2, 3, 4, 24]
    ids = torch.tensor([0, *(numbers[letter] for letter in sequence), 2])
    masked = ids.repeat(len(sequence), 1)
    rows = torch.arange(len(sequence))
    masked[rows, rows + 1] = numbers["<mask>"]
    with torch.no_grad():
        guesses = model(input_ids=masked).logits[rows, rows + 1].argmax(-1)
    assert int((guesses == ids[1:-1]).sum()) == hits, "as many as the reference library finds in the same tensors"


def fairseq_model(fused: bool = False, heads: tuple[str, ...] = (), vocab: int = 8) -> dict[str, Tensor]:
    size = 16
    encoder = "decoder.sentence_encoder."
    model = {
        encoder + "embed_tokens.weight": torch.randn(vocab, size),
        encoder + "embed_positions.weight": torch.randn(10, size),
        encoder + "emb_layer_norm.weight": torch.ones(size),
        encoder + "emb_layer_norm.bias": torch.zeros(size),
        encoder + "version": torch.zeros(1),
        "decoder.lm_head.dense.weight": torch.randn(size, size),
        "decoder.lm_head.dense.bias": torch.randn(size),
        "decoder.lm_head.layer_norm.weight": torch.ones(size),
        "decoder.lm_head.layer_norm.bias": torch.zeros(size),
        "decoder.lm_head.bias": torch.randn(vocab),
    }
    model["decoder.lm_head.weight"] = model[encoder + "embed_tokens.weight"]
    linear = {"self_attn.out_proj": (size, size), "fc1": (32, size), "fc2": (size, 32)}
    linear |= {f"self_attn.{part}_proj": (size, size) for part in "qkv"} if not fused else {}
    for name, shape in linear.items():
        model |= {
            f"{encoder}layers.0.{name}.weight": torch.randn(shape),
            f"{encoder}layers.0.{name}.bias": torch.randn(shape[0]),
        }
    if fused:
        model[f"{encoder}layers.0.self_attn.in_proj_weight"] = torch.randn(3 * size, size)
        model[f"{encoder}layers.0.self_attn.in_proj_bias"] = torch.randn(3 * size)
    for name in ("self_attn_layer_norm", "final_layer_norm"):
        model |= {
            f"{encoder}layers.0.{name}.weight": torch.ones(size),
            f"{encoder}layers.0.{name}.bias": torch.zeros(size),
        }
    for head in heads:
        for layer, rows in (("dense", size), ("out_proj", 3)):
            model[f"classification_heads.{head}.{layer}.weight"] = torch.randn(rows, size)
            model[f"classification_heads.{head}.{layer}.bias"] = torch.randn(rows)
    return model


def fairseq(
    folder: Path, model: dict[str, Tensor], words: str = "a 9\nb 3\nc 1\n", zipped: bool = True, cfg: bool = False
) -> Path:
    settings = {"encoder_attention_heads": 4, "activation_fn": "gelu", "dropout": 0.2}
    tree: dict[str, Any] = {"args": argparse.Namespace(**settings), "model": collections.OrderedDict(model), "step": 3}
    if cfg:
        tree |= {"args": None, "cfg": {"model": settings}}
    torch.save(tree, folder / "model.pt", _use_new_zipfile_serialization=zipped)
    (folder / "dict.txt").write_text(words)
    return folder


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("fused", [True, False])
def test_both_formats_and_both_namings_of_fairseq(tmp_path: Path, zipped: bool, fused: bool) -> None:
    model = fairseq_model(fused)
    convert_checkpoint(fairseq(tmp_path, model, zipped=zipped, cfg=fused), tmp_path / "out")
    loaded = find("RobertaForMaskedLM").from_pretrained(tmp_path / "out")
    assert loaded.config.hidden_dropout_prob == 0.2 and loaded.config.num_attention_heads == 4
    assert loaded.config.max_position_embeddings == 10 and loaded.config.type_vocab_size == 1
    with open_weights(tmp_path / "out") as weights:
        key = weights["roberta.encoder.layer.0.attention.self.key.weight"]
        assert torch.equal(weights["lm_head.bias"], model["decoder.lm_head.bias"])
        assert "lm_head.decoder.weight" not in weights
    layer = "decoder.sentence_encoder.layers.0.self_attn."
    assert torch.equal(key, model[layer + "in_proj_weight"][16:32] if fused else model[layer + "k_proj.weight"])
    assert json.loads((tmp_path / "out" / "vocab.json").read_text()) == {
        "<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "a": 4, "b": 5, "c": 6, "<mask>": 7
    }  # fmt: skip


def test_a_single_classification_head_makes_a_classifier(tmp_path: Path) -> None:
    model = fairseq_model(heads=("stars",))
    convert_checkpoint(fairseq(tmp_path, model), tmp_path / "out")
    loaded = find("RobertaForSequenceClassification").from_pretrained(tmp_path / "out")
    assert loaded.config.num_labels == 3
    assert torch.equal(loaded.head.project.weight, model["classification_heads.stars.out_proj.weight"])


def test_gpt2_s_numbers_become_its_tokens(tmp_path: Path) -> None:
    fairseq(tmp_path, fairseq_model(), words="13 9\n262 3\nmadeupword0000 0\n")
    with pytest.raises(CheckpointError, match=r"encoder\.json and vocab\.bpe"):
        convert_checkpoint(tmp_path, tmp_path / "out")
    (tmp_path / "encoder.json").write_text(json.dumps({".": 13, "Ġthe": 262}), encoding="utf-8")
    (tmp_path / "vocab.bpe").write_text("#version: 0.2\nt h\n")
    convert_checkpoint(tmp_path, tmp_path / "out")
    numbers = json.loads((tmp_path / "out" / "vocab.json").read_text(encoding="utf-8"))
    assert (numbers["."], numbers["Ġthe"], numbers["madeupword0000"]) == (4, 5, 6)
    assert (tmp_path / "out" / "merges.txt").read_text() == "#version: 0.2\nt h\n"


@pytest.mark.parametrize(
    ("model", "words", "says"),
    [
        (
            fairseq_model() | {"decoder.extra.weight": torch.zeros(1)},
            "a 1\nb 1\nc 1\n",
            "nothing is known of its tensor",
        ),
        (fairseq_model(), "a 1\n", "6 different tokens"),
        (fairseq_model(), "a 1\na 1\nb 1\n", "7 different tokens"),
        ({"x": torch.zeros(1)}, "a 1\n", "nothing is known of its tensor 'x'"),
    ],
)
def test_what_is_no_plain_roberta_is_refused_and_nothing_written(
    tmp_path: Path, model: dict[str, Tensor], words: str, says: str
) -> None:
    with pytest.raises(CheckpointError, match=says):
        convert_checkpoint(fairseq(tmp_path, model, words), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def gpt(folder: Path, layers: int = 2, width: int = 64) -> list[np.ndarray[Any, Any]]:
    """A tiny model in the layout of the original release: [1, in, out] matrices, cut into ten files anywhere."""
    rng = np.random.default_rng(0)
    shapes: list[list[int]] = [[12, width], [30, width]]
    for _ in range(layers):
        shapes += [[1, width, 3 * width], [3 * width], [1, width, width], [width], [width], [width]]
        shapes += [[1, width, 4 * width], [4 * width], [1, 4 * width, width], [width], [width], [width]]
    arrays = [rng.standard_normal(shape).astype(np.float32) for shape in shapes]
    whole = np.concatenate([array.reshape(-1) for array in arrays])
    for index, part in enumerate(np.array_split(whole, 10)):
        np.save(folder / f"params_{index}.npy", part)
    (folder / "params_shapes.json").write_text(json.dumps(shapes))
    (folder / "encoder_bpe_40000.json").write_text('{"a</w>": 0}')
    (folder / "vocab_40000.bpe").write_text("#version\na b\n")
    return arrays


def test_the_original_gpt_is_put_together(tmp_path: Path) -> None:
    arrays = gpt(tmp_path)
    convert_checkpoint(tmp_path, tmp_path / "out")
    assert set(os.listdir(tmp_path / "out")) == {"config.json", "merges.txt", "model.safetensors", "vocab.json"}
    with open_weights(tmp_path / "out") as weights:
        assert np.array_equal(weights["tokens_embed.weight"].numpy(), arrays[1])
        assert np.array_equal(weights["positions_embed.weight"].numpy(), arrays[0])
        assert np.array_equal(weights["h.1.mlp.c_proj.weight"].numpy(), arrays[2 + 12 + 8][0])
        assert np.array_equal(weights["h.0.ln_2.bias"].numpy(), arrays[13])
    model = find("OpenAIGPTLMHeadModel").from_pretrained(tmp_path / "out")
    assert (model.config.n_layer, model.config.n_embd, model.config.vocab_size) == (2, 64, 30)


def test_damaged_parts_of_the_original_gpt(tmp_path: Path) -> None:
    gpt(tmp_path)
    np.save(tmp_path / "params_3.npy", np.zeros(5, np.float32))
    with pytest.raises(CheckpointError, match="the shapes need"):
        convert_checkpoint(tmp_path, tmp_path / "out")
    np.save(tmp_path / "params_3.npy", np.array([print], dtype=object), allow_pickle=True)
    with pytest.raises(CheckpointError, match=r"params_3\.npy is not a plain \.npy file"):
        convert_checkpoint(tmp_path, tmp_path / "out")
    (tmp_path / "params_shapes.json").write_text("[[1, 2], [3]]")
    with pytest.raises(CheckpointError, match="shapes of the original GPT"):
        convert_checkpoint(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


WORDS = ["<eos>", "the", "<unk>", "Ünï", "@-@"]


@pytest.mark.parametrize("form", ["pickle", "torch", "old torch", "symbols alone"])
def test_pickled_vocabularies_are_read_without_being_run(tmp_path: Path, form: str) -> None:
    symbols = collections.OrderedDict((word, number) for number, word in enumerate(WORDS))
    tree: dict[str, Any] = {
        "counter": collections.Counter(WORDS),
        "sym2idx": symbols,
        "idx2sym": WORDS,
        "lower_case": True,
    }
    path = tmp_path / "vocab.pkl"
    if form in ("pickle", "symbols alone"):
        if form != "pickle":
            del tree["idx2sym"]
        path.write_bytes(pickle.dumps(tree, 2))
    else:
        torch.save(tree, path, _use_new_zipfile_serialization=form == "torch")
    assert read_vocabulary(path) == (WORDS, True)


@pytest.mark.parametrize("words", [["a b"], ["a\nb"], ["\u2028"], [""], [7], ["a", "a"], [], None])
def test_vocabularies_that_lines_cannot_hold(tmp_path: Path, words: Any) -> None:
    (tmp_path / "vocab.pkl").write_bytes(pickle.dumps({"idx2sym": words}))
    with pytest.raises(CheckpointError, match=r"vocab\.pkl"):
        read_vocabulary(tmp_path / "vocab.pkl")


def test_a_bin_becomes_safetensors_with_its_files_and_each_tensor_once(tmp_path: Path) -> None:
    source = tmp_path / "in"
    config = find("BertConfig")(
        vocab_size=11, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=9, unknown=[1]
    )
    find("BertForMaskedLM")(config).save_pretrained(source, safe_serialization=False)
    state = torch.load(source / "pytorch_model.bin", weights_only=True)
    state["cls.predictions.decoder.weight"] = state["bert.embeddings.word_embeddings.weight"]
    torch.save(state, source / "pytorch_model.bin")
    (source / "vocab.txt").write_text("[PAD]\n")
    (source / "tokenizer_config.json").write_text("{}")
    (source / "run.py").write_text("print()")
    convert_checkpoint(source, tmp_path / "out")
    assert set(os.listdir(tmp_path / "out")) == {
        "config.json",
        "model.safetensors",
        "tokenizer_config.json",
        "vocab.txt",
    }
    assert json.loads((tmp_path / "out" / "config.json").read_text()) == json.loads(
        (source / "config.json").read_text()
    )
    with open_weights(tmp_path / "out") as weights:
        assert set(weights) == set(state) - {"cls.predictions.decoder.weight"}
        assert all(torch.equal(weights[name], state[name]) for name in weights)
    convert_checkpoint(source, source)
    assert (source / "model.safetensors").read_bytes() == (tmp_path / "out" / "model.safetensors").read_bytes()


def test_transformer_xl_s_vocabulary_is_written_as_text(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    (source / "config.json").write_text('{"model_type": "transfo-xl"}')
    torch.save({"x": torch.zeros(2)}, source / "pytorch_model.bin")
    (source / "vocab.pkl").write_bytes(pickle.dumps({"idx2sym": WORDS, "lower_case": False}, 2))
    convert_checkpoint(source, tmp_path / "out")
    assert (tmp_path / "out" / "vocab.txt").read_text(encoding="utf-8").split("\n") == [*WORDS, ""]
    assert json.loads((tmp_path / "out" / "tokenizer_config.json").read_text()) == {"lower_case": False}
    assert not (tmp_path / "out" / "vocab.pkl").exists()


def test_targets_and_sources_that_make_no_sense(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="is not there"):
        convert_checkpoint(tmp_path / "absent", tmp_path / "out")
    (tmp_path / "in").mkdir()
    with pytest.raises(CheckpointError, match="nothing to convert"):
        convert_checkpoint(tmp_path / "in", tmp_path / "out")
    with pytest.raises(CheckpointError, match="not empty"):
        convert_checkpoint(tmp_path / "in", tmp_path)
    (tmp_path / "in" / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(ConfigError, match="llama"):
        convert_checkpoint(tmp_path / "in", tmp_path / "out")
    torch.save({"x": torch.zeros(1)}, tmp_path / "plain.bin")
    with pytest.raises(CheckpointError, match="not a fairseq checkpoint"):
        convert_checkpoint(tmp_path / "plain.bin", tmp_path / "out")
