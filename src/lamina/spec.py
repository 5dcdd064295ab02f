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
class MaskAwarePositions(LearnedPositions):
    """Learned positions counted over the tokens that the attention mask shows; hidden ones read row `offset` - 1."""


@dataclass(frozen=True)
class PaddingAwareSinusoids(PaddingAwarePositions):
    """Fixed sines and cosines after tensor2tensor, counted over real tokens, zero at the padding id (M2M-100)."""


@dataclass(frozen=True)
class SinusoidalPositions:
    """Fixed sines in the first half of the width and cosines in the second (Vaswani et al., 2017, section 3.5)."""

    size: int
    single_precision: bool = False
    stored: bool = False  # files hold the table, and what they hold is read (PEGASUS)


@dataclass(frozen=True)
class RelativeBuckets:
    """One learned bias per head and per log-spaced bucket of distance (Raffel et al., 2019, section 2.1)."""

    buckets: int
    max_distance: int
    per_layer: bool = False  # each layer has a table of its own (UMT5)


@dataclass(frozen=True)
class Slopes:
    """Scores that fall with distance, in each head by its own slope; nothing is learned (Press et al., 2021)."""


@dataclass(frozen=True)
class Disentangled:
    """Scores between content and distance, through projections of each layer (He et al., 2020, section 3.1)."""

    span: int  # distances from -span to span - 1 have a vector, in one table for all layers
    max_distance: int | None = None  # where distances share log-spaced buckets; None: each one has its own vector
    kinds: tuple[str, ...] = ("c2p", "p2c")  # queries meet distances, keys meet distances
    shared: bool = True  # the layer's own projections read the vectors; otherwise it has others for them
    norm: bool = False
    dropout: float = 0.0


@dataclass(frozen=True)
class Rotary:
    """Queries and keys turned by their positions (Su et al., 2021, section 3.2)."""

    size: int  # how many numbers of each head are turned, from the first on
    bases: tuple[float, ...] = (10000.0,)  # one for all layers, or one for each
    interleaved: bool = False  # neighbors form a pair; otherwise the two halves do


@dataclass(frozen=True)
class Convolution:
    """Mixes each token's embedding with its neighbors', added behind the first layer (DeBERTa-v2-xlarge)."""

    width: int
    groups: int
    activation: str
    dropout: float


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
    projected: str = "sum"  # what is projected: "sum" of tokens, positions and types | "tokens", without a bias (OPT)
    token_types: int | str = 0  # rows of their table; "tokens": they are read from the token table (GPT-2, CTRL)
    token_types_written: bool = True  # those of a prompt count while it is written on from (CTRL: they do not)
    norm: str | None = None  # as the block's
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
    norm: str = "layer"  # "layer" | "unbiased" | "rms"
    eps: float = 1e-5
    order: str = "post-norm"  # "post-norm" | "pre-norm" | "parallel": both branches read the same input (GPT-NeoX)
    biased: tuple[str, ...] = ("qkv", "out", "up", "down")  # which linear layers have a bias
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
    projected_to: int | None = None  # width of the states that the stack gives, where another layer narrows them
    final_dropout: float = 0.0
    causal: bool = False
    cross: bool = False
    relative: RelativeBuckets | Slopes | Disentangled | None = None
    rotary: Rotary | None = None
    windows: tuple[int | None, ...] | None = None  # how far each layer sees, in tokens; None: without end
    scales: tuple[float, ...] | None = None  # of each layer's scores; None: as the block's
    first_norm: bool = True  # the first layer norms what it reads (pre-norm)
    convolution: Convolution | None = None
    blank_padding: bool = False  # hidden tokens enter as zeros, and mix all alike (DeBERTa: its scores and convolution)
    plain_states: bool = False  # the last of the hidden states is what the final norm reads, not what it gives
    layerdrop: float = 0.0


@dataclass(frozen=True)
class HeadSpec:
    """select -> dropout -> dense -> activation -> norm -> dropout -> scale -> project."""

    hidden_size: int
    outputs: int
    # "first" | "first shown" | "mean" | "last" | "eos" | "indexed" | "pooled"; None: every token
    select: str | None = None
    dense: str | None = None  # activation after an extra dense layer
    dense_size: int | None = None  # its width where it is not hidden_size
    dense_bias: bool = True
    norm: str | None = None  # as the block's
    eps: float = 1e-12
    tied: bool = False
    bias: bool = True
    frozen_bias: bool = False  # kept and loaded, never trained (final_logits_bias)
    scale: float = 1.0
    dropout_before: float = 0.0
    dropout: float = 0.0
    fan_in: bool = False  # FanInInit reaches the projection too
    std: float | None = None  # TruncatedInit draws the projection so wide; None: as all else
    sparse: bool = False  # with labels, logits are computed for the tokens that have one (ModernBERT)
    soft_labels: bool = False  # a row of labels is a distribution where problem_type says nothing (DeBERTa)


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
class TruncatedInit:
    """ModernBERT's: normal draws cut off at `cutoff` deviations, narrower for what ends a branch."""

    std: float
    cutoff: float
    layers: int  # branch outputs and the head's dense layer: std / sqrt(2 * layers)


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
    init: NormalInit | TruncatedInit | FanInInit = NormalInit()
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
