"""Small tokenizers that many tests share."""

from __future__ import annotations

import pytest

from lamina.tokenizers import Tokenizer
from tests.assets import asset
from tests.tokenizers.kinds import FIXTURES


@pytest.fixture
def bert() -> Tokenizer:
    return Tokenizer.from_folder(asset("minilm"), "bert")


@pytest.fixture
def roberta() -> Tokenizer:
    return Tokenizer.from_folder(FIXTURES / "roberta", "roberta")


@pytest.fixture
def marian() -> Tokenizer:
    return Tokenizer.from_folder(FIXTURES / "marian", "marian")
