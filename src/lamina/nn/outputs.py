"""What a model returns: a mapping that is also a tuple of its filled fields, under the names users know."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

from torch import Tensor
from torch.utils._pytree import MappingKey, register_pytree_node

Tensors = tuple[Tensor, ...]


@dataclass
class ModelOutput:
    """Fields by name, by key or by position; empty ones are left out of the last two.

    Every class of outputs is known to torch as a tree of its filled fields, so that models with outputs can be
    exported, and distributed wrappers find the tensors in them.
    """

    def __init_subclass__(cls) -> None:
        register_pytree_node(
            cls,
            lambda output: (output.values(), output.keys()),
            lambda values, keys: cls(**dict(zip(keys, values, strict=True))),
            serialized_type_name=f"{cls.__module__}.{cls.__qualname__}",
            flatten_with_keys_fn=lambda output: (
                [(MappingKey(key), value) for key, value in output.items()],
                output.keys(),
            ),
        )

    def keys(self) -> list[str]:
        """Names of the filled fields."""
        return [field.name for field in fields(self) if getattr(self, field.name) is not None]

    def values(self) -> list[Any]:
        """Filled fields."""
        return [getattr(self, key) for key in self.keys()]

    def items(self) -> list[tuple[str, Any]]:
        """Names and filled fields."""
        return list(zip(self.keys(), self.values(), strict=True))

    def get(self, key: str, default: Any = None) -> Any:
        """The field `key`, or `default` where it is empty."""
        value = getattr(self, key, None)
        return default if value is None else value

    def to_tuple(self) -> tuple[Any, ...]:
        """Filled fields in order."""
        return tuple(self.values())

    def __getitem__(self, key: str | int | slice) -> Any:
        if not isinstance(key, str):
            return self.to_tuple()[key]
        if key not in self.keys():
            raise KeyError(f"{key!r} is not among the filled fields {self.keys()}")
        return getattr(self, key)

    def __setitem__(self, key: str, value: Any) -> None:
        setattr(self, key, value)

    def __contains__(self, key: object) -> bool:
        return key in self.keys()

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self.keys())


@dataclass
class BaseModelOutput(ModelOutput):
    """Hidden states of a stack; `last_hidden_state` is [batch, tokens, hidden]."""

    last_hidden_state: Tensor | None = None
    past_key_values: Any = None
    hidden_states: Tensors | None = None
    attentions: Tensors | None = None
    cross_attentions: Tensors | None = None


@dataclass
class BaseModelOutputWithPooling(ModelOutput):
    """As BaseModelOutput, with the pooled first token [batch, hidden]."""

    last_hidden_state: Tensor | None = None
    pooler_output: Tensor | None = None
    past_key_values: Any = None
    hidden_states: Tensors | None = None
    attentions: Tensors | None = None
    cross_attentions: Tensors | None = None


@dataclass
class LogitsOutput(ModelOutput):
    """Loss (where labels were given) and logits."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    past_key_values: Any = None
    hidden_states: Tensors | None = None
    attentions: Tensors | None = None
    cross_attentions: Tensors | None = None


class MaskedLMOutput(LogitsOutput):
    """Logits [batch, tokens, vocab]."""


class CausalLMOutput(LogitsOutput):
    """Logits [batch, tokens, vocab] of the next token."""


class SequenceClassifierOutput(LogitsOutput):
    """Logits [batch, labels]."""


class TokenClassifierOutput(LogitsOutput):
    """Logits [batch, tokens, labels]."""


class MultipleChoiceModelOutput(LogitsOutput):
    """Logits [batch, choices]."""


class NextSentencePredictorOutput(LogitsOutput):
    """Logits [batch, 2]: index 0 says that sentence B follows A."""


class ReplacedTokenOutput(LogitsOutput):
    """Logits [batch, tokens]: positive where the discriminator holds a token for replaced."""


@dataclass
class QuestionAnsweringModelOutput(ModelOutput):
    """Start and end logits, [batch, tokens] each."""

    loss: Tensor | None = None
    start_logits: Tensor | None = None
    end_logits: Tensor | None = None
    past_key_values: Any = None
    hidden_states: Tensors | None = None
    attentions: Tensors | None = None


@dataclass
class NextSentencePreTrainingOutput(ModelOutput):
    """BERT's pre-training: masked tokens and whether the second sentence follows."""

    loss: Tensor | None = None
    prediction_logits: Tensor | None = None
    seq_relationship_logits: Tensor | None = None
    hidden_states: Tensors | None = None
    attentions: Tensors | None = None


@dataclass
class SentenceOrderPreTrainingOutput(ModelOutput):
    """ALBERT's pre-training: masked tokens and whether the sentences stand in order."""

    loss: Tensor | None = None
    prediction_logits: Tensor | None = None
    sop_logits: Tensor | None = None
    hidden_states: Tensors | None = None
    attentions: Tensors | None = None


@dataclass
class DoubleHeadsOutput(ModelOutput):
    """Language modeling and multiple choice over one body."""

    loss: Tensor | None = None
    mc_loss: Tensor | None = None
    logits: Tensor | None = None
    mc_logits: Tensor | None = None
    past_key_values: Any = None
    hidden_states: Tensors | None = None
    attentions: Tensors | None = None


@dataclass
class Seq2SeqModelOutput(ModelOutput):
    """Hidden states of a decoder and of the encoder it reads."""

    last_hidden_state: Tensor | None = None
    past_key_values: Any = None
    decoder_hidden_states: Tensors | None = None
    decoder_attentions: Tensors | None = None
    cross_attentions: Tensors | None = None
    encoder_last_hidden_state: Tensor | None = None
    encoder_hidden_states: Tensors | None = None
    encoder_attentions: Tensors | None = None


@dataclass
class Seq2SeqLMOutput(ModelOutput):
    """Logits [batch, target tokens, vocab], or [batch, labels] for a classifier."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    past_key_values: Any = None
    decoder_hidden_states: Tensors | None = None
    decoder_attentions: Tensors | None = None
    cross_attentions: Tensors | None = None
    encoder_last_hidden_state: Tensor | None = None
    encoder_hidden_states: Tensors | None = None
    encoder_attentions: Tensors | None = None


class Seq2SeqSequenceClassifierOutput(Seq2SeqLMOutput):
    """Logits [batch, labels], read at the last end-of-sentence token."""


@dataclass
class Seq2SeqQuestionAnsweringModelOutput(ModelOutput):
    """Start and end logits over the decoder's tokens."""

    loss: Tensor | None = None
    start_logits: Tensor | None = None
    end_logits: Tensor | None = None
    past_key_values: Any = None
    decoder_hidden_states: Tensors | None = None
    decoder_attentions: Tensors | None = None
    cross_attentions: Tensors | None = None
    encoder_last_hidden_state: Tensor | None = None
    encoder_hidden_states: Tensors | None = None
    encoder_attentions: Tensors | None = None


@dataclass
class MemoryModelOutput(ModelOutput):
    """Hidden states of Transformer-XL, and the memories for its next segment, [tokens, batch, hidden] per layer."""

    last_hidden_state: Tensor | None = None
    mems: list[Tensor] | None = None
    hidden_states: Tensors | None = None
    attentions: Tensors | None = None


@dataclass
class MemoryClassifierOutput(ModelOutput):
    """Logits [batch, labels], and memories."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    mems: list[Tensor] | None = None
    hidden_states: Tensors | None = None
    attentions: Tensors | None = None


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


def filled(kind: type[ModelOutput], values: dict[str, Any]) -> ModelOutput:
    """An output of class `kind` from those of `values` that it has a field for."""
    names: tuple[str, ...] = kind.__match_args__  # as `fields` would say, but torch.compile can read it
    return kind(**{key: value for key, value in values.items() if key in names})
