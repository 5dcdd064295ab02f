"""What describes a Transformer-XL beside its stack: memories, and a vocabulary cut by frequency."""

from __future__ import annotations

from dataclasses import dataclass

from ...spec import ModelSpec


@dataclass(frozen=True)
class AdaptiveVocabulary:
    """A vocabulary by frequency, cut into clusters, rare ones with narrower tables (Baevski and Auli, 2019)."""

    edges: tuple[int, ...]  # 0, every cutoff, the vocabulary's size
    hidden_size: int
    embedding_size: int  # of the first cluster's table
    divisor: int  # each further table is this many times narrower; 1: one table for all
    tied: bool  # the softmax reads the tables backwards
    tied_projections: tuple[bool, ...]  # and their projections: one answer for each cluster

    @property
    def clusters(self) -> tuple[tuple[int, int], ...]:
        """First id and the one past the last of each cluster."""
        return tuple(zip(self.edges, self.edges[1:], strict=False))

    @property
    def tables(self) -> tuple[tuple[int, int], ...]:
        """Rows and width of each table."""
        if self.divisor == 1:
            return ((self.edges[-1], self.embedding_size),)
        return tuple(
            (end - start, self.embedding_size // self.divisor**i) for i, (start, end) in enumerate(self.clusters)
        )

    @property
    def projected(self) -> bool:
        """Whether a matrix stands between a table and the model's width."""
        return self.divisor > 1 or self.embedding_size != self.hidden_size


@dataclass(frozen=True)
class SegmentSpec(ModelSpec):
    """Transformer-XL (Dai et al., 2019): a decoder of segments that remembers what entered its layers."""

    vocabulary: AdaptiveVocabulary | None = None
    memory_length: int = 0  # tokens remembered
    same_length: bool = False  # every token sees equally many
    farthest: int | None = None  # distances beyond this one look alike
    own_biases: bool = True  # each layer has its own pair of biases for content and distance
    std: float = 0.02  # weights start normal with this deviation,
    reach: float | None = None  # or uniform up to here on both sides
    projection_std: float = 0.01
