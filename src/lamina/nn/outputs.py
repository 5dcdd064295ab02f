"""What a model returns: a mapping that is also a tuple of its filled fields, under the names users know."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, make_dataclass
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


def output(name: str, about: str, *names: str) -> type[ModelOutput]:
    """A class of outputs with these fields, in their order; any may be empty."""
    marks = [(field, Any, None) for field in names]
    return make_dataclass(name, marks, bases=(ModelOutput,), namespace={"__module__": __name__, "__doc__": about})


PAST = "past_key_values"
WATCHED = ("hidden_states", "attentions")
CROSSED = (*WATCHED, "cross_attentions")
LOGITS = ("loss", "logits")
SPAN = ("loss", "start_logits", "end_logits")
DECODER = (PAST, "decoder_hidden_states", "decoder_attentions", "cross_attentions")
SIDES = (*DECODER, "encoder_last_hidden_state", "encoder_hidden_states", "encoder_attentions")

BaseModelOutputWithPooling = output(
    "BaseModelOutputWithPooling",
    "As BaseModelOutput, with the pooled first token [batch, hidden].",
    *("last_hidden_state", "pooler_output", PAST, *CROSSED),
)
MaskedLMOutput = output("MaskedLMOutput", "Logits [batch, tokens, vocab].", *LOGITS, PAST, *CROSSED)
CausalLMOutput = output("CausalLMOutput", "Logits [batch, tokens, vocab] of the next token.", *LOGITS, PAST, *CROSSED)
SequenceClassifierOutput = output("SequenceClassifierOutput", "Logits [batch, labels].", *LOGITS, PAST, *CROSSED)
TokenClassifierOutput = output("TokenClassifierOutput", "Logits [batch, tokens, labels].", *LOGITS, *WATCHED)
MultipleChoiceModelOutput = output("MultipleChoiceModelOutput", "Logits [batch, choices].", *LOGITS, *WATCHED)
NextSentencePredictorOutput = output(
    "NextSentencePredictorOutput", "Logits [batch, 2]: index 0 says that sentence B follows A.", *LOGITS, *WATCHED
)
ReplacedTokenOutput = output(
    "ReplacedTokenOutput",
    "Logits [batch, tokens]: positive where the discriminator holds a token for replaced.",
    *(*LOGITS, *WATCHED),
)
QuestionAnsweringModelOutput = output(
    "QuestionAnsweringModelOutput", "Start and end logits, [batch, tokens] each.", *SPAN, *WATCHED
)
NextSentencePreTrainingOutput = output(
    "NextSentencePreTrainingOutput",
    "BERT's pre-training: masked tokens and whether the second sentence follows.",
    *("loss", "prediction_logits", "seq_relationship_logits", *WATCHED),
)
SentenceOrderPreTrainingOutput = output(
    "SentenceOrderPreTrainingOutput",
    "ALBERT's pre-training: masked tokens and whether the sentences stand in order.",
    *("loss", "prediction_logits", "sop_logits", *WATCHED),
)
DoubleHeadsOutput = output(
    "DoubleHeadsOutput",
    "Language modeling and multiple choice over one body.",
    *("loss", "mc_loss", "logits", "mc_logits", PAST, *WATCHED),
)
Seq2SeqModelOutput = output(
    "Seq2SeqModelOutput", "Hidden states of a decoder and of the encoder it reads.", "last_hidden_state", *SIDES
)
Seq2SeqLMOutput = output("Seq2SeqLMOutput", "Logits [batch, target tokens, vocab].", *LOGITS, *SIDES)
Seq2SeqSequenceClassifierOutput = output(
    "Seq2SeqSequenceClassifierOutput",
    "Logits [batch, labels], read at the last end-of-sentence token.",
    *(*LOGITS, *SIDES),
)
Seq2SeqQuestionAnsweringModelOutput = output(
    "Seq2SeqQuestionAnsweringModelOutput", "Start and end logits over the decoder's tokens.", *SPAN, *SIDES
)


def filled(kind: type[ModelOutput], values: dict[str, Any]) -> ModelOutput:
    """An output of class `kind` from those of `values` that it has a field for."""
    names: tuple[str, ...] = kind.__match_args__  # as `fields` would say, but torch.compile can read it
    return kind(**{key: value for key, value in values.items() if key in names})
