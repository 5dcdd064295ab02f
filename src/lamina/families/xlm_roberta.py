"""XLM-RoBERTa (Conneau et al., 2019): RoBERTa in a hundred languages, over SentencePiece."""

from __future__ import annotations

from . import roberta
from .family import renamed

FAMILY = renamed(roberta.FAMILY, "xlm-roberta", "Roberta", "XLMRoberta", "xlm_roberta", vocab_size=30522)
