"""`generate`: options resolved, what they need of model and machine asked, the prompt prepared, one search run."""

from __future__ import annotations

import dataclasses
import difflib
import logging
import random
import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import takewhile
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import GenerationError
from ..files.shown import shown
from ..nn.runtime import require_memory
from .assisted import AssistedSearch
from .beams import BeamSearch, ConstrainedSearch, GroupSearch
from .config import (
    ARGUMENTS,
    IDLE,
    NEVER_NONE,
    OPTIONS,
    GenerationConfig,
    GenerationMode,
    require,
    several,
    without_effect,
)
from .job import Criterion, Job, Processor, Prompt, Stopping, StopStrings, max_time, prepare
from .processors import AllowedTokens, build_processors, require_words
from .protocol import Decodable, Decodes, GenerateOutput, Streamer
from .search import ContrastiveSearch, RowSearch, Search

logger = logging.getLogger(__name__)

DEFAULT_LENGTH = 20
MODEL_INPUTS = ("input_ids", "attention_mask", "token_type_ids", "decoder_input_ids", "decoder_attention_mask")
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
SEARCHES: dict[GenerationMode, type[Search]] = {
    GenerationMode.GREEDY_SEARCH: RowSearch,
    GenerationMode.SAMPLE: RowSearch,
    GenerationMode.CONTRASTIVE_SEARCH: ContrastiveSearch,
    GenerationMode.BEAM_SEARCH: BeamSearch,
    GenerationMode.BEAM_SAMPLE: BeamSearch,
    GenerationMode.GROUP_BEAM_SEARCH: GroupSearch,
    GenerationMode.CONSTRAINED_BEAM_SEARCH: ConstrainedSearch,
}
UNSUPPORTED = {
    "encoder_outputs": "pass input_ids; the encoder runs once by itself",
    "inputs_embeds": "pass input_ids",
    "past_key_values": "pass the whole input_ids, or keep a state of model.start() yourself",
    "custom_generate": "code is never loaded from a checkpoint; use model.start() and model.step()",
    "assistant_tokenizer": "the assistant must share the model's vocabulary",
    "cache_implementation": "there is one kind of cache, which grows by itself; leave it out",
    "dola_layers": "leave it out; it would change what is written",
}


@dataclasses.dataclass
class _Call:
    """Keyword arguments of one call, sorted by what they are for."""

    config: GenerationConfig
    inputs: dict[str, Any]
    arguments: dict[str, Any]
    named: frozenset[str]  # options given in the call itself


def generate(
    model: Decodes,
    inputs: Tensor | None = None,
    generation_config: GenerationConfig | None = None,
    logits_processor: Iterable[Processor] | None = None,
    stopping_criteria: Iterable[Criterion] | None = None,
    prefix_allowed_tokens_fn: AllowedTokens | None = None,
    synced_gpus: bool | None = None,
    assistant_model: Decodes | None = None,
    streamer: Streamer | None = None,
    **options: Any,
) -> Tensor | GenerateOutput:
    """Write on from `inputs`; the contract of `generate` in Transformers 4.57.

    `options` are model inputs (`input_ids`, `attention_mask`, `decoder_input_ids`, `decoder_attention_mask`), fields of
    `GenerationConfig`, `tokenizer` (for stop strings), `negative_prompt_ids` and `negative_prompt_attention_mask` (for
    guidance). They go before `generation_config`, which goes before the model's own. Returns ids
    [rows, tokens], the prompt included, or an output of `generation.protocol` where `return_dict_in_generate` is set.
    Raises `GenerationError` before any step where the options make no sense together.
    """
    arguments = {
        "logits_processor": logits_processor,
        "stopping_criteria": stopping_criteria,
        "prefix_allowed_tokens_fn": prefix_allowed_tokens_fn,
        "synced_gpus": synced_gpus,
        "assistant_model": assistant_model,
        "streamer": streamer,
    }
    try:
        with torch.inference_mode():
            job = _planned(model, inputs, generation_config, {**options, **arguments})
            result = _search(job, assistant_model)(job).run()
    except BaseException as error:
        _tell(streamer, error)
        raise
    return _outside_inference(result)


def plan(model: Decodes, *, generation_config: GenerationConfig | None = None, **options: Any) -> tuple[Job, bool]:
    """What `generate` would run for these arguments, for callers with a loop of their own.

    The second value says whether the search is one that goes token by token, greedy or sampling, without beams.
    """
    assistant = options.get("assistant_model")
    job = _planned(model, None, generation_config, options)
    return job, _search(job, assistant) is RowSearch


def _planned(
    model: Decodes, inputs: Tensor | None, generation_config: GenerationConfig | None, options: dict[str, Any]
) -> Job:
    """The job for these arguments; raises GenerationError where the options make no sense together."""
    arguments = {name: options.pop(name, None) for name in ARGUMENTS}
    for name, value in arguments.items():
        if value is not None:
            require(ARGUMENTS[name], value, name)
    _require_own_steps(model)
    call = _sort_options(model, inputs, generation_config, options, arguments)
    prompt = prepare(model, call.config, call.inputs)
    _resolve_lengths(model, call, prompt)
    _require_room(model, call.config, prompt)
    job = _job(model, call, prompt)
    job.processors = build_processors(job)
    job.stopping.add_custom(arguments["stopping_criteria"] or ())
    return job


def _sort_options(
    model: Decodes,
    inputs: Tensor | None,
    given: GenerationConfig | None,
    options: dict[str, Any],
    arguments: dict[str, Any],
) -> _Call:
    options = {name: value for name, value in options.items() if value is not None or name not in NEVER_NONE}
    if given is None:
        config = model.generation_config.copy()
    elif not isinstance(given, GenerationConfig):
        raise GenerationError(f"generation_config must be a GenerationConfig, but is {shown(given)}.")
    else:
        config = given.with_defaults_of(model.generation_config, arguments["use_model_defaults"])
    rest = config.update(**options)
    named = frozenset(name for name, value in options.items() if name not in rest and value is not None)
    passed = {name: rest.pop(name, None) for name in MODEL_INPUTS}
    rest = {name: value for name, value in rest.items() if value is not None}
    if idle := without_effect(config, named) + _idle_arguments(config, arguments):
        logger.warning(IDLE + "%s", ", ".join(idle))
    for name in rest:
        if name in UNSUPPORTED:
            raise GenerationError(f"{name} is not an argument of generate() here: {UNSUPPORTED[name]}.")
        known = [*OPTIONS, *MODEL_INPUTS, *ARGUMENTS]
        near = difflib.get_close_matches(name[:60], known, 1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise GenerationError(f"generate() has no argument {shown(name)}.{hint}")
    if inputs is not None:
        if passed["input_ids"] is not None:
            raise GenerationError("Both inputs and input_ids were passed; they are the same thing, pass one.")
        passed["input_ids"] = inputs
    return _Call(config, passed, arguments, named)


def _idle_arguments(config: GenerationConfig, arguments: dict[str, Any]) -> list[str]:
    guided = config.guidance_scale not in (None, 1, 1.0)
    given = [name for name, value in arguments.items() if value is not None]
    return [name for name in given if name.startswith("negative_prompt") and not guided]


def _resolve_lengths(model: Decodes, call: _Call, prompt: Prompt) -> None:
    """Resolve max_length and min_length, which count the prompt. `max_new_tokens` goes before `max_length`."""
    config, named = call.config, call.named
    room = model.writing_room
    if room is not None and prompt.tokens.shape[1] >= room:
        raise GenerationError(
            f"The prompt has {prompt.tokens.shape[1]} tokens, but the model has positions for {room} in all, "
            "prompt and answer together; shorten the prompt."
        )
    if config.max_new_tokens is not None:
        if "max_length" in named:
            logger.debug("max_new_tokens (%s) goes before max_length (%s)", config.max_new_tokens, config.max_length)
        config.max_length = prompt.length + config.max_new_tokens
    elif "max_length" not in named and config.max_length in (None, DEFAULT_LENGTH):
        config.max_length = DEFAULT_LENGTH + prompt.length
    if prompt.length >= config.max_length:
        raise GenerationError(
            f"The prompt has {prompt.length} tokens, but max_length is {config.max_length}, which counts the prompt; "
            "raise it, or set max_new_tokens."
        )
    if config.min_new_tokens is not None:
        config.min_length = prompt.length + config.min_new_tokens
    if config.min_length > config.max_length:
        if named & {"min_length", "min_new_tokens"} and named & {"max_length", "max_new_tokens"}:
            raise GenerationError(
                f"The shortest sequence allowed ({config.min_length} tokens with the prompt) is longer than the "
                f"longest ({config.max_length})."
            )
        logger.debug("min_length (%s) exceeds max_length (%s)", config.min_length, config.max_length)
    if room is not None and config.max_length - _padding(prompt) > room:
        _end_at(room, call, prompt)


def _end_at(room: int, call: _Call, prompt: Prompt) -> None:
    """Let sequences end where the model's positions do, which is told to whoever asked for more."""
    config, named, padding = call.config, call.named, _padding(prompt)
    if config.min_length - padding > room and named & {"min_length", "min_new_tokens"}:
        raise GenerationError(
            f"The shortest sequence allowed has {config.min_length - padding} tokens, prompt and answer together, but "
            f"the model has positions for {room}; lower min_length or min_new_tokens."
        )
    level = logging.WARNING if named & {"max_length", "max_new_tokens"} else logging.INFO
    told = "Sequences end at %s tokens, prompt and answer together, instead of %s: the model has no more positions"
    logger.log(level, told, room, config.max_length - padding)
    config.max_length = room + padding


def _padding(prompt: Prompt) -> int:
    """Columns of the prompt that no row has a token in."""
    return prompt.length - prompt.tokens.shape[1]


def _search(job: Job, assistant: Decodes | None) -> Callable[[Job], Search]:
    """The search that the options ask for; raises GenerationError where something beside them cannot follow it."""
    config = job.config
    mode = config.get_generation_mode(assistant)
    if config.num_beams > 1 and job.streamer is not None:
        raise GenerationError("A streamer cannot follow several beams; set num_beams=1.")
    if mode is not GenerationMode.ASSISTED_GENERATION:
        if assistant is None and config.prompt_lookup_num_tokens is None:
            return SEARCHES[mode]
        raise GenerationError(
            "assistant_model and prompt_lookup_num_tokens speed up greedy search and sampling only; "
            "leave them out, or set num_beams=1 and no penalty_alpha."
        )
    if config.num_return_sequences > 1:
        raise GenerationError(
            f"num_return_sequences must be 1 with an assistant, but is {config.num_return_sequences}."
        )
    return partial(AssistedSearch, assistant=assistant)


def _job(model: Decodes, call: _Call, prompt: Prompt) -> Job:
    config, device, streamer = call.config, prompt.input_ids.device, call.arguments["streamer"]
    if config.return_dict_in_generate and (config.output_attentions or config.output_hidden_states):
        raise GenerationError(
            "generate() returns no attentions or hidden states; call the model on the finished sequences for them."
        )
    for name, option in OPTIONS.items():
        if option.rule.words is not None and (value := getattr(config, name)) is not None:
            require_words(name, option.rule.words(value), model.writing_vocabulary)
    eos = several(config.eos_token_id)
    stopping = Stopping(config.max_length, eos, device)
    if config.max_time is not None:
        stopping.add(max_time(config.max_time))
    if config.stop_strings:
        _add_stop_strings(stopping, config.stop_strings, call.arguments["tokenizer"], streamer)
    pad = config.pad_token_id if config.pad_token_id is not None else next(iter(eos), None)
    readable = None if pad is None or 0 <= pad < model.writing_vocabulary else model.writing_vocabulary
    return Job(model, config, prompt, stopping, config.max_length, eos, pad, call.arguments, readable)


def _add_stop_strings(
    stopping: Stopping, strings: str | list[str], tokenizer: Decodable | None, streamer: Streamer | None
) -> None:
    if tokenizer is None:
        raise GenerationError("stop_strings needs the model's tokenizer: pass tokenizer=... to generate().")
    strings = [strings] if isinstance(strings, str) else list(strings)
    stopping.add(StopStrings(strings, tokenizer))
    hold_back = getattr(streamer, "hold_back", None)
    if hold_back is not None:
        hold_back(strings)


def _tell(streamer: Streamer | None, error: BaseException) -> None:
    """Whoever waits for a streamer's next text must learn that none will come."""
    fail = getattr(streamer, "fail", None)
    if fail is not None:
        fail(error)


def _outside_inference(result: Tensor | GenerateOutput) -> Tensor | GenerateOutput:
    """Tensors that autograd accepts: those made in inference mode cannot be trained on."""
    if isinstance(result, Tensor):
        return result.clone()
    for name, value in result.items():
        setattr(result, name, tuple(map(torch.clone, value)) if isinstance(value, tuple) else value.clone())
    return result


def _require_own_steps(model: Any) -> None:
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


def _copies(config: GenerationConfig, vocabulary: int) -> int:
    if config.num_beams > 1:
        return config.num_beams
    if config.penalty_alpha and not config.do_sample:
        return max(1, min(config.top_k or 1, vocabulary))
    return config.num_return_sequences


def _require_room(model: Decodes, config: GenerationConfig, prompt: Prompt) -> None:
    """Raise GenerationError where the longest answer to one source, or ids and scores of all, exceed the memory."""
    vocabulary, length = model.writing_vocabulary, config.max_length
    each, new = _copies(config, vocabulary), length - prompt.length
    row = vocabulary * BYTES_PER_SCORE + length * BYTES_PER_ID
    source = each * (row + new * model.token_bytes)
    kept = (config.output_scores + bool(config.output_logits)) * config.return_dict_in_generate
    everything = prompt.size * each * (row + kept * new * vocabulary * BYTES_PER_SCORE // 2)
    many = ("num_beams", "num_return_sequences", *(["top_k"] if config.penalty_alpha else []))
    lower = [name for name in many if (getattr(config, name) or 1) > 1]
    lower.append("max_length" if config.max_new_tokens is None else "max_new_tokens")
    what = f"Writing {prompt.size * each:,} rows of up to {length:,} tokens"
    require_memory(max(source, everything), model.device, what, f"lower {' or '.join(lower)}.", GenerationError)


def transition_scores(
    sequences: Tensor,
    scores: Sequence[Tensor] | None,
    beam_indices: Tensor | None = None,
    normalize_logits: bool = False,
) -> Tensor:
    """The score of each generated token, [rows, steps]; 0 after the end of a beam's sequence.

    `sequences`, `scores` and `beam_indices` are those of an output of `generate`; `normalize_logits` turns scores into
    log-probabilities first, which beams have anyway.
    """
    if not scores:
        raise GenerationError("There are no scores; generate with return_dict_in_generate=True and output_scores=True.")
    if beam_indices is None:
        steps = len(scores)
        rows = torch.arange(len(sequences), device=sequences.device)[:, None].expand(-1, steps)
    else:
        steps = int((beam_indices >= 0).sum(1).max())
        rows = beam_indices[:, :steps]
    tokens = sequences[:, sequences.shape[1] - steps :]
    columns = []
    for step, every in enumerate(scores[:steps]):
        worth = every.log_softmax(-1) if normalize_logits else every
        columns.append(worth[rows[:, step].clamp(min=0), tokens[:, step]].masked_fill(rows[:, step] < 0, 0.0))
    return torch.stack(columns, 1)


def set_seed(seed: int, deterministic: bool = False) -> None:
    """Seed Python, NumPy and torch on every device, so that the same call draws the same; as the reference's does.

    `deterministic` also has torch refuse operations whose result may differ from run to run.
    """
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    if deterministic:
        torch.use_deterministic_algorithms(True)
