"""What stands between a model's scores and the choice of a token: the processors of options, and choosing itself."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ..errors import GenerationError
from ..files.shown import shown
from .config import ARGUMENTS, LARGEST, OPTIONS, WatermarkingConfig, several
from .job import Job, Own, Processors, as_ids, as_mask, right_aligned
from .protocol import State

CHUNK = 64  # columns looked at together: their maximum decides whether any of them matters
ROWS_AT_ONCE = 8  # a slice of this many rows stays in the cache while it is exponentiated
TABLE_SIZE = 1_000_003  # of a watermark: a prime, so that ids spread over the whole table
WATERMARK_CANDIDATES = 40  # of the best tokens, how many "selfhash" tries

SAMPLING = {name for name, option in OPTIONS.items() if option.needs == "do_sample"}
AllowedTokens = Callable[[int, Tensor], Iterable[int]]  # (number of the source, ids of the row) -> ids that may follow
Maker = Callable[[Any, Job], "Own | None"]  # of an option's value, for one job; None: nothing to do


def processor(process: Callable[[Any, Job, Tensor, Tensor, Tensor], Tensor]) -> Maker:
    """A maker of processors that need nothing made beforehand; rows may share scores, which are changed in place."""
    return lambda value, job: partial(process, value, job)


# Certain tokens and words: biased, banned, forced, or the only ones allowed.


class SequenceBias:
    """Adds a bias to the last token of a word whenever the tokens before it stand in the row."""

    def __init__(self, biases: Mapping[tuple[int, ...], float] | Iterable[tuple[Iterable[int], float]], job: Job):
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


def bad_words(words: Sequence[Sequence[int]], job: Job) -> SequenceBias | None:
    """Bans whole words; a word that is nothing but an end-of-sequence token stays allowed, or rows would never end."""
    banned = {tuple(word): -torch.inf for word in words if not (len(word) == 1 and word[0] in job.eos)}
    return SequenceBias(banned, job) if banned else None


@processor
def suppress(tokens: list[int], job: Job, input_ids: Tensor, scores: Tensor, sources: Tensor) -> Tensor:
    scores[:, list(tokens)] = -torch.inf
    return scores


@processor
def begin_suppress(tokens: list[int], job: Job, input_ids: Tensor, scores: Tensor, sources: Tensor) -> Tensor:
    """Bans tokens where the first of the answer is chosen, or the one after a forced beginning."""
    forced = job.prompt.length == 1 and job.config.forced_bos_token_id is not None
    if input_ids.shape[1] == job.prompt.length + forced:
        scores[:, list(tokens)] = -torch.inf
    return scores


def force(tokens: Any, at: int) -> Own:
    """Leaves nothing but these tokens to choose where the row is `at` tokens long."""

    def process(input_ids: Tensor, scores: Tensor, sources: Tensor) -> Tensor:
        if input_ids.shape[1] == at:
            scores.fill_(-torch.inf)
            scores[:, several(tokens)] = 0
        return scores

    return process


@processor
def prefix_allowed(allowed: AllowedTokens, job: Job, input_ids: Tensor, scores: Tensor, sources: Tensor) -> Tensor:
    """Leaves what a function of the source's number and the row's ids allows (tries, grammars)."""
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


def min_length(length: int, job: Job) -> Own | None:
    """Bans the end of a sequence before it is `length` tokens long, the prompt counted."""

    def process(input_ids: Tensor, scores: Tensor, sources: Tensor) -> Tensor:
        if input_ids.shape[1] < length:
            scores[:, possible(job.eos, scores)] = -torch.inf
        return scores

    return process if job.eos and length > job.prompt.length else None


def exponential_decay(value: tuple[int, float], job: Job) -> Own | None:
    """Raises the end's score by its size times factor ** (tokens beyond the start) - 1; the value is (start, factor).

    A banned end stays banned; in the reference it would become NaN.
    """
    start, factor = int(value[0]) + job.prompt.length, float(value[1])

    def process(input_ids: Tensor, scores: Tensor, sources: Tensor) -> Tensor:
        beyond = input_ids.shape[1] - start
        if beyond > 0:
            ids = possible(job.eos, scores)
            ends = scores[:, ids]
            raised = ends + ends.abs() * (power(factor, beyond) - 1)
            scores[:, ids] = torch.where(ends > -torch.inf, raised, ends)
        return scores

    return process if job.eos else None


# What was said before is less likely: repetition, n-grams, diversity between groups.


@processor
def repetition_penalty(penalty: float, job: Job, input_ids: Tensor, scores: Tensor, sources: Tensor) -> Tensor:
    """Divides positive scores of tokens that stand in the row by `penalty` and multiplies negative ones (CTRL, 4.1)."""
    return _penalize(scores, input_ids, float(penalty))


@processor
def encoder_repetition_penalty(penalty: float, job: Job, input_ids: Tensor, scores: Tensor, sources: Tensor) -> Tensor:
    """Favors tokens of the source: the opposite of a repetition penalty, against making things up."""
    return _penalize(scores, job.prompt.source_ids.index_select(0, sources), 1 / float(penalty))


def _penalize(scores: Tensor, ids: Tensor, penalty: float) -> Tensor:
    chosen = scores.gather(1, ids)
    return scores.scatter_(1, ids, torch.where(chosen < 0, chosen * penalty, chosen / penalty))


@processor
def no_repeat_ngrams(size: int, job: Job, input_ids: Tensor, scores: Tensor, sources: Tensor) -> Tensor:
    """Bans every token that would repeat an n-gram of its row."""
    prefix = size - 1
    if input_ids.shape[1] < size:
        return scores
    if prefix == 0:
        return scores.scatter_(1, input_ids, -torch.inf)
    windows = input_ids.unfold(1, prefix, 1)[:, :-1]  # [rows, length - prefix, prefix]; each has a successor
    repeated = (windows == input_ids[:, None, -prefix:]).all(-1)
    rows, places = repeated.nonzero(as_tuple=True)
    scores[rows, input_ids[rows, places + prefix]] = -torch.inf
    return scores


def encoder_no_repeat_ngrams(size: int, job: Job) -> Own:
    """Bans every token that would repeat an n-gram of the row's source."""
    known: list[dict[tuple[int, ...], list[int]]] = []  # of each source, what follows a run of size - 1 ids
    for ids in job.prompt.source_ids.tolist():
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

    def __init__(self, penalty: float, job: Job):
        self.penalty = float(penalty)
        self.chosen: Tensor | None = None  # [sources, beams] by earlier groups; None at the first group of a step

    def __call__(self, input_ids: Tensor, scores: Tensor, sources: Tensor) -> Tensor:
        if self.chosen is None:
            return scores
        tokens = self.chosen.repeat_interleave(len(scores) // len(self.chosen), 0)
        return scores.scatter_add_(1, tokens, scores.new_full(tokens.shape, -self.penalty))


class Guidance:
    """Moves scores away from those of a negative prompt, which is written along in a state of its own.

    What the prompt says minus what would be said without it (classifier-free guidance, Sanchez et al., 2023). Without a
    negative prompt the last token of the prompt takes its place. An encoder-decoder reads it as its source.
    """

    def __init__(self, scale: float, job: Job):
        self.scale, self.model, self.max_length = float(scale), job.model, job.max_length
        self.ids = as_ids(job.arguments.get("negative_prompt_ids"), "negative_prompt_ids", job.model.device)
        mask = job.arguments.get("negative_prompt_attention_mask")
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


# The distribution that tokens are drawn from. Each of these keeps at least `job.keep` tokens of a row.


@processor
def temperature(value: float, job: Job, input_ids: Tensor, scores: Tensor, sources: Tensor) -> Tensor:
    return scores.div_(float(value))


@processor
def top_k(k: int, job: Job, input_ids: Tensor, scores: Tensor, sources: Tensor) -> Tensor:
    return scores.masked_fill_(scores < _kth(scores, max(k, job.keep)), -torch.inf)


@processor
def top_p(p: float, job: Job, input_ids: Tensor, scores: Tensor, sources: Tensor) -> Tensor:
    """Keeps the fewest tokens whose probabilities add up to p (Holtzman et al., 2019)."""
    ordered, order = scores.sort(descending=False)
    dropped = ordered.softmax(-1).cumsum(-1) <= 1 - p
    dropped[:, -job.keep :] = False
    return scores.masked_fill_(dropped.scatter(1, order, dropped), -torch.inf)


@processor
def min_p(p: float, job: Job, input_ids: Tensor, scores: Tensor, sources: Tensor) -> Tensor:
    """Keeps tokens at least p times as probable as the best one."""
    probabilities = scores.softmax(-1)
    dropped = probabilities < p * probabilities.amax(-1, keepdim=True)
    best = scores.argsort(descending=True)[:, : job.keep]
    return scores.masked_fill_(dropped.scatter_(1, best, False), -torch.inf)


@processor
def typical_p(mass: float, job: Job, input_ids: Tensor, scores: Tensor, sources: Tensor) -> Tensor:
    """Keeps the tokens whose surprise is nearest to the expected one, up to a mass (Meister et al., 2022)."""
    logs = scores.log_softmax(-1)
    entropy = -(logs * logs.exp()).nansum(-1, keepdim=True)
    distance, order = (-logs - entropy).abs().sort()
    found = scores.gather(1, order).softmax(-1).cumsum(-1)
    last = (found < mass).sum(1, keepdim=True).clamp_(max=scores.shape[1] - 1)
    dropped = distance > distance.gather(1, last)
    dropped[:, : job.keep] = False
    return scores.masked_fill_(dropped.scatter(1, order, dropped), -torch.inf)


@processor
def epsilon_cutoff(epsilon: float, job: Job, input_ids: Tensor, scores: Tensor, sources: Tensor) -> Tensor:
    """Keeps tokens at least as probable as epsilon (Hewitt et al., 2022)."""
    dropped = (scores.softmax(-1) < epsilon) & (scores < _kth(scores, job.keep))
    return scores.masked_fill_(dropped, -torch.inf)


@processor
def eta_cutoff(epsilon: float, job: Job, input_ids: Tensor, scores: Tensor, sources: Tensor) -> Tensor:
    """Keeps tokens above min(epsilon, sqrt(epsilon) * exp(-entropy)), a threshold that falls with the entropy."""
    logs = scores.log_softmax(-1)
    probabilities = logs.exp()
    entropy = -(logs.clamp(min=torch.finfo(logs.dtype).min) * probabilities).sum(-1, keepdim=True)
    most = torch.tensor(epsilon, device=scores.device)
    threshold = torch.minimum(most, most.sqrt() * (-entropy).exp())
    dropped = (probabilities < threshold) & (scores < _kth(scores, job.keep))
    return scores.masked_fill_(dropped, -torch.inf)


def _kth(scores: Tensor, k: int) -> Tensor:
    return best_tokens(scores, k)[0][:, -1:]


class Watermark:
    """Adds `bias` to the tokens that a hash of the context calls green (Kirchenbauer et al., 2023).

    "lefthash" hashes the last token (algorithm 2 of the paper), "selfhash" also the one to come (algorithm 3).
    """

    def __init__(self, config: WatermarkingConfig, job: Job):
        self.config, device = config, job.prompt.input_ids.device
        self.vocab_size = vocab_size = int(job.model.config.vocab_size)
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


@processor
def remove_invalid(value: bool, job: Job, input_ids: Tensor, scores: Tensor, sources: Tensor) -> Tensor:
    return scores.nan_to_num_(0.0)


@processor
def renormalize(value: bool, job: Job, input_ids: Tensor, scores: Tensor, sources: Tensor) -> Tensor:
    return scores.log_softmax(-1)


# In the reference's order: the option or argument, the value that switches it off as None does, and what makes its
# processor of any other value. The caller's own stand after the rules and before what shapes a sampled distribution.
MAKERS: tuple[tuple[str, Any, Maker | None], ...] = (
    ("guidance_scale", 1, Guidance),
    ("sequence_bias", None, SequenceBias),
    ("diversity_penalty", 0, HammingDiversity),
    ("encoder_repetition_penalty", 1, encoder_repetition_penalty),
    ("repetition_penalty", 1, repetition_penalty),
    ("no_repeat_ngram_size", 0, no_repeat_ngrams),
    ("encoder_no_repeat_ngram_size", 0, encoder_no_repeat_ngrams),
    ("bad_words_ids", None, bad_words),
    ("min_length", 0, min_length),
    ("prefix_allowed_tokens_fn", None, prefix_allowed),
    ("forced_bos_token_id", None, lambda value, job: force(value, 1)),
    ("forced_eos_token_id", None, lambda value, job: force(value, job.max_length - 1)),
    ("remove_invalid_values", False, remove_invalid),
    ("exponential_decay_length_penalty", None, exponential_decay),
    ("suppress_tokens", None, suppress),
    ("begin_suppress_tokens", None, begin_suppress),
    ("logits_processor", None, None),
    ("temperature", 1, temperature),
    ("top_k", 0, top_k),
    ("top_p", 1, top_p),
    ("min_p", None, min_p),
    ("typical_p", 1, typical_p),
    ("epsilon_cutoff", 0, epsilon_cutoff),
    ("eta_cutoff", 0, eta_cutoff),
    ("watermarking_config", None, Watermark),
    ("renormalize_logits", False, renormalize),
)


def build_processors(job: Job) -> Processors:
    """The processors of all that is set in a job; options of sampling count where it samples."""
    processors = Processors()
    for name, off, make in MAKERS:
        value = job.arguments.get(name) if name in ARGUMENTS else getattr(job.config, name)
        if value is None or value == off or (name in SAMPLING and not job.config.do_sample):
            continue
        if make is None:
            processors.add_custom(value)
        elif (made := make(value, job)) is not None:
            processors.add(name, made)
    return processors


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
