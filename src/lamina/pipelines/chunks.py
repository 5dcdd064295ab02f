"""A text too long for the model as windows of whole sentences."""

from __future__ import annotations

from collections.abc import Callable

from ..errors import PipelineError
from ..files.shown import shown
from .sentences import halves, split_sentences

Count = Callable[[list[str]], list[int]]  # tokens of the model's row for each text, prefix and special tokens included


def cut_into_windows(text: str, limit: int, count: Count, repeated: int = 0) -> list[str]:
    """Windows of at most `limit` tokens that together are the text; each begins with `repeated` sentences of the last.

    A sentence that is too long by itself is cut between words, or between characters where it has no spaces. Raises
    PipelineError where not even one character fits.
    """
    fixed = count([""])[0]
    whole = split_sentences(text)
    sentences: list[str] = []
    for sentence, size in zip(whole, count(whole), strict=True):
        sentences += [sentence] if size <= limit else _fitting(sentence, limit, count)
    sizes = [size - fixed for size in count(sentences)]
    windows: list[str] = []
    start, end = 0, 0
    while end < len(sentences):
        first_new, total = end, sum(sizes[start:end])
        while start < first_new and total + sizes[first_new] + fixed > limit:
            total -= sizes[start]
            start += 1
        while end < len(sentences) and (end == first_new or total + sizes[end] + fixed <= limit):
            total += sizes[end]
            end += 1
        # Joined, sentences may have other tokens than alone.
        while end > first_new + 1 and count(["".join(sentences[start:end])])[0] > limit:
            end -= 1
        while start < first_new and count(["".join(sentences[start:end])])[0] > limit:
            start += 1
        windows.append("".join(sentences[start:end]))
        start = max(end - repeated, 0)
    return windows


def _fitting(sentence: str, limit: int, count: Count) -> list[str]:
    """The sentence whole if it fits, else in parts that do."""
    if count([sentence])[0] <= limit:
        return [sentence]
    parts = halves(sentence)
    if parts is None:
        raise PipelineError(f"chunk_length is {limit}, and not even {shown(sentence)} has so few tokens; raise it")
    return [piece for part in parts for piece in _fitting(part, limit, count)]
