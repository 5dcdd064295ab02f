"""Completions as OpenAI's interface puts them: prompts, choices, log-probabilities and where a text stops."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..files.shown import shown
from ..generation.streaming import StopFilter
from .answering import Answer, Question
from .dialects import OPENAI_COMPLETIONS
from .errors import Invalid
from .generating import WritingRequest, check_lengths, token_texts, writing_task
from .models import Served
from .routes.openai_schemas import CompletionRequest
from .schemas import HARMLESS, TextGenerationParameters
from .settings import Limits
from .wire import read_parameters
from .writing import Token, Writing

USUAL_TOKENS = 16
DIGITS = re.compile("[0-9]{1,9}")
REASONS = {"length": "length", "eos_token": "stop", "stop_sequence": "stop"}
# Options of text generation that are read where a client spreads them beside OpenAI's own.
SPREAD = ("top_k", "typical_p", "repetition_penalty", "no_repeat_ngram_size", "do_sample", "truncate", "watermark",
          "max_new_tokens", "min_new_tokens", "max_time", "stop_sequences")  # fmt: skip
# Options of text generation that clients of the Inference API send here too, about an answer that has another shape.
OF_ANOTHER_SHAPE = (*HARMLESS, "return_full_text", "details", "decoder_input_details")


@dataclass(frozen=True)
class Completion:
    served: Served
    body: CompletionRequest
    prompts: Sequence[str]
    limits: Limits
    id: str = field(default_factory=lambda: f"cmpl-{uuid.uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))

    @property
    def stops(self) -> list[str]:
        """Texts at which to stop, which are not shown."""
        stop = self.body.stop
        found = [stop] if isinstance(stop, str) else list(stop or ())
        return [one for one in found if one] + list(self._spread().get("stop_sequences", ()))

    @property
    def number(self) -> int:
        return self.body.n or 1

    @property
    def written(self) -> int:
        """How many texts are generated for each prompt; the likeliest are shown."""
        return max(self.body.best_of or 1, self.number)

    def question(self, listening: bool = False) -> Question:
        """What is asked of the model."""
        body = self.body
        if body.suffix:
            raise Invalid("suffix is not supported: no model here fills in text between others")
        if body.best_of is not None and body.best_of < self.number:
            raise Invalid(f"best_of ({body.best_of}) must be at least n ({self.number})")
        if listening and self.written > self.number:
            raise Invalid("best_of cannot be streamed: which text is best shows at the end")
        task = writing_task(self.served) or "text-generation"
        parameters = TextGenerationParameters.model_validate(self._parameters())
        asked = WritingRequest(self.served, task, self.prompts, parameters, self.limits, listening=True)
        question = replace(asked.question(), dialect=OPENAI_COMPLETIONS)
        options = {**question.options, **self._bias()}
        check_lengths(self.served, task, options, self.limits)
        return replace(question, options=options, wanted=replace(question.wanted, top=body.logprobs or 0))

    def _spread(self) -> dict[str, Any]:
        """Options of text generation that stand beside OpenAI's own."""
        extra = self.body.model_extra or {}
        known = (*SPREAD, *OF_ANOTHER_SHAPE)
        unknown = [name for name, value in extra.items() if value is not None and name not in known]
        if unknown:
            raise Invalid(
                f"there is no parameter {shown(unknown[0])}; beside OpenAI's own there are {', '.join(SPREAD)}"
            )
        given = {name: extra[name] for name in SPREAD if extra.get(name) is not None}
        return read_parameters("text-generation", given).given() if given else {}

    def _parameters(self) -> dict[str, Any]:
        body, spread = self.body, self._spread()
        spread.pop("stop_sequences", None)
        given: dict[str, Any] = {
            "max_new_tokens": body.max_tokens,
            "temperature": 1.0 if body.temperature is None else body.temperature,
            "top_p": body.top_p,
            "seed": body.seed,
            "frequency_penalty": body.frequency_penalty,
            "presence_penalty": body.presence_penalty,
            "stop": self.stops or None,
            "return_full_text": False,
            "top_k": 0,
        }
        given = {**{name: value for name, value in given.items() if value is not None}, **spread}
        given.setdefault("max_new_tokens", USUAL_TOKENS)
        if given["temperature"] == 0 and self.written > 1:
            raise Invalid("several texts for a prompt need a temperature above zero: they would all be the same")
        return {**given, "num_return_sequences": self.written, "do_sample": given["temperature"] > 0
                and given.get("do_sample", True)}  # fmt: skip

    def _bias(self) -> dict[str, Any]:
        bias = self.body.logit_bias
        if not bias:
            return {}
        most = len(self.served.tokenizer)
        if any(not DIGITS.fullmatch(id) or int(id) >= most for id in bias):
            raise Invalid(f"logit_bias: the keys must be token ids below {most}")
        return {"sequence_bias": [[[int(id)], value] for id, value in bias.items()]}

    def record(self, choices: list[dict[str, Any]], usage: dict[str, int] | None = None) -> dict[str, Any]:
        """A completion, or a piece of one."""
        head = {"id": self.id, "object": "text_completion", "created": self.created, "model": self.served.id}
        return {**head, "choices": choices, **({} if usage is None else {"usage": usage})}

    def whole(self, answer: Answer) -> dict[str, Any]:
        if not answer.writings:
            raise Invalid("this model's options ask for beams, which completions cannot tell; use /generate")
        choices: list[dict[str, Any]] = []
        for number, writings in enumerate(answer.writings):
            ranked = sorted(writings, key=_mean, reverse=True)[: self.number] if self.written > 1 else writings
            prompt = answer.prepared.groups[number][0].inputs["input_ids"]
            choices += [
                self._choice(one, self.prompts[number], prompt, len(choices) + i) for i, one in enumerate(ranked)
            ]
        read = sum(len(row) for row in answer.prepared.rows)
        written = sum(len(one.new) for writings in answer.writings for one in writings)
        return self.record(choices, usage(read, written))

    def _choice(self, writing: Writing, prompt: str, ids: Sequence[int], index: int) -> dict[str, Any]:
        pieces = token_texts(self.served.tokenizer, writing, self.context(writing, ids))
        stop = StopFilter(self.stops)
        text = "".join(stop.add(piece, last=number == len(pieces) - 1) for number, piece in enumerate(pieces))
        shown = prompt if self.body.echo or (self.body.model_extra or {}).get("return_full_text") else ""
        logprobs = None
        if self.body.logprobs is not None:
            logprobs = self.logprobs(writing.tokens, pieces, len(shown))
        reason = "stop" if stop.stopped else REASONS[writing.ending or "length"]
        return {"index": index, "text": shown + text, "logprobs": logprobs, "finish_reason": reason}

    def context(self, writing: Writing, prompt: Sequence[int]) -> Sequence[int]:
        """The tokens that new ones go on from."""
        return () if writing.job.model.config.is_encoder_decoder else prompt

    def logprobs(self, tokens: Sequence[Token], pieces: Sequence[str], offset: int) -> dict[str, Any]:
        offsets = [offset]
        for piece in pieces[:-1]:
            offsets.append(offsets[-1] + len(piece))
        decode = self.served.tokenizer.decode
        return {
            "tokens": list(pieces),
            "token_logprobs": [token.logprob for token in tokens],
            # Of several tokens with one text, half letters for instance, the likeliest counts: the last one in.
            "top_logprobs": [{decode([id]): value for id, value in reversed(token.top)} for token in tokens],
            "text_offset": offsets[: len(pieces)],
        }


def _mean(writing: Writing) -> float:
    return sum(token.logprob or 0.0 for token in writing.tokens) / max(len(writing.tokens), 1)


def usage(read: int, written: int) -> dict[str, int]:
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}
