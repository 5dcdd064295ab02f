"""How the clients of each door call the inputs and options of a request: messages speak their words."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from ..errors import LaminaError
from ..pipelines.inputs import AdvisedError, input_name
from .schemas import PARAMETERS

NAME = re.compile("^" + input_name(0).replace("0", r"(\d+)"))


def _none(name: str, value: Any) -> str | None:
    return None


@dataclass(frozen=True)
class Dialect:
    """The field that holds the inputs, and how an option of a pipeline is written; None where there is none."""

    inputs: str = "inputs"
    spelling: Callable[[str, Any], str | None] = _none

    def said(self, error: LaminaError) -> str:
        """What is wrong, with inputs and options as this door writes them."""
        message = error.said(self.spelling) if isinstance(error, AdvisedError) else str(error)
        return NAME.sub(lambda found: f"{self.inputs}[{found[1]}]: ", message)


@cache
def inference(task: str) -> Dialect:
    """The Inference API's: parameters in an object of their own."""
    known = PARAMETERS[task].model_fields

    def spelling(name: str, value: Any) -> str | None:
        written = "truncate" if task == "feature-extraction" and name == "truncation" else name
        return f'"parameters": {{"{written}": {json.dumps(value)}}}' if written in known else None

    return Dialect(spelling=spelling)


def _beside(name: str, value: Any) -> str | None:
    return f'"truncate": {json.dumps(value)}' if name == "truncation" else None


PLAIN = Dialect()
EMBEDDINGS = Dialect(spelling=_beside)  # of text-embeddings-inference, which has its options beside the inputs
RANKING = Dialect("texts", _beside)
OPENAI_EMBEDDINGS = Dialect("input")
OPENAI_COMPLETIONS = Dialect("prompt")
