"""Vectors compared, searched, cut and quantized: the functions that sentence-transformers calls `util`.

Vectors are tensors, arrays, or lists of either, [vectors, width]; a single one, [width], counts as a matrix of one row.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import PipelineError
from ..files.shown import shown

PRECISIONS = ("float32", "int8", "uint8", "binary", "ubinary")
FEW = 100  # vectors that are too few to say how large numbers get
logger = logging.getLogger("lamina")

Score = Callable[[Any, Any], Tensor]


def as_tensor(vectors: Any) -> Tensor:
    """Vectors as a tensor of the same numbers."""
    if isinstance(vectors, list | tuple) and vectors and isinstance(vectors[0], Tensor):
        return torch.stack([*vectors])
    return vectors if isinstance(vectors, Tensor) else torch.as_tensor(np.asarray(vectors))


def as_matrix(vectors: Any) -> Tensor:
    """The same, and one vector as a matrix with one row."""
    found = as_tensor(vectors)
    return found[None] if found.dim() == 1 else found


def _matrices(a: Any, b: Any) -> tuple[Tensor, Tensor]:
    first, second = as_matrix(a), as_matrix(b)
    if first.shape[-1] != second.shape[-1] and len(first) and len(second):
        raise PipelineError(
            f"vectors of {first.shape[-1]} and of {second.shape[-1]} numbers cannot be compared: make both with one "
            "model and one truncate_dim"
        )
    return first, second


def normalize_embeddings(embeddings: Any) -> Tensor:
    """Rows scaled to length one."""
    return torch.nn.functional.normalize(as_matrix(embeddings), p=2, dim=1)


def cos_sim(a: Any, b: Any) -> Tensor:
    """Cosines of all of `a` with all of `b`, [a, b]."""
    first, second = _matrices(a, b)
    return normalize_embeddings(first) @ normalize_embeddings(second).T


def dot_score(a: Any, b: Any) -> Tensor:
    """Dot products of all of `a` with all of `b`, [a, b]."""
    first, second = _matrices(a, b)
    return first @ second.T


def euclidean_sim(a: Any, b: Any) -> Tensor:
    """Negative distances of all of `a` from all of `b`, [a, b]."""
    return -torch.cdist(*_matrices(a, b), p=2.0)


def manhattan_sim(a: Any, b: Any) -> Tensor:
    """Negative sums of absolute differences of all of `a` from all of `b`, [a, b]."""
    return -torch.cdist(*_matrices(a, b), p=1.0)


def pairwise_cos_sim(a: Any, b: Any) -> Tensor:
    """Cosine of each of `a` with its partner in `b`, [a]."""
    return pairwise_dot_score(normalize_embeddings(a), normalize_embeddings(b))


def pairwise_dot_score(a: Any, b: Any) -> Tensor:
    """Dot product of each of `a` with its partner in `b`, [a]."""
    return (as_tensor(a) * as_tensor(b)).sum(-1)


def pairwise_euclidean_sim(a: Any, b: Any) -> Tensor:
    """Negative distance of each of `a` from its partner in `b`, [a]."""
    return -(as_tensor(a) - as_tensor(b)).square().sum(-1).sqrt()


def pairwise_manhattan_sim(a: Any, b: Any) -> Tensor:
    """Negative sum of absolute differences of each of `a` from its partner in `b`, [a]."""
    return -(as_tensor(a) - as_tensor(b)).abs().sum(-1)


SIMILARITIES: Mapping[str, tuple[Score, Score]] = {  # of all with all, and of each with its partner
    "cosine": (cos_sim, pairwise_cos_sim),
    "dot": (dot_score, pairwise_dot_score),
    "euclidean": (euclidean_sim, pairwise_euclidean_sim),
    "manhattan": (manhattan_sim, pairwise_manhattan_sim),
}


class SimilarityFunction(Enum):
    """The similarities by name; wherever one is asked for, its plain name does as well."""

    COSINE = "cosine"
    DOT_PRODUCT = "dot"
    DOT = "dot"
    EUCLIDEAN = "euclidean"
    MANHATTAN = "manhattan"

    @staticmethod
    def to_similarity_fn(similarity_function: str | SimilarityFunction) -> Score:
        """The function that compares all with all."""
        return SIMILARITIES[similarity_name(similarity_function)][0]

    @staticmethod
    def to_similarity_pairwise_fn(similarity_function: str | SimilarityFunction) -> Score:
        """The function that compares each with its partner."""
        return SIMILARITIES[similarity_name(similarity_function)][1]

    @staticmethod
    def possible_values() -> list[str]:
        """All names."""
        return list(SIMILARITIES)


def similarity_name(asked: Any) -> str:
    """The name of a similarity that is known; PipelineError for any other."""
    name = getattr(asked, "value", asked)
    if not isinstance(name, str) or name not in SIMILARITIES:
        raise PipelineError(f"similarity_fn_name is {shown(asked)}; known are {', '.join(SIMILARITIES)}")
    return name


def truncate_embeddings(embeddings: Any, truncate_dim: int | None) -> Any:
    """The first numbers of each vector."""
    return embeddings[..., :truncate_dim]


def semantic_search(
    query_embeddings: Any,
    corpus_embeddings: Any,
    query_chunk_size: int = 100,
    corpus_chunk_size: int = 500_000,
    top_k: int = 10,
    score_function: Score = cos_sim,
) -> list[list[dict[str, Any]]]:
    """The `top_k` vectors of the corpus nearest to each query: `[{"corpus_id": 3, "score": 0.9}, ...]`, best first.

    Exact: every query is compared with all of the corpus, `query_chunk_size` times `corpus_chunk_size` pairs at once.
    """
    if top_k < 1 or query_chunk_size < 1 or corpus_chunk_size < 1:
        raise PipelineError("top_k and the sizes of chunks must be whole numbers of at least 1")
    queries, corpus = as_matrix(query_embeddings), as_matrix(corpus_embeddings)
    queries = queries.to(corpus.device)
    found: list[list[dict[str, Any]]] = []
    for start in range(0, len(queries), query_chunk_size):
        part = queries[start : start + query_chunk_size]
        scores, ids = torch.empty(len(part), 0), torch.empty(len(part), 0, dtype=torch.long)
        for first in range(0, len(corpus), corpus_chunk_size):
            more = score_function(part, corpus[first : first + corpus_chunk_size]).cpu()
            best = more.topk(min(top_k, more.shape[1]))
            scores = torch.cat([scores, best.values.to(torch.float32)], 1)
            ids = torch.cat([ids, best.indices + first], 1)
        order = scores.sort(dim=1, descending=True, stable=True).indices[:, :top_k]
        for row, chosen in enumerate(order.tolist()):
            found.append([{"corpus_id": int(ids[row, n]), "score": float(scores[row, n])} for n in chosen])
    return found


def paraphrase_mining(
    model: Any,
    sentences: list[str],
    show_progress_bar: bool = False,
    batch_size: int | None = None,
    query_chunk_size: int = 5000,
    corpus_chunk_size: int = 100_000,
    max_pairs: int = 500_000,
    top_k: int = 100,
    score_function: Score = cos_sim,
    truncate_dim: int | None = None,
    prompt_name: str | None = None,
    prompt: str | None = None,
) -> list[list[Any]]:
    """Pairs of sentences that are most alike, `[[0.9, 0, 7], ...]`, best first."""
    embeddings = model.encode(
        sentences,
        show_progress_bar=show_progress_bar,
        batch_size=batch_size,
        convert_to_tensor=True,
        truncate_dim=truncate_dim,
        prompt_name=prompt_name,
        prompt=prompt,
    )
    chunks = {"query_chunk_size": query_chunk_size, "corpus_chunk_size": corpus_chunk_size}
    return paraphrase_mining_embeddings(
        embeddings, **chunks, max_pairs=max_pairs, top_k=top_k, score_function=score_function
    )


def paraphrase_mining_embeddings(
    embeddings: Any,
    query_chunk_size: int = 5000,
    corpus_chunk_size: int = 100_000,
    max_pairs: int = 500_000,
    top_k: int = 100,
    score_function: Score = cos_sim,
) -> list[list[Any]]:
    """The same of vectors: each is compared with all others, and has at most `top_k` partners."""
    near = semantic_search(embeddings, embeddings, query_chunk_size, corpus_chunk_size, top_k + 1, score_function)
    best: dict[tuple[int, int], float] = {}
    for one, partners in enumerate(near):
        for partner in partners:
            other = partner["corpus_id"]
            if one != other:
                best.setdefault((min(one, other), max(one, other)), partner["score"])
    ordered = sorted(best.items(), key=lambda item: (-item[1], item[0]))
    return [[score, *pair] for pair, score in ordered[:max_pairs]]


def quantize_embeddings(
    embeddings: Any, precision: str = "float32", ranges: Any = None, calibration_embeddings: Any = None
) -> Any:
    """Vectors in a smaller form, as an array: int8 or uint8 [vectors, width], binary or ubinary [vectors, width / 8].

    int8 and uint8 share each number's range, from `ranges` [2, width], `calibration_embeddings` or the vectors
    themselves, into 256 steps. binary and ubinary keep whether a number is above zero.
    """
    if precision not in PRECISIONS:
        raise PipelineError(f"precision is {shown(precision)}; for vectors it must be one of {', '.join(PRECISIONS)}")
    found: Any = as_matrix(embeddings).float().cpu().numpy() if _floats(embeddings) else None
    if found is None:
        raise PipelineError("vectors to quantize must be floating-point numbers, not those quantized before")
    if precision == "float32":
        return found
    if precision.endswith("binary"):
        packed = np.packbits(found > 0, axis=-1)
        return packed if precision == "ubinary" else (packed.astype(np.int16) - 128).astype(np.int8)
    if ranges is None:
        source = found if calibration_embeddings is None else np.asarray(calibration_embeddings)
        if calibration_embeddings is None and len(found) < FEW:
            logger.warning(
                "precision=%r takes the range of each number from %d vectors only: give quantize_embeddings ranges= or "
                "calibration_embeddings=",
                precision,
                len(found),
            )
        ranges = np.stack((source.min(0), source.max(0)))
    low, high = np.asarray(ranges)
    steps = (high - low) / 255
    codes = np.clip(np.floor((found - low) / np.where(steps == 0, 1, steps)), 0, 255)
    return codes.astype(np.uint8) if precision == "uint8" else (codes - 128).astype(np.int8)


def _floats(embeddings: Any) -> bool:
    return as_tensor(embeddings).is_floating_point()
