"""Which options of generation make sense, alone and together; what does not is said before any step."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Callable, Iterable, Mapping, Set
from typing import TYPE_CHECKING, Any

from torch import Tensor

from ..errors import GenerationError
from ..files.shown import shown
from .rules import (
    BIASES,
    COUNT,
    FORCED,
    LIST,
    NUMBER,
    ONE_OR_MORE,
    PAIR,
    POSITIVE,
    SECONDS,
    SHARE,
    SIZE,
    SOME,
    SPECIAL,
    SPECIALS,
    STOPS,
    TEXT,
    TOKEN,
    TOKEN_IDS,
    TRUTH,
    WORDS,
    ZERO_OR_MORE,
    Rule,
    one_of,
)

if TYPE_CHECKING:
    from .config import GenerationConfig

logger = logging.getLogger(__name__)

LONGEST_NAME, FEW = 60, 5  # of names of options in messages

RULES: dict[str, Rule] = {  # of every option; a test holds that none is left out
    "max_length": COUNT,
    "max_new_tokens": COUNT,
    "min_length": SIZE,
    "min_new_tokens": SIZE,
    "early_stopping": one_of(True, False, "never"),
    "max_time": SECONDS,
    "stop_strings": STOPS,
    "do_sample": TRUTH,
    "num_beams": COUNT,
    "use_cache": TRUTH,
    "temperature": ZERO_OR_MORE,
    "top_k": SIZE,
    "top_p": SHARE,
    "min_p": SHARE,
    "typical_p": SOME,
    "epsilon_cutoff": SHARE,
    "eta_cutoff": SHARE,
    "repetition_penalty": POSITIVE,
    "encoder_repetition_penalty": POSITIVE,
    "length_penalty": NUMBER,
    "no_repeat_ngram_size": SIZE,
    "encoder_no_repeat_ngram_size": SIZE,
    "bad_words_ids": WORDS,
    "force_words_ids": FORCED,
    "constraints": LIST,
    "renormalize_logits": TRUTH,
    "forced_bos_token_id": TOKEN,
    "forced_eos_token_id": ONE_OR_MORE,
    "remove_invalid_values": TRUTH,
    "exponential_decay_length_penalty": PAIR,
    "suppress_tokens": TOKEN_IDS,
    "begin_suppress_tokens": TOKEN_IDS,
    "sequence_bias": BIASES,
    "token_healing": TRUTH,
    "guidance_scale": POSITIVE,
    "watermarking_config": (
        "a WatermarkingConfig or a mapping of its fields",
        lambda value: hasattr(value, "processor"),
    ),
    "num_return_sequences": COUNT,
    "output_attentions": TRUTH,
    "output_hidden_states": TRUTH,
    "output_scores": TRUTH,
    "output_logits": TRUTH,
    "return_dict_in_generate": TRUTH,
    "pad_token_id": SPECIAL,
    "bos_token_id": SPECIAL,
    "eos_token_id": SPECIALS,
    "decoder_start_token_id": ONE_OR_MORE,
    "num_beam_groups": COUNT,
    "diversity_penalty": ZERO_OR_MORE,
    "penalty_alpha": SHARE,
    "num_assistant_tokens": COUNT,
    "num_assistant_tokens_schedule": one_of("constant", "heuristic", "heuristic_transient"),
    "assistant_confidence_threshold": SHARE,
    "prompt_lookup_num_tokens": COUNT,
    "max_matching_ngram_size": COUNT,
    "assistant_early_exit": COUNT,
    "transformers_version": TEXT,
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


def _has(*names: str) -> Callable[[Any], bool]:
    return lambda value: not isinstance(value, type) and all(callable(getattr(value, name, None)) for name in names)


def _callables(value: Any) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, (str, bytes, Tensor))


TAKEN: dict[str, Rule] = {  # arguments of generate() that are objects
    "generation_config": ("a GenerationConfig", lambda value: hasattr(value, "with_defaults_of")),
    "logits_processor": ("a list of callables", _callables),
    "stopping_criteria": ("a list of callables", _callables),
    "prefix_allowed_tokens_fn": ("a function of a row's number and its ids", callable),
    "assistant_model": ("a model that writes", _has("start", "step")),
    "streamer": ("an object with put() and end()", _has("put", "end")),
    "tokenizer": ("a tokenizer", _has("decode")),
    "use_model_defaults": TRUTH,
    "synced_gpus": ("False, as no process waits for another here", lambda value: value is False),
}
# Options of the reference that change nothing of what is written, as far as they are not refused below.
WITHOUT_EFFECT = (
    "cache_implementation",
    "cache_config",
    "return_legacy_cache",
    "prefill_chunk_size",
    "is_assistant",
    "assistant_lookbehind",
    "target_lookbehind",
    "compile_config",
    "disable_compile",
    "low_memory",
)


def check(config: GenerationConfig) -> None:
    """Raise `GenerationError` at the first option that cannot be meant, alone or beside the others."""
    for name, value in config.set_options.items():
        if name in ARGUMENTS:
            raise GenerationError(f"{name} is an argument of generate(), not an option of GenerationConfig.")
        if name in RULES and value is not None:
            wanted, holds = RULES[name]
            if not holds(value):
                raise GenerationError(f"{name} must be {wanted}, but is {shown(value)}.")
    _check_modes(config)
    _check_beams(config)


def check_arguments(**given: Any) -> None:
    """Raise `GenerationError` at the first of these arguments of generate() that is not what it must be."""
    for name, value in given.items():
        wanted, holds = TAKEN[name]
        if value is not None and not holds(value):
            raise GenerationError(f"{name} must be {wanted}, but is {shown(value)}.")


def unknown_options(config: GenerationConfig) -> list[str]:
    """What is set and no option here, nor one of the reference that changes nothing: shown, with the nearest option."""
    found = [name for name in config.set_options if name not in RULES and name not in WITHOUT_EFFECT]
    near = [difflib.get_close_matches(name[:LONGEST_NAME], RULES, 1, 0.8) for name in found[:FEW]]
    hints = [f" (did you mean {names[0]}?)" if names else "" for names in near]
    more = [f"{len(found) - FEW} more"] if len(found) > FEW else []
    return [shown(name) + hint for name, hint in zip(found, hints, strict=False)] + more


def _check_modes(config: GenerationConfig) -> None:
    if config.do_sample and config.temperature == 0.0:
        raise GenerationError("temperature is 0, which cannot be sampled from; set do_sample=False for greedy search.")
    if config.token_healing:
        raise GenerationError("token_healing is not supported; trim the prompt's last token instead.")
    if config.assistant_early_exit is not None:
        raise GenerationError("assistant_early_exit is not supported; pass a smaller assistant_model.")
    if config.set_options.get("dola_layers") is not None:
        raise GenerationError("dola_layers is not supported: it changes what is written; leave it out.")
    if config.set_options.get("cache_implementation") == "quantized":
        raise GenerationError("cache_implementation='quantized' is not supported: it changes what is written.")


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
GUIDED_ONLY = ("negative_prompt_ids", "negative_prompt_attention_mask")


def mention_ignored(config: GenerationConfig, named: Set[str], extras: Mapping[str, Any]) -> None:
    """Warn of options that a call names and that have no effect beside the others."""
    idle = [] if config.do_sample or config.penalty_alpha else list(SAMPLING_ONLY)
    idle += BEAMS_ONLY if config.num_beams == 1 else []
    idle = [name for name in idle if name in named and _unusual(config, name)]
    if config.guidance_scale in (None, 1, 1.0):
        idle += [name for name, value in extras.items() if name in GUIDED_ONLY and value is not None]
    if idle:
        logger.warning("Without do_sample, num_beams or guidance_scale these have no effect: %s", ", ".join(idle))


def _unusual(config: GenerationConfig, name: str) -> bool:
    value = getattr(config, name)
    return value is not None and value != getattr(type(config), name)
