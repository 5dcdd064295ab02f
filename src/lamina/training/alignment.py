"""Labels of words carried over to the pieces that a tokenizer cuts them into."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..spec import IGNORED


def align_labels(
    words: Sequence[int | None],
    labels: Sequence[int],
    label_all_tokens: bool = False,
    inner: Mapping[int, int] | None = None,
    before: int | None = None,
) -> list[int]:
    """A label for each piece: -100 for special tokens, the word's own for its first piece.

    A word's other pieces get -100 or, with `label_all_tokens`, the word's label, changed from B-X to I-X where `inner`
    says so: a B- on each would read as so many names. `before` is the word that the previous window ended in.
    """
    out = []
    for word in words:
        if word is None:
            out.append(IGNORED)
            continue
        if word != before:
            out.append(labels[word])
        elif label_all_tokens:
            out.append((inner or {}).get(labels[word], labels[word]))
        else:
            out.append(IGNORED)
        before = word
    return out


def inner_labels(names: Sequence[str]) -> dict[int, int]:
    """For each number of a B-X label that of I-X, where the set has it."""
    index = {name: number for number, name in enumerate(names)}
    pairs = ((number, index.get("I-" + name[2:])) for number, name in enumerate(names) if name.startswith("B-"))
    return {number: other for number, other in pairs if other is not None}
