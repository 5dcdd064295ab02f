"""What stands between a model's scores and the choice of a token: processors, in order, and choosing itself."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor

from ..errors import GenerationError
from ..files.shown import shown
from .config import LARGEST, WatermarkingConfig

CHUNK = 64  # columns looked at together: their maximum decides whether any of them matters
ROWS_AT_ONCE = 8  # a slice of this many rows stays in the cache while it is exponentiated
TABLE_SIZE = 1_000_003  # of a watermark: a prime, so that ids spread over the whole table
WATERMARK_CANDIDATES = 40  # of the best tokens, how many "selfhash" tries

Kind = TypeVar("Kind")
Processor = Callable[[Tensor, Tensor], Tensor]  # (input_ids [rows, tokens], scores [rows, vocab]) -> scores
Own = Callable[[Tensor, Tensor, Tensor], Tensor]  # the same, and the number in the batch of each row's source [rows]
AllowedTokens = Callable[[int, Tensor], Iterable[int]]  # (number of the source, ids of the row) -> ids that may follow


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


# Certain tokens and words: biased, banned, forced, or the only ones allowed.


class SequenceBias:
    """Adds a bias to the last token of a word whenever the tokens before it stand in the row."""

    def __init__(self, biases: Mapping[tuple[int, ...], float] | Iterable[tuple[Iterable[int], float]]):
        pairs = biases.items() if isinstance(biases, Mapping) else biases
        self.biases = {tuple(word): float(bias) for word, bias in pairs}
        self.single: Tensor | None = None
        self.words: list[tuple[Tensor, int, float]] = []

    def __call__(self, input_ids: Tensor, scores: Tensor, sources: Tensor) -> Tensor:
        if self.single is None:
            self.single = self._prepare(scores)
        scores += self.single
        for prefix, last, bias in self.words:
            if len(prefix) < input_ids.shape[1]:
                matches = (input_ids[:, -len(prefix) :] == prefix).all(-1)
                scores[:, last] += torch.where(matches, bias, 0.0)
        return scores

    def _prepare(self, scores: Tensor) -> Tensor:
        single = torch.zeros(scores.shape[1], device=scores.device)
        for word, bias in self.biases.items():
            if len(word) == 1:
                single[word[0]] = bias
            else:
                self.words.append((torch.tensor(word[:-1], device=scores.device), word[-1], bias))
        return single


def bad_words(words: Sequence[Sequence[int]], eos: Sequence[int]) -> SequenceBias | None:
    """Bans whole words; a word that is nothing but an end-of-sequence token stays allowed, or rows would never end."""
    banned = {tuple(word): -torch.inf for word in words if not (len(word) == 1 and word[0] in eos)}
    return SequenceBias(banned) if banned else None


def suppress(tokens: Iterable[int], only_at: int | None = None) -> Own:
    """Bans tokens everywhere, or only where the row is `only_at` tokens long."""
    banned = list(tokens)

    def process(input_ids: Tensor, scores: Tensor, sources: Tensor) -> Tensor:
        if banned and (only_at is None or input_ids.shape[1] == only_at):
            scores[:, banned] = -torch.inf
        return scores

    return process


def force(tokens: Sequence[int], at: int) -> Own:
    """Leaves nothing but these tokens to choose where the row is `at` tokens long."""

    def process(input_ids: Tensor, scores: Tensor, sources: Tensor) -> Tensor:
        if input_ids.shape[1] == at:
            scores.fill_(-torch.inf)
            scores[:, tokens] = 0
        return scores

    return process


def prefix_allowed(allowed: AllowedTokens) -> Own:
    """Leaves what a function of the source's number and the row's ids allows (tries, grammars)."""

    def process(input_ids: Tensor, scores: Tensor, sources: Tensor) -> Tensor:
        mask = torch.full_like(scores, -torch.inf)
        for row, (ids, source) in enumerate(zip(input_ids, sources.tolist(), strict=True)):
            found = allowed(source, ids)
            tokens = found.tolist() if isinstance(found, Tensor) else list(found)
            if not tokens:
                raise GenerationError(
                    f"prefix_allowed_tokens_fn allows no token after {ids.tolist()} of source {source}; "
                    "it must return at least one (the end-of-sequence token, where nothing may follow)."
                )
            require_words("prefix_allowed_tokens_fn", [tokens], scores.shape[1])
            mask[row, tokens] = 0
        return scores.add_(mask)

    return process


def require_words(option: str, words: Iterable[Iterable[int]], vocabulary: int) -> None:
    """Raise GenerationError where a word holds a token outside the vocabulary."""
    outside = sorted({token for word in words for token in word if not 0 <= token < vocabulary})
    if outside:
        raise GenerationError(f"{option} names tokens {shown(outside)} outside the vocabulary of {vocabulary}.")


# When a sequence may, or should, end.


def possible(eos: Sequence[int], scores: Tensor) -> list[int]:
    """The ends that a model of this vocabulary can write: defaults may name one that it does not have."""
    return [token for token in eos if 0 <= token < scores.shape[1]]


def power(base: float, exponent: float) -> float:
    """A power within what float32 holds, neither 0 nor infinite: scores are divided by it."""
    try:
        found = math.pow(base, exponent)  # in floats: of integers it would be exact, and might not end
    except OverflowError:
        return LARGEST
    return min(max(found, 1 / LARGEST), LARGEST) if base > 0 else found


def min_length(length: int, eos: Sequence[int]) -> Own:
    """Bans the end of a sequence before it is `length` tokens long, the prompt counted."""

    def process(input_ids: Tensor, scores: Tensor, sources: Tensor) -> Tensor:
        if input_ids.shape[1] < length:
            scores[:, possible(eos, scores)] = -torch.inf
        return scores

    return process


def exponential_decay(start: int, factor: float, eos: Sequence[int]) -> Own:
    """Raises the end's score by its size times factor ** (tokens beyond `start`) - 1.

    A banned end stays banned; in the reference it would become NaN.
    """

    def process(input_ids: Tensor, scores: Tensor, sources: Tensor) -> Tensor:
        beyond = input_ids.shape[1] - start
        if beyond > 0:
            ids = possible(eos, scores)
            ends = scores[:, ids]
            raised = ends + ends.abs() * (power(factor, beyond) - 1)
            scores[:, ids] = torch.where(ends > -torch.inf, raised, ends)
        return scores

    return process


# What was said before is less likely: repetition, n-grams, diversity between groups.


def repetition_penalty(penalty: float) -> Own:
    """Divides positive scores of tokens that stand in the row by `penalty` and multiplies negative ones (CTRL, 4.1)."""
    return lambda input_ids, scores, sources: _penalize(scores, input_ids, penalty)


def encoder_repetition_penalty(penalty: float, source_ids: Tensor) -> Own:
    """Favors tokens of the source: the opposite of a repetition penalty, against making things up."""
    return lambda input_ids, scores, sources: _penalize(scores, source_ids.index_select(0, sources), 1 / penalty)


def _penalize(scores: Tensor, ids: Tensor, penalty: float) -> Tensor:
    chosen = scores.gather(1, ids)
    return scores.scatter_(1, ids, torch.where(chosen < 0, chosen * penalty, chosen / penalty))


def no_repeat_ngrams(size: int) -> Own:
    """Bans every token that would repeat an n-gram of its row."""
    prefix = size - 1

    def process(input_ids: Tensor, scores: Tensor, sources: Tensor) -> Tensor:
        if input_ids.shape[1] < size:
            return scores
        if prefix == 0:
            return scores.scatter_(1, input_ids, -torch.inf)
        windows = input_ids.unfold(1, prefix, 1)[:, :-1]  # [rows, length - prefix, prefix]; each has a successor
        repeated = (windows == input_ids[:, None, -prefix:]).all(-1)
        rows, places = repeated.nonzero(as_tuple=True)
        scores[rows, input_ids[rows, places + prefix]] = -torch.inf
        return scores

    return process


def encoder_no_repeat_ngrams(size: int, source_ids: Tensor) -> Own:
    """Bans every token that would repeat an n-gram of the row's source."""
    known: list[dict[tuple[int, ...], list[int]]] = []  # of each source, what follows a run of size - 1 ids
    for ids in source_ids.tolist():
        known.append({})
        for end in range(size, len(ids) + 1):
            known[-1].setdefault(tuple(ids[end - size : end - 1]), []).append(ids[end - 1])

    def process(input_ids: Tensor, scores: Tensor, sources: Tensor) -> Tensor:
        first = input_ids.shape[1] - (size - 1)
        if first >= 0:
            ends = input_ids[:, first:].tolist()
            for row, (end, source) in enumerate(zip(ends, sources.tolist(), strict=True)):
                scores[row, known[source].get(tuple(end), [])] = -torch.inf
        return scores

    return process


class HammingDiversity:
    """Makes a group of beams avoid the tokens that earlier groups chose at this step (Vijayakumar et al., 2016)."""

    def __init__(self, penalty: float):
        self.penalty = penalty
        self.chosen: Tensor | None = None  # [sources, beams] by earlier groups; None at the first group of a step

    def __call__(self, input_ids: Tensor, scores: Tensor, sources: Tensor) -> Tensor:
        if self.chosen is None:
            return scores
        tokens = self.chosen.repeat_interleave(len(scores) // len(self.chosen), 0)
        return scores.scatter_add_(1, tokens, scores.new_full(tokens.shape, -self.penalty))


# The distribution that tokens are drawn from. Each of these keeps at least `keep` tokens of a row.


def top_k(scores: Tensor, k: int, keep: int) -> Tensor:
    return scores.masked_fill_(scores < _kth(scores, max(k, keep)), -torch.inf)


def top_p(scores: Tensor, p: float, keep: int) -> Tensor:
    """Keeps the fewest tokens whose probabilities add up to p (Holtzman et al., 2019)."""
    ordered, order = scores.sort(descending=False)
    dropped = ordered.softmax(-1).cumsum(-1) <= 1 - p
    dropped[:, -keep:] = False
    return scores.masked_fill_(dropped.scatter(1, order, dropped), -torch.inf)


def min_p(scores: Tensor, p: float, keep: int) -> Tensor:
    """Keeps tokens at least p times as probable as the best one."""
    probabilities = scores.softmax(-1)
    dropped = probabilities < p * probabilities.amax(-1, keepdim=True)
    best = scores.argsort(descending=True)[:, :keep]
    return scores.masked_fill_(dropped.scatter_(1, best, False), -torch.inf)


def typical_p(scores: Tensor, mass: float, keep: int) -> Tensor:
    """Keeps the tokens whose surprise is nearest to the expected one, up to a mass (Meister et al., 2022)."""
    logs = scores.log_softmax(-1)
    entropy = -(logs * logs.exp()).nansum(-1, keepdim=True)
    distance, order = (-logs - entropy).abs().sort()
    found = scores.gather(1, order).softmax(-1).cumsum(-1)
    last = (found < mass).sum(1, keepdim=True).clamp_(max=scores.shape[1] - 1)
    dropped = distance > distance.gather(1, last)
    dropped[:, :keep] = False
    return scores.masked_fill_(dropped.scatter(1, order, dropped), -torch.inf)


def epsilon_cutoff(scores: Tensor, epsilon: float, keep: int) -> Tensor:
    """Keeps tokens at least as probable as epsilon (Hewitt et al., 2022)."""
    dropped = (scores.softmax(-1) < epsilon) & (scores < _kth(scores, keep))
    return scores.masked_fill_(dropped, -torch.inf)


def eta_cutoff(scores: Tensor, epsilon: float, keep: int) -> Tensor:
    """Keeps tokens above min(epsilon, sqrt(epsilon) * exp(-entropy)), a threshold that falls with the entropy."""
    logs = scores.log_softmax(-1)
    probabilities = logs.exp()
    entropy = -(logs.clamp(min=torch.finfo(logs.dtype).min) * probabilities).sum(-1, keepdim=True)
    most = torch.tensor(epsilon, device=scores.device)
    threshold = torch.minimum(most, most.sqrt() * (-entropy).exp())
    dropped = (probabilities < threshold) & (scores < _kth(scores, keep))
    return scores.masked_fill_(dropped, -torch.inf)


def _kth(scores: Tensor, k: int) -> Tensor:
    return best_tokens(scores, k)[0][:, -1:]


class Watermark:
    """Adds `bias` to the tokens that a hash of the context calls green (Kirchenbauer et al., 2023).

    "lefthash" hashes the last token (algorithm 2 of the paper), "selfhash" also the one to come (algorithm 3).
    """

    def __init__(self, config: WatermarkingConfig, vocab_size: int, device: torch.device):
        self.config = config
        self.vocab_size = vocab_size
        self.green_count = int(vocab_size * config.greenlist_ratio)
        self.random = torch.Generator(device=device).manual_seed(config.hashing_key)
        self.table = torch.randperm(TABLE_SIZE, generator=self.random, device=device)

    def __call__(self, input_ids: Tensor, scores: Tensor, sources: Tensor) -> Tensor:
        if input_ids.shape[1] < self.config.context_width:
            return scores
        for ids, row in zip(input_ids, scores, strict=True):
            green = self._chosen(ids, row) if self.config.seeding_scheme == "selfhash" else self._green(ids)
            row[green] += self.config.bias
        return scores

    def _green(self, ids: Tensor) -> Tensor:
        self.random.manual_seed(self._seed(ids[-self.config.context_width :]) % (2**64 - 1))
        order = torch.randperm(self.vocab_size, device=ids.device, generator=self.random)
        return order[: self.green_count]

    def _seed(self, context: Tensor) -> int:
        key = self.config.hashing_key
        if self.config.seeding_scheme == "lefthash":
            return key * int(context[-1])
        each, last = self.table[context % TABLE_SIZE] + 1, self.table[context[-1] % TABLE_SIZE] + 1
        return int((key * each * last).min())

    def _chosen(self, ids: Tensor, row: Tensor) -> Tensor:
        best = row.sort(descending=True).indices[:WATERMARK_CANDIDATES]
        kept = [token for token in best if bool((self._green(torch.cat([ids, token[None]])) == token).any())]
        return torch.stack(kept) if kept else best[:0]


# Choosing, from [rows, vocab] scores without making a second copy of them.


def best_token(scores: Tensor) -> tuple[Tensor, Tensor]:
    """Value and index of the greatest score of each row, the lowest index where several are equal.

    Maxima of chunks first (a pass the processor vectorizes), then the place within the winning chunk: ten times the
    speed of `argmax` over a wide vocabulary. NaN counts as greatest, so that it can be noticed.
    """
    rows, vocab = scores.shape
    whole = vocab // CHUNK * CHUNK
    if whole == 0:
        return scores.max(-1)
    chunks = scores[:, :whole].view(rows, -1, CHUNK)
    chunk = chunks.amax(-1).argmax(-1)
    inside = chunks.gather(1, chunk[:, None, None].expand(rows, 1, CHUNK))[:, 0].max(-1)
    value, index = inside.values, chunk * CHUNK + inside.indices
    if whole < vocab:
        tail = scores[:, whole:].max(-1)
        later = (tail.values > value) | (tail.values.isnan() & ~value.isnan())
        value, index = torch.where(later, tail.values, value), torch.where(later, tail.indices + whole, index)
    return value, index


def best_tokens(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Values and indices of the `count` greatest scores of each row, in order: [rows, count] each.

    The answer lies within the `count` chunks that have the greatest maxima, so only those are sorted.
    """
    rows, vocab = scores.shape
    count = min(count, vocab)
    whole = vocab // CHUNK * CHUNK
    if whole // CHUNK <= count:
        values, indices = scores.topk(count)
        return values, indices
    chunks = scores[:, :whole].view(rows, -1, CHUNK)
    picked = chunks.amax(-1).topk(count).indices
    candidates = chunks.gather(1, picked[:, :, None].expand(rows, count, CHUNK)).view(rows, -1)
    columns = torch.arange(CHUNK, device=scores.device)
    index = (picked[:, :, None] * CHUNK + columns).view(rows, -1)
    if whole < vocab:
        candidates = torch.cat([candidates, scores[:, whole:]], 1)
        tail = torch.arange(whole, vocab, device=scores.device).expand(rows, -1)
        index = torch.cat([index, tail], 1)
    values, place = candidates.topk(count)
    return values, index.gather(1, place)


def log_normalizer(logits: Tensor) -> Tensor:
    """Logarithm of the sum of exponentials of each row, [rows, 1], a few rows at a time."""
    return torch.cat([part.logsumexp(-1, keepdim=True) for part in logits.split(ROWS_AT_ONCE)])


def to_log_probabilities(logits: Tensor) -> Tensor:
    """The logits themselves, turned into log-probabilities in place."""
    return logits.sub_(log_normalizer(logits))


def draw(probabilities: Tensor, count: int, live: Tensor | None) -> Tensor:
    """One token of each row by its probability: [rows].

    Follows `torch.multinomial`, which draws one exponential number per entry. Where rows have left the batch, `live`
    [rows] says which of the `count` rows of the beginning these are; noise is then drawn for all of them, so that what
    a seed yields for one row never depends on when another one ended.
    """
    if live is None:
        return torch.multinomial(probabilities, num_samples=1)[:, 0]
    noise = probabilities.new_empty(count, probabilities.shape[1]).exponential_()
    return (probabilities / noise.index_select(0, live)).argmax(-1)


def require_sound(best: Tensor) -> None:
    """Raise `GenerationError` where the best score of a row is NaN: the model's own doing."""
    if bool(best.isnan().any()):
        raise GenerationError(
            "The model's scores are NaN; run it in float32 or bfloat16, or set remove_invalid_values=True."
        )
