"""A Trainer whose evaluation writes: predictions are generated ids instead of scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..errors import TrainingError
from .arguments import Seq2SeqTrainingArguments
from .evaluation import Read
from .state import PredictionOutput
from .trainer import Trainer


class Seq2SeqTrainer(Trainer):
    """As Trainer; with `predict_with_generate` metrics get [rows, tokens] of ids, padded with the padding token.

    Options of `evaluate` and `predict` beyond their own, such as `num_beams`, go to `generate`.
    """

    generates = True
    _options: dict[str, Any] = {}  # noqa: RUF012 - replaced, never filled

    def evaluate(
        self,
        eval_dataset: Any = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
        **generation: Any,
    ) -> dict[str, float]:
        """Loss and metrics over a dataset."""
        self._options = self._settled(generation)
        return super().evaluate(eval_dataset, ignore_keys, metric_key_prefix)

    def predict(
        self,
        test_dataset: Any,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "test",
        **generation: Any,
    ) -> PredictionOutput:
        """What the model writes for every row."""
        self._options = self._settled(generation)
        return super().predict(test_dataset, ignore_keys, metric_key_prefix)

    def _settled(self, generation: dict[str, Any]) -> dict[str, Any]:
        args = self.args
        chosen = dict(generation)
        if isinstance(args, Seq2SeqTrainingArguments):
            if "max_length" not in chosen and "max_new_tokens" not in chosen and args.generation_max_length is not None:
                chosen["max_length"] = args.generation_max_length
            if "num_beams" not in chosen and args.generation_num_beams is not None:
                chosen["num_beams"] = args.generation_num_beams
        return {name: value for name, value in chosen.items() if value is not None}

    @property
    def _writes(self) -> bool:
        return isinstance(self.args, Seq2SeqTrainingArguments) and self.args.predict_with_generate

    def filler(self) -> int:
        """Generated ids are padded with the padding token, so that they can be decoded as they are."""
        if not self._writes:
            return super().filler()
        padding: Any = self.model.generation_config.pad_token_id  # type: ignore[union-attr]
        return 0 if padding is None else int(padding)

    def _read(self, ignored: Sequence[str]) -> Read:
        plain = super()._read(ignored)
        if not self._writes or self.args.prediction_loss_only:
            return plain
        generate = getattr(self.model, "generate", None)
        if generate is None:
            raise TrainingError(f"predict_with_generate=True: a {type(self.model).__name__} has no generate()")

        def read(batch: dict[str, Any]) -> tuple[Tensor | None, Any]:
            loss = plain(batch)[0] if "labels" in batch else None
            source = {
                key: batch[key].to(self.args.device)
                for key in ("input_ids", "attention_mask")
                if batch.get(key) is not None
            }
            with torch.no_grad():
                return loss, generate(**source, **self._options)

        return read
