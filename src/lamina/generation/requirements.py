"""What a call of `generate` needs of model and machine, asked before the first step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..errors import GenerationError
from ..files.shown import shown
from ..nn.runtime import require_memory
from .config import GenerationConfig
from .inputs import Prompt, several
from .protocol import Decodes

BYTES_PER_ID = 16  # of a row's ids, held twice
BYTES_PER_SCORE = 8  # of a float32, held twice


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
