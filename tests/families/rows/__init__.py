"""The one table of tiny models: each row a family, a class, what is unusual about its config, and its inputs.

Adding a family means adding its rows here and running `scripts/goldens.py families`.
"""

from __future__ import annotations

from . import decoders, encoders, seq2seq
from .row import Row

FAMILIES: dict[str, list[Row]] = {
    "albert": encoders.ALBERT,
    "bert": encoders.BERT,
    "distilbert": encoders.DISTILBERT,
    "electra": encoders.ELECTRA,
    "roberta": encoders.ROBERTA,
    "camembert": encoders.CAMEMBERT,
    "deberta-v2": encoders.DEBERTA,
    "modernbert": encoders.MODERNBERT,
    "mpnet": encoders.MPNET,
    "rembert": encoders.REMBERT,
    "xlm-roberta": encoders.XLM_ROBERTA,
    "ctrl": decoders.CTRL,
    "openai-gpt": decoders.GPT,
    "gpt2": decoders.GPT2,
    "bloom": decoders.BLOOM,
    "gpt_neo": decoders.GPT_NEO,
    "gpt_neox": decoders.GPT_NEOX,
    "opt": decoders.OPT,
    "transfo-xl": decoders.TRANSFO_XL,
    "bart": seq2seq.BART,
    "mbart": seq2seq.MBART,
    "marian": seq2seq.MARIAN,
    "pegasus": seq2seq.PEGASUS,
    "blenderbot": seq2seq.BLENDERBOT,
    "m2m_100": seq2seq.M2M100,
    "t5": seq2seq.T5,
    "mt5": seq2seq.MT5,
    "umt5": seq2seq.UMT5,
}

ROWS: list[Row] = [row for rows in FAMILIES.values() for row in rows]
