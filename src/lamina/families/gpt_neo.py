"""GPT-Neo (Black et al., 2021): GPT-2 in which every other layer sees a window of tokens, and scores are not scaled."""

from __future__ import annotations

from ..errors import ConfigError
from ..files.shown import shown
from ..spec import BlockSpec, EmbeddingSpec, HeadSpec, LearnedPositions, ModelSpec, NormalInit, StackSpec
from . import gpt2
from .family import Config, Family, Task
from .names import under

MOST_LAYERS = 256


def kinds(c: Config) -> list[str]:
    """How far each layer sees, "global" or "local": `attention_types` lists runs of layers and how often they come."""
    found: list[str] = []
    for run in c["attention_types"]:
        plain = isinstance(run, list | tuple) and len(run) == 2 and isinstance(run[0], list | tuple)
        if not plain or type(run[1]) is not int or not 0 <= run[1] * len(run[0]) <= MOST_LAYERS:
            raise ConfigError(
                f'attention_types holds {shown(run)}; kinds of layers and their count are wanted: [["global"], 12]'
            )
        found += [*run[0]] * run[1]
    return found


def windows(c: Config) -> tuple[int | None, ...]:
    found = c["attention_layers"]
    if len(found) != c["num_layers"] or not all(kind in ("global", "local") for kind in found):
        raise ConfigError(
            f"attention_types and attention_layers stand for {shown(found)}; "
            f'"global" or "local" is wanted for each of {c["num_layers"]} layers'
        )
    return tuple(c["window_size"] - 1 if kind == "local" else None for kind in found)


def spec(c: Config) -> ModelSpec:
    """The body; token types, where given, are read from the token table."""
    width = c["hidden_size"]
    embedding = EmbeddingSpec(
        c["vocab_size"],
        width,
        LearnedPositions(c["max_position_embeddings"]),
        token_types="tokens",
        dropout=c["embed_dropout"],
    )
    block = BlockSpec(
        width,
        c["num_heads"],
        c["intermediate_size"] or 4 * width,
        activation=c["activation_function"],
        eps=c["layer_norm_epsilon"],
        order="pre-norm",
        biased=("out", "up", "down"),
        scale=1.0,
        dropout=c["resid_dropout"],
        attention_dropout=c["attention_dropout"],
    )
    stack = StackSpec(embedding, block, c["num_layers"], final_norm=True, causal=True, windows=windows(c))
    return ModelSpec(decoder=stack, init=NormalInit(c["initializer_range"]))


LAYER = {
    "attn.qkv": "attn.attention.{q_proj,k_proj,v_proj}",
    "attn.out": "attn.attention.out_proj",
    "attn_norm": "ln_1",
    "ffn.up": "mlp.c_fc",
    "ffn.down": "mlp.c_proj",
    "ffn_norm": "ln_2",
}
NAMES = {
    "decoder.embeddings.tokens": "wte",
    "decoder.embeddings.positions": "wpe",
    **under("decoder.layers.*.", "h.*.", LAYER),
    "decoder.norm": "ln_f",
}
TASKS = (
    Task("GPTNeoModel", "body"),
    Task(
        "GPTNeoForCausalLM",
        "causal-lm",
        lambda c: HeadSpec(c["hidden_size"], c["vocab_size"], tied=c["tie_word_embeddings"], bias=False),
        gpt2.LM,
    ),
    Task(
        "GPTNeoForSequenceClassification",
        "sequence-classification",
        lambda c: HeadSpec(c["hidden_size"], c["num_labels"], select="last", bias=False),
        {"head.project": "score"},
    ),
    Task(
        "GPTNeoForTokenClassification",
        "token-classification",
        lambda c: HeadSpec(c["hidden_size"], c["num_labels"], dropout=c["classifier_dropout"]),
        {"head.project": "classifier"},
    ),
    Task(
        "GPTNeoForQuestionAnswering",
        "question-answering",
        lambda c: HeadSpec(c["hidden_size"], 2),
        {"head.project": "qa_outputs"},
    ),
)
FAMILY = Family(
    "gpt_neo",
    "transformer.",
    spec,
    lambda c: NAMES,
    TASKS,
    {
        "vocab_size": 50257,
        "max_position_embeddings": 2048,
        "hidden_size": 2048,
        "num_layers": 24,
        "num_heads": 16,
        "intermediate_size": None,
        "attention_types": [[["global", "local"], 12]],
        "window_size": 256,
        "activation_function": "gelu_new",
        "resid_dropout": 0.0,
        "embed_dropout": 0.0,
        "attention_dropout": 0.0,
        "classifier_dropout": 0.1,
        "layer_norm_epsilon": 1e-5,
        "initializer_range": 0.02,
        "use_cache": True,
        "bos_token_id": 50256,
        "eos_token_id": 50256,
        "tie_word_embeddings": True,
    },
    tokenizer="gpt2",
    aliases={"num_attention_heads": "num_heads", "num_hidden_layers": "num_layers"},
    derived=lambda c: {"attention_layers": kinds(c)},
    optional=("attention_layers",),  # the reference writes it beside the types, and breaks on a null
    ignored=("h.*.attn.attention.bias", "h.*.attn.attention.masked_bias"),
)
