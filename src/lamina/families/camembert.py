"""CamemBERT (Martin et al., 2019): RoBERTa in French, over SentencePiece."""

from __future__ import annotations

from . import roberta
from .family import renamed

FAMILY = renamed(roberta.FAMILY, "camembert", "Roberta", "Camembert", "camembert", vocab_size=30522)
