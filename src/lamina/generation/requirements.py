"""What a call of `generate` needs of model and machine, asked before the first step."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import takewhile
from typing import Any

from ..errors import GenerationError
from ..files.shown import shown
from ..nn.runtime import require_memory
from .config import GenerationConfig
from .inputs import Prompt, several
from .protocol import Decodes

BYTES_PER_ID = 16  # of a row's ids, held twice
BYTES_PER_SCORE = 8  # of a float32, held twice


OURS = __name__.partition(".")[0]
# Methods that the reference's generate() calls on a model, and this one does not.
NOT_CALLED = re.compile(
    r"__call__|forward|prepare_inputs_for_generation|_update_model_kwargs_for_generation"
    r"|_(sample|beam_search|assisted_decoding|expand_inputs_for_generation|merge_criteria_processor_list)"
    r"|_get_(logits_processor|stopping_criteria|candidate_generator)|_validate_model_(kwargs|class)"
    r"|_prepare_(\w+_for_generation|model_inputs|special_tokens|generation_config|generated_length)"
)


def require_own_steps(model: Any) -> None:
    """Raise GenerationError where a subclass, a patched method or a hook would be passed over in silence.

    A class that has a `step` of its own says itself how it writes.
    """
    kinds = list(takewhile(lambda kind: kind.__module__.partition(".")[0] != OURS, type(model).__mro__))
    if len(kinds) == len(type(model).__mro__) or any("step" in vars(kind) for kind in kinds):
        return
    changed = [name for part in (model, *kinds) for name in vars(part) if NOT_CALLED.fullmatch(name)]
    if changed:
        raise GenerationError(
            f"{type(model).__name__} has its own {', '.join(changed)}, which generate() does not call here: "
            "pass a logits_processor, or write with model.start() and a step() of your own."
        )
    if model._forward_hooks or model._forward_pre_hooks:
        raise GenerationError(
            "The model has forward hooks, which generate() does not call here: put them on its parts, or remove them."
        )


def copies(config: GenerationConfig, vocabulary: int) -> int:
    """Rows that each source is given."""
    if config.num_beams > 1:
        return config.num_beams
    if config.penalty_alpha and not config.do_sample:
        return max(1, min(config.top_k or 1, vocabulary))
    return config.num_return_sequences


def require_room(model: Decodes, config: GenerationConfig, prompt: Prompt) -> None:
    """Raise GenerationError where the longest answer to one source, or ids and scores of all, exceed the memory."""
    vocabulary, length = model.writing_vocabulary, config.max_length
    each, new = copies(config, vocabulary), length - prompt.length
    row = vocabulary * BYTES_PER_SCORE + length * BYTES_PER_ID
    source = each * (row + new * model.token_bytes)
    kept = (config.output_scores + bool(config.output_logits)) * config.return_dict_in_generate
    everything = prompt.size * each * (row + kept * new * vocabulary * BYTES_PER_SCORE // 2)
    many = ("num_beams", "num_return_sequences", *(["top_k"] if config.penalty_alpha else []))
    lower = [name for name in many if (getattr(config, name) or 1) > 1]
    lower.append("max_length" if config.max_new_tokens is None else "max_new_tokens")
    what = f"Writing {prompt.size * each:,} rows of up to {length:,} tokens"
    require_memory(max(source, everything), model.device, what, f"lower {' or '.join(lower)}.", GenerationError)


def require_tokens(config: GenerationConfig, vocabulary: int) -> None:
    """Raise GenerationError where an option names a token outside the vocabulary."""
    biases = config.sequence_bias or ()
    named: dict[str, Iterable[Iterable[int]]] = {
        "suppress_tokens": [config.suppress_tokens or ()],
        "begin_suppress_tokens": [config.begin_suppress_tokens or ()],
        "forced_bos_token_id": [several(config.forced_bos_token_id)],
        "forced_eos_token_id": [several(config.forced_eos_token_id)],
        "bad_words_ids": config.bad_words_ids or (),
        "sequence_bias": biases if isinstance(biases, Mapping) else [word for word, _ in biases],
    }
    for option, words in named.items():
        require_words(option, words, vocabulary)


def require_words(option: str, words: Iterable[Iterable[int]], vocabulary: int) -> None:
    """Raise GenerationError where a word holds a token outside the vocabulary."""
    outside = sorted({token for word in words for token in word if token >= vocabulary})
    if outside:
        raise GenerationError(f"{option} names tokens {shown(outside)} outside the vocabulary of {vocabulary}.")
