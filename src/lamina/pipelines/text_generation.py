"""What may follow a text."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, ClassVar

from ..errors import PipelineError
from ..files.shown import shown
from ..inference.rows import Row, checked_text, encode_texts, longest_row, truncation_length
from .base import Settings
from .generating import GeneratingPipeline, Written
from .inputs import Advice
from .options import OPTIONS

NO_CHATS = "the models here were made before chats and have no template for them; write the prompt out as a text"


class TextGenerationPipeline(GeneratingPipeline):
    """Texts that go on from a prompt: `[{"generated_text": ...}]`, as many as `num_return_sequences`.

    `return_full_text=False` leaves the prompt out; `return_tensors=True` gives `generated_token_ids` instead of texts.
    `prefix` stands before every prompt and is not shown. `handle_long_generation="hole"` drops the beginning of a
    prompt that leaves no room. `tokenizer_encode_kwargs`, `truncation`, `padding` and `add_special_tokens` go to the
    tokenizer; all else are options of generation. Without any, up to 256 tokens are sampled at temperature 0.7, unless
    the model's generation_config says otherwise.
    """

    loader: ClassVar[str] = "AutoModelForCausalLM"
    options = OPTIONS["text-generation"]
    usual: ClassVar[Mapping[str, Any]] = {"max_new_tokens": 256, "do_sample": True, "temperature": 0.7}
    judging: ClassVar[tuple[str, ...]] = (
        *("repetition_penalty", "no_repeat_ngram_size", "encoder_repetition_penalty", "encoder_no_repeat_ngram_size"),
        *("bad_words_ids", "sequence_bias", "stop_strings", "min_length", "watermarking_config", "penalty_alpha"),
    )
    reserved: ClassVar[int] = 1  # or nothing could follow
    advice: ClassVar[tuple[Advice, ...]] = (
        ("handle_long_generation", "hole", "to drop its beginning"),
        ("truncation", True, "to cut it off"),
    )

    def settle(self, settings: Settings, given: Mapping[str, Any]) -> Settings:
        """`settings` with what follows from the options; `max_length` also says where `truncation` cuts."""
        if "continue_final_message" in given:
            raise PipelineError(f"{self.task}: continue_final_message is for chats; {NO_CHATS}")
        if "max_length" in given:
            settings = settings.with_values(tokenizer={**settings.tokenizer, "max_length": given["max_length"]})
        return super().settle(self._returning(settings, given), given)

    def _returning(self, settings: Settings, given: Mapping[str, Any]) -> Settings:
        if "return_type" in given:
            kind = given["return_type"]
            return settings.with_values(tensors=kind == "tensors", return_full_text=kind == "full_text")
        other = next((name for name in ("return_text", "return_tensors") if given.get(name)), None)
        if "return_full_text" in given:
            if other is not None:
                raise PipelineError(f"{self.task}: return_full_text and {other} exclude each other; pass one of them")
            return settings.with_values(tensors=False)
        if other or "return_tensors" in given:
            return settings.with_values(tensors=bool(given.get("return_tensors")))
        return settings

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

    def parse(self, item: Any, settings: Any) -> str:
        """A prompt, which may be empty where the model has a token to begin with."""
        if isinstance(item, Mapping) or (isinstance(item, list | tuple) and any(isinstance(m, Mapping) for m in item)):
            raise PipelineError(f"{self.task}: this is a chat, or a message of one; {NO_CHATS}")
        if isinstance(item, str) and not item and not self.prefix(settings) and settings.config.bos_token_id is None:
            raise PipelineError(f"{self.task}: the prompt is empty, and the model has no bos_token_id to begin with")
        return checked_text(item, "the prompt", empty=True)

    def encode(self, items: Sequence[str], settings: Any) -> list[list[Row]]:
        """One row for each prompt; its memory is the text that the row's tokens alone stand for."""
        prefix, call = self.prefix(settings), self.tokenizer_call(settings)
        if call.get("truncation") and settings.tokenizer.get("max_length") is None:
            call["max_length"] = self._cut(call["max_length"], settings)
        rows = encode_texts(self.tokenizer, [prefix + item for item in items], None, call)
        if settings.handle_long_generation:
            rows = [self._shortened(row, settings) for row in rows]
        most = settings.config.max_length if settings.config.max_new_tokens is None else None
        for item, row in zip(items, rows, strict=True):
            if "max_length" in settings.given and most is not None and len(row) >= most:
                raise PipelineError(
                    f"{self.task}: the prompt {shown(item, 50)} has {len(row)} tokens, and max_length is {most}, which "
                    "counts the prompt; raise it, or set max_new_tokens"
                )
        return [[self._remembered(row, settings)] for row in rows]

    def _cut(self, limit: int | None, settings: Any) -> int | None:
        """How long a truncated prompt may be: what the model reads less what it is to write."""
        if limit is None:
            return None
        rest = limit - (settings.config.max_new_tokens or 1)
        return rest if rest > 0 else limit - 1

    def _shortened(self, row: Row, settings: Any) -> Row:
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

    def _remembered(self, row: Row, settings: Any) -> Row:
        """The row with what decoding it gives; an empty one begins with the model's first token."""
        ids = row.inputs["input_ids"]
        if not ids and settings.config.bos_token_id is not None:
            return Row({"input_ids": [settings.config.bos_token_id], "attention_mask": [1]}, "")
        return Row(row.inputs, self.decoded(ids, settings))

    def batch_key(self, row: Row, settings: Any) -> Hashable:
        """Prompts with as much room for an answer; equally long ones where an option judges the prompt."""
        if self._judged(settings.config) or settings.config.max_new_tokens is None:
            return ("tokens", len(row))
        return ("room", self.room(row, settings).get("max_new_tokens"))

    def room(self, row: Row, settings: Any) -> dict[str, Any]:
        limit, config = longest_row(self.model), settings.config
        if limit is None:
            return {}
        if config.max_new_tokens is None:
            return {"max_length": min(config.max_length, limit)} if "max_length" in settings.given else {}
        return {"max_new_tokens": min(config.max_new_tokens, limit - len(row))}

    def answer(self, item: str, rows: list[Row], found: list[Written], settings: Any) -> list[dict[str, Any]]:
        prompt = rows[0].inputs["input_ids"]
        before = item if settings.return_full_text else ""
        records: list[dict[str, Any]] = []
        for new, more in zip(found[0].sequences, found[0].more, strict=True):
            if settings.tensors:
                records.append({"generated_token_ids": [*prompt, *new]})
                continue
            text = self.decoded([*prompt, *new], settings)
            records.append({"generated_text": before + text[len(rows[0].memory) :], **more})
        return records
