"""What every model class adds: sizes, vocabularies, half precision, checkpointing, and the class for a config."""

from __future__ import annotations

import pytest
import torch

import lamina
from lamina.auto.classes import AUTO_MODELS
from lamina.errors import ConfigError, GenerationError, InputError
from lamina.spec import KINDS
from tests.families.goldens import CLASSES

BERT = {"vocab_size": 61, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 24}
T5 = {"vocab_size": 61, "d_model": 16, "d_kv": 4, "d_ff": 24, "num_layers": 2, "num_heads": 4}
GATED = T5 | {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}


def heads() -> dict[str, dict[str, object]]:
    """The head for words of each family that is a plain stack, and its sizes: new families come here by their rows."""
    found: dict[str, tuple[str, dict[str, object]]] = {}
    for kind in ("seq2seq-lm", "masked-lm", "causal-lm"):
        for row in CLASSES:
            task, family = getattr(lamina, row.architecture).task, getattr(lamina, row.architecture).family
            if task.kind == kind and family.build is None:
                found.setdefault(family.model_type, (row.architecture, row.config))
    return dict(found.values())


ROWS = heads()
SIZE = 99


def make(architecture: str, **changes: object):
    cls = getattr(lamina, architecture)
    torch.manual_seed(0)
    values = {key: value for key, value in ROWS[architecture].items() if key != "decoder_vocab_size"}
    return cls(cls.config_class(**(values | {"initializer_range": 0.2} | changes))).eval()


def answer(model, ids):
    inputs = {"decoder_input_ids": ids} if model.config.is_encoder_decoder else {}
    with torch.no_grad():
        return model(ids, **inputs).logits


@pytest.mark.parametrize("size", [120, 50])
@pytest.mark.parametrize("architecture", ROWS)
def test_the_vocabulary_grows_and_shrinks(architecture, size, tmp_path):
    model, ids = make(architecture), torch.randint(3, 45, (2, 5))
    before = answer(model, ids)
    model.resize_token_embeddings(size)
    after = answer(model, ids)
    assert after.shape[-1] == model.config.vocab_size == model.get_input_embeddings().num_embeddings == size
    common = min(size, SIZE)
    torch.testing.assert_close(after[..., :common], before[..., :common])
    head = model.get_output_embeddings()
    assert head is not None
    assert (head.weight is model.get_input_embeddings().weight) == model.config.tie_word_embeddings
    model.save_pretrained(tmp_path)
    again = type(model).from_pretrained(tmp_path, **({"pad_token_id": 1} if architecture == "MarianMTModel" else {}))
    torch.testing.assert_close(answer(again, ids), after)


def test_a_head_of_its_own_grows_too():
    model = make("T5ForConditionalGeneration", **GATED)
    model.resize_token_embeddings(70)
    output = model.get_output_embeddings()
    assert output is not None and output.weight.shape == (70, 16)
    assert output.weight is not model.get_input_embeddings().weight


def test_an_empty_vocabulary_is_refused():
    with pytest.raises(InputError, match="vocabulary of 0 tokens"):
        make("BertForMaskedLM").resize_token_embeddings(0)


@pytest.mark.parametrize("architecture", ROWS)
@pytest.mark.parametrize("dtype", ["bfloat16", torch.float16])
def test_half_precision_comes_when_asked_and_not_before(architecture, dtype, tmp_path):
    model = make(architecture)
    model.to(torch.bfloat16 if dtype == "bfloat16" else torch.float16).save_pretrained(tmp_path)
    assert type(model).from_pretrained(tmp_path).dtype == torch.float32
    half = type(model).from_pretrained(tmp_path, dtype=dtype)
    assert half.dtype == model.dtype == type(model).from_pretrained(tmp_path, torch_dtype="auto").dtype
    ids = torch.randint(3, 59, (2, 5))
    whole = answer(type(model).from_pretrained(tmp_path), ids)
    torch.testing.assert_close(answer(half, ids).float(), whole, atol=0.1 * float(whole.abs().max()), rtol=0.1)


@pytest.mark.parametrize("architecture", ROWS)
def test_checkpointing_changes_no_gradient(architecture):
    model = make(architecture, **dict.fromkeys(("dropout", "hidden_dropout_prob"), 0.0))
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    for module in model.modules():
        if hasattr(module, "dropout") and isinstance(module.dropout, float):
            module.dropout = 0.0
    model.train()
    ids = torch.randint(3, 59, (2, 5))
    gradients = []
    for on in (False, True):
        (model.gradient_checkpointing_enable if on else model.gradient_checkpointing_disable)()
        model.zero_grad()
        model(ids, labels=ids).loss.backward()
        gradients.append(model.get_input_embeddings().weight.grad.clone())
    torch.testing.assert_close(gradients[0], gradients[1])


def test_parameters_are_counted_once():
    model = make("BertForMaskedLM")
    tables = sum(t.numel() for t in (model.encoder.embeddings.tokens.weight, model.encoder.embeddings.positions.weight))
    tables += model.encoder.embeddings.types.weight.numel()
    assert model.num_parameters() - model.num_parameters(exclude_embeddings=True) == tables
    model.encoder.requires_grad_(False)
    assert model.num_parameters(only_trainable=True) < model.num_parameters()
    assert model.get_memory_footprint() == 4 * model.num_parameters()


def test_the_class_follows_the_config():
    assert {kind for kinds in AUTO_MODELS.values() for kind in kinds} <= KINDS.keys()
    config = lamina.AutoConfig.for_model("t5", **T5)
    assert type(lamina.AutoModelForSeq2SeqLM.from_config(config)).__name__ == "T5ForConditionalGeneration"
    assert type(lamina.AutoModel.from_config(lamina.BertConfig(**BERT))).__name__ == "BertModel"
    assert (
        type(lamina.AutoModelForPreTraining.from_config(lamina.ElectraConfig(**BERT))).__name__
        == "ElectraForPreTraining"
    )


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (
            lambda: lamina.AutoModelForCausalLM.from_config(lamina.DistilBertConfig()),
            ConfigError,
            "distilbert has no such head, but those of AutoModel, .*Choice.*; families that do: bart, bert, .*ctrl",
        ),
        (lambda: lamina.AutoModel(), ConfigError, r"use AutoModel.from_pretrained"),
        (lambda: lamina.BertModel("bert-base-uncased"), ConfigError, "wants a BertConfig, got str"),
        (lambda: lamina.AutoConfig.for_model("llama"), ConfigError, "unknown model_type 'llama'"),
        (
            lambda: make("BertForMaskedLM").generate(torch.ones(1, 2).long()),
            GenerationError,
            "no language modeling head",
        ),
        (lambda: lamina.AutoModel.from_pretrained(".", trust_remote_code=True), ConfigError, "never runs code"),
        (
            lambda: lamina.BertModel.from_config(lamina.BertConfig(**BERT), dtype="int3"),
            ConfigError,
            "is not a floating-point type: use",
        ),
    ],
)
def test_mistakes_are_told(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_names_that_do_not_exist_are_attribute_errors():
    with pytest.raises(AttributeError, match="lamina has no 'LlamaModel'"):
        _ = lamina.LlamaModel
