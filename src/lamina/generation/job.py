"""One call of `generate`, resolved: the prompt it goes on from, its processors, when it stops, what it keeps."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor

from ..errors import GenerationError
from ..files.shown import shown
from .config import GenerationConfig, several
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

Kind = TypeVar("Kind")
Processor = Callable[[Tensor, Tensor], Tensor]  # (input_ids [rows, tokens], scores [rows, vocab]) -> scores
Own = Callable[[Tensor, Tensor, Tensor], Tensor]  # the same, and the number in the batch of each row's source [rows]
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


@runtime_checkable
class FollowsRows(Protocol):
    """A processor or criterion that remembers something for each row."""

    def reorder(self, rows: Tensor) -> None:
        """Row i goes on as what row `rows[i]` was."""


@dataclass
class _Entry:
    name: str
    process: Any  # Own, or a user's Processor
    own: bool  # ours: works on whatever rows it is given


class Processors:
    """Processors in the order of application. Ours change the scores in place where they can."""

    def __init__(self) -> None:
        self._entries: list[_Entry] = []
        self._mended = 0  # entries before this one may leave NaN: a later one removes it

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, option: str, processor: Own) -> None:
        """Append one of ours, which stands for an option."""
        self._entries.append(_Entry(option, processor, own=True))
        if option == "remove_invalid_values":
            self._mended = len(self._entries) - 1

    def add_custom(self, processors: Iterable[Processor]) -> None:
        for processor in processors:
            if not callable(processor):
                raise GenerationError(f"A logits processor must be callable, but {shown(processor)} is not.")
            name = getattr(processor, "__name__", type(processor).__name__)
            self._entries.append(_Entry(name, processor, own=False))

    @property
    def let_rows_leave(self) -> bool:
        """Whether all of them allow that finished rows are taken out of the batch."""
        return all(entry.own or isinstance(entry.process, FollowsRows) for entry in self._entries)

    @property
    def follow_rows(self) -> bool:
        return any(isinstance(entry.process, FollowsRows) for entry in self._entries)

    def __call__(self, input_ids: Tensor, scores: Tensor, sources: Tensor, beams: int = 1) -> Tensor:
        """Apply them all. Rows come `beams` to a source; of these, one must be left something to choose.

        Raises `GenerationError` naming the first processor that made NaN or left no token to choose.
        """
        sound = []
        for entry in self._entries:
            if entry.own:
                scores = entry.process(input_ids, scores, sources)
            else:
                scores = self._checked(entry, entry.process(input_ids, scores), scores)
            greatest = scores.amax(-1).view(-1, beams).amax(-1)
            sound.append((greatest > -torch.inf).all())
        if sound and not bool(torch.stack(sound[self._mended :]).all()):
            self._blame(torch.stack(sound).tolist(), scores)
        return scores

    def _checked(self, entry: _Entry, result: Any, scores: Tensor) -> Tensor:
        if isinstance(result, Tensor) and result.shape == scores.shape:
            return result
        found = f"of {tuple(result.shape)}" if isinstance(result, Tensor) else f"of type {type(result).__name__}"
        raise GenerationError(
            f"The logits processor {entry.name} must return scores of shape {tuple(scores.shape)}, but returned one "
            f"{found}."
        )

    def _blame(self, sound: list[bool], scores: Tensor) -> None:
        culprit = next(index for index in range(self._mended, len(sound)) if not sound[index])
        what = "made NaN of scores" if bool(scores.isnan().any()) else "left a row with no token to choose (all -inf)"
        first = "The model or the" if culprit == 0 else "The"
        kind = "option" if self._entries[culprit].own else "logits processor"
        raise GenerationError(
            f"{first} {kind} {self._entries[culprit].name} {what}; loosen it, or set remove_invalid_values=True."
        )

    def of_type(self, kind: type[Kind]) -> list[Kind]:
        return [entry.process for entry in self._entries if isinstance(entry.process, kind)]

    def reorder(self, rows: Tensor) -> None:
        """Tell those that remember rows where these went."""
        for entry in self._entries:
            if isinstance(entry.process, FollowsRows):
                entry.process.reorder(rows)


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
    arguments: Mapping[str, Any]  # of the call, besides options and inputs
    readable: int | None = None  # the vocabulary, where finished rows are filled with what is no token of it
    processors: Processors = field(default_factory=Processors)

    @property
    def streamer(self) -> Streamer | None:
        return self.arguments.get("streamer")

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

    @cached_property
    def keep(self) -> int:
        """Tokens that sampling leaves at least: beams need one besides the ends, or they could not go on."""
        return max(2, len(self.eos) + 1) if self.config.num_beams > 1 else 1

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
