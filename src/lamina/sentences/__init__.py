"""Sentence embeddings and rerankers, with the names and arguments of sentence-transformers 5.

`from lamina.sentences import SentenceTransformer, CrossEncoder, util, models`: `util` compares and searches vectors,
`models` are the modules that a SentenceTransformer is a chain of.
"""

from __future__ import annotations

from . import modules as models
from . import similarity as util
from .cross_encoder import CrossEncoder
from .modules import Dense, Dropout, LayerNorm, Normalize, Pooling, Transformer, WeightedLayerPooling
from .similarity import (
    SimilarityFunction,
    cos_sim,
    dot_score,
    euclidean_sim,
    manhattan_sim,
    normalize_embeddings,
    pairwise_cos_sim,
    pairwise_dot_score,
    pairwise_euclidean_sim,
    pairwise_manhattan_sim,
    paraphrase_mining,
    paraphrase_mining_embeddings,
    quantize_embeddings,
    semantic_search,
    truncate_embeddings,
)
from .transformer import SentenceTransformer

__all__ = [
    "CrossEncoder",
    "Dense",
    "Dropout",
    "LayerNorm",
    "Normalize",
    "Pooling",
    "SentenceTransformer",
    "SimilarityFunction",
    "Transformer",
    "WeightedLayerPooling",
    "cos_sim",
    "dot_score",
    "euclidean_sim",
    "manhattan_sim",
    "models",
    "normalize_embeddings",
    "pairwise_cos_sim",
    "pairwise_dot_score",
    "pairwise_euclidean_sim",
    "pairwise_manhattan_sim",
    "paraphrase_mining",
    "paraphrase_mining_embeddings",
    "quantize_embeddings",
    "semantic_search",
    "truncate_embeddings",
    "util",
]
