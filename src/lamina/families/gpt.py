"""GPT (Radford et al., 2018): GPT-2 with the norms after each branch and none at the end, and no cache."""

from __future__ import annotations

from ..spec import BlockSpec, EmbeddingSpec, LearnedPositions, ModelSpec, NormalInit, StackSpec
from . import gpt2
from .family import Config, Family, Task
from .names import under

ACTIVATIONS = {"gelu": "gelu_new"}  # what GPT's config calls gelu is the tanh form


def spec(c: Config) -> ModelSpec:
    embedding = EmbeddingSpec(
        c["vocab_size"],
        c["n_embd"],
        LearnedPositions(c["n_positions"]),
        token_types="tokens",
        dropout=c["embd_pdrop"],
    )
    block = BlockSpec(
        c["n_embd"],
        c["n_head"],
        4 * c["n_embd"],
        activation=str(ACTIVATIONS.get(c["afn"], c["afn"])),
        eps=c["layer_norm_epsilon"],
        dropout=c["resid_pdrop"],
        attention_dropout=c["attn_pdrop"],
    )
    stack = StackSpec(embedding, block, c["n_layer"], causal=True)
    return ModelSpec(decoder=stack, init=NormalInit(c["initializer_range"]))


NAMES = {
    "decoder.embeddings.tokens": "tokens_embed",
    "decoder.embeddings.positions": "positions_embed",
    **under("decoder.layers.*.", "h.*.", gpt2.LAYERS),
}
TASKS = (
    Task("OpenAIGPTModel", "body"),
    Task("OpenAIGPTLMHeadModel", "causal-lm", gpt2.lm, gpt2.LM),
    Task("OpenAIGPTDoubleHeadsModel", "double-heads", gpt2.lm, gpt2.DOUBLE, gpt2.choice, config={"num_labels": 1}),
    Task("OpenAIGPTForSequenceClassification", "sequence-classification", gpt2.sentence, {"head.project": "score"}),
)
FAMILY = Family(
    "openai-gpt",
    "transformer.",
    spec,
    lambda c: NAMES,
    TASKS,
    {**gpt2.SIZES, "vocab_size": 40478, "n_positions": 512, "afn": "gelu", "attn_pdrop": 0.1, "use_cache": False},
    tokenizer="gpt",
    aliases=gpt2.ALIASES,
    optional=("summary_last_dropout",),
    ignored=("position_ids", "h.*.attn.bias"),
)
