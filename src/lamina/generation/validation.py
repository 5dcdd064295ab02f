"""Which options of generation make sense, alone and together; what does not is said before any step."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

from ..errors import GenerationError

if TYPE_CHECKING:
    from .config import GenerationConfig

logger = logging.getLogger(__name__)

Rule = tuple[str, Callable[[Any], bool]]


def _whole(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _ids(value: Any) -> bool:
    if not isinstance(value, Iterable) or isinstance(value, (str, bytes)):
        return False
    return all(_whole(item) and item >= 0 for item in value)


def _words(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(_ids(word) and len(word) > 0 for word in value)


COUNT: Rule = ("a whole number of at least 1", lambda value: _whole(value) and value >= 1)
SIZE: Rule = ("a whole number of at least 0", lambda value: _whole(value) and value >= 0)
POSITIVE: Rule = ("a number above 0", lambda value: _number(value) and value > 0)
ZERO_OR_MORE: Rule = ("a number of at least 0", lambda value: _number(value) and value >= 0)
SHARE: Rule = ("a number from 0 to 1", lambda value: _number(value) and 0 <= value <= 1)
TRUTH: Rule = ("True or False", lambda value: isinstance(value, bool))
TOKEN_IDS: Rule = ("a list of token ids", lambda value: _ids(value))
WORDS: Rule = ("a non-empty list of non-empty lists of token ids", _words)

RULES: dict[str, Rule] = {
    "max_length": COUNT,
    "max_new_tokens": COUNT,
    "min_length": SIZE,
    "min_new_tokens": SIZE,
    "early_stopping": ('True, False or "never"', lambda value: isinstance(value, bool) or value == "never"),
    "max_time": POSITIVE,
    "do_sample": TRUTH,
    "num_beams": COUNT,
    "num_beam_groups": COUNT,
    "num_return_sequences": COUNT,
    "temperature": ZERO_OR_MORE,
    "top_k": SIZE,
    "top_p": SHARE,
    "min_p": SHARE,
    "typical_p": ("a number above 0, up to 1", lambda value: _number(value) and 0 < value <= 1),
    "epsilon_cutoff": SHARE,
    "eta_cutoff": SHARE,
    "repetition_penalty": POSITIVE,
    "encoder_repetition_penalty": POSITIVE,
    "length_penalty": ("a number", _number),
    "diversity_penalty": ZERO_OR_MORE,
    "penalty_alpha": SHARE,
    "no_repeat_ngram_size": SIZE,
    "encoder_no_repeat_ngram_size": SIZE,
    "bad_words_ids": WORDS,
    "suppress_tokens": TOKEN_IDS,
    "begin_suppress_tokens": TOKEN_IDS,
    "exponential_decay_length_penalty": (
        "a pair (start, factor)",
        lambda value: isinstance(value, (tuple, list)) and len(value) == 2 and all(map(_number, value)),
    ),
    "guidance_scale": POSITIVE,
    "num_assistant_tokens": COUNT,
    "num_assistant_tokens_schedule": (
        '"constant", "heuristic" or "heuristic_transient"',
        lambda value: value in ("constant", "heuristic", "heuristic_transient"),
    ),
    "assistant_confidence_threshold": SHARE,
    "prompt_lookup_num_tokens": COUNT,
    "max_matching_ngram_size": COUNT,
    "stop_strings": (
        "a non-empty string or a list of them",
        lambda value: bool(value) and all(isinstance(item, str) and item for item in value),
    ),
}

ARGUMENTS = (
    "logits_processor",
    "stopping_criteria",
    "prefix_allowed_tokens_fn",
    "assistant_model",
    "streamer",
    "negative_prompt_ids",
    "negative_prompt_attention_mask",
    "use_model_defaults",
)


def check(config: GenerationConfig) -> None:
    """Raise `GenerationError` at the first option that cannot be meant, alone or beside the others."""
    for name, value in config.set_options.items():
        if name in ARGUMENTS:
            raise GenerationError(f"{name} is an argument of generate(), not an option of GenerationConfig.")
        if name in RULES and value is not None:
            wanted, holds = RULES[name]
            if not holds(value):
                raise GenerationError(f"{name} must be {wanted}, but is {value!r}.")
    _check_modes(config)
    _check_beams(config)
    _mention_ignored(config)


def _check_modes(config: GenerationConfig) -> None:
    if config.do_sample and config.temperature == 0.0:
        raise GenerationError("temperature is 0, which cannot be sampled from; set do_sample=False for greedy search.")
    if config.token_healing:
        raise GenerationError("token_healing is not supported; trim the prompt's last token instead.")
    if config.assistant_early_exit is not None:
        raise GenerationError("assistant_early_exit is not supported; pass a smaller assistant_model.")
    if config.watermarking_config is not None and not hasattr(config.watermarking_config, "processor"):
        raise GenerationError("watermarking_config must be a WatermarkingConfig or a mapping of its fields.")


def _check_beams(config: GenerationConfig) -> None:
    beams, groups, returned = config.num_beams, config.num_beam_groups, config.num_return_sequences
    if beams > 1 and returned > beams:
        raise GenerationError(f"num_return_sequences ({returned}) is greater than num_beams ({beams}).")
    if beams == 1 and returned > 1 and not config.do_sample:
        raise GenerationError(
            f"num_return_sequences is {returned}, but greedy search finds one sequence only; "
            "set do_sample=True or num_beams to at least as many."
        )
    _check_groups(config)
    if config.constraints is not None or config.force_words_ids is not None:
        if beams == 1:
            raise GenerationError("force_words_ids and constraints need num_beams greater than 1.")
        if config.do_sample:
            raise GenerationError("force_words_ids and constraints are a search, not sampling; set do_sample=False.")
        if groups > 1:
            raise GenerationError("force_words_ids and constraints do not work with num_beam_groups.")


def _check_groups(config: GenerationConfig) -> None:
    beams, groups = config.num_beams, config.num_beam_groups
    if groups > 1:
        if beams % groups:
            raise GenerationError(f"num_beams ({beams}) is not divisible by num_beam_groups ({groups}).")
        if config.do_sample:
            raise GenerationError("num_beam_groups is a search, not sampling; set do_sample=False.")
    elif config.diversity_penalty:
        raise GenerationError("diversity_penalty needs num_beam_groups greater than 1.")


SAMPLING_ONLY = ("temperature", "top_p", "min_p", "typical_p", "top_k", "epsilon_cutoff", "eta_cutoff")
BEAMS_ONLY = ("early_stopping", "length_penalty")


def _mention_ignored(config: GenerationConfig) -> None:
    idle = (
        [] if config.do_sample or config.penalty_alpha else [name for name in SAMPLING_ONLY if _unusual(config, name)]
    )
    if config.num_beams == 1:
        idle += [name for name in BEAMS_ONLY if _unusual(config, name)]
    if idle:
        logger.debug("Without do_sample or num_beams these options have no effect: %s", ", ".join(idle))


def _unusual(config: GenerationConfig, name: str) -> bool:
    value = getattr(config, name)
    return value is not None and value != getattr(type(config), name)
