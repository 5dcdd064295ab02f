"""Tokenizers: text to ids and back, for every kind the classic families use."""

from lamina.tokenizers.encoding import BatchEncoding
from lamina.tokenizers.tokenizer import Tokenizer

__all__ = ["BatchEncoding", "Tokenizer"]
