"""Transformer-XL whole: its stack, bare or with a head, reading segment by segment or writing token by token."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import GenerationError, InputError
from ...nn.decoding import StepOutput
from ...nn.model import Model, Training, as_asked, check_inputs
from ...nn.objectives import OBJECTIVES, Head, Objective, States, Targets
from ...nn.outputs import LOGITS, WATCHED, ModelOutput, Tensors, output
from ...nn.runtime import tracing
from ...nn.stack import check_reading
from ...spec import IGNORED, ModelSpec
from .adaptive import AdaptiveEmbedding, AdaptiveSoftmax
from .segments import Recall, SegmentLayout, SegmentStack, SegmentState, frequencies, kept_inputs, real_lengths
from .spec import SegmentSpec

MemoryModelOutput = output(
    "MemoryModelOutput",
    "Hidden states, and the memories for the next segment, [tokens, batch, hidden] per layer.",
    *("last_hidden_state", "mems", *WATCHED),
)
MemoryClassifierOutput = output(
    "MemoryClassifierOutput", "Logits [batch, labels], and memories.", *LOGITS, "mems", *WATCHED
)


@dataclass
class MemoryLMOutput(ModelOutput):
    """Log-probabilities [batch, tokens, vocab], or with labels the losses [batch, tokens - 1], cluster by cluster.

    The scores are an empty tuple where labels were given: with a large vocabulary nobody could pay for both.
    """

    losses: Tensor | None = None
    prediction_scores: Any = None
    mems: list[Tensor] | None = None
    hidden_states: Tensors | None = None
    attentions: Tensors | None = None
    loss: Tensor | None = None

    @property
    def logits(self) -> Any:
        """The scores under the name that other language models give them."""
        return self.prediction_scores


def adaptive_lm(states: States, targets: Targets) -> dict[str, Any]:
    """Log-probabilities, or with labels the losses alone: the rare tokens' scores would cost more than they do."""
    softmax = states.head
    assert isinstance(softmax, AdaptiveSoftmax)
    labels = targets["labels"]
    if labels is None:
        return {"prediction_scores": softmax(states.hidden)}
    if labels.shape != states.hidden.shape[:2] or labels.shape[1] < 2:
        raise InputError(f"labels {tuple(labels.shape)} must be as input_ids, two tokens or more in a row")
    size = softmax.spec.edges[-1]
    beyond = labels[(labels != IGNORED) & ((labels < 0) | (labels >= size))]
    if len(beyond):
        raise InputError(f"label {int(beyond[0])} is not a token: the vocabulary ends at {size - 1}")
    if bool((labels[0, 1:] == IGNORED).all()):  # the reference's guard against a mean over nothing
        labels = labels.clone()
        labels[0, 1] = states.config.eos_token_id or 0
    losses = softmax.losses(states.hidden[:, :-1].flatten(0, 1), labels[:, 1:].flatten())
    losses = losses.view(len(labels), -1)
    return {"losses": losses, "loss": losses[losses != 0].mean(), "prediction_scores": ()}


ENDINGS = {
    "body": replace(OBJECTIVES["body"], output=MemoryModelOutput),
    "causal-lm": Objective(adaptive_lm, MemoryLMOutput),
    "sequence-classification": replace(OBJECTIVES["sequence-classification"], output=MemoryClassifierOutput),
}


class SegmentModel(Model):
    """Transformer-XL, bare or with a head. Memories are what entered each layer, [tokens, batch, hidden] per layer."""

    def assemble(self, spec: ModelSpec) -> None:
        """One stack, and the adaptive softmax or a plain head."""
        assert isinstance(spec, SegmentSpec)
        self.objective = ENDINGS[self.kind]
        self.encoder = self.decoder = self.pooler = self.second_head = None
        self.body = SegmentStack(spec)
        lm = self.kind == "causal-lm"
        self.softmax = AdaptiveSoftmax(self.body.embeddings) if lm else None
        self.head = Head(spec.head, self.body.embeddings.table(0)) if spec.head and not lm else None

    @property
    def stacks(self) -> list[Any]:
        """The one stack."""
        return [self.body]

    @property
    def ending(self) -> nn.Module | None:
        """The softmax, or the plain head."""
        return self.softmax or self.head

    def forward(
        self,
        input_ids: Tensor | None = None,
        mems: list[Tensor] | None = None,
        *,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        training: Training | None = None,
    ) -> Any:
        """Ids [batch, tokens], and the `mems` that the segment before them returned, to the output class of the task.

        Without `mems` a segment looks back on zeros. `attention_mask` may hide padding on the right, nothing else.
        """
        if tracing():
            raise InputError(
                "Transformer-XL cannot be traced: what its memories show depends on lengths; use it as it is"
            )
        if (input_ids is None) == (inputs_embeds is None):
            raise InputError("pass either input_ids or inputs_embeds")
        check_inputs(self.body.embeddings.num_embeddings, input_ids, attention_mask, None)
        x = inputs_embeds if inputs_embeds is not None else self.body.embeddings(input_ids)
        if self.reads_only:
            check_reading(x)
        lengths = real_lengths(attention_mask, x)
        past = self._past(mems, x)
        held = past[0].shape[1] if past else 0
        maps = self.wants("output_attentions", output_attentions)
        distances = self.body.distances(held + x.shape[1], x.dtype)
        layout = SegmentLayout(self.body, x.shape[1], held, self._recall(past), distances, maps)
        x, hidden = self.body(x, layout)
        extra = {
            "mems": kept_inputs(past, hidden, self.body.memory_length, lengths) if past else None,
            "hidden_states": tuple(hidden) if self.wants("output_hidden_states", output_hidden_states) else None,
            "attentions": tuple(layout.maps) if maps else None,
        }
        output = self.finish(States(x, None, input_ids, attention_mask), {"labels": labels}, extra, training)
        answer = as_asked(output, return_dict, self.config)
        if (
            isinstance(answer, tuple)
            and self._loss_first()
            and isinstance(output, MemoryLMOutput)
            and labels is not None
        ):
            losses, scores, *rest, loss = answer
            return (loss, scores, losses, *rest)
        return answer

    def _loss_first(self) -> bool:
        """The reference's option for trainers that read a tuple's first field as its loss."""
        return bool(getattr(self.config, "trainer_compatible", False))

    def _past(self, mems: list[Tensor] | None, x: Tensor) -> list[Tensor]:
        """Memories as [batch, tokens, hidden], checked; none where there is nothing to remember."""
        if mems is None:
            mems = self.init_mems(len(x))
        if mems is None:
            return []
        fits = [mem.dim() == 3 and mem.shape[1:] == (len(x), x.shape[2]) for mem in mems]
        if len(mems) != len(self.body.layers) or not all(fits) or len({len(mem) for mem in mems}) > 1:
            raise InputError(
                f"mems must be {len(self.body.layers)} tensors [tokens, {len(x)}, {x.shape[2]}], "
                f"got {[tuple(mem.shape) for mem in mems]}"
            )
        return [mem.transpose(0, 1).to(x.dtype) for mem in mems]

    def _recall(self, past: list[Tensor]) -> Recall:
        def recall(layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
            if not past:
                return k, v
            keys, values = self.body.remember(layer, past[layer])
            return torch.cat([keys, k], 1), torch.cat([values, v], 1)

        return recall

    def init_mems(self, batch: int) -> list[Tensor] | None:
        """The zeros that a first segment looks back on; None where the model remembers nothing."""
        if self.body.memory_length < 1:
            return None
        width, like = self.body.embeddings.spec.hidden_size, next(self.parameters())
        return [like.new_zeros(self.body.memory_length, batch, width).detach() for _ in self.body.layers]

    def reset_memory_length(self, length: int) -> None:
        """Remember `length` tokens from now on."""
        self.body.memory_length = length

    @torch.no_grad()
    def start(self, batch: dict[str, Any], max_length: int) -> SegmentState:
        """Make room for one row of up to `max_length` tokens per row of `batch`; nothing is read yet."""
        if self.softmax is None:
            raise GenerationError("this model has no language-model head: load TransfoXLLMHeadModel to write text")
        if self.spec.same_length and self.body.memory_length < 1:  # type: ignore[attr-defined]
            raise GenerationError("without memories and with same_length no token sees any: set mem_len")
        return SegmentState(self.body, len(batch["input_ids"]), max_length)

    def step(  # type: ignore[override]  # a state of its own
        self,
        ids: Tensor,
        state: SegmentState,
        lengths: Tensor | None = None,
        *,
        every: bool = False,
        hidden: bool = False,
    ) -> StepOutput:
        """Append `ids` [rows, tokens] to the rows of `state` and score what follows, as Model.step does."""
        assert self.softmax is not None
        if lengths is not None and bool((lengths == ids.shape[1]).all()):
            lengths = None
        if state.cache.used == state.window:
            check_inputs(self.body.embeddings.num_embeddings, ids, None, None)
        x = self.body.embeddings(ids)
        tokens, past = ids.shape[1], state.past
        state.cache.reserve(tokens)
        layout = SegmentLayout(self.body, tokens, past, state.recall, state.distances(past + tokens, x.dtype))
        x, _ = self.body(x, layout)
        state.advance(tokens, lengths)
        if not every:
            x = x[:, -1] if lengths is None else x[torch.arange(len(x), device=x.device), lengths - 1]
        return StepOutput(self.softmax(x), x if hidden else None)

    @property
    def writing_vocabulary(self) -> int:
        """How many tokens the softmax chooses from."""
        return self.softmax.spec.edges[-1] if self.softmax is not None else 0

    def initialize(self, only: set[str] | None = None) -> None:
        """Draw all parameters anew, or those named."""
        with torch.no_grad():
            self.body.rates.copy_(frequencies(self.body.embeddings.spec.hidden_size))
            for name, parameter in self.named_parameters():
                if only is None or name in only:
                    self._draw(name, parameter)

    def _draw(self, name: str, parameter: Tensor) -> None:
        assert isinstance(self.spec, SegmentSpec)
        if "bias" in name:
            parameter.zero_()
        elif "norm" in name:
            parameter.normal_(1.0, self.spec.std)
        elif "projections" in name:
            parameter.normal_(0.0, self.spec.projection_std)
        elif self.spec.reach is not None:
            parameter.uniform_(-self.spec.reach, self.spec.reach)
        else:
            parameter.normal_(0.0, self.spec.std)

    def get_input_embeddings(self) -> AdaptiveEmbedding:  # type: ignore[override]  # no single table
        """The tables of all clusters."""
        return self.body.embeddings

    def get_output_embeddings(self) -> None:
        """Nothing: no single projection reaches the vocabulary."""
        return

    def resize_token_embeddings(self, size: int) -> AdaptiveEmbedding:  # type: ignore[override]
        """Grow or cut the last cluster, that of the rarest tokens; new rows are drawn as fresh ones are."""
        embeddings, softmax = self.body.embeddings, self.softmax
        *edges, _ = embeddings.spec.edges
        if size <= edges[-1]:
            raise InputError(f"{size} tokens would leave nothing of the last cluster, which starts at {edges[-1]}")
        vocabulary = replace(embeddings.spec, edges=(*edges, size))
        rows, table = vocabulary.tables[-1][0], embeddings.table(-1)
        table.weight, table.num_embeddings = self._regrown("table", table.weight, rows), rows
        embeddings.spec = vocabulary
        if softmax is not None:
            last = len(softmax.weights) - 1
            weight = table.weight if vocabulary.tied else self._regrown("table", softmax.weights[last], rows)
            softmax.weights[last], softmax.biases[last] = weight, self._regrown("bias", softmax.biases[last], rows)
            softmax.spec = vocabulary
        self.config.vocab_size = size
        return embeddings

    def _regrown(self, name: str, old: Tensor, rows: int) -> nn.Parameter:
        fresh = old.new_empty(rows, *old.shape[1:]).detach()
        self._draw(name, fresh)
        kept = min(rows, len(old))
        fresh[:kept] = old.detach()[:kept]
        return nn.Parameter(fresh, requires_grad=old.requires_grad)
