"""What a model is made of: frozen data that every family fills in and `nn` builds from.

An option that excludes another is one field of a sum type, never two booleans, and a new option may only be a
*value* that a published checkpoint needs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

ACTIVATION_NAMES = (  # as config.json spells them; nn/stack.py has the functions
    "relu",
    "silu",
    "swish",
    "tanh",
    "sigmoid",
    "linear",
    "gelu",
    "gelu_python",
    "gelu_new",
    "gelu_fast",
    "gelu_pytorch_tanh",
)

IGNORED = -100  # labels of this value carry no loss


@dataclass(frozen=True)
class Kind:
    """What a kind of task is to everyone who reads or trains its models."""

    targets: tuple[str, ...] = ("labels",)
    per_token: bool = False  # a label for each token
    masked: bool = False  # the loss reads the tokens with a label alone
    shifted: bool = False  # labels are the inputs, each predicted by the tokens before it
    writes: bool = False  # continues text
    choices: bool = False  # rows of several texts, [batch, choices, tokens]
    pipeline: str = ""  # the task that its models are usually for


KINDS: dict[str, Kind] = {
    "body": Kind((), pipeline="feature-extraction"),
    "encoder-body": Kind((), pipeline="feature-extraction"),
    "pooled-body": Kind((), pipeline="feature-extraction"),
    "masked-lm": Kind(per_token=True, masked=True, pipeline="fill-mask"),
    "seq2seq-lm": Kind(per_token=True, masked=True, writes=True, pipeline="text2text-generation"),
    # Its labels are shifted already.
    "aligned-lm": Kind(per_token=True, masked=True, writes=True, pipeline="text-generation"),
    "causal-lm": Kind(per_token=True, masked=True, shifted=True, writes=True, pipeline="text-generation"),
    "token-classification": Kind(per_token=True, masked=True, pipeline="token-classification"),
    "replaced-token": Kind(per_token=True),
    "sequence-classification": Kind(pipeline="text-classification"),
    "next-sentence": Kind(),
    "question-answering": Kind(("start_positions", "end_positions"), pipeline="question-answering"),
    "multiple-choice": Kind(choices=True),
    "next-sentence-pretraining": Kind(("labels", "next_sentence_label")),
    "sentence-order-pretraining": Kind(("labels", "sentence_order_label")),
    "double-heads": Kind(("labels", "mc_token_ids", "mc_labels"), shifted=True, writes=True, choices=True),
}


@dataclass(frozen=True)
class LearnedPositions:
    """A table of `size` learned positions, read from row `offset` on."""

    size: int
    offset: int = 0


@dataclass(frozen=True)
class PaddingAwarePositions:
    """Learned positions counted over real tokens only, from `padding_id` + 1 on (RoBERTa, after fairseq)."""

    size: int
    padding_id: int


@dataclass(frozen=True)
class SinusoidalPositions:
    """Fixed sines in the first half of the width and cosines in the second (Vaswani et al., 2017, section 3.5)."""

    size: int
    single_precision: bool = False


@dataclass(frozen=True)
class RelativeBuckets:
    """One learned bias per head and per log-spaced bucket of distance (Raffel et al., 2019, section 2.1)."""

    buckets: int
    max_distance: int


Positions = LearnedPositions | PaddingAwarePositions | SinusoidalPositions | None


def room(kind: Positions) -> int | None:
    """How many tokens there are positions for, in whatever way they are counted; None where there is no end."""
    match kind:
        case LearnedPositions(size, offset):
            return size - offset
        case PaddingAwarePositions(size, padding_id):
            return size - padding_id - 1
        case SinusoidalPositions(size):
            return size
    return None


@dataclass(frozen=True)
class EmbeddingSpec:
    """Token ids to vectors: tokens + positions + token types, norm, dropout, projection."""

    vocab_size: int
    hidden_size: int
    positions: Positions = None
    projected_from: int | None = None  # width of a table that is projected to hidden_size; None: it has that width
    token_types: int = 0
    token_types_from_tokens: bool = False  # GPT-2 and CTRL read token types from the token table
    token_types_written: bool = True  # those of a prompt count while it is written on from (CTRL: they do not)
    norm: bool = False
    eps: float = 1e-12
    scale: float = 1.0
    scale_given: bool = False  # `inputs_embeds` are scaled too (CTRL)
    dropout: float = 0.0
    padding_id: int | None = None


@dataclass(frozen=True)
class BlockSpec:
    """One layer: self-attention, cross-attention where the stack has it, feed-forward."""

    hidden_size: int
    num_heads: int
    intermediate_size: int
    head_dim: int | None = None  # None: hidden_size / num_heads
    activation: str = "gelu"
    gated: bool = False
    norm: str = "layer"  # "layer" | "rms"
    eps: float = 1e-5
    pre_norm: bool = False
    bias: bool = True
    scale: float | None = None  # None: 1 / sqrt(head_dim)
    dropout: float = 0.0  # after attention and after the feed-forward
    feedforward_dropout: float | None = None  # None: as `dropout`
    attention_dropout: float = 0.0
    activation_dropout: float = 0.0


@dataclass(frozen=True)
class StackSpec:
    """Embeddings and a run of blocks."""

    embedding: EmbeddingSpec
    block: BlockSpec
    num_layers: int
    schedule: tuple[tuple[int, ...], ...] | None = None  # blocks that make up each layer, where blocks are shared
    final_norm: bool = False
    final_eps: float | None = None  # None: as the block's
    final_dropout: float = 0.0
    causal: bool = False
    cross: bool = False
    relative: RelativeBuckets | None = None
    scale_by_layer: bool = False  # scores of layer i are divided by i + 1
    layerdrop: float = 0.0


@dataclass(frozen=True)
class HeadSpec:
    """select -> dropout -> dense -> activation -> norm -> dropout -> scale -> project."""

    hidden_size: int
    outputs: int
    select: str | None = None  # "first" | "last" | "eos" | "indexed" | "pooled"; None: every token
    dense: str | None = None  # activation after an extra dense layer
    dense_size: int | None = None  # its width where it is not hidden_size
    norm: bool = False
    eps: float = 1e-12
    tied: bool = False
    bias: bool = True
    frozen_bias: bool = False  # kept and loaded, never trained (final_logits_bias)
    scale: float = 1.0
    dropout_before: float = 0.0
    dropout: float = 0.0
    fan_in: bool = False  # FanInInit reaches the projection too


@dataclass(frozen=True)
class Pooler:
    """A dense layer and tanh over the first token, part of the body (BERT, RoBERTa, ALBERT)."""

    hidden_size: int


@dataclass(frozen=True)
class NormalInit:
    """Weights from N(0, std), biases zero, norms one; branch outputs narrowed where `residual_layers` is given."""

    std: float = 0.02
    residual_layers: int | None = None  # GPT-2 (Radford et al., 2019, section 2.3): std / sqrt(2 * layers)
    sinusoidal_positions: bool = False  # DistilBERT's option: learned positions start as sines


@dataclass(frozen=True)
class FanInInit:
    """T5's: each matrix scaled by its own fan-in, all of them by `factor`."""

    factor: float = 1.0


@dataclass(frozen=True)
class Shift:
    """How targets become decoder inputs: moved right behind `start`, or the last real token wrapped to the front."""

    padding_id: int
    start: int | None = None  # None: the last non-padding token (mBART's language code)
    from_source: bool = False  # where a body is called without decoder inputs, shift its source


@dataclass(frozen=True)
class ModelSpec:
    """An encoder, a decoder, or both, and what stands on top."""

    encoder: StackSpec | None = None
    decoder: StackSpec | None = None
    pooler: Pooler | None = None
    head: HeadSpec | None = None
    second_head: HeadSpec | None = None  # sentence order of pre-training, choice of double heads
    init: NormalInit | FanInInit = NormalInit()
    shared_tokens: bool = True  # encoder and decoder read one token table
    shift: Shift | None = None

    @cached_property
    def reading_room(self) -> int | None:
        """Tokens of a text that the model reads at most; None where its positions have no end."""
        return _stack_room(self.encoder or self.decoder)

    @cached_property
    def writing_room(self) -> int | None:
        """Tokens of a row that the model writes at most, its prompt included; None where positions have no end."""
        return _stack_room(self.decoder or self.encoder)


def _stack_room(stack: StackSpec | None) -> int | None:
    return room(stack.embedding.positions) if stack else None
