"""How models start and how they train: fresh weights spread as the reference's, every dropout in its place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import lamina
from lamina.checkpoint.convert import export

from .goldens import CLASSES, MODELS, call, flatten, golden, load

DRAWS = 4
SIGMAS = 6  # how far a drawn mean or spread may stray from the reference's

_BERT = ("hidden_dropout_prob", "attention_probs_dropout_prob")
_GPT = ("resid_pdrop", "embd_pdrop", "attn_pdrop")
_BART = ("dropout", "attention_dropout", "activation_dropout")
DROPOUTS = {
    "albert": _BERT,
    "bert": _BERT,
    "distilbert": ("dropout", "attention_dropout"),
    "electra": _BERT,
    "camembert": _BERT,
    "deberta-v2": _BERT,
    "modernbert": ("attention_dropout", "embedding_dropout", "mlp_dropout"),
    "mpnet": _BERT,
    "rembert": _BERT,
    "roberta": _BERT,
    "xlm-roberta": _BERT,
    "ctrl": ("resid_pdrop", "embd_pdrop"),
    "openai-gpt": _GPT,
    "gpt2": _GPT,
    "transfo-xl": ("dropout", "dropatt"),
    "bart": _BART,
    "mbart": _BART,
    "marian": _BART,
    "pegasus": _BART,
    "blenderbot": _BART,
    "m2m_100": _BART,
    "t5": ("dropout_rate",),
    "mt5": ("dropout_rate",),
    "umt5": ("dropout_rate",),
    "bloom": ("hidden_dropout", "attention_dropout"),
    "gpt_neo": ("resid_dropout", "embed_dropout", "attention_dropout"),
    "gpt_neox": ("hidden_dropout", "attention_dropout"),
    "opt": ("dropout", "attention_dropout"),
}
HEAD_DROPOUTS = {
    "AlbertForSequenceClassification": "classifier_dropout_prob",
    "AlbertForTokenClassification": "classifier_dropout_prob",
    "AlbertForMultipleChoice": "classifier_dropout_prob",
    "AlbertForPreTraining": "classifier_dropout_prob",
    "BertForSequenceClassification": "classifier_dropout",
    "BertForTokenClassification": "classifier_dropout",
    "BertForMultipleChoice": "classifier_dropout",
    "DistilBertForSequenceClassification": "seq_classif_dropout",
    "DistilBertForMultipleChoice": "seq_classif_dropout",
    "DistilBertForQuestionAnswering": "qa_dropout",
    "ElectraForSequenceClassification": "classifier_dropout",
    "ElectraForTokenClassification": "classifier_dropout",
    "ElectraForMultipleChoice": "summary_last_dropout",
    **{
        f"{stem}For{task}": "classifier_dropout"
        for stem in ("Camembert", "XLMRoberta", "ModernBert")
        for task in ("SequenceClassification", "TokenClassification")
    },
    **{
        f"RemBertFor{task}": "classifier_dropout_prob"
        for task in ("SequenceClassification", "TokenClassification", "MultipleChoice")
    },
    "DebertaV2ForSequenceClassification": "cls_dropout",
    "DebertaV2ForMultipleChoice": "pooler_dropout",
    "ModernBertForQuestionAnswering": "classifier_dropout",
    "ModernBertForMultipleChoice": "classifier_dropout",
    "RobertaForSequenceClassification": "classifier_dropout",
    "RobertaForTokenClassification": "classifier_dropout",
    "GPT2ForTokenClassification": "classifier_dropout",
    "GPT2DoubleHeadsModel": "summary_first_dropout",
    "OpenAIGPTDoubleHeadsModel": "summary_first_dropout",
    "BartForSequenceClassification": "classifier_dropout",
    "MBartForSequenceClassification": "classifier_dropout",
    "T5ForSequenceClassification": "classifier_dropout",
    "T5ForTokenClassification": "classifier_dropout",
    "UMT5ForSequenceClassification": "classifier_dropout",
    "UMT5ForTokenClassification": "classifier_dropout",
    "BloomForTokenClassification": "classifier_dropout",
    "GPTNeoForTokenClassification": "classifier_dropout",
    "GPTNeoXForTokenClassification": "classifier_dropout",
    "MT5ForSequenceClassification": "classifier_dropout",
    "MT5ForTokenClassification": "classifier_dropout",
}


def _rates(row: Any, **rates: float) -> dict[str, float]:
    """Every rate of the family and its head at zero but for those named."""
    names = {*DROPOUTS[row.family], *set(HEAD_DROPOUTS.values()) & golden(row).config.keys()}
    head = HEAD_DROPOUTS.get(row.architecture)
    return {**dict.fromkeys(names | ({head} if head else set()), 0.0), **rates}


def _cases() -> list[Any]:
    cases = []
    for row in CLASSES:
        head = HEAD_DROPOUTS.get(row.architecture)
        for name in (*DROPOUTS[row.family], *((head,) if head else ())):
            cases.append(pytest.param(row, name, id=f"{row.architecture}-{name}"))
    return cases


def _outputs(row: Any, folder: Any, rates: dict[str, float], train: bool, seed: int = 0) -> dict[str, Any]:
    model = getattr(lamina, row.architecture).from_pretrained(folder, **rates)
    model.train(train)
    torch.manual_seed(seed)
    with torch.no_grad():
        return flatten(call(row, model, golden(row).inputs)[0])


def _same(first: dict[str, Any], second: dict[str, Any]) -> bool:
    return all(np.allclose(first[key], second[key], rtol=1e-5, atol=1e-6) for key in first)


@pytest.mark.parametrize("row", CLASSES, ids=lambda row: row.architecture)
def test_training_without_dropout_is_evaluation(row, checkpoint):
    rates = _rates(row)
    assert _same(_outputs(row, checkpoint(row), rates, True), _outputs(row, checkpoint(row), rates, False))


@pytest.mark.parametrize(("row", "name"), _cases())
def test_each_dropout_acts_by_itself(row, name, checkpoint):
    rates = _rates(row, **{name: 0.5})
    first, again, other = (_outputs(row, checkpoint(row), rates, True, seed) for seed in (1, 1, 2))
    assert _same(first, again)
    assert not _same(first, other)
    assert _same(_outputs(row, checkpoint(row), rates, False), _outputs(row, checkpoint(row), _rates(row), False))


@pytest.mark.parametrize("row", MODELS, ids=lambda row: row.id)
def test_fresh_weights_spread_as_the_reference_spreads_them(row):
    answer = golden(row)
    kind = getattr(lamina, row.architecture)
    drawn: dict[str, list[Any]] = {name: [] for name in answer.shapes}
    for seed in range(DRAWS):
        torch.manual_seed(seed)
        model = kind(kind.config_class(**row.config))
        for name, tensor in export(model, model.table()):
            drawn[name].append(tensor.double().numpy().ravel())
    for (name, arrays), (mean, std, zeros) in zip(drawn.items(), answer.initial, strict=True):
        values = np.concatenate(arrays)
        # The reference's own figures come from four times as many draws, so both stray.
        stray = SIGMAS * std * np.sqrt(1.25 / len(values))
        assert abs(values.mean() - mean) <= stray + 1e-6, f"{name}: mean {values.mean()}, expected {mean}"
        assert abs(values.std() - std) <= stray + 1e-6, f"{name}: deviation {values.std()}, expected {std}"
        assert abs((values == 0).mean() - zeros) < 1e-3, f"{name}: {(values == 0).mean()} zeros, expected {zeros}"


@pytest.mark.parametrize("row", CLASSES, ids=lambda row: row.architecture)
def test_loaded_models_come_in_evaluation_mode(row, checkpoint):
    model = load(row, checkpoint(row))
    assert not any(module.training for module in model.modules())
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
