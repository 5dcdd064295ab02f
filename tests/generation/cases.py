"""What is asked of the reference and of us alike: options by name, for models with and without an encoder."""

from __future__ import annotations

from typing import Any

Options = dict[str, Any]

PROMPTS = [[5, 9, 14, 7, 3], [11, 4, 4, 8, 30], [22, 6, 17, 35, 12]]
RAGGED = [[21, 5, 9], [5, 9, 14, 7, 3], [33]]

GREEDY: dict[str, Options] = {
    "plain": {"max_new_tokens": 14},
    "total": {"max_length": 9},
    "repetition": {"max_new_tokens": 14, "repetition_penalty": 1.7},
    "ngrams": {"max_new_tokens": 16, "no_repeat_ngram_size": 2},
    "unigrams": {"max_new_tokens": 16, "no_repeat_ngram_size": 1},
    "min length": {"max_new_tokens": 16, "min_length": 12},
    "min new": {"max_new_tokens": 16, "min_new_tokens": 11},
    "bad words": {"max_new_tokens": 14, "bad_words_ids": [[7], [14, 3], [2], [30, 12, 5]]},
    "bias": {"max_new_tokens": 14, "sequence_bias": [[[7], 6.0], [[14, 3], -9.0], [[21], 4.5], [[7, 30], 8.5]]},
    "forced": {"max_new_tokens": 8, "forced_eos_token_id": 2},
    "forced several": {"max_new_tokens": 8, "forced_eos_token_id": [2, 9], "min_new_tokens": 7},
    "decay": {"max_new_tokens": 18, "min_new_tokens": 3, "exponential_decay_length_penalty": (4, 1.3)},
    "suppress": {"max_new_tokens": 12, "suppress_tokens": [7, 14, 21, 2], "begin_suppress_tokens": [5, 33, 8]},
    "two ends": {"max_new_tokens": 16, "eos_token_id": [2, 14]},
    "everything": {
        "max_new_tokens": 16,
        "repetition_penalty": 1.2,
        "no_repeat_ngram_size": 3,
        "bad_words_ids": [[9], [5, 30]],
        "min_new_tokens": 6,
        "exponential_decay_length_penalty": (7, 1.2),
        "suppress_tokens": [11],
        "begin_suppress_tokens": [20, 8],
        "renormalize_logits": True,
    },
    "watermark": {"max_new_tokens": 12, "watermarking_config": {"bias": 6.0}},
    "selfhash": {
        "max_new_tokens": 8,
        "watermarking_config": {"bias": 6.0, "seeding_scheme": "selfhash", "context_width": 3},
    },
}

SAMPLING: dict[str, Options] = {
    "plain": {},
    "temperature": {"temperature": 0.6},
    "top k": {"top_k": 4, "temperature": 1.5},
    "top p": {"top_p": 0.7, "top_k": 0},
    "min p": {"min_p": 0.2, "top_k": 0, "temperature": 2.0},
    "typical": {"typical_p": 0.6, "top_k": 0},
    "epsilon": {"epsilon_cutoff": 0.05, "top_k": 0, "temperature": 2.0},
    "eta": {"eta_cutoff": 0.1, "top_k": 0, "temperature": 2.0},
    "returned": {"num_return_sequences": 3, "top_k": 10, "temperature": 1.5},
    "together": {
        "temperature": 1.4,
        "top_k": 20,
        "top_p": 0.9,
        "typical_p": 0.95,
        "repetition_penalty": 1.3,
        "no_repeat_ngram_size": 2,
        "min_new_tokens": 4,
    },
}
SAMPLING = {name: {"do_sample": True, "max_new_tokens": 12, **options} for name, options in SAMPLING.items()}

BEAMS: dict[str, Options] = {
    "plain": {"num_beams": 4},
    "several": {"num_beams": 4, "num_return_sequences": 4},
    "two": {"num_beams": 2, "length_penalty": 0.0},
    "longer": {"num_beams": 4, "length_penalty": 2.5, "num_return_sequences": 2},
    "shorter": {"num_beams": 4, "length_penalty": -1.5, "num_return_sequences": 3},
    "early": {"num_beams": 3, "early_stopping": True, "num_return_sequences": 3},
    "never": {"num_beams": 3, "early_stopping": "never", "num_return_sequences": 3},
    "never shorter": {"num_beams": 3, "early_stopping": "never", "length_penalty": -0.5, "num_return_sequences": 2},
    "two ends": {"num_beams": 3, "eos_token_id": [2, 14], "num_return_sequences": 2},
    "penalties": {
        "num_beams": 5,
        "num_return_sequences": 3,
        "repetition_penalty": 1.4,
        "no_repeat_ngram_size": 2,
        "length_penalty": 1.3,
        "min_new_tokens": 4,
    },
    "bad words": {"num_beams": 4, "bad_words_ids": [[7], [14, 3], [5, 9]], "num_return_sequences": 2},
    "forced end": {"num_beams": 3, "forced_eos_token_id": 2, "max_new_tokens": 6, "num_return_sequences": 3},
    "renormalized": {"num_beams": 3, "suppress_tokens": [4, 7, 9, 30], "renormalize_logits": True},
}
BEAMS = {name: {"max_new_tokens": 12, **options} for name, options in BEAMS.items()}

BEAM_SAMPLING: dict[str, Options] = {
    "plain": {"num_beams": 3},
    "returned": {"num_beams": 4, "num_return_sequences": 3, "temperature": 1.5, "top_k": 12},
    "cut": {"num_beams": 3, "top_p": 0.8, "num_return_sequences": 2, "early_stopping": True},
}
BEAM_SAMPLING = {name: {"do_sample": True, "max_new_tokens": 10, **options} for name, options in BEAM_SAMPLING.items()}

SOURCES: dict[str, Options] = {  # of models with an encoder only
    "forced start": {"max_new_tokens": 8, "forced_bos_token_id": 9},
    "forced start, beams": {"max_new_tokens": 8, "forced_bos_token_id": 9, "num_beams": 4, "num_return_sequences": 4},
    "source ngrams": {"max_new_tokens": 14, "encoder_no_repeat_ngram_size": 1},
    "source ngrams, beams": {"max_new_tokens": 14, "encoder_no_repeat_ngram_size": 2, "num_beams": 3},
    "source tokens": {"max_new_tokens": 12, "encoder_repetition_penalty": 1.8},
    "begin": {"max_new_tokens": 8, "begin_suppress_tokens": [9, 14], "forced_bos_token_id": 9},
    "target": {"max_new_tokens": 8, "decoder_input_ids": [[7, 8], [3, 30], [5, 5]]},
    "target begun": {"max_new_tokens": 8, "decoder_input_ids": [[1, 8], [1, 30], [1, 5]], "num_beams": 2},
}

GUIDED: dict[str, Options] = {  # of models without one
    "last token": {"max_new_tokens": 10, "guidance_scale": 1.5},
    "negative": {"max_new_tokens": 10, "guidance_scale": 2.5, "negative_prompt_ids": [[6, 6], [9, 31], [14, 2]]},
}

# Searches that the reference has given up; Transformers 4.40 is the last that all of them are compared with.
CONTRASTIVE: dict[str, Options] = {
    "plain": {"penalty_alpha": 0.6, "top_k": 4},
    "mild": {"penalty_alpha": 0.2, "top_k": 6, "repetition_penalty": 1.2},
}
CONTRASTIVE = {name: {"max_new_tokens": 12, **options} for name, options in CONTRASTIVE.items()}

GROUPS: dict[str, Options] = {
    "pairs": {"num_beams": 4, "num_beam_groups": 2, "diversity_penalty": 2.0, "num_return_sequences": 4},
    "singles": {"num_beams": 3, "num_beam_groups": 3, "diversity_penalty": 5.0, "num_return_sequences": 3},
    "early": {
        "num_beams": 6,
        "num_beam_groups": 3,
        "diversity_penalty": 0.7,
        "early_stopping": True,
        "num_return_sequences": 6,
    },
    "ruled": {
        "num_beams": 4,
        "num_beam_groups": 2,
        "diversity_penalty": 1.5,
        "repetition_penalty": 1.3,
        "no_repeat_ngram_size": 2,
        "length_penalty": 0.5,
        "num_return_sequences": 3,
    },
}
GROUPS = {name: {"max_new_tokens": 9, **options} for name, options in GROUPS.items()}

CONSTRAINED: dict[str, Options] = {
    "word": {"force_words_ids": [[17]], "num_beams": 4},
    "phrase": {"force_words_ids": [[17, 23, 6]], "num_beams": 5, "num_return_sequences": 3},
    "two words": {"force_words_ids": [[17, 23], [31]], "num_beams": 6, "num_return_sequences": 2},
    "either": {"force_words_ids": [[[17, 23], [9, 30, 12], [36]]], "num_beams": 5, "num_return_sequences": 2},
    "both kinds": {
        "force_words_ids": [[[17], [36, 4]], [31, 8]],
        "num_beams": 6,
        "no_repeat_ngram_size": 3,
        "length_penalty": 0.7,
    },
}
CONSTRAINED = {name: {"max_new_tokens": 10, **options} for name, options in CONSTRAINED.items()}


# PendingRequest of tiny models of every family; ids of the vocabulary of 99 that tests/families/rows gives them.
FAMILY_PROMPTS = [[21, 50, 9, 14, 77, 8, 30], [66, 12, 12, 40, 8, 23, 91], [35, 22, 61, 17, 84, 70, 13]]
FAMILY_RAGGED = [[21, 50, 9, 14], [66, 12, 12, 40, 8, 23, 91], [35, 22]]

FAMILY: dict[str, Options] = {
    "greedy": {},
    "repetition": {"repetition_penalty": 1.5, "min_new_tokens": 9},
    "ngrams": {"no_repeat_ngram_size": 2, "bad_words_ids": [[8], [9, 14], [50, 21]]},
    "forced end": {"forced_eos_token_id": 33, "min_length": 12},
    "beams": {"num_beams": 4},
    "best": {"num_beams": 4, "num_return_sequences": 3, "length_penalty": 0.6, "early_stopping": True},
    "ruled beams": {
        "num_beams": 4,
        "repetition_penalty": 1.3,
        "no_repeat_ngram_size": 2,
        "min_new_tokens": 5,
        "length_penalty": 1.8,
        "num_return_sequences": 2,
    },
    "sampling": {"do_sample": True, "top_k": 30, "top_p": 0.9, "temperature": 1.3},
    "sampled returns": {"do_sample": True, "top_k": 0, "num_return_sequences": 2},
    "sampled beams": {"do_sample": True, "num_beams": 3, "num_return_sequences": 2},
}
FAMILY_SOURCES: dict[str, Options] = {
    "forced start": {"forced_bos_token_id": 44, "num_beams": 2},
    "source": {"encoder_no_repeat_ngram_size": 1},
    "target": {"decoder_input_ids": [[60, 61], [5, 6], [7, 40]]},
}
FAMILY_CLASSIC: dict[str, Options] = {
    "contrastive": {"penalty_alpha": 0.5, "top_k": 4},
    "groups": {"num_beams": 4, "num_beam_groups": 2, "diversity_penalty": 1.5, "num_return_sequences": 4},
    "words": {"force_words_ids": [[41, 42], [[60], [77, 80]]], "num_beams": 5, "num_return_sequences": 2},
}
