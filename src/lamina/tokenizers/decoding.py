"""From tokens back to text, for kinds that cut text in Python, and the spaces that English does not want."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

from lamina.errors import TokenizerError

if TYPE_CHECKING:
    from lamina.tokenizers.tokenizer import Tokenizer

UNWANTED = (
    (" .", "."),
    (" ?", "?"),
    (" !", "!"),
    (" ,", ","),
    (" ' ", "'"),
    (" n't", "n't"),
    (" 'm", "'m"),
    (" 's", "'s"),
    (" 've", "'ve"),
    (" 're", "'re"),
)


def read_ids(value: Any) -> list[int]:
    """One row of ids out of a number, a list, an array or a tensor."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    ids = [value] if isinstance(value, int) else list(value)
    if ids and isinstance(ids[0], list | tuple):
        raise TokenizerError("decode takes one row of ids; for several rows use batch_decode.")
    try:
        ids = [operator.index(index) for index in ids]
    except TypeError as error:
        raise TokenizerError(f"decode takes ids, which are whole numbers: {error}.") from error
    if ids and not 0 <= min(ids) <= max(ids) < 2**32:
        raise TokenizerError(
            f"{min(ids) if min(ids) < 0 else max(ids)} is no token id. Replace labels of -100 by the pad id."
        )
    return ids


def clean_up(text: str) -> str:
    """Remove the spaces before punctuation and English contractions."""
    for spaced, wanted in UNWANTED:
        text = text.replace(spaced, wanted)
    return text


def join_pieces(tokenizer: Tokenizer, ids: list[int], skip_special: bool, spaces: bool, source: bool) -> str:
    """The text of ids, with tokens added later set apart as they stand."""
    splitter = tokenizer._assembly.splitter
    assert splitter is not None
    special = set(tokenizer.all_special_tokens)
    apart = tokenizer.added_tokens_encoder.keys() - special
    size = tokenizer.vocab_size
    apart |= {token for token in tokenizer.additional_special_tokens if (tokenizer._id(token) or 0) >= size}
    texts: list[str] = []
    run: list[str] = []
    for token in tokenizer.convert_ids_to_tokens(ids, skip_special_tokens=skip_special):
        token = token if token is not None else tokenizer.unk_token or ""
        if skip_special and token in special:
            continue
        if token in apart:
            texts += [splitter.join(run, special, source)] if run else []
            texts.append(token)
            run = []
        else:
            run.append(token)
    if run:
        texts.append(splitter.join(run, special, source))
    return (" " if spaces else "").join(texts)
