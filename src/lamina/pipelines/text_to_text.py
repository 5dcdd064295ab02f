"""A text made from a text: by whatever the model was trained for, or as a summary."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch

from ..errors import PipelineError
from ..files.shown import shown
from .checks import Advice, checked_count, checked_text
from .chunks import cut_into_windows
from .encoding import check_tokenizer_arguments, encode_texts, tokenizer_call
from .generating import GeneratingPipeline, GeneratingSettings
from .limits import longest_row, truncation_length
from .rows import Row
from .sentences import join_windows
from .sources import gathered
from .written import Written

SOURCE_READERS = ("encoder_repetition_penalty", "encoder_no_repeat_ngram_size")  # to which padding would count


@dataclass(frozen=True)
class TextToTextSettings(GeneratingSettings):
    """What a caller may ask of a model with an encoder."""

    chunk: str | None = None
    chunk_length: int | None = None  # most tokens of a window; None: as many as the model reads
    stride: int = 0  # sentences of a window that the next one repeats
    src_lang: str | None = None
    tgt_lang: str | None = None


class Text2TextGenerationPipeline(GeneratingPipeline[TextToTextSettings]):
    """A text for a text: `[{"generated_text": ...}]`.

    `return_tensors=True` gives token ids in place of texts. `truncation` and `tokenizer_encode_kwargs` go to the
    tokenizer, `prefix` stands before every text in place of the one that the model's config may name; all else are
    options of generation. Without any, four beams write up to 256 tokens, unless the model's generation_config or its
    `task_specific_params` say otherwise.
    """

    kinds: ClassVar[tuple[str, ...]] = ("seq2seq-lm",)
    loader: ClassVar[str] = "AutoModelForSeq2SeqLM"
    usual: ClassVar[Mapping[str, Any]] = {"max_new_tokens": 256, "num_beams": 4}
    written_as: ClassVar[str] = "generated"  # what stands before _text and _token_ids

    def defaults(self) -> TextToTextSettings:
        """Texts."""
        return TextToTextSettings()

    def settle(
        self,
        *,
        return_tensors: bool | None = None,
        return_text: bool | None = None,
        return_type: int | str | None = None,
        clean_up_tokenization_spaces: bool | None = None,
        truncation: bool | str | None = None,
        stop_sequence: str | None = None,
        prefix: str | None = None,
        tokenizer_encode_kwargs: Mapping[str, Any] | None = None,
        **generation: Any,
    ) -> TextToTextSettings:
        """The settings with these options."""
        settings = self.settings
        if return_type is not None:
            return_tensors = self._tensors(return_type)
        if return_tensors and return_text:
            raise PipelineError(f"{self.task}: return_text and return_tensors exclude each other; pass one of them")
        if return_tensors is not None:
            settings = replace(settings, tensors=bool(return_tensors))
        if clean_up_tokenization_spaces is not None:
            settings = replace(settings, clean_up=clean_up_tokenization_spaces)
        if prefix is not None:
            settings = replace(settings, prefix=prefix)
        check_tokenizer_arguments(self.task, tokenizer_encode_kwargs or {})
        settings = self.tokenizing(settings, tokenizer_encode_kwargs, truncation=truncation)
        return self.generation(settings, self.stopping_at(stop_sequence, generation))

    def _tensors(self, kind: Any) -> bool:
        """Whether a return_type, by its name or the reference's number, means tensors."""
        value = getattr(kind, "value", kind)
        name = value.lower() if isinstance(value, str) else value
        if isinstance(value, bool) or name not in ("tensors", "text", 0, 1):
            raise PipelineError(f"{self.task}: return_type is {shown(kind)}; it must be tensors or text")
        return name in ("tensors", 0)

    def __call__(
        self, inputs: Any, *, batch_size: int | None = None, num_workers: int | None = None, **options: Any
    ) -> Any:
        """Texts for a text, a list of texts or a stream; a list with one text for each gives a flat list."""
        inputs = gathered(inputs)
        answer = super().__call__(inputs, batch_size=batch_size, num_workers=num_workers, **options)
        if isinstance(inputs, list) and all(len(records) == 1 for records in answer):
            return [records[0] for records in answer]
        return answer

    def parse(self, item: Any, settings: TextToTextSettings) -> str:
        """A text, which may be empty: the model then reads its special tokens alone."""
        return checked_text(item, empty=True)

    def encode(self, items: Sequence[str], settings: TextToTextSettings) -> list[list[Row]]:
        """One row for each text, or one for each window of it; a row's memory is its window."""
        limit = self._window(settings)
        led = [self.led(item, settings) for item in items]
        groups = [[row] for row in self._rows(led, settings)]
        for number, (row,) in enumerate(groups):
            if limit is not None and len(row) > limit:
                groups[number] = self._windows(*led[number], limit, settings)
        return groups

    def led(self, text: str, settings: TextToTextSettings) -> tuple[str, str]:
        """What stands before a text, or before every window of it, and the text."""
        return self.prefix(settings), text

    def _rows(self, led: Sequence[tuple[str, str]], settings: TextToTextSettings) -> list[Row]:
        call = tokenizer_call(self.tokenizer, self.model, settings.tokenizer)
        found = encode_texts(self.tokenizer, [lead + text for lead, text in led], None, call)
        kept = ("input_ids", "attention_mask")
        return [
            Row({name: row.inputs[name] for name in kept if name in row.inputs}, text)
            for row, (_, text) in zip(found, led, strict=True)
        ]

    def _windows(self, lead: str, text: str, limit: int, settings: TextToTextSettings) -> list[Row]:
        """Rows of at most `limit` tokens for the sentences of a long text."""

        def count(texts: list[str]) -> list[int]:
            return [len(row) for row in self._rows([(lead, part) for part in texts], settings)]

        windows = cut_into_windows(text, limit, count, settings.stride)
        return self._rows([(lead, window) for window in windows], settings)

    def _window(self, settings: TextToTextSettings) -> int | None:
        """The most tokens of a row before its text is cut into windows; None where it never is."""
        if settings.chunk is None:
            return None
        limits = (settings.chunk_length, truncation_length(self.tokenizer, self.model), longest_row(self.model))
        return min((limit for limit in limits if limit is not None), default=None)

    def company(self, row: Row, settings: TextToTextSettings) -> Hashable:
        """Any source, or equally long ones where an option judges the source."""
        config = settings.config
        judged = any(getattr(config, name) not in (None, config.defaults()[name]) for name in SOURCE_READERS)
        return len(row) if judged else None

    def room(self, row: Row, settings: TextToTextSettings) -> dict[str, Any]:
        """As long as it likes: `generate` ends a sequence with the decoder's positions."""
        return {}

    def answer(
        self, item: str, rows: list[Row], found: list[Written], settings: TextToTextSettings
    ) -> list[dict[str, Any]]:
        """A record for each sequence; with `chunks`, how many windows it was made of, where that is not one."""
        records: list[dict[str, Any]] = []
        for number in range(min(len(written.sequences) for written in found)):
            parts = [written.sequences[number] for written in found]
            if settings.tensors:
                ids = torch.tensor([token for part in parts for token in part])
                records.append({f"{self.written_as}_token_ids": ids})
            else:
                texts = [self._decoded(part, settings) for part in parts]
                text = texts[0] if len(texts) == 1 else join_windows(texts, [row.memory for row in rows])
                records.append({f"{self.written_as}_text": text, **(found[0].more[number] if len(parts) == 1 else {})})
            if len(parts) > 1:
                records[-1]["chunks"] = len(parts)
        return records

    def _decoded(self, ids: list[int], settings: TextToTextSettings) -> str:
        return self.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=settings.clean_up)


class SummarizationPipeline(Text2TextGenerationPipeline):
    """A summary: `[{"summary_text": ...}]`; options as in Text2TextGenerationPipeline.

    `chunk="sentences"` reads a text that is longer than the model in windows of whole sentences and joins their
    summaries; the answer then says in `chunks` how many there were. `chunk_length` is the most tokens of a window and
    `stride` how many sentences of a window the next one repeats.
    """

    written_as: ClassVar[str] = "summary"
    advice: ClassVar[tuple[Advice, ...]] = (
        ("chunk", "sentences", "to read it in windows of whole sentences"),
        *Text2TextGenerationPipeline.advice,
    )

    def settle(
        self, *, chunk: str | None = None, chunk_length: int | None = None, stride: int | None = None, **options: Any
    ) -> TextToTextSettings:
        """The settings with these options; the others are those of Text2TextGenerationPipeline."""
        return chunked(self.task, super().settle(**options), chunk, chunk_length, stride)


def chunked(
    task: str, settings: TextToTextSettings, chunk: str | None, length: int | None, stride: int | None
) -> TextToTextSettings:
    """`settings` with what is to be done with a text that is too long."""
    if chunk not in (None, "sentences"):
        raise PipelineError(f'{task}: chunk is {chunk!r}; it must be None or "sentences"')
    if chunk is not None:
        settings = replace(settings, chunk=chunk)
    if (length is not None or stride) and settings.chunk is None:
        raise PipelineError(f'{task}: chunk_length and stride say how a text is cut; pass chunk="sentences" too')
    if length is not None:
        settings = replace(settings, chunk_length=checked_count(task, "chunk_length", length))
    if stride is not None:
        settings = replace(settings, stride=checked_count(task, "stride", stride, 0))
    return settings
