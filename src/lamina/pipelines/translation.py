"""A text in another language: codes of the tokenizer, Marian's marks in the text, the pairs of a model's config."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any, ClassVar

from ..errors import PipelineError
from ..files.shown import shown
from ..inference.rows import Row
from ..tokenizers.tokenizer import Tokenizer
from .base import Settings, announce
from .inputs import Advice
from .options import OPTIONS
from .text_to_text import Text2TextGenerationPipeline

MARK = re.compile(r">>(.+?)<<")
MARK_BEFORE = re.compile(MARK.pattern + r"\s*")
TASK = re.compile(r"translation_(.+)_to_(.+)")
SHOWN = 250  # codes listed in a message


def task_languages(task: str) -> tuple[str | None, str | None]:
    """The languages that `translation_xx_to_yy` names."""
    found = TASK.fullmatch(task)
    return (found.group(1), found.group(2)) if found else (None, None)


def find_code(known: Iterable[str], name: str, argument: str) -> str:
    """The code that `name` is, or begins: "en" is "en_XX" where no other does. PipelineError lists those known."""
    codes = list(known)
    if name in codes:
        return name
    near = [code for code in codes if code.replace("-", "_").split("_")[0] == name]
    if len(near) == 1:
        return near[0]
    raise PipelineError(
        f"{argument} is {shown(name)}, which this model does not know; it knows {listed(near or codes)}"
    )


def listed(codes: Iterable[str]) -> str:
    """Codes in a message, not endlessly many."""
    known = sorted(codes)
    return ", ".join(known[:SHOWN]) + (f" and {len(known) - SHOWN} more" if len(known) > SHOWN else "")


def marked_languages(tokenizer: Tokenizer) -> dict[str, str]:
    """The languages that a text may begin with, as in `>>fra<< Hello`, and these marks; none where a model has one."""
    found = (MARK.fullmatch(token) for token in tokenizer.get_vocab())
    return {match.group(1): match.group() for match in found if match}


def configured_pairs(config: Any) -> dict[tuple[str, str], str]:
    """The pairs that a model's config gives options for, and under which names."""
    params = getattr(config, "task_specific_params", None) or {}
    pairs = ((task_languages(name), name) for name in params)
    return {(source, target): name for (source, target), name in pairs if source and target}


class TranslationPipeline(Text2TextGenerationPipeline):
    """A translation: `[{"translation_text": ...}]`; options as in Text2TextGenerationPipeline.

    The task may name the languages (`translation_en_to_fr`), as may `src_lang` and `tgt_lang`. Models with a code for
    each language (mBART, M2M-100, NLLB) need both; Marian models with several targets take `tgt_lang` or a text that
    begins with `>>fra<<`, T5 the pairs in its config. Models for one pair read neither. `chunk="sentences"` translates
    a text that is longer than the model, or than `chunk_length` tokens, window by window; the answer then says in
    `chunks` how many there were.
    """

    options = OPTIONS["translation"]
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

    @cached_property
    def _known_pairs(self) -> dict[tuple[str, str], str]:
        return {} if self._codes or self._marks else configured_pairs(self.model.config)

    def defaults(self) -> Settings:
        """The languages that the task names."""
        source, target = task_languages(self.task)
        settings = super().defaults()
        if self._codes and source and target:
            return settings.with_values(
                src_lang=find_code(self._codes, source, "the source language of the task"),
                tgt_lang=find_code(self._codes, target, "the target language of the task"),
            )
        return settings.with_values(tgt_lang=target if target in self._marks else None)

    def settle(self, settings: Settings, given: Mapping[str, Any]) -> Settings:
        if given.get("stride"):
            raise PipelineError(f"{self.task}: stride would translate sentences twice; leave it out")
        named = {name: self._language(name, given[name]) for name in ("src_lang", "tgt_lang") if name in given}
        settings = settings.with_values(**named)
        if self._known_pairs and (settings.src_lang or settings.tgt_lang):
            settings = self._paired(settings)
        settings = super().settle(settings, given)
        if self._codes and settings.tgt_lang and "forced_bos_token_id" not in settings.given:
            settings.config.forced_bos_token_id = self._codes[settings.tgt_lang]
        return settings

    def _language(self, argument: str, name: str) -> str:
        """A language as this model calls it."""
        if not isinstance(name, str) or not name:
            raise PipelineError(f"{self.task}: {argument} is {shown(name)}; it must be a language code such as 'en'")
        if self._codes:
            return find_code(self._codes, name, argument)
        if self._marks and argument == "tgt_lang":
            return find_code(self._marks, name.removeprefix(">>").removesuffix("<<"), argument)
        return name

    def _paired(self, settings: Any) -> Settings:
        """Both languages, one of them perhaps the task's; refuses a pair that the model's config does not name."""
        source, target = task_languages(self.task)
        source, target = settings.src_lang or source, settings.tgt_lang or target
        if source is None or target is None or (source, target) not in self._known_pairs:
            known = listed(f"{one} to {other}" for one, other in self._known_pairs)
            asked = f"names no {source} to {target}" if source and target else "needs both src_lang and tgt_lang"
            raise PipelineError(f"{self.task}: this model's config {asked}; it names {known}")
        found: Settings = settings.with_values(src_lang=source, tgt_lang=target)
        return found

    def _params_name(self, settings: Any) -> str:
        if settings.src_lang and settings.tgt_lang and self._known_pairs:
            return self._known_pairs.get((settings.src_lang, settings.tgt_lang), self.task)
        if self.task == "translation" and self._known_pairs:
            return next(iter(self._known_pairs.values()))
        return self.task

    def parse(self, item: Any, settings: Any) -> str:
        """A text, if it is known what language it is to be translated to."""
        text: str = super().parse(item, settings)
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

    def with_prefix(self, text: str, settings: Any) -> tuple[str, str]:
        """What stands before every window of `text`, the mark of the target language included, and the rest of it."""
        prefix = self.prefix(settings)
        mark = MARK_BEFORE.match(text) if self._marks else None
        if mark is not None:
            return prefix + mark.group(), text[mark.end() :]
        return prefix + (f"{self._marks[settings.tgt_lang]} " if self._marks and settings.tgt_lang else ""), text

    def encode(self, items: Sequence[str], settings: Any) -> list[list[Row]]:
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
