"""The most likely tokens for the masks of a text."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from ..errors import PipelineError
from ..files.shown import shown
from ..inference.rows import Batch, Row
from .base import Pipeline, Settings
from .options import OPTIONS

logger = logging.getLogger(__name__)

Guesses = list[tuple[list[float], list[int]]]  # for each mask of a text: scores, token ids


class FillMaskPipeline(Pipeline):
    """Guesses for a masked token, `[{"score", "token", "token_str", "sequence"}]`; several masks give a list of these.

    `top_k` says how many; `targets` limits the guesses to these words (a word outside of the vocabulary stands for its
    first token); `tokenizer_kwargs` go to the tokenizer. With several masks each is guessed as if the others stayed.
    """

    loader: ClassVar[str] = "AutoModelForMaskedLM"
    options = OPTIONS["fill-mask"]
    selected_by: ClassVar[tuple[str, ...]] = ("top_k", "targets")

    def defaults(self) -> Settings:
        if self.tokenizer.mask_token_id is None:
            raise PipelineError(f"{self.task}: the tokenizer has no mask token; set tokenizer.mask_token")
        return super().defaults()

    def settle(self, settings: Settings, given: Mapping[str, Any]) -> Settings:
        most = self.model.config.vocab_size
        if "top_k" in given and given["top_k"] > most:
            raise PipelineError(f"{self.task}: top_k is {given['top_k']} and the vocabulary has only {most} tokens")
        if "targets" in given:
            settings = settings.with_values(targets=self._target_ids(given["targets"]))
        return settings.with_values(tokenizer=given["tokenizer_kwargs"]) if "tokenizer_kwargs" in given else settings

    def shaped(self, answer: Any, inputs: Any, options: Mapping[str, Any]) -> Any:
        """A list of one text is answered as that text itself."""
        return answer[0] if isinstance(inputs, list) and len(inputs) == 1 else answer

    def _target_ids(self, targets: Sequence[str]) -> tuple[int, ...]:
        vocabulary = self.tokenizer.get_vocab()
        found: dict[int, None] = {}
        for target in targets:
            if target in vocabulary:
                found[vocabulary[target]] = None
                continue
            pieces = self.tokenizer(target, add_special_tokens=False)["input_ids"]
            if not pieces:
                logger.warning("the target %s has no tokens in this vocabulary and is left out", shown(target))
                continue
            name = self.tokenizer.convert_ids_to_tokens(pieces[0])
            told = "the target %s is not a token of this vocabulary; its first token %r is used"
            logger.warning(told, shown(target), name)
            found[pieces[0]] = None
        if not found:
            raise PipelineError(f"{self.task}: none of the targets has a token; pass at least one word")
        return tuple(found)

    def encode(self, items: Sequence[str], settings: Any) -> list[list[Row]]:
        groups = super().encode(items, settings)
        for item, (row,) in zip(items, groups, strict=True):
            if not self._masks(row):
                raise PipelineError(f"{self.task}: no mask token ({self.tokenizer.mask_token}) in {shown(item)}")
        return groups

    def _masks(self, row: Row) -> list[int]:
        return [place for place, token in enumerate(row.inputs["input_ids"]) if token == self.tokenizer.mask_token_id]

    def select(self, output: Any, batch: Batch, settings: Any) -> list[Guesses]:
        """The best tokens of each mask of each row; whole vocabularies of scores never leave the device."""
        found: list[Guesses] = []
        for row, logits in zip(batch.rows, batch.own(output.logits), strict=True):
            scores = logits[self._masks(row)].float().softmax(-1)  # [masks, vocabulary]
            if settings.targets is not None:
                scores = scores[:, list(settings.targets)]
            best = scores.topk(min(settings.top_k, scores.shape[-1]))
            found.append(list(zip(best.values.tolist(), best.indices.tolist(), strict=True)))
        return found

    def answer(self, item: str, rows: list[Row], found: list[Guesses], settings: Any) -> Any:
        masks = self._masks(rows[0])
        answers = []
        for place, (scores, numbers) in zip(masks, found[0], strict=True):
            tokens = [settings.targets[number] for number in numbers] if settings.targets else numbers
            guesses = zip(scores, tokens, strict=True)
            answers.append([self._guess(rows[0], place, token, score, len(masks) == 1) for score, token in guesses])
        return answers[0] if len(masks) == 1 else answers

    def _guess(self, row: Row, place: int, token: int, score: float, alone: bool) -> dict[str, Any]:
        """`token` at `place`; special tokens are shown where other masks are left."""
        ids = list(row.inputs["input_ids"])
        ids[place] = token
        ids = [number for number in ids if number != self.tokenizer.pad_token_id]
        filled = self.tokenizer.decode(ids, skip_special_tokens=alone)
        return {"score": score, "token": token, "token_str": self.tokenizer.decode([token]), "sequence": filled}
