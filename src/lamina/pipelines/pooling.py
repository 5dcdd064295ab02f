"""Token states to one vector for a text, as the folder of a sentence model says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import PipelineError
from ..files.jsonfile import read_json, read_json_object
from ..files.paths import inside, present
from ..files.shown import shown

Pool = Callable[[Tensor], Tensor]  # [tokens, hidden] of one text without padding to [hidden]

CONFIG, LENGTH = "config.json", "sentence_bert_config.json"
MODES: dict[str, Pool] = {  # in the order in which a folder that names several joins them
    "cls": lambda states: states[0],
    "max": lambda states: states.max(0).values,
    "mean": lambda states: states.mean(0),
    "mean_sqrt_len_tokens": lambda states: states.sum(0) / len(states) ** 0.5,
    "weightedmean": lambda states: _weights(states) @ states,
    "lasttoken": lambda states: states[-1],
}
KEYS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}


def _weights(states: Tensor) -> Tensor:
    """Shares that grow with the position, [tokens]."""
    positions = torch.arange(1, len(states) + 1, device=states.device, dtype=states.dtype)
    return positions / positions.sum()


@dataclass(frozen=True)
class Pooling:
    """How token states become the vector of a text."""

    modes: tuple[str, ...] = ("mean",)
    normalized: bool = False
    max_length: int | None = None  # tokens that are read of a text; None: as many as the tokenizer says

    def __call__(self, states: Tensor) -> Tensor:
        """[tokens, hidden] of one text to [hidden], or that times the number of modes."""
        vector = torch.cat([MODES[mode](states) for mode in self.modes])
        return torch.nn.functional.normalize(vector, dim=0) if self.normalized else vector


MEAN = Pooling()


def read_pooling(folder: Path) -> Pooling:
    """What `modules.json` and the folders it names say; mean pooling where there is no such file.

    Raises PipelineError for a module that would change the vectors and is not known here.
    """
    if not present(folder, "modules.json"):
        return MEAN
    listing = inside(folder, "modules.json", PipelineError)
    modes, normalized = MEAN.modes, False
    modules = read_json(listing, error=PipelineError)
    if not isinstance(modules, list) or not all(isinstance(module, dict) for module in modules):
        raise PipelineError(f"{listing} must be a list of modules, each with a type and a path")
    for module in modules:
        kind = module["type"].rsplit(".", 1)[-1] if isinstance(module.get("type"), str) else module.get("type")
        if kind == "Pooling":
            modes = _modes(_config(folder, module.get("path", "")))
        elif kind == "Normalize":
            normalized = True
        elif kind != "Transformer":
            raise PipelineError(f"{listing} asks for a module {shown(kind)}; known: Transformer, Pooling, Normalize")
    return Pooling(modes, normalized, _max_length(folder))


def _config(folder: Path, path: Any) -> Path:
    """The config of the module in `path`, which a downloaded file must not lead out of `folder`."""
    if not isinstance(path, str) or path.startswith("/") or ".." in path.split("/"):
        raise PipelineError(f"{folder / 'modules.json'} names {shown(path)}, which lies outside of its folder")
    name = f"{path}/{CONFIG}" if path else CONFIG
    if not present(folder, name):
        raise PipelineError(f"{folder / name} is not a file, although modules.json names it")
    return inside(folder, name, PipelineError)


def _max_length(folder: Path) -> int | None:
    """How many tokens of a text the model was trained on, where a file says so."""
    if not present(folder, LENGTH):
        return None
    file = inside(folder, LENGTH, PipelineError)
    length = read_json_object(file, error=PipelineError).get("max_seq_length")
    if length is not None and (not isinstance(length, int) or length < 1):
        raise PipelineError(f"{file}: max_seq_length is {shown(length)}; it must be a whole number of at least 1")
    return length


def _modes(file: Path) -> tuple[str, ...]:
    """The pooling modes that a config file switches on."""
    config = read_json_object(file, error=PipelineError)
    named = config.get("pooling_mode")
    if named is not None:
        modes: Sequence[str] = named if isinstance(named, list) else [named]
    else:
        modes = [mode for key, mode in KEYS.items() if config.get(key)]
    if not modes or not all(isinstance(mode, str) and mode in MODES for mode in modes):
        raise PipelineError(f"{file} names no pooling that is known here: {', '.join(MODES)}")
    return tuple(modes)
