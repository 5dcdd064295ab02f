"""Models read what the tokenizer of their folder returns, whatever family it is of, and pipelines take the same one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import lamina
from lamina import AutoTokenizer, pipeline
from tests.assets import asset
from tests.tokenizers.layouts import LAYOUTS, Layout, write

SINGLE = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
PAIRED = {
    "d_model": 16,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 16,
    "decoder_ffn_dim": 16,
}
T5 = {"d_model": 16, "num_layers": 1, "d_ff": 16, "num_heads": 2, "d_kv": 8}
GPT2 = {"n_embd": 16, "n_layer": 1, "n_head": 2}

# The layout, the model's class and its sizes: every model with BertTokenizer's token types, and some others.
READERS: list[tuple[str, str, dict[str, Any]]] = [
    ("roberta-bert-vocab", "RobertaModel", {**SINGLE, "type_vocab_size": 1}),
    ("distilbert-bert", "DistilBertModel", {"dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 16}),
    ("electra-bert", "ElectraModel", {**SINGLE, "embedding_size": 16}),
    ("albert-bert", "AlbertModel", {**SINGLE, "embedding_size": 8}),
    ("bart-bert", "BartForConditionalGeneration", PAIRED),
    ("bart-fast", "BartModel", PAIRED),
    ("gpt2-bert", "GPT2Model", GPT2),
    ("gpt2-fast", "GPT2LMHeadModel", GPT2),
    ("t5-bert", "T5ForConditionalGeneration", T5),
    ("t5-byt5", "T5ForConditionalGeneration", T5),
    ("mbart50", "MBartForConditionalGeneration", PAIRED),
    ("bert-xlm-r", "BertModel", SINGLE),
    ("bert-roberta", "BertModel", SINGLE),
]


def model_of(name: str, sizes: dict[str, Any], tokens: int) -> Any:
    config = getattr(lamina, name).config_class(vocab_size=tokens, **sizes)
    return getattr(lamina, name)(config).eval()


@pytest.mark.parametrize(("layout", "name", "sizes"), READERS)
@torch.no_grad()
def test_models_read_what_the_tokenizer_returns(layout: str, name: str, sizes: dict[str, Any], tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(write(tmp_path, LAYOUTS[layout], asset))
    model = model_of(name, sizes, len(tokenizer))
    target = {"decoder_input_ids": torch.tensor([[0]])} if name.startswith("T5") else {}
    for inputs in (tokenizer("Hello", return_tensors="pt"), tokenizer("Hello", "there", return_tensors="pt")):
        states = model(**inputs, **target)[0]
        assert states.isfinite().all()
        if "token_type_ids" in inputs and not name.startswith(("Bert", "Electra", "Albert", "GPT2")):
            del inputs["token_type_ids"]
            assert torch.equal(model(**inputs, **target)[0], states)


def saved(folder: Path, layout: Layout, name: str, sizes: dict[str, Any], tokens: int) -> Path:
    model_of(name, sizes, tokens).save_pretrained(folder)
    write(folder, Layout(stated=layout.stated, files=layout.files, config=layout.config), asset)
    return folder


@pytest.mark.parametrize(
    ("task", "layout", "name", "sizes", "tokens"),
    [
        ("translation", "mbart50", "MBartForConditionalGeneration", PAIRED, 8100),
        ("text2text-generation", "t5-byt5", "T5ForConditionalGeneration", T5, 384),
        ("feature-extraction", "roberta-bert-vocab", "RobertaModel", {**SINGLE, "type_vocab_size": 1}, 30522),
        ("summarization", "bart-bert", "BartForConditionalGeneration", PAIRED, 30522),
        ("text-generation", "gpt2-bert", "GPT2LMHeadModel", GPT2, 30522),
        (
            "question-answering",
            "roberta-bert-vocab",
            "RobertaForQuestionAnswering",
            {**SINGLE, "type_vocab_size": 1},
            30522,
        ),
        (
            "zero-shot-classification",
            "bart-bert",
            "BartForSequenceClassification",
            {**PAIRED, "eos_token_id": 102},
            30522,
        ),
    ],
)
def test_pipelines_take_the_class_of_the_files(
    task: str, layout: str, name: str, sizes: dict[str, Any], tokens: int, tmp_path: Path
) -> None:
    folder = saved(tmp_path, LAYOUTS[layout], name, sizes, tokens)
    pipe = pipeline(task, model=str(folder))
    assert pipe.tokenizer.recipe.class_name == LAYOUTS[layout].stated
    if task == "question-answering":
        assert "answer" in pipe(question="Who?", context="Deniz was here.")
    elif task == "zero-shot-classification":
        assert len(pipe("Deniz was here.", ["a", "b"])["labels"]) == 2
    else:
        options = {} if task == "feature-extraction" else {"max_new_tokens": 2}
        languages = {"src_lang": "en_XX", "tgt_lang": "ro_RO"} if task == "translation" else {}
        assert pipe("Deniz was here.", **options, **languages)


def test_use_fast_of_a_pipeline_is_the_tokenizers(tmp_path: Path) -> None:
    sizes = {**SINGLE, "type_vocab_size": 1}
    layout = Layout(stated="BertTokenizer", files={"vocab.txt": "asset:minilm/vocab.txt", "tokenizer.json": "made:ko"})
    folder = saved(tmp_path, layout, "RobertaModel", sizes, 30600)
    fast, slow = (pipeline("feature-extraction", model=str(folder), use_fast=fast).tokenizer for fast in (True, False))
    assert fast("Hello").input_ids != slow("Hello").input_ids == [101, 7592, 102]
