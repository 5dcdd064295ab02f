"""Which processors the options ask for, in the reference's order."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .bans import AllowedTokens, ForceToken, PrefixAllowedTokens, SuppressTokens, bad_words, sequence_bias
from .config import GenerationConfig
from .guidance import Guidance
from .inputs import as_ids, as_mask, several
from .job import Job
from .lengths import ExponentialDecay, MinLength
from .logits import Processor, Processors, RemoveInvalidValues, Renormalize
from .penalties import (
    EncoderNoRepeatNgrams,
    EncoderRepetitionPenalty,
    HammingDiversity,
    NoRepeatNgrams,
    RepetitionPenalty,
)
from .warpers import Epsilon, Eta, MinP, Temperature, TopK, TopP, Typical


def build_processors(
    job: Job, extras: dict[str, Any], allowed: AllowedTokens | None, custom: Iterable[Processor]
) -> Processors:
    """All of them; the caller's `custom` ones stand after the rules and before what shapes a sampled distribution."""
    processors, config = Processors(), job.config
    if config.guidance_scale not in (None, 1, 1.0):
        ids = as_ids(extras.get("negative_prompt_ids"), "negative_prompt_ids", job.model.device)
        mask = extras.get("negative_prompt_attention_mask")
        mask = None if ids is None else as_mask(mask, ids, "negative_prompt_attention_mask")
        processors.add(Guidance(float(config.guidance_scale or 1), job.model, job.max_length, ids, mask))
    _add_penalties(processors, job)
    _add_length_rules(processors, job)
    if allowed is not None:
        processors.add(PrefixAllowedTokens(allowed))
    _add_forced(processors, job)
    processors.add_custom(custom)
    if config.do_sample:
        _add_warpers(processors, config, keep=max(2, len(job.eos) + 1) if config.num_beams > 1 else 1)
    if config.watermarking_config is not None:
        vocab = int(job.model.config.vocab_size)
        processors.add(config.watermarking_config.processor(vocab, job.prompt.input_ids.device))
    if config.renormalize_logits:
        processors.add(Renormalize())
    return processors


def _add_penalties(processors: Processors, job: Job) -> None:
    config, source = job.config, job.prompt.source_ids
    if config.sequence_bias is not None:
        processors.add(sequence_bias(config.sequence_bias))
    if config.num_beam_groups > 1 and config.diversity_penalty > 0:
        processors.add(HammingDiversity(float(config.diversity_penalty)))
    if config.encoder_repetition_penalty not in (None, 1, 1.0):
        processors.add(EncoderRepetitionPenalty(float(config.encoder_repetition_penalty or 1), source))
    if config.repetition_penalty not in (None, 1, 1.0):
        processors.add(RepetitionPenalty(float(config.repetition_penalty or 1)))
    if config.no_repeat_ngram_size:
        processors.add(NoRepeatNgrams(config.no_repeat_ngram_size))
    if config.encoder_no_repeat_ngram_size:
        processors.add(EncoderNoRepeatNgrams(config.encoder_no_repeat_ngram_size, source))
    if config.bad_words_ids is not None:
        words = bad_words(config.bad_words_ids, job.eos)
        if words is not None:
            processors.add(words)


def _add_length_rules(processors: Processors, job: Job) -> None:
    if job.config.min_length > job.prompt.length and job.eos:
        processors.add(MinLength(job.config.min_length, job.eos))


def _add_forced(processors: Processors, job: Job) -> None:
    config, begin = job.config, job.prompt.length
    if config.forced_bos_token_id is not None:
        processors.add(ForceToken([config.forced_bos_token_id], 1))
    if config.forced_eos_token_id is not None:
        processors.add(ForceToken(several(config.forced_eos_token_id), job.max_length - 1))
    if config.remove_invalid_values:
        processors.add(RemoveInvalidValues(), mends=True)
    if config.exponential_decay_length_penalty is not None and job.eos:
        start, factor = config.exponential_decay_length_penalty
        processors.add(ExponentialDecay(int(start) + begin, float(factor), job.eos))
    if config.suppress_tokens is not None:
        processors.add(SuppressTokens(config.suppress_tokens))
    if config.begin_suppress_tokens is not None:
        forced = begin == 1 and config.forced_bos_token_id is not None
        processors.add(SuppressTokens(config.begin_suppress_tokens, only_at=begin + 1 if forced else begin))


def _add_warpers(processors: Processors, config: GenerationConfig, keep: int) -> None:
    """What shapes the distribution; beams keep a token besides the ends, or they could not go on."""
    if config.temperature not in (None, 1, 1.0):
        processors.add(Temperature(float(config.temperature or 1)))
    if config.top_k:
        processors.add(TopK(config.top_k, keep))
    if config.top_p is not None and config.top_p < 1:
        processors.add(TopP(config.top_p, keep))
    if config.min_p is not None:
        processors.add(MinP(config.min_p, keep))
    if config.typical_p is not None and config.typical_p < 1:
        processors.add(Typical(config.typical_p, keep))
    if config.epsilon_cutoff:
        processors.add(Epsilon(config.epsilon_cutoff, keep))
    if config.eta_cutoff:
        processors.add(Eta(config.eta_cutoff, keep))
