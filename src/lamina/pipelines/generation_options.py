"""How a pipeline writes: its own defaults under the model's options, under those of a task, under the caller's."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import PipelineError
from ..files.shown import shown
from ..generation.config import GenerationConfig

# What `generate` takes besides options; each sees single rows, so inputs with one of them are written one by one.
ARGUMENTS = (
    "streamer",
    "logits_processor",
    "stopping_criteria",
    "prefix_allowed_tokens_fn",
    "assistant_model",
    "negative_prompt_ids",
    "negative_prompt_attention_mask",
)
# The first of each pair counts the prompt, the second does not; whichever was said last is meant.
LENGTHS = (("max_length", "max_new_tokens"), ("min_length", "min_new_tokens"))
Options = Mapping[str, Any]


def sorted_options(task: str, options: Options, own: Sequence[str] = ()) -> tuple[dict[str, Any], dict[str, Any]]:
    """Options of generation, and arguments of `generate`; refuses whatever is neither. `own` are the task's others."""
    known = GenerationConfig.defaults()
    arguments = {name: value for name, value in options.items() if name in ARGUMENTS}
    given = {name: value for name, value in options.items() if name in known}
    for name in options:
        if name not in arguments and name not in given:
            near = difflib.get_close_matches(name, [*own, *known, *ARGUMENTS], 1)
            raise PipelineError(
                f"{task} knows no argument {shown(name)}; "
                + (f"did you mean {near[0]}?" if near else "it takes its own and the options of generation")
            )
    return given, arguments


def said_later(earlier: Options, later: Options) -> dict[str, Any]:
    """Both, where what was said later replaces not only the same option but also the other way to say a length."""
    settled = {name for pair in LENGTHS if any(later.get(name) is not None for name in pair) for name in pair}
    return {**{name: value for name, value in earlier.items() if name not in settled}, **later}


def overridden(config: GenerationConfig, options: Options) -> GenerationConfig:
    """A copy of `config` under `options`, of which those that are no options of generation are left out."""
    result = config.copy()
    for whole, new in LENGTHS:
        if options.get(whole) is not None:
            setattr(result, new, None)
    result.update(**{name: value for name, value in options.items() if name in GenerationConfig.defaults()})
    return result


def model_options(usual: Options, model: Any, task_params: Options, pad_token_id: int | None) -> GenerationConfig:
    """What is done unless the caller says otherwise.

    `usual` are the pipeline's own defaults. The model's generation_config goes before them wherever it differs from the
    defaults of the library, and `task_params`, the part of `task_specific_params` for this task, goes before both.
    """
    library = GenerationConfig.defaults()
    own = {
        name: value
        for name, value in model.generation_config.set_options.items()
        if name in library and name != "transformers_version" and value is not None and value != library[name]
    }
    if own.get("temperature") == 0.0:
        own["do_sample"] = False
    config = overridden(overridden(GenerationConfig(**usual), own), task_params)
    if config.pad_token_id is None:
        config.pad_token_id = pad_token_id
    return config
