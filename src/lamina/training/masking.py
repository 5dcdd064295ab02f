"""Collators for language modeling: masks drawn anew in every batch, of pieces or of whole words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..errors import DataError
from ..spec import IGNORED
from .collators import check_framework, numbers_of, padded, plain

WORDS = "word_ids"  # a column beside input_ids: the word of each piece, -1 or None for special tokens


@dataclass
class DataCollatorForLanguageModeling:
    """Batches for masked (`mlm=True`) or causal language modeling, with the labels that go with them.

    Of the tokens chosen with `mlm_probability`, `mask_replace_prob` become the mask, `random_replace_prob` a random
    token and the rest stay; special tokens are never chosen. Causal labels are the input without its padding; the model
    shifts them. With `whole_word_mask` all pieces of a word are chosen together. A `seed` draws the same masks for the
    same rows, which evaluations need to be comparable.
    """

    tokenizer: Any
    mlm: bool = True
    mlm_probability: float = 0.15
    mask_replace_prob: float = 0.8
    random_replace_prob: float = 0.1
    pad_to_multiple_of: int | None = None
    return_tensors: str = "pt"
    seed: int | None = None
    whole_word_mask: bool = False

    def __post_init__(self) -> None:
        if not self.mlm:
            return
        if self.tokenizer.mask_token_id is None:
            raise DataError("this tokenizer has no mask token; causal language modeling needs mlm=False")
        shares = (self.mlm_probability, self.mask_replace_prob, self.random_replace_prob)
        if min(shares) < 0 or max(shares) > 1 or self.mask_replace_prob + self.random_replace_prob > 1:
            raise DataError(f"mlm_probability, mask_replace_prob and random_replace_prob make no shares: {shares}")

    def __call__(self, features: Sequence[Any], return_tensors: str | None = None) -> dict[str, Tensor]:
        """A batch with `labels` [batch, tokens]; rows may be lists of ids."""
        check_framework(return_tensors or self.return_tensors)
        rows = [dict(row) if isinstance(row, dict) or hasattr(row, "keys") else {"input_ids": row} for row in features]
        for row in rows:
            row.pop("labels", None)
        words = [row.pop(WORDS, None) for row in rows]
        kept = [numbers_of(row) for row in rows]
        specials = [row.pop("special_tokens_mask", None) for row in kept]
        if self.tokenizer.pad_token_id is None and len({len(row["input_ids"]) for row in kept}) == 1:
            batch = {name: torch.tensor([plain(row[name]) for row in kept]) for name in kept[0]}
        else:
            batch = padded(self.tokenizer, kept, True, None, self.pad_to_multiple_of)
        ids = batch["input_ids"]
        if not self.mlm:
            batch["labels"] = self._causal_labels(batch, [len(row["input_ids"]) for row in kept])
            return batch
        special = self._special(ids, specials)
        generator = self._generator(ids)
        groups = self._words(kept, words, ids) if self.whole_word_mask else None
        batch["input_ids"], batch["labels"] = self._masked(ids, special, groups, generator)
        return batch

    def _causal_labels(self, batch: dict[str, Tensor], lengths: list[int]) -> Tensor:
        """The input itself; what was added as padding does not count, an end of text that is also the padding does."""
        ids = batch["input_ids"]
        places = torch.arange(ids.shape[1])
        count = torch.tensor(lengths)[:, None]
        left = self.tokenizer.padding_side == "left"
        real = places >= ids.shape[1] - count if left else places < count
        if "attention_mask" in batch:
            real = real & batch["attention_mask"].bool()
        return ids.masked_fill(~real, IGNORED)

    def _special(self, ids: Tensor, given: list[Any]) -> Tensor:
        """Which places may never be chosen."""
        every = torch.isin(ids, torch.tensor(sorted(self.tokenizer.all_special_ids)))
        for row, mask in enumerate(given):
            if mask is not None:
                count = len(mask)
                left = self.tokenizer.padding_side == "left"
                places = slice(ids.shape[1] - count, None) if left else slice(0, count)
                every[row, places] = torch.as_tensor(plain(mask), dtype=torch.bool)
        return every

    def _generator(self, ids: Tensor) -> torch.Generator | None:
        """Where a seed is given, draws that depend on it and on the batch alone."""
        if self.seed is None:
            return None
        mixed = int((ids.flatten() * torch.arange(1, ids.numel() + 1)).sum()) % (1 << 31)
        return torch.Generator().manual_seed(self.seed * 1_000_003 + mixed)

    def _words(self, rows: list[dict[str, Any]], words: list[Any], ids: Tensor) -> Tensor:
        """The word of each place, counted within its row: [batch, tokens]."""
        out = torch.full_like(ids, -1)
        for number, (row, given) in enumerate(zip(rows, words, strict=True)):
            found = plain(given) if given is not None else self._guessed_words(plain(row["input_ids"]))
            left = self.tokenizer.padding_side == "left"
            start = ids.shape[1] - len(found) if left else 0
            out[number, start : start + len(found)] = torch.tensor([-1 if word is None else word for word in found])
        return out

    def _guessed_words(self, ids: list[int]) -> list[int]:
        """Words by WordPiece's mark for a piece that goes on, for rows that do not carry `word_ids`."""
        tokens = self.tokenizer.convert_ids_to_tokens(ids)
        if not any(token.startswith("##") for token in self.tokenizer.get_vocab()):
            raise DataError(f"whole-word masking needs a {WORDS!r} column beside the ids for this kind of tokenizer")
        word, found = -1, []
        for token in tokens:
            word += not token.startswith("##")
            found.append(word)
        return found

    def _masked(
        self, ids: Tensor, special: Tensor, words: Tensor | None, generator: torch.Generator | None
    ) -> tuple[Tensor, Tensor]:
        """Ids with masks, and labels that count the chosen places only."""
        chance = torch.rand(ids.shape, generator=generator)
        if words is not None:
            # Every piece takes the draw of its word's first piece, so a word is chosen whole or not at all.
            first = (words[:, :, None] == words[:, None, :]).int().argmax(2)
            chance = chance.gather(1, first)
        chosen = (chance < self.mlm_probability) & ~special
        labels = ids.masked_fill(~chosen, IGNORED)
        fate = torch.rand(ids.shape, generator=generator)
        drawn = torch.randint(len(self.tokenizer), ids.shape, generator=generator)
        out = torch.where(chosen & (fate < self.mask_replace_prob), self.tokenizer.mask_token_id, ids)
        random = chosen & (fate >= self.mask_replace_prob) & (fate < self.mask_replace_prob + self.random_replace_prob)
        return torch.where(random, drawn, out), labels

    def torch_mask_tokens(self, inputs: Tensor, special_tokens_mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Masked ids and labels of a batch of ids [batch, tokens]."""
        given = [None] * len(inputs) if special_tokens_mask is None else list(special_tokens_mask)
        return self._masked(inputs, self._special(inputs, given), None, self._generator(inputs))


@dataclass
class DataCollatorForWholeWordMask(DataCollatorForLanguageModeling):
    """Masked language modeling in which all pieces of a word are chosen together, with the same 80/10/10 shares."""

    whole_word_mask: bool = True


def word_column(encoding: Any, row: int = 0) -> list[int]:
    """The `word_ids` of a row of a tokenizer's answer as a column: -1 for special tokens."""
    return [-1 if word is None else word for word in encoding.word_ids(row)]
