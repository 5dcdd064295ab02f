"""ModernBERT (Warner et al., 2024): pre-norm encoder, rotary positions, gated; most layers see a window."""

from __future__ import annotations

from typing import Any

from ..errors import ConfigError
from ..files.shown import shown
from ..spec import BlockSpec, EmbeddingSpec, HeadSpec, ModelSpec, Rotary, StackSpec, TruncatedInit
from .family import Config, Family, Task
from .names import under

WHOLE, NEAR = "full_attention", "sliding_attention"


def kinds(c: Config) -> list[str]:
    """What each layer sees; newer files list it."""
    layers, every = c["num_hidden_layers"], c["global_attn_every_n_layers"]
    listed = c.get("layer_types")
    if listed is None:
        return [NEAR if layer % every else WHOLE for layer in range(layers)]
    if not isinstance(listed, list) or len(listed) != layers or not all(kind in (WHOLE, NEAR) for kind in listed):
        raise ConfigError(f"layer_types must name {WHOLE} or {NEAR} for {layers} layers, not {shown(listed)}")
    return listed


def bases(c: Config) -> dict[str, float]:
    """How fast positions turn where a layer sees all and where it sees a window; newer files say both in one key."""
    near = c["global_rope_theta"] if c["local_rope_theta"] is None else c["local_rope_theta"]
    found = {WHOLE: ("global_rope_theta", c["global_rope_theta"]), NEAR: ("local_rope_theta", near)}
    stated = c.get("rope_parameters") or {}
    if not isinstance(stated, dict) or not set(stated) <= {WHOLE, NEAR}:
        raise ConfigError(f"rope_parameters must say {WHOLE} and {NEAR}, not {shown(stated)}")
    for kind, way in stated.items():
        where = f"rope_parameters of {kind}"
        found[kind] = (where, plain(where, way).get("rope_theta", found[kind][1]))
    plain("rope_scaling", c.get("rope_scaling"))
    for where, base in found.values():
        if type(base) not in (int, float) or not 1 <= base <= 1e12:
            raise ConfigError(f"{where} is {shown(base)}; a number from 1 to 1e12 is wanted")
    return {kind: float(base) for kind, (_, base) in found.items()}


def plain(where: str, way: Any) -> dict[str, Any]:
    """What a file says of rotary positions; ConfigError where it asks for a kind of scaling."""
    way = way or {}
    if not isinstance(way, dict) or way.get("rope_type", way.get("type", "default")) != "default":
        raise ConfigError(f"{where} is {shown(way)}: only the default kind of rotary positions is known")
    return way


def head_size(c: Config) -> int:
    size: int = c["hidden_size"] // c["num_attention_heads"]
    if size % 2:
        raise ConfigError(f"hidden_size {c['hidden_size']}: rotary positions turn pairs, and a head has {size} numbers")
    return size


def spec(c: Config) -> ModelSpec:
    """The body; the first layer reads the embeddings' norm and has none of its own."""
    seen, turning, size = kinds(c), bases(c), head_size(c)
    norm = "layer" if c["norm_bias"] else "unbiased"
    embedding = EmbeddingSpec(
        c["vocab_size"],
        c["hidden_size"],
        norm=norm,
        eps=c["norm_eps"],
        dropout=c["embedding_dropout"],
        padding_id=c["pad_token_id"],
    )
    block = BlockSpec(
        c["hidden_size"],
        c["num_attention_heads"],
        c["intermediate_size"],
        activation=c["hidden_activation"],
        gated=True,
        norm=norm,
        eps=c["norm_eps"],
        order="pre-norm",
        biased=(("qkv", "out") if c["attention_bias"] else ()) + (("up", "down") if c["mlp_bias"] else ()),
        dropout=c["attention_dropout"],
        feedforward_dropout=0.0,
        attention_dropout=c["attention_dropout"],
        activation_dropout=c["mlp_dropout"],
    )
    stack = StackSpec(
        embedding,
        block,
        c["num_hidden_layers"],
        final_norm=True,
        rotary=Rotary(size, tuple(turning[kind] for kind in seen)),
        windows=tuple(None if kind == WHOLE else c["local_attention"] // 2 for kind in seen),
        first_norm=False,
        plain_states=True,
    )
    cutoff = c["initializer_cutoff_factor"]
    init = TruncatedInit(c["initializer_range"], 3.0 if cutoff is None else cutoff, c["num_hidden_layers"])
    return ModelSpec(encoder=stack, init=init)


def head(c: Config, outputs: int, **more: Any) -> HeadSpec:
    """Dense, activation, norm, and a projection."""
    fields = {
        "dense": c["classifier_activation"],
        "dense_bias": c["classifier_bias"],
        "norm": "layer" if c["norm_bias"] else "unbiased",
        "eps": c["norm_eps"],
        "dropout": c["classifier_dropout"],
        "std": c["hidden_size"] ** -0.5,
    }
    return HeadSpec(c["hidden_size"], outputs, **fields | more)


def masked_lm(c: Config) -> HeadSpec:
    """Nothing is dropped before the projection, which is drawn as what ends a branch."""
    return head(
        c,
        c["vocab_size"],
        tied=c["tie_word_embeddings"],
        bias=c["decoder_bias"],
        dropout=0.0,
        sparse=c["sparse_prediction"],
        std=c["initializer_range"] * (2 * max(c["num_hidden_layers"], 1)) ** -0.5,
    )


def pooling(c: Config, first: str) -> str:
    return "mean" if c["classifier_pooling"] == "mean" else first


LAYER = {
    "attn.qkv": "attn.Wqkv",
    "attn.out": "attn.Wo",
    "attn_norm": "attn_norm",
    "ffn.up": "mlp.Wi",
    "ffn.down": "mlp.Wo",
    "ffn_norm": "mlp_norm",
}
NAMES = {
    "encoder.embeddings.tokens": "embeddings.tok_embeddings",
    "encoder.embeddings.norm": "embeddings.norm",
    **under("encoder.layers.*.", "layers.*.", LAYER),
    "encoder.norm": "final_norm",
}
HEAD = {"head.dense": "head.dense", "head.norm": "head.norm", "head.project": "classifier"}
TASKS = (
    Task("ModernBertModel", "body"),
    Task("ModernBertForMaskedLM", "masked-lm", masked_lm, {**HEAD, "head.project": "decoder"}),
    Task(
        "ModernBertForSequenceClassification",
        "sequence-classification",
        lambda c: head(c, c["num_labels"], select=pooling(c, "first")),
        HEAD,
    ),
    Task("ModernBertForTokenClassification", "token-classification", lambda c: head(c, c["num_labels"]), HEAD),
    Task("ModernBertForQuestionAnswering", "question-answering", lambda c: head(c, c["num_labels"]), HEAD),
    Task(
        "ModernBertForMultipleChoice",
        "multiple-choice",
        lambda c: head(c, 1, select=pooling(c, "first shown")),
        HEAD,
    ),
)
FAMILY = Family(
    "modernbert",
    "model.",
    spec,
    lambda c: NAMES,
    TASKS,
    {
        "vocab_size": 50368,
        "hidden_size": 768,
        "intermediate_size": 1152,
        "num_hidden_layers": 22,
        "num_attention_heads": 12,
        "hidden_activation": "gelu",
        "max_position_embeddings": 8192,
        "initializer_range": 0.02,
        "initializer_cutoff_factor": 2.0,
        "norm_eps": 1e-5,
        "norm_bias": False,
        "pad_token_id": 50283,
        "eos_token_id": 50282,
        "bos_token_id": 50281,
        "cls_token_id": 50281,
        "sep_token_id": 50282,
        "global_rope_theta": 160000.0,
        "local_rope_theta": 10000.0,
        "attention_bias": False,
        "attention_dropout": 0.0,
        "global_attn_every_n_layers": 3,
        "local_attention": 128,
        "embedding_dropout": 0.0,
        "mlp_bias": False,
        "mlp_dropout": 0.0,
        "decoder_bias": True,
        "classifier_pooling": "cls",
        "classifier_dropout": 0.0,
        "classifier_bias": False,
        "classifier_activation": "gelu",
        "deterministic_flash_attn": False,
        "sparse_prediction": False,
        "sparse_pred_ignore_index": -100,
        "repad_logits_with_grad": False,
        "tie_word_embeddings": True,
    },
    tokenizer="json",
    aliases={"rope_theta": "global_rope_theta"},
    fixed={"sparse_pred_ignore_index": -100},
    optional=("local_rope_theta", "initializer_cutoff_factor", "layer_types", "rope_parameters", "rope_scaling"),
)
