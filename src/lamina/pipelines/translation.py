"""A text in another language."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar

from ..errors import PipelineError
from .checks import Advice, checked_count
from .languages import MARK, MARK_BEFORE, configured_pairs, find_code, listed, marked_languages, task_languages
from .notices import announce
from .rows import Row
from .text_to_text import Text2TextGenerationPipeline, TextToTextSettings, chunked


class TranslationPipeline(Text2TextGenerationPipeline):
    """A translation: `[{"translation_text": ...}]`; options as in Text2TextGenerationPipeline.

    The task may name the languages (`translation_en_to_fr`), as may `src_lang` and `tgt_lang`: mBART needs both, Marian
    models with several targets take `tgt_lang` or a text that begins with `>>fra<<`, T5 the pairs in its config. Models
    for one pair read neither. `chunk="sentences"` translates a text that is longer than the model, or than
    `chunk_length` tokens, window by window; the answer then says in `chunks` how many there were.
    """

    written_as: ClassVar[str] = "translation"
    advice: ClassVar[tuple[Advice, ...]] = (
        ("chunk", "sentences", "to translate it in windows of whole sentences"),
        *Text2TextGenerationPipeline.advice,
    )

    def __init__(self, *args: Any, **options: Any):
        self._languages = threading.Lock()
        super().__init__(*args, **options)

    @cached_property
    def _codes(self) -> dict[str, int | None]:
        """The tokenizer's languages, for models that read and write with a code for each."""
        return self.tokenizer.lang_code_to_id

    @cached_property
    def _marks(self) -> dict[str, str]:
        """The languages that a text may ask for with a mark of its own."""
        return marked_languages(self.tokenizer)

    def defaults(self) -> TextToTextSettings:
        """The languages that the task names."""
        source, target = task_languages(self.task)
        settings = super().defaults()
        if self._codes and source and target:
            return replace(
                settings,
                src_lang=find_code(self._codes, source, "the source language of the task"),
                tgt_lang=find_code(self._codes, target, "the target language of the task"),
            )
        return replace(settings, tgt_lang=target if target in self._marks else None)

    def settle(
        self,
        *,
        src_lang: str | None = None,
        tgt_lang: str | None = None,
        chunk: str | None = None,
        chunk_length: int | None = None,
        stride: int | None = None,
        **options: Any,
    ) -> TextToTextSettings:
        """The settings with these options; the others are those of Text2TextGenerationPipeline."""
        if stride is not None and checked_count(self.task, "stride", stride, 0):
            raise PipelineError(f"{self.task}: stride would translate sentences twice; leave it out")
        settings = chunked(self.task, super().settle(**options), chunk, chunk_length, None)
        if src_lang is not None:
            settings = replace(settings, src_lang=self._language("src_lang", src_lang))
        if tgt_lang is not None:
            settings = replace(settings, tgt_lang=self._language("tgt_lang", tgt_lang))
        if self._known_pairs and (settings.src_lang or settings.tgt_lang):
            settings = self._paired(settings)
        settings = self.generation(settings, {})
        if self._codes and settings.tgt_lang and "forced_bos_token_id" not in settings.given:
            settings.config.forced_bos_token_id = self._codes[settings.tgt_lang]
        return settings

    @cached_property
    def _known_pairs(self) -> dict[tuple[str, str], str]:
        return {} if self._codes or self._marks else configured_pairs(self.model.config)

    def _language(self, argument: str, name: str) -> str:
        """A language as this model calls it."""
        if not isinstance(name, str) or not name:
            raise PipelineError(f"{self.task}: {argument} is {name!r}; it must be a language code such as 'en'")
        if self._codes:
            return find_code(self._codes, name, argument)
        if self._marks and argument == "tgt_lang":
            return find_code(self._marks, name.removeprefix(">>").removesuffix("<<"), argument)
        return name

    def _paired(self, settings: TextToTextSettings) -> TextToTextSettings:
        """Both languages, one of them perhaps the task's; refuses a pair that the model's config does not name."""
        source, target = task_languages(self.task)
        source, target = settings.src_lang or source, settings.tgt_lang or target
        if source is None or target is None or (source, target) not in self._known_pairs:
            known = listed(f"{one} to {other}" for one, other in self._known_pairs)
            asked = f"names no {source} to {target}" if source and target else "needs both src_lang and tgt_lang"
            raise PipelineError(f"{self.task}: this model's config {asked}; it names {known}")
        return replace(settings, src_lang=source, tgt_lang=target)

    def _params_name(self, settings: TextToTextSettings) -> str:
        if settings.src_lang and settings.tgt_lang and self._known_pairs:
            return self._known_pairs.get((settings.src_lang, settings.tgt_lang), self.task)
        if self.task == "translation" and self._known_pairs:
            return next(iter(self._known_pairs.values()))
        return self.task

    def parse(self, item: Any, settings: TextToTextSettings) -> str:
        """A text, if it is known what language it is to be translated to."""
        text = super().parse(item, settings)
        if self._codes and not (settings.src_lang and settings.tgt_lang):
            missing = "tgt_lang" if settings.src_lang else "src_lang"
            raise PipelineError(
                f"{self.task}: this model translates between several languages and needs src_lang and tgt_lang; "
                f"{missing} is missing, one of {listed(self._codes)}"
            )
        mark = MARK.match(text) if self._marks else None
        if mark is not None:
            find_code(self._marks, mark.group(1), "the language at the beginning of the text")
        if self._known_pairs and self.task == "translation" and not settings.src_lang:
            name = self._params_name(settings)
            announce(f"No languages were named; the first of this model's config is taken: {name}.")
        return text

    def led(self, text: str, settings: TextToTextSettings) -> tuple[str, str]:
        """What stands before every window of `text`, the mark of the target language included, and the rest of it."""
        prefix, _ = super().led(text, settings)
        mark = MARK_BEFORE.match(text) if self._marks else None
        if mark is not None:
            return prefix + mark.group(), text[mark.end() :]
        return prefix + (f"{self._marks[settings.tgt_lang]} " if self._marks and settings.tgt_lang else ""), text

    def encode(self, items: Sequence[str], settings: TextToTextSettings) -> list[list[Row]]:
        """Rows of each text, read in the source language."""
        with self._reading(settings.src_lang):
            return super().encode(items, settings)

    @contextmanager
    def _reading(self, language: str | None) -> Iterator[None]:
        """The tokenizer turned to this language, where it marks them; one call at a time."""
        if not self._codes or language is None:
            yield
            return
        with self._languages:
            before = self.tokenizer.src_lang
            self.tokenizer.src_lang = language
            try:
                yield
            finally:
                self.tokenizer.src_lang = before
