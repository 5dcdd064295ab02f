"""Keys of config.json that would change a number and that no code here reads are refused by their names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import lamina
from lamina.errors import ConfigError

from .rows.row import TINY

REFUSED: list[tuple[str, str, Any]] = [
    *(("bert", "position_embedding_type", kind) for kind in ("relative_key", "relative_key_query")),
    ("bert", "pruned_heads", {"0": [1]}),
    ("bert", "quantization_config", {"quant_method": "gptq"}),
    ("bert", "add_cross_attention", True),
    ("bart", "normalize_before", True),
    ("bart", "normalize_embedding", False),
    ("bart", "static_position_embeddings", True),
    ("mbart", "normalize_before", False),
    ("mbart", "add_final_layer_norm", False),
    ("marian", "static_position_embeddings", False),
    ("mpnet", "relative_attention_num_buckets", 64),
    ("deberta-v2", "pos_att_type", "c2p|p2p"),
    ("deberta-v2", "pos_att_type", ["c2p", 3]),
    ("deberta-v2", "norm_rel_ebd", "layer_norm"),
    ("deberta-v2", "norm_rel_ebd", "batch_norm"),
    ("deberta-v2", "embedding_size", 16),
    ("deberta-v2", "pooler_hidden_size", 16),
    ("deberta-v2", "attention_head_size", 16),
    ("deberta-v2", "conv_kernel_size", 4),
    ("deberta-v2", "conv_act", "mish"),
    ("modernbert", "classifier_pooling", "max"),
    ("modernbert", "sparse_pred_ignore_index", -1),
    ("modernbert", "rope_scaling", {"rope_type": "yarn", "factor": 4.0}),
    ("modernbert", "rope_parameters", {"rope_theta": 10000.0}),
    ("modernbert", "rope_parameters", {"full_attention": {"rope_type": "linear"}}),
    ("modernbert", "rope_parameters", {"full_attention": {"rope_theta": "fast"}}),
    ("modernbert", "global_rope_theta", 0),
    ("modernbert", "layer_types", ["full_attention"]),
    ("modernbert", "layer_types", ["full_attention", "sliding_attention", "chunked_attention", "full_attention"]),
    ("modernbert", "local_attention", -1),
    *((family, "tie_encoder_decoder", True) for family in ("bart", "mbart", "marian", "pegasus", "t5", "mt5")),
    ("pegasus", "normalize_embedding", True),
    ("pegasus", "static_position_embeddings", False),
    ("m2m_100", "normalize_before", False),
    ("bloom", "apply_residual_connection_post_layernorm", True),
    ("gpt_neo", "attention_types", [[["global", "far"], 1], [["local"], 1]]),
    ("gpt_neo", "attention_types", [[["global", "local"], 1]]),
    ("gpt_neo", "attention_types", [[["global"], 10**12]]),
    ("gpt_neo", "attention_types", [["global", "local"]]),
    ("gpt_neo", "attention_layers", ["global"]),
    ("gpt_neox", "rope_scaling", {"type": "linear", "factor": 2.0}),
    ("gpt_neox", "rope_parameters", {"rope_type": "yarn", "factor": 2.0}),
    ("gpt_neox", "rope_parameters", {"rope_theta": "10000"}),
    ("gpt_neox", "rotary_pct", 0.4),
    ("opt", "layer_norm_elementwise_affine", False),
]
HEADS: list[tuple[str, str, str, Any]] = [
    *(
        ("GPT2DoubleHeadsModel", "gpt2", key, value)
        for key, value in (
            ("summary_type", "mean"),
            ("summary_activation", "tanh"),
            ("summary_proj_to_labels", False),
            ("summary_last_dropout", 0.5),
        )
    ),
    ("OpenAIGPTDoubleHeadsModel", "openai-gpt", "summary_type", "first"),
    ("ElectraForMultipleChoice", "electra", "summary_activation", None),
    ("ElectraForMultipleChoice", "electra", "summary_type", "last"),
]


@pytest.mark.parametrize(("family", "key", "value"), REFUSED)
def test_a_key_that_nothing_reads_is_refused(family: str, key: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=key):
        lamina.AutoModel.from_config(lamina.AutoConfig.for_model(family, **{**TINY[family], key: value}))


@pytest.mark.parametrize(("head", "family", "key", "value"), HEADS)
def test_a_key_of_one_head_is_refused_by_that_head_alone(head: str, family: str, key: str, value: Any) -> None:
    config = lamina.AutoConfig.for_model(family, **{**TINY[family], key: value})
    lamina.AutoModel.from_config(config)
    with pytest.raises(ConfigError, match=key):
        getattr(lamina, head)(config)


def test_albert_is_an_encoder_whatever_its_config_says() -> None:
    ids, options = torch.tensor([[5, 6, 7]]), dict(TINY["albert"])
    torch.manual_seed(0)
    model = lamina.AlbertModel(lamina.AlbertConfig(**options, is_decoder=True)).eval()
    torch.manual_seed(0)
    plain = lamina.AlbertModel(lamina.AlbertConfig(**options)).eval()
    assert torch.equal(model(ids).last_hidden_state, plain(ids).last_hidden_state)


@pytest.mark.parametrize("family", ["bart", "mbart"])
def test_tables_that_a_file_holds_apart_stay_apart(family: str, tmp_path: Path) -> None:
    model = lamina.AutoModelForSeq2SeqLM.from_config(
        lamina.AutoConfig.for_model(family, **{**TINY[family], "tie_word_embeddings": False, "scale_embedding": False})
    )
    model.save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    sides = {side: torch.randn(99, 32) for side in ("encoder", "decoder")}
    apart = {f"model.{side}.embed_tokens.weight": table for side, table in sides.items()}
    save_file({**tensors, **apart}, tmp_path / "model.safetensors", {"format": "pt"})
    found = type(model).from_pretrained(tmp_path)
    ids, targets = torch.tensor([[5, 6, 2]]), torch.tensor([[2, 7, 8]])
    with torch.no_grad():
        wanted = found(inputs_embeds=sides["encoder"][ids], decoder_inputs_embeds=sides["decoder"][targets]).logits
        torch.testing.assert_close(found(ids, decoder_input_ids=targets).logits, wanted)
    found.save_pretrained(tmp_path)
    kept = load_file(tmp_path / "model.safetensors")
    assert all(torch.equal(kept[name], table) for name, table in apart.items())


def test_each_side_of_marian_is_resized_by_itself(tmp_path: Path) -> None:
    changes = {"share_encoder_decoder_embeddings": False, "vocab_size": 130}
    model = lamina.MarianMTModel(lamina.MarianConfig(**{**TINY["marian"], **changes})).eval()
    model.resize_token_embeddings(140)
    model.resize_decoder_token_embeddings(105)
    assert (model.config.vocab_size, model.config.decoder_vocab_size) == (140, 105)
    assert model.get_output_embeddings().weight is model.decoder.embeddings.tokens.weight
    model.save_pretrained(tmp_path)
    again, ids = type(model).from_pretrained(tmp_path), torch.tensor([[139, 6, 0]])
    assert torch.equal(again(ids, decoder_input_ids=ids[:, 1:]).logits, model(ids, decoder_input_ids=ids[:, 1:]).logits)


def test_a_tied_table_that_does_not_fit_its_head_is_refused(tmp_path: Path) -> None:
    changes = {"share_encoder_decoder_embeddings": False, "vocab_size": 130, "tie_word_embeddings": False}
    lamina.MarianMTModel(lamina.MarianConfig(**{**TINY["marian"], **changes})).save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match="decoder_vocab_size is 99, the target's token table has 130 rows"):
        lamina.MarianMTModel.from_pretrained(tmp_path, tie_word_embeddings=True)


def test_newer_files_of_modernbert_say_windows_and_bases_layer_by_layer(tmp_path: Path) -> None:
    plain = {**TINY["modernbert"], "global_rope_theta": 50.0, "local_rope_theta": 20.0, "global_attn_every_n_layers": 2}
    whole, near = "full_attention", "sliding_attention"
    newer = {
        **TINY["modernbert"],
        "layer_types": [whole, near, whole, near],
        "rope_parameters": {
            whole: {"rope_type": "default", "rope_theta": 50.0},
            near: {"rope_type": "default", "rope_theta": 20.0},
        },
    }
    models = []
    for config in (plain, newer, TINY["modernbert"]):
        torch.manual_seed(0)
        models.append(lamina.ModernBertModel(lamina.ModernBertConfig(**config)).eval())
    ids = torch.arange(5, 20)[None]
    first, second, other = (model(ids).last_hidden_state for model in models)
    torch.testing.assert_close(first, second)
    assert not torch.allclose(first, other, atol=1e-3)
    models[1].save_pretrained(tmp_path)
    assert torch.equal(lamina.AutoModel.from_pretrained(tmp_path)(ids).last_hidden_state, second)


def test_bases_of_a_newer_file_default_where_it_says_none() -> None:
    for said in ({}, {"full_attention": {}}, {"sliding_attention": None}):
        model = lamina.ModernBertModel(lamina.ModernBertConfig(**{**TINY["modernbert"], "rope_parameters": said}))
        assert set(model.spec.encoder.rotary.bases) == {160000.0, 10000.0}


def test_rotary_positions_are_read_as_version_5_writes_them() -> None:
    ids, sizes = torch.tensor([[5, 6, 7, 8]]), TINY["gpt_neox"]
    found = []
    for keys in (
        {"rotary_pct": 1.0, "rotary_emb_base": 500},
        {"rope_parameters": {"rope_type": "default", "rope_theta": 500.0, "partial_rotary_factor": 1.0}},
    ):
        torch.manual_seed(0)
        found.append(lamina.GPTNeoXModel(lamina.GPTNeoXConfig(**sizes, **keys)).eval()(ids).last_hidden_state)
    assert torch.equal(*found)


def test_what_a_key_stands_for_is_not_written_as_null(tmp_path: Path) -> None:
    config = lamina.GPTNeoConfig(**TINY["gpt_neo"])
    assert config.attention_layers == ["global", "local", "global"]
    config.save_pretrained(tmp_path)
    assert "attention_layers" not in json.loads((tmp_path / "config.json").read_text())  # null breaks the reference


def test_sines_of_pegasus_are_made_where_a_file_lacks_them(tmp_path: Path) -> None:
    model = lamina.PegasusModel(lamina.PegasusConfig(**TINY["pegasus"])).eval()
    model.save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    kept = {name: tensor for name, tensor in tensors.items() if "embed_positions" not in name}
    assert len(kept) == len(tensors) - 2
    save_file(kept, tmp_path / "model.safetensors", {"format": "pt"})
    again, report = lamina.PegasusModel.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(report.values())
    ids = torch.tensor([[5, 6, 7]])
    assert torch.equal(again(ids, decoder_input_ids=ids)[0], model(ids, decoder_input_ids=ids)[0])
