"""What stands on top of a stack, and what becomes of it: heads, and from hidden states to logits and loss.

One head for every family, described by its spec; one function per kind of task, found in OBJECTIVES.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import InputError
from ..spec import IGNORED, KINDS, HeadSpec, Pooler
from . import outputs
from .dropout import Dropout
from .embeddings import norm
from .runtime import recording
from .stack import activation

Targets = Mapping[str, Tensor | None]


class PoolerLayer(nn.Module):
    """A dense layer and tanh over the first token."""

    def __init__(self, spec: Pooler):
        super().__init__()
        self.dense = nn.Linear(spec.hidden_size, spec.hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        """[batch, tokens, hidden] to [batch, hidden]."""
        return torch.tanh(self.dense(x[:, 0]))


class Head(nn.Module):
    """select -> dropout -> dense -> activation -> norm -> dropout -> scale -> project."""

    def __init__(self, spec: HeadSpec, tokens: nn.Embedding):
        super().__init__()
        self.spec = spec
        size = spec.dense_size or spec.hidden_size
        self.dropout_before = Dropout(spec.dropout_before)
        self.dense = nn.Linear(spec.hidden_size, size, spec.dense_bias) if spec.dense else None
        self.activation = activation(spec.dense) if spec.dense else None
        self.norm = norm(spec.norm, size, spec.eps) if spec.norm else None
        self.dropout = Dropout(spec.dropout)
        self.project = nn.Linear(size, spec.outputs, spec.bias)
        if spec.frozen_bias:
            del self.project.bias
            self.project.register_buffer("bias", torch.zeros(spec.outputs))
        if spec.tied:
            self.project.weight = tokens.weight

    def forward(self, x: Tensor) -> Tensor:
        """[..., hidden] to [..., outputs]."""
        x = self.dropout_before(x)
        if self.dense is not None and self.activation is not None:
            x = self.activation(self.dense(x))
        if self.norm is not None:
            x = self.norm(x)
        x = self.dropout(x)
        return self.project(x * self.spec.scale if self.spec.scale != 1 else x)


def last_tokens(input_ids: Tensor | None, batch: int, tokens: int, padding_id: int | None) -> Tensor:
    """Index of each row's rightmost non-padding token, so that either side may be padded: [batch]."""
    if tokens == 1 and not recording():
        return torch.zeros(batch, dtype=torch.long)
    if padding_id is None or input_ids is None:
        if batch > 1 and padding_id is None:
            raise InputError(
                "a batch of more than one row needs a padding token to find each row's last token: "
                "set model.config.pad_token_id"
            )
        return torch.arange(tokens)[-1:].expand(batch)  # no number of Python's: a graph would keep it
    steps = torch.arange(tokens, device=input_ids.device)
    return (steps * (input_ids != padding_id)).argmax(-1)


def last_end_of_sentence(x: Tensor, input_ids: Tensor, eos_id: int) -> Tensor:
    """State at each row's last end-of-sentence token: [batch, hidden]."""
    marks = input_ids.eq(eos_id)
    counts = marks.sum(1)
    if not recording() and (len(counts.unique()) > 1 or not bool(counts.all())):
        raise InputError(f"every row needs the same number of end-of-sentence tokens ({eos_id}), got {counts.tolist()}")
    return x[torch.arange(x.shape[0], device=x.device), marks.int().cumsum(1).argmax(1)]


def mean_of_tokens(x: Tensor, mask: Tensor | None) -> Tensor:
    """The mean over those tokens that the mask shows: [batch, hidden]."""
    if mask is None:
        return x.mean(1)
    if mask.dim() != 2:
        raise InputError(f"a mean over tokens wants an attention_mask of [batch, tokens], not {tuple(mask.shape)}")
    share = mask[..., None].to(x.dtype)
    return (x * share).sum(1) / share.sum(1)


@dataclass
class States:
    """What the body leaves, and what stands on top of it."""

    hidden: Tensor  # [batch, tokens, hidden]
    pooled: Tensor | None = None
    input_ids: Tensor | None = None
    attention_mask: Tensor | None = None
    choices: int = 1
    head: nn.Module | None = None
    second_head: nn.Module | None = None
    config: Any = None  # read live, since users set pad_token_id and problem_type on it after loading
    smoothing: float = 0.0  # the part of a target that goes to all classes alike, while training
    labelled: Tensor | None = None  # while training, the tokens whose logits are all that is wanted


@dataclass(frozen=True)
class Objective:
    """How a kind of task ends: its fields and its output classes."""

    finish: Callable[[States, Targets], dict[str, Any]]
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
    return None if labels is None else cross_entropy(logits, labels, smoothing)


def next_labels(labels: Tensor) -> Tensor:
    """The label of the token that follows each, [batch, tokens]."""
    return F.pad(labels[:, 1:], (0, 1), value=IGNORED)


def labelled_rows(kind: str, labels: Tensor, starts: Tensor | None = None) -> Tensor | None:
    """Places among all tokens of those whose logits the loss of a kind of task reads; None where it reads every one.

    `labels` are as the model's forward takes them, `starts` where packed sequences begin. Call it while they are on
    the CPU: on an accelerator it would wait.
    """
    if not KINDS[kind].masked:
        return None
    if KINDS[kind].shifted:
        rows = labels.view(1, -1).index_fill(1, starts, IGNORED) if starts is not None else labels
        labels = next_labels(rows)
    places = (labels.reshape(-1) != IGNORED).nonzero().squeeze(1)
    return places if 0 < len(places) < labels.numel() else None


def labelled(states: States, labels: Tensor) -> tuple[States, Tensor]:
    """The states that have a label, [1, labelled, hidden], and those labels, where training wants no other logits."""
    rows = states.labelled
    if rows is None:
        return states, labels
    return replace(states, hidden=states.hidden.flatten(0, 1)[rows][None]), labels.flatten()[rows][None]


def select(states: States, how: str | None, index: Tensor | None = None) -> Tensor:
    """The states a head reads: every token's, or one row per sequence."""
    x, ids = states.hidden, states.input_ids
    match how:
        case "pooled":
            assert states.pooled is not None
            return states.pooled
        case "first":
            return x[:, 0]
        case "first shown":
            mask = states.attention_mask
            return x[:, 0] if mask is None else x[torch.arange(len(x), device=x.device), mask.int().argmax(-1)]
        case "mean":
            return mean_of_tokens(x, states.attention_mask)
        case "eos":
            if ids is None:
                raise InputError("a sequence-to-sequence classifier reads its end-of-sentence token: pass input_ids")
            end = states.config.eos_token_id
            if not isinstance(end, int):
                raise InputError(f"a sequence-to-sequence classifier reads one eos_token_id, the config says {end}")
            return last_end_of_sentence(x, ids, end)
        case "last":
            last = last_tokens(ids, x.shape[0], x.shape[1], states.config.pad_token_id)
            return x[torch.arange(x.shape[0], device=x.device), last.to(x.device)]
        case "indexed":
            return x[:, -1] if index is None else x[torch.arange(x.shape[0], device=x.device), index]
    return x


def head(states: States) -> Tensor:
    assert isinstance(states.head, Head)
    logits: Tensor = states.head(select(states, states.head.spec.select))
    return logits


def token_logits(states: States, targets: Targets) -> dict[str, Any]:
    """One set of logits per token, each with its own label."""
    labels = targets["labels"]
    if labels is not None:
        states, labels = labelled(states, labels)
        if isinstance(states.head, Head) and states.head.spec.sparse:
            wanted = labels != IGNORED
            states, labels = replace(states, hidden=states.hidden[wanted]), labels[wanted]
    logits = head(states)
    return {"logits": logits, "loss": optional_loss(logits, labels, states.smoothing)}


def next_token(states: States, targets: Targets) -> dict[str, Any]:
    """Logits of the following token: labels are the inputs, shifted here by one."""
    labels = targets["labels"]
    if labels is None:
        return {"logits": head(states), "loss": None}
    states, following = labelled(states, next_labels(labels))
    logits = head(states)
    return {"logits": logits, "loss": cross_entropy(logits, following, states.smoothing)}


def classification_loss(states: States, logits: Tensor, labels: Tensor) -> Tensor:
    """Regression, one class of many, or many at once: by config.problem_type, or by the labels' number and type."""
    count = logits.shape[-1]
    if states.config.problem_type is None:
        soft = isinstance(states.head, Head) and states.head.spec.soft_labels
        if soft and count > 1 and labels.shape == logits.shape:
            return F.cross_entropy(logits.float(), labels.float())
        whole = labels.dtype in (torch.long, torch.int)
        single = "single_label_classification" if whole else "multi_label_classification"
        states.config.problem_type = "regression" if count == 1 else single
    match states.config.problem_type:
        case "regression":
            if logits.numel() != labels.numel():
                raise InputError(f"{tuple(labels.shape)} labels do not fit {tuple(logits.shape)} predictions")
            return F.mse_loss(logits.float().reshape(-1), labels.float().reshape(-1))
        case "single_label_classification":
            return cross_entropy(logits, labels, states.smoothing)
        case "multi_label_classification":
            if labels.shape != logits.shape:
                raise InputError(
                    f"multi-label classification wants labels of shape {tuple(logits.shape)}, got {tuple(labels.shape)}"
                )
            return F.binary_cross_entropy_with_logits(logits.float(), labels.float())
    raise InputError(
        f"unknown problem_type {states.config.problem_type!r}: one of regression, single_label_classification, "
        "multi_label_classification"
    )


def sequence(states: States, targets: Targets) -> dict[str, Any]:
    logits, labels = head(states), targets["labels"]
    return {"logits": logits, "loss": None if labels is None else classification_loss(states, logits, labels)}


def span(states: States, targets: Targets) -> dict[str, Any]:
    """Where an answer starts and ends; positions beyond the input carry no loss."""
    scores = head(states)
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


def choice(states: States, targets: Targets) -> dict[str, Any]:
    """One logit per choice; [batch, choices, tokens] came in flattened."""
    logits = head(states).reshape(-1, states.choices)
    return {"logits": logits, "loss": optional_loss(logits, targets["labels"], states.smoothing)}


def pretraining(states: States, targets: Targets) -> dict[str, Any]:
    """Masked tokens, and how two sentences relate; the loss needs both labels."""
    tokens = head(states)
    assert states.second_head is not None
    relation = states.second_head(select(states, "pooled"))
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


def replaced_token(states: States, targets: Targets) -> dict[str, Any]:
    """Is each token the original? Padding carries no loss (Clark et al., 2020, section 2)."""
    logits, labels = head(states).squeeze(-1), targets["labels"]
    loss = None
    if labels is not None:
        mask = states.attention_mask
        real = torch.ones_like(logits, dtype=torch.bool) if mask is None else mask.bool()
        loss = F.binary_cross_entropy_with_logits(logits[real].float(), labels[real].float())
    return {"logits": logits, "loss": loss}


def double_heads(states: States, targets: Targets) -> dict[str, Any]:
    """Language modeling over every choice, and one logit per choice at `mc_token_ids`."""
    fields = next_token(states, targets)
    assert states.second_head is not None
    index = targets["mc_token_ids"]
    at = select(states, "indexed", None if index is None else index.reshape(-1))
    choices = states.second_head(at).reshape(-1, states.choices)
    return {
        "loss": fields["loss"],
        "logits": fields["logits"].unflatten(0, (-1, states.choices)),
        "mc_logits": choices,
        "mc_loss": optional_loss(choices, targets["mc_labels"]),
    }


def body(states: States, targets: Targets) -> dict[str, Any]:
    """No head: the hidden states are the answer."""
    return {"last_hidden_state": states.hidden, "pooler_output": states.pooled}


OBJECTIVES = {
    "body": Objective(body, outputs.BaseModelOutput, outputs.Seq2SeqModelOutput),
    "encoder-body": Objective(body, outputs.BaseModelOutput),
    "pooled-body": Objective(body, outputs.BaseModelOutputWithPooling),
    "masked-lm": Objective(token_logits, outputs.MaskedLMOutput),
    "seq2seq-lm": Objective(token_logits, outputs.MaskedLMOutput),
    "aligned-lm": Objective(token_logits, outputs.CausalLMOutput),
    "causal-lm": Objective(next_token, outputs.CausalLMOutput),
    "token-classification": Objective(token_logits, outputs.TokenClassifierOutput),
    "sequence-classification": Objective(
        sequence, outputs.SequenceClassifierOutput, outputs.Seq2SeqSequenceClassifierOutput
    ),
    "next-sentence": Objective(sequence, outputs.NextSentencePredictorOutput),
    "question-answering": Objective(
        span, outputs.QuestionAnsweringModelOutput, outputs.Seq2SeqQuestionAnsweringModelOutput
    ),
    "multiple-choice": Objective(choice, outputs.MultipleChoiceModelOutput),
    "next-sentence-pretraining": Objective(pretraining, outputs.NextSentencePreTrainingOutput),
    "sentence-order-pretraining": Objective(pretraining, outputs.SentenceOrderPreTrainingOutput),
    "replaced-token": Objective(replaced_token, outputs.ReplacedTokenOutput),
    "double-heads": Objective(double_heads, outputs.DoubleHeadsOutput),
}
