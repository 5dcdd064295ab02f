"""What may follow a text."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from ..errors import PipelineError
from ..files.shown import shown
from .checks import Advice, AdvisedError, checked_text
from .encoding import check_tokenizer_arguments, encode_texts, tokenizer_call
from .generating import GeneratingPipeline, GeneratingSettings
from .limits import longest_row, truncation_length
from .rows import Row
from .written import Written

RETURN_TYPES = ("tensors", "new_text", "full_text")  # in the order of the reference's numbers
# Options that judge a prompt as `generate` gets it: padding before it would count.
PROMPT_READERS = (
    "repetition_penalty",
    "no_repeat_ngram_size",
    "encoder_repetition_penalty",
    "encoder_no_repeat_ngram_size",
    "bad_words_ids",
    "sequence_bias",
    "stop_strings",
    "min_length",
    "watermarking_config",
    "penalty_alpha",
)


@dataclass(frozen=True)
class TextGenerationSettings(GeneratingSettings):
    """What a caller may ask of text generation."""

    clean_up: bool = True
    full_text: bool = True
    skip_special_tokens: bool = True
    hole: bool = False


class TextGenerationPipeline(GeneratingPipeline[TextGenerationSettings]):
    """Texts that go on from a prompt: `[{"generated_text": ...}]`, as many as `num_return_sequences`.

    `return_full_text=False` leaves the prompt out; `return_tensors=True` gives `generated_token_ids` instead of texts.
    `prefix` stands before every prompt and is not shown. `handle_long_generation="hole"` drops the beginning of a
    prompt that leaves no room. `tokenizer_encode_kwargs`, `truncation`, `padding` and `add_special_tokens` go to the
    tokenizer; all else are options of generation. Without any, up to 256 tokens are sampled at temperature 0.7, unless
    the model's generation_config says otherwise.
    """

    kinds: ClassVar[tuple[str, ...]] = ("causal-lm", "aligned-lm", "double-heads")
    loader: ClassVar[str] = "AutoModelForCausalLM"
    usual: ClassVar[Mapping[str, Any]] = {"max_new_tokens": 256, "do_sample": True, "temperature": 0.7}
    advice: ClassVar[tuple[Advice, ...]] = (
        ("handle_long_generation", "hole", "to drop its beginning"),
        ("truncation", True, "to cut it off"),
    )

    def defaults(self) -> TextGenerationSettings:
        """The prompt and what follows it."""
        return TextGenerationSettings()

    def settle(
        self,
        return_full_text: bool | None = None,
        return_tensors: bool | None = None,
        return_text: bool | None = None,
        return_type: int | str | None = None,
        clean_up_tokenization_spaces: bool | None = None,
        prefix: str | None = None,
        handle_long_generation: str | None = None,
        stop_sequence: str | None = None,
        truncation: bool | str | None = None,
        padding: bool | str | None = None,
        add_special_tokens: bool | None = None,
        max_length: int | None = None,
        skip_special_tokens: bool | None = None,
        continue_final_message: bool | None = None,
        tokenizer_encode_kwargs: Mapping[str, Any] | None = None,
        **generation: Any,
    ) -> TextGenerationSettings:
        """The settings with these options; `max_length` also says where `truncation` cuts, as in the reference."""
        if continue_final_message is not None:
            raise PipelineError(f"{self.task}: continue_final_message is for chats; {NO_CHATS}")
        check_tokenizer_arguments(self.task, tokenizer_encode_kwargs or {})
        settings = self._returning(return_full_text, return_tensors, return_text, return_type)
        if clean_up_tokenization_spaces is not None:
            settings = replace(settings, clean_up=clean_up_tokenization_spaces)
        if skip_special_tokens is not None:
            settings = replace(settings, skip_special_tokens=skip_special_tokens)
        if prefix is not None:
            settings = replace(settings, prefix=prefix)
        if handle_long_generation not in (None, "hole"):
            raise PipelineError(
                f'{self.task}: handle_long_generation is {handle_long_generation!r}; it must be None or "hole"'
            )
        if handle_long_generation:
            settings = replace(settings, hole=True)
        named = {"truncation": truncation, "padding": padding, "add_special_tokens": add_special_tokens}
        settings = self.tokenizing(settings, tokenizer_encode_kwargs, max_length=max_length, **named)
        if max_length is not None:
            generation["max_length"] = max_length
        return self.generation(settings, self.stopping_at(stop_sequence, generation))

    def _returning(
        self, full_text: bool | None, tensors: bool | None, text: bool | None, kind: int | str | None
    ) -> TextGenerationSettings:
        """The settings with what is to be returned."""
        if kind is None:
            if full_text is not None and (text or tensors):
                other = "return_text" if text else "return_tensors"
                raise PipelineError(f"{self.task}: return_full_text and {other} exclude each other; pass one of them")
            if text and tensors:
                raise PipelineError(f"{self.task}: return_text and return_tensors exclude each other; pass one of them")
            if full_text is not None:
                return replace(self.settings, tensors=False, full_text=full_text)
            if text or tensors is not None:
                return replace(self.settings, tensors=bool(tensors))
            return self.settings
        value = getattr(kind, "value", kind)
        if isinstance(value, str) and value.lower() in RETURN_TYPES:
            value = RETURN_TYPES.index(value.lower())
        if value not in (0, 1, 2):
            raise PipelineError(f"{self.task}: return_type is {kind!r}; it must be one of {', '.join(RETURN_TYPES)}")
        return replace(self.settings, tensors=value == 0, full_text=value == 2)

    def __call__(
        self,
        inputs: Any = None,
        *,
        text_inputs: Any = None,
        batch_size: int | None = None,
        num_workers: int | None = None,
        **options: Any,
    ) -> Any:
        """Continuations of a prompt, a list of prompts or a stream; `text_inputs` is the reference's name of it."""
        inputs = text_inputs if inputs is None else inputs
        return super().__call__(inputs, batch_size=batch_size, num_workers=num_workers, **options)

    def parse(self, item: Any, settings: TextGenerationSettings) -> str:
        """A prompt, which may be empty where the model has a token to begin with."""
        if isinstance(item, Mapping) or (isinstance(item, list | tuple) and any(isinstance(m, Mapping) for m in item)):
            raise PipelineError(f"{self.task}: this is a chat, or a message of one; {NO_CHATS}")
        if isinstance(item, str) and not item and not self.prefix(settings) and settings.config.bos_token_id is None:
            raise PipelineError(f"{self.task}: the prompt is empty, and the model has no bos_token_id to begin with")
        return checked_text(item, "the prompt", empty=True)

    def encode(self, items: Sequence[str], settings: TextGenerationSettings) -> list[list[Row]]:
        """One row for each prompt; its memory is the text that the row's tokens alone stand for."""
        prefix = self.prefix(settings)
        call = tokenizer_call(self.tokenizer, self.model, settings.tokenizer)
        if call.get("truncation") and settings.tokenizer.get("max_length") is None:
            call["max_length"] = self._cut(call["max_length"], settings)
        rows = encode_texts(self.tokenizer, [prefix + item for item in items], None, call)
        kept = ("input_ids", "attention_mask")
        rows = [Row({name: row.inputs[name] for name in kept if name in row.inputs}) for row in rows]
        if settings.hole:
            rows = [self._holed(row, settings) for row in rows]
        most = settings.config.max_length if settings.config.max_new_tokens is None else None
        for item, row in zip(items, rows, strict=True):
            if "max_length" in settings.given and most is not None and len(row) >= most:
                raise PipelineError(
                    f"{self.task}: the prompt {shown(item, 50)} has {len(row)} tokens, and max_length is {most}, which "
                    "counts the prompt; raise it, or set max_new_tokens"
                )
        return [[self._begun(row, settings)] for row in rows]

    def _cut(self, limit: int | None, settings: TextGenerationSettings) -> int | None:
        """How long a truncated prompt may be: what the model reads less what it is to write."""
        if limit is None:
            return None
        rest = limit - (settings.config.max_new_tokens or 1)
        return rest if rest > 0 else limit - 1

    def _holed(self, row: Row, settings: TextGenerationSettings) -> Row:
        """The row without as much of its beginning as it takes to make room for the answer."""
        limit = truncation_length(self.tokenizer, self.model)
        config = settings.config
        new = config.max_new_tokens if config.max_new_tokens is not None else config.max_length - len(row)
        if limit is None or len(row) + new <= limit:
            return row
        keep = limit - new
        if keep <= 0:
            raise PipelineError(
                f"{self.task}: {new} new tokens leave no room for a prompt in the {limit} that the model has; "
                "set a smaller max_new_tokens"
            )
        return Row({name: values[-keep:] for name, values in row.inputs.items()})

    def _begun(self, row: Row, settings: TextGenerationSettings) -> Row:
        """The row with what decoding it gives; an empty one begins with the model's first token."""
        ids = row.inputs["input_ids"]
        if not ids and settings.config.bos_token_id is not None:
            return Row({"input_ids": [settings.config.bos_token_id], "attention_mask": [1]}, "")
        return Row(row.inputs, self._decoded(ids, settings))

    def _decoded(self, ids: list[int], settings: TextGenerationSettings) -> str:
        return self.tokenizer.decode(
            ids, skip_special_tokens=settings.skip_special_tokens, clean_up_tokenization_spaces=settings.clean_up
        )

    def _check_lengths(self, groups: list[list[Row]], names: Sequence[str]) -> None:
        super()._check_lengths(groups, names)
        limit = longest_row(self.model)
        for group, name in zip(groups, names, strict=True):
            if limit is not None and len(group[0]) == limit:
                raise AdvisedError(
                    f"{name}{self.task}: the prompt has {limit} tokens, all that the model has positions for, and "
                    "nothing can follow it",
                    *self.advice,
                )

    def company(self, row: Row, settings: TextGenerationSettings) -> Hashable:
        """Prompts with as much room for an answer; equally long ones where an option judges the prompt."""
        config, defaults = settings.config, settings.config.defaults()
        judged = any(getattr(config, name) not in (None, defaults[name]) for name in PROMPT_READERS)
        if judged or config.max_new_tokens is None:
            return ("tokens", len(row))
        return ("room", self.room(row, settings).get("max_new_tokens"))

    def room(self, row: Row, settings: TextGenerationSettings) -> dict[str, Any]:
        """No more tokens than the model has positions for."""
        limit, config = longest_row(self.model), settings.config
        if limit is None:
            return {}
        if config.max_new_tokens is None:
            return {"max_length": min(config.max_length, limit)} if "max_length" in settings.given else {}
        return {"max_new_tokens": min(config.max_new_tokens, limit - len(row))}

    def answer(
        self, item: str, rows: list[Row], found: list[Written], settings: TextGenerationSettings
    ) -> list[dict[str, Any]]:
        """A record for each sequence."""
        prompt = rows[0].inputs["input_ids"]
        shown = item if settings.full_text else ""
        records: list[dict[str, Any]] = []
        for new, more in zip(found[0].sequences, found[0].more, strict=True):
            if settings.tensors:
                records.append({"generated_token_ids": [*prompt, *new]})
                continue
            text = self._decoded([*prompt, *new], settings)
            records.append({"generated_text": shown + text[len(rows[0].memory) :], **more})
        return records


NO_CHATS = "the models here were made before chats and have no template for them; write the prompt out as a text"
