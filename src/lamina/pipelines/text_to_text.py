"""A text made from a text: by whatever the model was trained for, or as a summary."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import torch

from ..errors import PipelineError
from ..inference.rows import Row, encode_texts, longest_row, truncation_length
from .base import Settings
from .generating import GeneratingPipeline, Written
from .inputs import Advice
from .options import CHUNKING, OPTIONS
from .sentences import cut_into_windows, join_windows


class Text2TextGenerationPipeline(GeneratingPipeline):
    """A text for a text: `[{"generated_text": ...}]`.

    `return_tensors=True` gives token ids in place of texts. `truncation` and `tokenizer_encode_kwargs` go to the
    tokenizer, `prefix` stands before every text in place of the one that the model's config may name; all else are
    options of generation. Without any, four beams write up to 256 tokens, unless the model's generation_config or its
    `task_specific_params` say otherwise.
    """

    loader: ClassVar[str] = "AutoModelForSeq2SeqLM"
    options = OPTIONS["text2text-generation"]
    usual: ClassVar[Mapping[str, Any]] = {"max_new_tokens": 256, "num_beams": 4}
    judging: ClassVar[tuple[str, ...]] = ("encoder_repetition_penalty", "encoder_no_repeat_ngram_size")
    written_as: ClassVar[str] = "generated"  # what stands before _text and _token_ids

    def defaults(self) -> Settings:
        chunking = {name: option.default for name, option in CHUNKING.items()}
        return super().defaults().with_values(**chunking, src_lang=None, tgt_lang=None)

    def settle(self, settings: Settings, given: Mapping[str, Any]) -> Settings:
        tensors = given.get("return_tensors")
        if "return_type" in given:
            tensors = given["return_type"] == "tensors"
            given = {**given, "return_tensors": tensors}
        if tensors is not None:
            settings = settings.with_values(tensors=tensors)
        if (given.get("chunk_length") or given.get("stride")) and settings.chunk is None:
            raise PipelineError(
                f'{self.task}: chunk_length and stride say how a text is cut; pass chunk="sentences" too'
            )
        return super().settle(settings, given)

    def shaped(self, answer: Any, inputs: Any, options: Mapping[str, Any]) -> Any:
        """A list with one text for each input is flat."""
        if isinstance(inputs, list) and all(len(records) == 1 for records in answer):
            return [records[0] for records in answer]
        return answer

    def encode(self, items: Sequence[str], settings: Any) -> list[list[Row]]:
        """One row for each text, or one for each window of it; a row's memory is its window."""
        limit = self._longest_window(settings)
        parts = [self.with_prefix(item, settings) for item in items]
        groups = [[row] for row in self._rows(parts, settings)]
        for number, (row,) in enumerate(groups):
            if limit is not None and len(row) > limit:
                groups[number] = self._windows(*parts[number], limit, settings)
        return groups

    def with_prefix(self, text: str, settings: Any) -> tuple[str, str]:
        """What stands before a text, or before every window of it, and the text."""
        return self.prefix(settings), text

    def _rows(self, parts: Sequence[tuple[str, str]], settings: Any) -> list[Row]:
        texts = [prefix + text for prefix, text in parts]
        rows = encode_texts(self.tokenizer, texts, None, self.tokenizer_call(settings))
        return [replace(row, memory=text) for row, (_, text) in zip(rows, parts, strict=True)]

    def _windows(self, prefix: str, text: str, limit: int, settings: Any) -> list[Row]:
        """Rows of at most `limit` tokens for the sentences of a long text."""

        def count(texts: list[str]) -> list[int]:
            return [len(row) for row in self._rows([(prefix, part) for part in texts], settings)]

        windows = cut_into_windows(text, limit, count, settings.stride)
        return self._rows([(prefix, window) for window in windows], settings)

    def _longest_window(self, settings: Any) -> int | None:
        """The most tokens of a row before its text is cut into windows; None where it never is."""
        if settings.chunk is None:
            return None
        limits = (settings.chunk_length, truncation_length(self.tokenizer, self.model), longest_row(self.model))
        return min((limit for limit in limits if limit is not None), default=None)

    def batch_key(self, row: Row, settings: Any) -> Hashable:
        """Any source, or equally long ones where an option judges the source."""
        return len(row) if self._judged(settings.config) else None

    def answer(self, item: str, rows: list[Row], found: list[Written], settings: Any) -> list[dict[str, Any]]:
        """A record for each sequence; with `chunks`, how many windows it was made of, where that is not one."""
        records: list[dict[str, Any]] = []
        for number in range(min(len(written.sequences) for written in found)):
            parts = [written.sequences[number] for written in found]
            if settings.tensors:
                ids = torch.tensor([token for part in parts for token in part])
                records.append({f"{self.written_as}_token_ids": ids})
            else:
                texts = [self.decoded(part, settings) for part in parts]
                text = texts[0] if len(texts) == 1 else join_windows(texts, [row.memory for row in rows])
                records.append({f"{self.written_as}_text": text, **(found[0].more[number] if len(parts) == 1 else {})})
            if len(parts) > 1:
                records[-1]["chunks"] = len(parts)
        return records


class SummarizationPipeline(Text2TextGenerationPipeline):
    """A summary: `[{"summary_text": ...}]`; options as in Text2TextGenerationPipeline.

    `chunk="sentences"` reads a text that is longer than the model in windows of whole sentences and joins their
    summaries; the answer then says in `chunks` how many there were. `chunk_length` is the most tokens of a window and
    `stride` how many sentences of a window the next one repeats.
    """

    options = OPTIONS["summarization"]
    written_as: ClassVar[str] = "summary"
    advice: ClassVar[tuple[Advice, ...]] = (
        ("chunk", "sentences", "to read it in windows of whole sentences"),
        *Text2TextGenerationPipeline.advice,
    )
