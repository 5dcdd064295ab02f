"""What text generation is asked for, and what it tells: options one way, tokens and texts the other."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from ..generation.config import WatermarkingConfig
from ..generation.streaming import Detokenizer
from ..pipelines.base import Prepared
from .answering import Answer, Question
from .dialects import Dialect, inference
from .errors import Invalid
from .models import Served
from .schemas import Parameters, TextGenerationParameters
from .settings import Limits
from .texts import last_tokens
from .wire import as_writing
from .writing import GenerationSpec, Token, Writing

USUAL_TOKENS = 100  # written where nobody says how many
SAMPLING = ("temperature", "top_k", "top_p", "typical_p")  # any of them means that tokens are to be drawn
TASKS = ("text-generation", "text2text-generation", "summarization", "translation")
REFUSED = {
    "grammar": "no model here follows a grammar",
    "adapter_id": "there are no adapters here",
}


def writing_task(served: Served) -> str | None:
    """The task by which a model writes; None where it does not."""
    return next((task for task in served.tasks if task in TASKS), None)


@dataclass(frozen=True)
class WritingRequest:
    """One request for text, as every surface puts it."""

    served: Served
    task: str
    prompts: Sequence[str]
    parameters: Parameters
    limits: Limits
    listening: bool = False  # tokens are told as they come, with their probabilities
    top: int = 0

    @property
    def dialect(self) -> Dialect:
        """In what words the client hears of mistakes."""
        return inference(self.task)

    def question(self) -> Question:
        """What is asked of the model; raises Invalid for what cannot be done."""
        options = self._options()
        if self.listening and self.parameters.given().get("decoder_input_details"):
            raise Invalid(f"{self.task}: decoder_input_details: a stream does not tell the tokens of the prompt")
        if self.listening:
            options.setdefault("num_beams", 1)
        check_lengths(self.served, self.task, options, self.limits)
        given = self.parameters.given()
        wanted = GenerationSpec(
            seed=given.get("seed"),
            logprobs=self.listening or bool(given.get("details")) or given.get("best_of", 1) > 1,
            top=given.get("top_n_tokens", self.top),
            frequency=given.get("frequency_penalty", 0.0),
            presence=given.get("presence_penalty", 0.0),
        )
        question = Question(
            self.served, self.served.pipeline_for(self.task), self.prompts, options, wanted, dialect=self.dialect
        )
        truncate = given.get("truncate")
        if truncate is None:
            return question
        return replace(question, change=partial(_cut, self.served.tokenizer, truncate))

    def _options(self) -> dict[str, Any]:
        if not isinstance(self.parameters, TextGenerationParameters):
            return as_writing(self.parameters)
        options = _generation_options(self.parameters)
        if "max_new_tokens" not in options and "max_length" not in options:
            options["max_new_tokens"] = min(USUAL_TOKENS, self.limits.new_tokens)
        if self.task != "text-generation":
            options.pop("return_full_text", None)
        return options


def _cut(tokenizer: Any, count: int, text: str) -> str:
    return last_tokens(tokenizer, text, count)


def _generation_options(parameters: Parameters) -> dict[str, Any]:
    given = parameters.given()
    for name, why in REFUSED.items():
        if name in given:
            raise Invalid(f"text-generation: {name} is not supported: {why}; leave it out")
    drawn = any(name in given for name in SAMPLING) or given.get("best_of", 1) > 1
    if "best_of" in given and "num_return_sequences" in given:
        raise Invalid("text-generation: best_of returns one text, num_return_sequences several; give one of them")
    options = {name: value for name, value in given.items() if name not in OWN}
    options.setdefault("do_sample", drawn)
    if given.get("temperature") == 0:
        options["do_sample"] = False
    if not options["do_sample"]:
        for name in SAMPLING:
            options.pop(name, None)
    stops = [*given.get("stop", ()), *given.get("stop_sequences", ())]
    if stops:
        options["stop_strings"] = stops
    if given.get("watermark"):
        options["watermarking_config"] = WatermarkingConfig()
    if given.get("best_of", 1) > 1:
        options["num_return_sequences"] = given["best_of"]
    options.setdefault("clean_up_tokenization_spaces", False)
    return options


# Parameters that are not options of the pipeline.
OWN = frozenset(
    {"stop", "stop_sequences", "truncate", "frequency_penalty", "presence_penalty", "watermark", "details"}
    | {"decoder_input_details", "top_n_tokens", "best_of", "grammar", "adapter_id", "seed"}
)


def check_lengths(served: Served, task: str, options: dict[str, Any], limits: Limits) -> None:
    """Refuse texts longer than the server writes; where nobody says how long, that is the most."""
    most = limits.new_tokens
    for name in ("max_new_tokens", "min_new_tokens", "max_length", "min_length"):
        if (options.get(name) or 0) > most:
            raise Invalid(f"{name} is {options[name]}, and {most} tokens are written at most")
    if options.get("max_new_tokens") is None and options.get("max_length") is None:
        config = served.pipeline_for(task).settings.config
        if (config.max_new_tokens or config.max_length or 0) > most:
            options["max_new_tokens"] = most


def token_record(special: Set[int], token: Token, text: str) -> dict[str, Any]:
    """A token as text-generation-inference tells it."""
    return {
        "id": token.id,
        "text": text,
        "logprob": token.logprob,
        "special": token.id in special,
    }


def top_records(tokenizer: Any, special: Set[int], token: Token) -> list[dict[str, Any]]:
    """The likeliest tokens of a step."""
    return [
        token_record(special, Token(id, logprob), tokenizer.decode([id], clean_up_tokenization_spaces=False))
        for id, logprob in token.top
    ]


def token_texts(tokenizer: Any, writing: Writing, prompt: Sequence[int]) -> list[str]:
    """The text of each token of a finished sequence; together they are its whole text."""
    pieces = Detokenizer(tokenizer, prompt)
    found = [pieces.add(token.id) for token in writing.tokens]
    if found:
        found[-1] += pieces.rest()
    return found


def details_of(
    tokenizer: Any, writing: Writing, prompt: Sequence[int], seed: int | None, prefill: bool = False
) -> dict[str, Any]:
    texts = token_texts(tokenizer, writing, prompt)
    special, told = set(tokenizer.all_special_ids), list(zip(writing.tokens, texts, strict=True))
    details: dict[str, Any] = {
        "finish_reason": writing.ending,
        "generated_tokens": len(writing.tokens),
        "seed": seed,
        "prefill": [
            {"id": id, "text": tokenizer.decode([id], clean_up_tokenization_spaces=False), "logprob": None}
            for id in (prompt if prefill else ())
        ],
        "tokens": [token_record(special, token, text) for token, text in told],
    }
    if writing.wanted.top:
        details["top_tokens"] = [top_records(tokenizer, special, token) for token in writing.tokens]
    return details


def likeliest(writings: Sequence[Writing]) -> int:
    """Which of several sequences the model itself finds likeliest, by the mean over its tokens."""
    means = [sum(token.logprob or 0.0 for token in one.tokens) / max(len(one.tokens), 1) for one in writings]
    return means.index(max(means))


def prompt_ids(prepared: Prepared, number: int, paired: bool) -> list[int]:
    """The tokens that the new ones go on from; none where a text is written anew for a source."""
    ids: list[int] = [] if paired else list(prepared.groups[number][0].inputs["input_ids"])
    return ids


def generated(answer: Answer, number: int, parameters: Parameters, tokenizer: Any) -> dict[str, Any]:
    """The record of one input: its best text, and details where they are asked for."""
    given = parameters.given()
    records = answer.answers[number]
    writings = answer.writings[number] if answer.writings else []
    best = likeliest(writings) if given.get("best_of", 1) > 1 and writings else 0
    record: dict[str, Any] = {"generated_text": written_text(records[best])}
    if not (given.get("details") or given.get("decoder_input_details")):
        return record
    if not writings:
        raise Invalid("details are told of texts that are written token by token; set num_beams to 1")
    paired = bool(writings[0].job.model.config.is_encoder_decoder)
    prompt, prefill = prompt_ids(answer.prepared, number, paired), bool(given.get("decoder_input_details"))
    seed = given.get("seed")
    record["details"] = details_of(tokenizer, writings[best], prompt, seed, prefill)
    if given.get("best_of", 1) > 1:
        record["details"]["best_of_sequences"] = [
            {"generated_text": written_text(one), **details_of(tokenizer, writing, prompt, seed, prefill)}
            for place, (one, writing) in enumerate(zip(records, writings, strict=True))
            if place != best
        ]
    return record


def written_text(record: dict[str, Any]) -> str:
    """The text of a record, by whichever name its task gives it."""
    text: str = next(value for name, value in record.items() if name.endswith("_text"))
    return text
