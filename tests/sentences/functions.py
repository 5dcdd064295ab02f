"""What the functions over vectors are asked: a function, which vectors it gets, and its options."""

from __future__ import annotations

from typing import Any

ALL = ("cos_sim", "dot_score", "euclidean_sim", "manhattan_sim")
FUNCTIONS: list[tuple[str, list[str], dict[str, Any]]] = [
    *((name, ["a", "b"], {}) for name in ALL),
    *((name, ["a1", "b"], {}) for name in ALL),
    *((f"pairwise_{name}", ["a", "b7"], {}) for name in ALL),
    ("normalize_embeddings", ["a"], {}),
    ("truncate_embeddings", ["a"], {"truncate_dim": 3}),
    ("semantic_search", ["a", "b"], {"top_k": 3}),
    ("semantic_search", ["a", "b"], {"top_k": 4, "query_chunk_size": 2, "corpus_chunk_size": 7}),
    ("semantic_search", ["a1", "b"], {"top_k": 99}),
    ("paraphrase_mining_embeddings", ["b"], {"top_k": 3}),
    *(
        ("quantize_embeddings", ["b"], {"precision": name})
        for name in ("float32", "int8", "uint8", "binary", "ubinary")
    ),
    ("quantize_embeddings", ["b"], {"precision": "int8", "ranges": [[-0.2] * 12, [0.3] * 12]}),
]
