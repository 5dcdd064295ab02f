"""From hidden states to logits and loss: one function per kind of task, found in OBJECTIVES by the task's kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import InputError
from . import outputs
from .heads import last_end_of_sentence, last_tokens
from .recording import recording

if TYPE_CHECKING:
    from .model import Model

IGNORED = -100  # labels of this value carry no loss
PER_TOKEN_LOSS = ("masked-lm", "seq2seq-lm", "aligned-lm", "causal-lm", "token-classification")


@dataclass
class States:
    """What the body leaves for the head."""

    hidden: Tensor  # [batch, tokens, hidden]
    pooled: Tensor | None
    input_ids: Tensor | None
    attention_mask: Tensor | None
    choices: int = 1


@dataclass(frozen=True)
class Objective:
    """How a kind of task ends: the labels it takes, its fields, its output classes."""

    finish: Callable[[Model, States, Mapping[str, Tensor | None]], dict[str, Any]]
    targets: tuple[str, ...]
    output: type[outputs.ModelOutput]
    seq2seq_output: type[outputs.ModelOutput] = outputs.Seq2SeqLMOutput


def cross_entropy(logits: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
    """Mean over the labels that are not -100; a label outside the classes is an error of ours, not the kernel's.

    On an accelerator labels are not looked at, since that would wait for it. `smoothing` is the part of the target
    that goes to all classes alike.
    """
    flat = labels.reshape(-1).long()
    seen = flat.numel() and flat.device.type == "cpu" and not recording()
    low, high = (int(flat.min()), int(flat.max())) if seen else (0, 0)
    if high >= logits.shape[-1] or (low < 0 and bool(((flat < 0) & (flat != IGNORED)).any())):
        raise InputError(f"labels run from {low} to {high}, the model has classes 0 to {logits.shape[-1] - 1}")
    return F.cross_entropy(logits.reshape(-1, logits.shape[-1]).float(), flat, label_smoothing=smoothing)


def optional_loss(logits: Tensor, labels: Tensor | None, smoothing: float = 0.0) -> Tensor | None:
    """Cross-entropy where labels were given."""
    return None if labels is None else cross_entropy(logits, labels, smoothing)


def smoothing_of(model: Model) -> float:
    """The label smoothing to train with; none in evaluation, whose loss is to be compared."""
    return model.label_smoothing if model.training else 0.0


def next_labels(labels: Tensor) -> Tensor:
    """The label of the token that follows each, [batch, tokens]."""
    return F.pad(labels[:, 1:], (0, 1), value=IGNORED)


def labelled_rows(kind: str, labels: Tensor, starts: Tensor | None = None) -> Tensor | None:
    """Places among all tokens of those whose logits the loss of a kind of task reads; None where it reads every one.

    `labels` are as the model's forward takes them, `starts` where packed sequences begin. Call it while they are on
    the CPU: on an accelerator it would wait.
    """
    if kind not in PER_TOKEN_LOSS:
        return None
    if kind == "causal-lm":
        rows = labels.view(1, -1).index_fill(1, starts, IGNORED) if starts is not None else labels
        labels = next_labels(rows)
    places = (labels.reshape(-1) != IGNORED).nonzero().squeeze(1)
    return places if 0 < len(places) < labels.numel() else None


def labelled(model: Model, states: States, labels: Tensor) -> tuple[States, Tensor]:
    """The states that have a label, [1, labelled, hidden], and those labels, where training wants no other logits."""
    rows = model.labelled_rows if model.training else None
    if rows is None:
        return states, labels
    return replace(states, hidden=states.hidden.flatten(0, 1)[rows][None]), labels.flatten()[rows][None]


def select(model: Model, states: States, how: str | None, index: Tensor | None = None) -> Tensor:
    """The states a head reads: every token's, or one row per sequence."""
    x, ids = states.hidden, states.input_ids
    match how:
        case "pooled":
            assert states.pooled is not None
            return states.pooled
        case "first":
            return x[:, 0]
        case "eos":
            if ids is None:
                raise InputError("a sequence-to-sequence classifier reads its end-of-sentence token: pass input_ids")
            end = model.config.eos_token_id
            if not isinstance(end, int):
                raise InputError(f"a sequence-to-sequence classifier reads one eos_token_id, the config says {end}")
            return last_end_of_sentence(x, ids, end)
        case "last":
            last = last_tokens(ids, x.shape[0], x.shape[1], model.config.pad_token_id)
            return x[torch.arange(x.shape[0], device=x.device), last.to(x.device)]
        case "indexed":
            return x[:, -1] if index is None else x[torch.arange(x.shape[0], device=x.device), index]
    return x


def head(model: Model, states: States) -> Tensor:
    """Logits of the model's (first) head."""
    assert model.head is not None
    return model.head(select(model, states, model.head.spec.select))


def token_logits(model: Model, states: States, targets: Mapping[str, Tensor | None]) -> dict[str, Any]:
    """One set of logits per token, each with its own label."""
    labels = targets["labels"]
    if labels is not None:
        states, labels = labelled(model, states, labels)
    logits = head(model, states)
    return {"logits": logits, "loss": optional_loss(logits, labels, smoothing_of(model))}


def next_token(model: Model, states: States, targets: Mapping[str, Tensor | None]) -> dict[str, Any]:
    """Logits of the following token: labels are the inputs, shifted here by one."""
    labels = targets["labels"]
    if labels is None:
        return {"logits": head(model, states), "loss": None}
    states, following = labelled(model, states, next_labels(labels))
    logits = head(model, states)
    return {"logits": logits, "loss": cross_entropy(logits, following, smoothing_of(model))}


def classification_loss(model: Model, logits: Tensor, labels: Tensor) -> Tensor:
    """Regression, one class of many, or many at once: by config.problem_type, or by the labels' number and type."""
    count = logits.shape[-1]
    if model.config.problem_type is None:
        whole = labels.dtype in (torch.long, torch.int)
        single = "single_label_classification" if whole else "multi_label_classification"
        model.config.problem_type = "regression" if count == 1 else single
    match model.config.problem_type:
        case "regression":
            if logits.numel() != labels.numel():
                raise InputError(f"{tuple(labels.shape)} labels do not fit {tuple(logits.shape)} predictions")
            return F.mse_loss(logits.float().reshape(-1), labels.float().reshape(-1))
        case "single_label_classification":
            return cross_entropy(logits, labels, smoothing_of(model))
        case "multi_label_classification":
            if labels.shape != logits.shape:
                raise InputError(
                    f"multi-label classification wants labels of shape {tuple(logits.shape)}, got {tuple(labels.shape)}"
                )
            return F.binary_cross_entropy_with_logits(logits.float(), labels.float())
    raise InputError(
        f"unknown problem_type {model.config.problem_type!r}: one of regression, single_label_classification, "
        "multi_label_classification"
    )


def sequence(model: Model, states: States, targets: Mapping[str, Tensor | None]) -> dict[str, Any]:
    """One set of logits per sequence."""
    logits, labels = head(model, states), targets["labels"]
    return {"logits": logits, "loss": None if labels is None else classification_loss(model, logits, labels)}


def span(model: Model, states: States, targets: Mapping[str, Tensor | None]) -> dict[str, Any]:
    """Where an answer starts and ends; positions beyond the input carry no loss."""
    scores = head(model, states)
    if scores.shape[-1] != 2:
        raise InputError(f"num_labels is {scores.shape[-1]}: a question answering head has 2, start and end")
    start, end = scores.unbind(-1)
    loss = None
    first, last = targets["start_positions"], targets["end_positions"]
    if first is not None and last is not None:
        beyond = start.shape[1]
        losses = []
        for logits, positions in ((start, first), (end, last)):
            at = (positions.squeeze(-1) if positions.dim() > 1 else positions).clamp(0, beyond)
            losses.append(F.cross_entropy(logits.float(), at, ignore_index=beyond))
        loss = (losses[0] + losses[1]) / 2
    return {"start_logits": start.contiguous(), "end_logits": end.contiguous(), "loss": loss}


def choice(model: Model, states: States, targets: Mapping[str, Tensor | None]) -> dict[str, Any]:
    """One logit per choice; [batch, choices, tokens] came in flattened."""
    logits = head(model, states).reshape(-1, states.choices)
    return {"logits": logits, "loss": optional_loss(logits, targets["labels"], smoothing_of(model))}


def pretraining(model: Model, states: States, targets: Mapping[str, Tensor | None]) -> dict[str, Any]:
    """Masked tokens, and how two sentences relate; the loss needs both labels."""
    tokens = head(model, states)
    assert model.second_head is not None
    relation = model.second_head(select(model, states, "pooled"))
    labels = targets["labels"]
    sentence = targets.get("next_sentence_label", targets.get("sentence_order_label"))
    loss = None
    if labels is not None and sentence is not None:
        loss = cross_entropy(tokens, labels) + cross_entropy(relation, sentence)
    return {
        "prediction_logits": tokens,
        "seq_relationship_logits": relation,
        "sop_logits": relation,
        "loss": loss,
    }


def replaced_token(model: Model, states: States, targets: Mapping[str, Tensor | None]) -> dict[str, Any]:
    """Is each token the original? Padding carries no loss (Clark et al., 2020, section 2)."""
    logits, labels = head(model, states).squeeze(-1), targets["labels"]
    loss = None
    if labels is not None:
        mask = states.attention_mask
        real = torch.ones_like(logits, dtype=torch.bool) if mask is None else mask.bool()
        loss = F.binary_cross_entropy_with_logits(logits[real].float(), labels[real].float())
    return {"logits": logits, "loss": loss}


def double_heads(model: Model, states: States, targets: Mapping[str, Tensor | None]) -> dict[str, Any]:
    """Language modeling over every choice, and one logit per choice at `mc_token_ids`."""
    fields = next_token(model, states, targets)
    assert model.second_head is not None
    index = targets["mc_token_ids"]
    at = select(model, states, "indexed", None if index is None else index.reshape(-1))
    choices = model.second_head(at).reshape(-1, states.choices)
    return {
        "loss": fields["loss"],
        "logits": fields["logits"].unflatten(0, (-1, states.choices)),
        "mc_logits": choices,
        "mc_loss": optional_loss(choices, targets["mc_labels"]),
    }


def body(model: Model, states: States, targets: Mapping[str, Tensor | None]) -> dict[str, Any]:
    """No head: the hidden states are the answer."""
    return {"last_hidden_state": states.hidden, "pooler_output": states.pooled}


OBJECTIVES = {
    "body": Objective(body, (), outputs.BaseModelOutput, outputs.Seq2SeqModelOutput),
    "encoder-body": Objective(body, (), outputs.BaseModelOutput),
    "pooled-body": Objective(body, (), outputs.BaseModelOutputWithPooling),
    "masked-lm": Objective(token_logits, ("labels",), outputs.MaskedLMOutput),
    "seq2seq-lm": Objective(token_logits, ("labels",), outputs.MaskedLMOutput),
    "aligned-lm": Objective(token_logits, ("labels",), outputs.CausalLMOutput),  # labels are shifted already
    "causal-lm": Objective(next_token, ("labels",), outputs.CausalLMOutput),
    "token-classification": Objective(token_logits, ("labels",), outputs.TokenClassifierOutput),
    "sequence-classification": Objective(
        sequence, ("labels",), outputs.SequenceClassifierOutput, outputs.Seq2SeqSequenceClassifierOutput
    ),
    "next-sentence": Objective(sequence, ("labels",), outputs.NextSentencePredictorOutput),
    "question-answering": Objective(
        span,
        ("start_positions", "end_positions"),
        outputs.QuestionAnsweringModelOutput,
        outputs.Seq2SeqQuestionAnsweringModelOutput,
    ),
    "multiple-choice": Objective(choice, ("labels",), outputs.MultipleChoiceModelOutput),
    "next-sentence-pretraining": Objective(
        pretraining, ("labels", "next_sentence_label"), outputs.NextSentencePreTrainingOutput
    ),
    "sentence-order-pretraining": Objective(
        pretraining, ("labels", "sentence_order_label"), outputs.SentenceOrderPreTrainingOutput
    ),
    "replaced-token": Objective(replaced_token, ("labels",), outputs.ReplacedTokenOutput),
    "double-heads": Objective(double_heads, ("labels", "mc_token_ids", "mc_labels"), outputs.DoubleHeadsOutput),
}
