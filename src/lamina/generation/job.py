"""One call of `generate`, resolved: the prompt it goes on from, its processors, when it stops, what it keeps."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ..errors import GenerationError
from ..files.shown import shown
from . import processors as made
from .config import GenerationConfig, several
from .processors import FollowsRows, Own, Processors
from .protocol import (
    Decodable,
    Decodes,
    GenerateBeamDecoderOnlyOutput,
    GenerateBeamEncoderDecoderOutput,
    GenerateDecoderOnlyOutput,
    GenerateEncoderDecoderOutput,
    GenerateOutput,
    State,
    Streamer,
)

Scores = Sequence[Tensor] | None
Criterion = Callable[[Tensor, Scores], "bool | Tensor"]  # (input_ids [rows, tokens], scores so far) -> finished
TOKENS_PER_CHARACTER = 4  # bytes of a character that a byte-level tokenizer may spend a token on, each


@dataclass
class Prompt:
    """Where decoding starts.

    `input_ids` [rows, tokens] is what the caller sees and processors judge, padding included. `tokens` and `lengths`
    are the same rows without their padding. `source_ids` is what was read: the encoder's input, or the prompt itself.
    `types` are the token types of `tokens`, where the caller gave any.
    """

    input_ids: Tensor
    tokens: Tensor
    lengths: Tensor | None
    source_ids: Tensor
    source_mask: Tensor
    types: Tensor | None = None

    @property
    def size(self) -> int:
        return len(self.input_ids)

    @property
    def length(self) -> int:
        """Tokens of a row, padding included."""
        return self.input_ids.shape[1]

    def start(self, model: Decodes, max_length: int) -> State:
        """A state for these sources that has consumed nothing yet."""
        batch = {"input_ids": self.source_ids, "attention_mask": self.source_mask}
        if self.types is not None:
            batch["token_type_ids"] = self.types
        return model.start(batch, max_length)


def right_aligned(ids: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Rows of real tokens only, padded on the right, and their lengths; None where nothing was padded."""
    if mask is None or bool((mask != 0).all()):
        return ids, None
    real = (mask != 0).long()
    lengths = real.sum(1)
    if not bool((lengths > 0).all()):
        rows = (lengths == 0).nonzero()[:, 0].tolist()
        raise GenerationError(f"Rows {rows} of attention_mask hide every token: there is nothing to go on from.")
    order = real.argsort(dim=1, descending=True, stable=True)
    return ids.gather(1, order)[:, : int(lengths.max())], lengths


def prepare(model: Decodes, config: GenerationConfig, given: dict[str, Any]) -> Prompt:
    """The prompt made of `given`: input_ids, attention_mask, token_type_ids and the decoder's own."""
    encoder_decoder = bool(getattr(model.config, "is_encoder_decoder", False))
    ids = as_ids(given.get("input_ids"), "input_ids", model.device)
    if ids is None:
        ids = _from_bos(config, model.device)
    mask = as_mask(given.get("attention_mask"), ids, "attention_mask")
    if mask is None:
        mask = _guessed_mask(ids, config)
    if not encoder_decoder:
        if given.get("decoder_input_ids") is not None:
            raise GenerationError("decoder_input_ids belongs to models with an encoder; pass the prompt as input_ids.")
        tokens, lengths = right_aligned(ids, mask)
        return Prompt(ids, tokens, lengths, ids, mask, _types(given.get("token_type_ids"), ids, mask))
    right_aligned(ids, mask)
    decoder_ids, decoder_mask = _decoder_prompt(config, given, ids)
    tokens, lengths = right_aligned(decoder_ids, decoder_mask)
    return Prompt(decoder_ids, tokens, lengths, ids, mask)


def as_ids(value: Any, name: str, device: torch.device) -> Tensor | None:
    """What a caller passed as ids: [rows, tokens], int64."""
    if value is None:
        return None
    try:
        ids = torch.as_tensor(value, device=device)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        raise GenerationError(
            f"{name} must be a [rows, tokens] tensor of ids, rows of one length, but is {shown(value)}."
        ) from None
    if ids.ndim != 2 or ids.is_floating_point() or ids.is_complex() or ids.dtype == torch.bool:
        raise GenerationError(
            f"{name} must be whole numbers of shape [rows, tokens], but is {ids.dtype} {[*ids.shape]}."
        )
    if 0 in ids.shape:
        raise GenerationError(
            f"{name} is empty (shape {[*ids.shape]}); generation needs at least one token to go on from."
        )
    return ids.long()


def _types(value: Any, ids: Tensor, mask: Tensor) -> Tensor | None:
    """Token types without padding, each row's last one going on to the right."""
    types = as_ids(value, "token_type_ids", ids.device)
    if types is None:
        return None
    if types.shape != ids.shape:
        raise GenerationError(f"token_type_ids has shape {[*types.shape]}, but input_ids has {[*ids.shape]}.")
    types, lengths = right_aligned(types, mask)
    if lengths is None:
        return types
    return types.gather(1, torch.minimum(torch.arange(types.shape[1], device=ids.device), lengths[:, None] - 1))


def as_mask(value: Any, ids: Tensor, name: str) -> Tensor | None:
    if value is None:
        return None
    try:
        mask = torch.as_tensor(value, device=ids.device)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        raise GenerationError(f"{name} must be a [rows, tokens] tensor, but is {shown(value)}.") from None
    if mask.shape != ids.shape:
        raise GenerationError(f"{name} has shape {[*mask.shape]}, but the ids it belongs to have {[*ids.shape]}.")
    return mask


def _from_bos(config: GenerationConfig, device: torch.device) -> Tensor:
    if config.bos_token_id is None:
        raise GenerationError("There is no input, and no bos_token_id to start from; pass input_ids.")
    return torch.tensor([[config.bos_token_id]], device=device)


def _guessed_mask(ids: Tensor, config: GenerationConfig) -> Tensor:
    """Pad tokens count as padding, unless they also end sequences and so may be meant."""
    pad = config.pad_token_id
    if pad is None or pad in several(config.eos_token_id):
        return torch.ones_like(ids)
    return (ids != pad).long()


def _decoder_prompt(config: GenerationConfig, given: dict[str, Any], source: Tensor) -> tuple[Tensor, Tensor | None]:
    """The decoder's first token, or the caller's beginning with that token before it."""
    first = _first_token(config, source)
    ids = as_ids(given.get("decoder_input_ids"), "decoder_input_ids", source.device)
    if ids is None:
        return first, None
    if len(ids) != len(source):
        raise GenerationError(f"decoder_input_ids has {len(ids)} rows, but input_ids has {len(source)}.")
    mask = as_mask(given.get("decoder_attention_mask"), ids, "decoder_attention_mask")
    if bool((ids[:, 0] == first[:, 0]).any()):
        return ids, mask
    if mask is not None:
        mask = torch.cat([torch.ones_like(mask[:, :1]), mask], 1)
    return torch.cat([first, ids], 1), mask


def _first_token(config: GenerationConfig, source: Tensor) -> Tensor:
    token = config.decoder_start_token_id if config.decoder_start_token_id is not None else config.bos_token_id
    if token is None:
        raise GenerationError("decoder_start_token_id is not set, nor bos_token_id: the decoder has no first token.")
    first = torch.tensor(several(token), device=source.device).view(-1, 1)
    if len(first) not in (1, len(source)):
        raise GenerationError(f"decoder_start_token_id names {len(first)} tokens for {len(source)} rows.")
    return first.expand(len(source), 1).clone()


class Stopping:
    """All reasons to stop, asked after every token."""

    def __init__(self, max_length: int, eos: Sequence[int], device: torch.device):
        self.max_length = max_length
        self.eos = torch.tensor(eos, device=device) if eos else None
        self._own: list[Criterion] = []
        self._custom: list[Criterion] = []

    def add(self, criterion: Criterion) -> None:
        self._own.append(criterion)

    def add_custom(self, criteria: Iterable[Criterion]) -> None:
        for criterion in criteria:
            if not callable(criterion):
                raise GenerationError(f"A stopping criterion must be callable, but {shown(criterion)} is not.")
            self._custom.append(criterion)

    @property
    def let_rows_leave(self) -> bool:
        """Whether all of them allow that finished rows are taken out of the batch."""
        return all(isinstance(criterion, FollowsRows) for criterion in self._custom)

    @property
    def by_token_only(self) -> bool:
        """Whether the last token and the length decide everything."""
        return not self._own and not self._custom

    def ends(self, tokens: Tensor) -> Tensor:
        """Which of these tokens end a sequence."""
        if self.eos is None:
            return torch.zeros_like(tokens, dtype=torch.bool)
        return torch.isin(tokens, self.eos) if len(self.eos) > 1 else tokens.eq(self.eos)

    def __call__(self, input_ids: Tensor, scores: Scores = None) -> Tensor:
        """Which rows are finished: [rows] of bool."""
        finished = self.ends(input_ids[:, -1])
        if input_ids.shape[1] >= self.max_length:
            finished = torch.ones_like(finished)
        for criterion in [*self._own, *self._custom]:
            finished = finished | _verdict(criterion, input_ids, scores)
        return finished

    def reorder(self, rows: Tensor) -> None:
        """Tell criteria that remember rows where these went."""
        for criterion in self._custom:
            if isinstance(criterion, FollowsRows):
                criterion.reorder(rows)


def _verdict(criterion: Criterion, input_ids: Tensor, scores: Scores) -> Tensor:
    answer = torch.as_tensor(criterion(input_ids, scores), device=input_ids.device).bool()
    if answer.ndim and answer.shape != (len(input_ids),):
        raise GenerationError(
            f"The stopping criterion {shown(criterion)} must answer with one bool, or with one per row of "
            f"{len(input_ids)}, but answered with shape {[*answer.shape]}."
        )
    return answer.expand(len(input_ids))


def max_time(seconds: float) -> Criterion:
    """Stops everything once this many seconds have passed; the token being chosen is kept."""
    deadline = time.monotonic() + seconds
    return lambda input_ids, scores: time.monotonic() > deadline


class StopStrings:
    """Stops a row whose last token completes one of these strings.

    Only the end of the row is decoded: as many tokens as the longest string can take. The string may begin in the
    prompt, as in the reference.
    """

    def __init__(self, strings: Sequence[str], tokenizer: Decodable):
        self.strings, self.tokenizer = list(strings), tokenizer
        self.window = TOKENS_PER_CHARACTER * max(map(len, self.strings)) + TOKENS_PER_CHARACTER

    def __call__(self, input_ids: Tensor, scores: Scores) -> Tensor:
        ends = input_ids[:, -self.window :].tolist()
        return torch.tensor([self.completed(ids) for ids in ends], device=input_ids.device)

    def completed(self, ids: list[int]) -> bool:
        """Whether the last of these ids completes a string."""
        text, before = self._text(ids), self._text(ids[:-1])
        pairs = enumerate(zip(text, before, strict=False))
        shared = next((place for place, (a, b) in pairs if a != b), min(len(text), len(before)))
        return any(text.rfind(string) + len(string) > shared for string in self.strings if string in text)

    def _text(self, ids: list[int]) -> str:
        return self.tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)


class Record:
    """Scores of every step, kept where they were asked for."""

    def __init__(self, config: GenerationConfig):
        asked = config.return_dict_in_generate
        self.scores: list[Tensor] | None = [] if asked and config.output_scores else None
        self.logits: list[Tensor] | None = [] if asked and config.output_logits else None

    @property
    def wanted(self) -> bool:
        return self.scores is not None or self.logits is not None

    def before(self, logits: Tensor) -> None:
        """Keep the model's own scores; a copy, as processors change them."""
        if self.logits is not None:
            self.logits.append(logits.clone())

    def after(self, scores: Tensor) -> None:
        if self.scores is not None:
            self.scores.append(scores.clone())

    def kept(self) -> dict[str, Any]:
        return {
            "scores": None if self.scores is None else tuple(self.scores),
            "logits": None if self.logits is None else tuple(self.logits),
        }


@dataclass
class Job:
    model: Decodes
    config: GenerationConfig
    prompt: Prompt
    stopping: Stopping
    max_length: int
    eos: tuple[int, ...]
    pad: int | None
    streamer: Streamer | None = None
    readable: int | None = None  # the vocabulary, where finished rows are filled with what is no token of it
    processors: Processors = field(default_factory=Processors)

    def begin(self, copies: int = 1) -> tuple[State, Tensor]:
        """Consume the prompt, once per source, then fork every row: the state and the logits, `copies` of each row."""
        state = self.prompt.start(self.model, self.max_length)
        logits = self.model.step(self.prompt.tokens, state, self.prompt.lengths).logits.float()
        if copies > 1:
            rows = self.sources(copies)
            state.reorder(rows)
            logits = logits.index_select(0, rows)
        return state, logits

    def sources(self, copies: int) -> Tensor:
        """The source of each row where every source has `copies` rows."""
        return torch.arange(self.prompt.size, device=self.prompt.input_ids.device).repeat_interleave(copies)

    def step(self, ids: Tensor, state: State, every: bool = False) -> Tensor:
        """Append `ids` [rows, tokens] and score what follows them, [rows, vocab], or each: [rows, tokens, vocab]."""
        if self.readable is not None:
            ids = ids.clamp(0, self.readable - 1)
        return self.model.step(ids, state, every=every).logits.float()

    def buffer(self, copies: int = 1, filler: int | None = None) -> Tensor:
        """Room for the sequences, [rows, max_length], the prompt in place and the rest padding."""
        ids = self.prompt.input_ids.repeat_interleave(copies, 0)
        room = ids.new_full((len(ids), self.max_length), self.filler if filler is None else filler)
        room[:, : ids.shape[1]] = ids
        return room

    @property
    def filler(self) -> int:
        return self.pad if self.pad is not None else 0

    @property
    def encoder_decoder(self) -> bool:
        """Whether the model reads its sources with an encoder."""
        return bool(getattr(self.model.config, "is_encoder_decoder", False))

    def answer(self, sequences: Tensor, record: Record) -> Tensor | GenerateOutput:
        if not self.config.return_dict_in_generate:
            return sequences
        kind = GenerateEncoderDecoderOutput if self.encoder_decoder else GenerateDecoderOnlyOutput
        return kind(sequences=sequences, **record.kept())

    def beam_answer(
        self, sequences: Tensor, scores: Tensor, beam_indices: Tensor | None, record: Record
    ) -> Tensor | GenerateOutput:
        if not self.config.return_dict_in_generate:
            return sequences
        kind = GenerateBeamEncoderDecoderOutput if self.encoder_decoder else GenerateBeamDecoderOnlyOutput
        scored = scores if self.config.output_scores else None
        return kind(sequences=sequences, sequences_scores=scored, beam_indices=beam_indices, **record.kept())


def _min_length(value: int, job: Job) -> Own | None:
    return made.min_length(value, job.eos) if job.eos and value > job.prompt.length else None


def _decay(value: tuple[float, float], job: Job) -> Own | None:
    start = int(value[0]) + job.prompt.length
    return made.exponential_decay(start, float(value[1]), job.eos) if job.eos else None


def _begin_suppress(value: list[int], job: Job) -> Own:
    forced = job.prompt.length == 1 and job.config.forced_bos_token_id is not None
    return made.suppress(value, only_at=job.prompt.length + forced)


# The processors of options, in the reference's order: the option, the value that switches it off as None does, and what
# makes its processor of any other value.
Makers = tuple[tuple[str, Any, Callable[[Any, Job], "Own | None"]], ...]
BEFORE_ALLOWED: Makers = (
    ("sequence_bias", None, lambda value, job: made.SequenceBias(value)),
    ("diversity_penalty", 0, lambda value, job: made.HammingDiversity(float(value))),
    (
        "encoder_repetition_penalty",
        1,
        lambda value, job: made.encoder_repetition_penalty(float(value), job.prompt.source_ids),
    ),
    ("repetition_penalty", 1, lambda value, job: made.repetition_penalty(float(value))),
    ("no_repeat_ngram_size", 0, lambda value, job: made.no_repeat_ngrams(value)),
    ("encoder_no_repeat_ngram_size", 0, lambda value, job: made.encoder_no_repeat_ngrams(value, job.prompt.source_ids)),
    ("bad_words_ids", None, lambda value, job: made.bad_words(value, job.eos)),
    ("min_length", 0, _min_length),
)
AFTER_ALLOWED: Makers = (
    ("forced_bos_token_id", None, lambda value, job: made.force([value], 1)),
    ("forced_eos_token_id", None, lambda value, job: made.force(several(value), job.max_length - 1)),
    ("remove_invalid_values", False, lambda value, job: lambda ids, scores, sources: scores.nan_to_num_(0.0)),
    ("exponential_decay_length_penalty", None, _decay),
    ("suppress_tokens", None, lambda value, job: made.suppress(value)),
    ("begin_suppress_tokens", None, _begin_suppress),
)
WARPERS: tuple[tuple[str, Any, Callable[[Tensor, Any, int], Tensor]], ...] = (
    ("temperature", 1, lambda scores, value, keep: scores.div_(float(value))),
    ("top_k", 0, made.top_k),
    ("top_p", 1, made.top_p),
    ("min_p", None, made.min_p),
    ("typical_p", 1, made.typical_p),
    ("epsilon_cutoff", 0, made.epsilon_cutoff),
    ("eta_cutoff", 0, made.eta_cutoff),
)


def build_processors(job: Job, arguments: Mapping[str, Any]) -> Processors:
    """All of them; the caller's own stand after the rules and before what shapes a sampled distribution."""
    processors, config, allowed = Processors(), job.config, arguments["prefix_allowed_tokens_fn"]
    if config.guidance_scale not in (None, 1, 1.0):
        processors.add("guidance_scale", Guidance(float(config.guidance_scale or 1), job, arguments))
    _add(processors, BEFORE_ALLOWED, job)
    if allowed is not None:
        processors.add("prefix_allowed_tokens_fn", made.prefix_allowed(allowed))
    _add(processors, AFTER_ALLOWED, job)
    processors.add_custom(arguments["logits_processor"] or ())
    if config.do_sample:
        # Beams keep a token besides the ends, or they could not go on.
        keep = max(2, len(job.eos) + 1) if config.num_beams > 1 else 1
        for name, off, warp in WARPERS:
            if (value := getattr(config, name)) is not None and value != off:
                processors.add(name, partial(_warped, warp, value, keep))
    if config.watermarking_config is not None:
        vocab = int(job.model.config.vocab_size)
        watermark = made.Watermark(config.watermarking_config, vocab, job.prompt.input_ids.device)
        processors.add("watermarking_config", watermark)
    if config.renormalize_logits:
        processors.add("renormalize_logits", lambda ids, scores, sources: scores.log_softmax(-1))
    return processors


def _add(processors: Processors, makers: Makers, job: Job) -> None:
    for name, off, make in makers:
        value = getattr(job.config, name)
        if value is not None and value != off:
            processor = make(value, job)
            if processor is not None:
                processors.add(name, processor)


def _warped(
    warp: Callable[[Tensor, Any, int], Tensor], value: Any, keep: int, ids: Tensor, scores: Tensor, sources: Tensor
) -> Tensor:
    return warp(scores, value, keep)


class Guidance:
    """Moves scores away from those of a negative prompt, which is written along in a state of its own.

    What the prompt says minus what would be said without it (classifier-free guidance, Sanchez et al., 2023). Without a
    negative prompt the last token of the prompt takes its place. An encoder-decoder reads it as its source.
    """

    def __init__(self, scale: float, job: Job, arguments: Mapping[str, Any]):
        self.scale, self.model, self.max_length = scale, job.model, job.max_length
        self.ids = as_ids(arguments.get("negative_prompt_ids"), "negative_prompt_ids", job.model.device)
        mask = arguments.get("negative_prompt_attention_mask")
        self.mask = None if self.ids is None else as_mask(mask, self.ids, "negative_prompt_attention_mask")
        if job.encoder_decoder and self.ids is None:
            raise GenerationError("guidance_scale needs negative_prompt_ids where the model has an encoder.")
        self.encoder_decoder = job.encoder_decoder
        self.state: State | None = None

    def __call__(self, input_ids: Tensor, scores: Tensor, sources: Tensor) -> Tensor:
        if self.state is None:
            logits = self._first(input_ids)
        else:
            logits = self.model.step(input_ids[:, -1:], self.state).logits
        free = logits.float().log_softmax(-1)
        return scores.log_softmax(-1).sub_(free).mul_(self.scale).add_(free)

    def _first(self, input_ids: Tensor) -> Tensor:
        ids = input_ids[:, -1:] if self.ids is None else self.ids
        if len(input_ids) % len(ids):
            raise GenerationError(f"negative_prompt_ids has {len(ids)} rows, which do not match the batch.")
        mask = torch.ones_like(ids) if self.mask is None else self.mask
        self.state = self.model.start({"input_ids": ids, "attention_mask": mask}, ids.shape[1] + self.max_length)
        copies = torch.arange(len(ids), device=ids.device).repeat_interleave(len(input_ids) // len(ids))
        if self.encoder_decoder:
            self.state.reorder(copies)
            return self.model.step(input_ids, self.state).logits
        tokens, lengths = right_aligned(ids, mask)
        logits = self.model.step(tokens, self.state, lengths).logits
        self.state.reorder(copies)
        return logits.index_select(0, copies)

    def reorder(self, rows: Tensor) -> None:
        if self.state is not None:
            self.state.reorder(rows)
