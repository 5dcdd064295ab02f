"""M2M-100 (Fan et al., 2020) and NLLB-200: BART with norms before each branch and sines counted over real tokens."""

from __future__ import annotations

from ..spec import ModelSpec, PaddingAwareSinusoids, Shift
from . import bart
from .family import Config, Family, Task


def spec(c: Config) -> ModelSpec:
    """Both sides; the end of sentence starts a translation, and the code of its language follows."""
    positions = PaddingAwareSinusoids(c["max_position_embeddings"] + 2, c["pad_token_id"])
    shift = Shift(c["pad_token_id"], c["decoder_start_token_id"])
    return bart.spec(c, order="pre-norm", shift=shift, positions=positions, norm=None)


TASKS = (
    Task("M2M100Model", "body"),
    # Its head has no bias, as that of BART's decoder alone.
    Task("M2M100ForConditionalGeneration", "seq2seq-lm", bart.causal_lm, {"head.project": "lm_head"}),
)
FAMILY = Family(
    "m2m_100",
    "model.",
    spec,
    bart.names,
    TASKS,
    {
        **bart.DEFAULTS,
        "vocab_size": 128112,
        "encoder_layerdrop": 0.05,
        "decoder_layerdrop": 0.05,
        "activation_function": "relu",
        "attention_dropout": 0.1,
        "scale_embedding": True,
        "forced_eos_token_id": None,
        "num_labels": 2,
    },
    tokenizer="m2m_100",
    tokenizers={"NllbTokenizer": "nllb"},
    aliases=bart.ALIASES,
    meant=bart.meant,
    fixed={**bart.PRE_NORM, "static_position_embeddings": True},
    fitted=bart.fitted,
    ignored=(*bart.IGNORED, "encoder.embed_positions.weights", "decoder.embed_positions.weights"),
    paired=True,
)
