"""Vectors of texts for every surface that asks for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import PipelineError
from ..pipelines.base import VECTORS
from .answering import Question
from .dialects import EMBEDDINGS, Dialect
from .errors import Invalid
from .models import Served
from .texts import last_tokens

Vector = npt.NDArray[np.float32]


def embeds(served: Served) -> bool:
    """Whether a model makes vectors of texts."""
    return any(task in served.tasks for task in VECTORS)


def vector_question(
    served: Served,
    texts: Sequence[str],
    *,
    normalize: bool = False,
    truncate: bool = True,
    direction: str = "right",
    dimensions: int | None = None,
    prompt_name: str | None = None,
    dialect: Dialect = EMBEDDINGS,
) -> Question:
    """One vector for each text, which comes after the prompt of that name: [hidden], or its first `dimensions` numbers.

    Raises Invalid where the model stores no such prompt.
    """
    pipe = served.embedding()
    options = {"truncate": truncate, "prompt_name": prompt_name}
    change: Callable[[str], str] | None = None
    try:
        if truncate and direction.lower() == "left":
            change = partial(_keep_end, served.tokenizer, pipe.room(pipe.resolve_options(options)))
        else:
            pipe.resolve_options(options)
    except PipelineError as error:
        raise Invalid(f"prompt_name: {error}") from None
    shape = partial(shaped, normalize=normalize, dimensions=dimensions)
    return Question(served, pipe, list(texts), options, change=change, shape=shape, dialect=dialect)


def _keep_end(tokenizer: Any, room: int | None, text: str) -> str:
    return text if room is None else last_tokens(tokenizer, text, room)


def shaped(vectors: Any, normalize: bool = False, dimensions: int | None = None) -> Vector:
    """Vectors along the last axis as numpy has them, cut and scaled to length one as asked."""
    found: Vector = np.asarray(vectors.float() if hasattr(vectors, "float") else vectors, dtype=np.float32)
    if dimensions is not None:
        if dimensions > found.shape[-1]:
            raise Invalid(f"dimensions is {dimensions}, and the model's vectors have {found.shape[-1]} numbers")
        found = found[..., :dimensions]
    if normalize:
        lengths = np.linalg.norm(found, axis=-1, keepdims=True)
        found = found / np.maximum(lengths, 1e-12)
    return np.ascontiguousarray(found)
