"""What the reference answered for a row, and the checkpoint that it answered from."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.numpy import save_file

import lamina
from lamina.families import MODULES

from .inputs import Array
from .rows import ROWS
from .rows.row import Row
from .weights import fill, sinusoids

GOLDEN = Path(__file__).resolve().parent / "golden"

# Rows of a family run as soon as the family exists; a head that it lacks then fails rather than being passed over.
ACTIVE = [row for row in ROWS if row.family in MODULES]
# What does not depend on the inputs is tried once for each class and config, or once for each class.
MODELS = list({(row.architecture, repr(row.changes)): row for row in reversed(ACTIVE)}.values())
CLASSES = list({row.architecture: row for row in reversed(ACTIVE)}.values())


@dataclass
class Golden:
    """One file of `golden/`, read."""

    row: Row
    reference: str
    config: dict[str, Any]
    changes: dict[str, Any]
    shapes: dict[str, tuple[int, ...]]
    recreated: dict[str, tuple[int, ...]]  # in the reference's file, though not needed in ours
    keys: list[list[str]]
    inputs: dict[str, Array] = field(default_factory=dict)
    outputs: list[dict[str, Array]] = field(default_factory=list)
    gradients: Array | None = None
    initial: Array | None = None

    @property
    def labeled(self) -> bool:
        return self.gradients is not None

    @property
    def paired(self) -> bool:
        return "encoder_last_hidden_state" in self.outputs[0]

    @property
    def hidden(self) -> bool:
        return any("hidden_states.0" in key for key in self.outputs[0])


@cache
def golden(row: Row) -> Golden:
    """The stored answer to `row`."""
    with safe_open(GOLDEN / f"{row.id}.safetensors", "numpy") as file:
        meta = json.loads(file.metadata()["golden"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no iterator)
    found = Golden(
        row,
        meta["reference"],
        meta["config"],
        meta["changes"],
        {name: tuple(shape) for name, shape in meta["tensors"]},
        {name: tuple(shape) for name, shape in meta["recreated"]},
        meta["keys"],
        gradients=tensors.pop("gradients", None),
        initial=tensors.pop("initial"),
        outputs=[{} for _ in meta["keys"]],
    )
    for name, tensor in tensors.items():
        kind, _, rest = name.partition(".")
        if kind == "in":
            found.inputs[rest] = tensor
        else:
            found.outputs[int(kind.removeprefix("out"))][rest] = tensor
    return found


def write_checkpoint(answer: Golden, folder: Path) -> Path:
    """The folder that the reference saved: its config.json, and its tensors by `fill`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(answer.config))
    tensors = {name: fill(name, shape) for name, shape in answer.shapes.items()}
    tensors.update({name: sinusoids(shape) for name, shape in answer.recreated.items()})
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def load(row: Row, folder: Path) -> Any:
    """Our model of the row, from that folder, which it must read without remainder."""
    model, report = getattr(lamina, row.architecture).from_pretrained(folder, output_loading_info=True)
    leftover = {problem: names for problem, names in report.items() if names}
    assert not leftover, f"{row.id}: the checkpoint does not fit: {leftover}"
    return model


def arguments(inputs: dict[str, Array]) -> dict[str, torch.Tensor]:
    """Arrays as the tensors of a call."""
    return {name: torch.from_numpy(array.copy()) for name, array in inputs.items()}


def call(row: Row, model: Any, inputs: dict[str, Array], **options: Any) -> list[Any]:
    """The output of each segment, memories passed on in between."""
    tensors = arguments(inputs)
    outputs: list[Any] = []
    for segment in range(row.segments):
        pieces = dict(tensors)
        if row.segments > 1:
            pieces = {name: tensor.chunk(row.segments, 1)[segment] for name, tensor in tensors.items()}
        if segment:
            pieces["mems"] = outputs[-1].mems
        outputs.append(model(**pieces, **options))
    return outputs


def flatten(output: Any) -> dict[str, Array]:
    """Every tensor of an output, as the goldens name them."""
    found = {}
    for key, value in output.items():
        if key != "past_key_values":
            parts = {key: value} if torch.is_tensor(value) else {f"{key}.{i}": part for i, part in enumerate(value)}
            found.update({name: part.detach().numpy() for name, part in parts.items()})
    return found


def real(key: str, array: Array, inputs: dict[str, Array], paired: bool) -> Array:
    """What of an output tensor belongs to real tokens, of the target's where a `paired` model has two texts.

    Works on [batch, tokens, ...] and on attention maps [batch, heads, tokens, ...]; others come back as they are.
    """
    mask = inputs.get("decoder_attention_mask" if paired and not key.startswith("encoder_") else "attention_mask")
    if mask is None:
        return array
    mask = mask.reshape(-1, mask.shape[-1]) == 1
    if array.ndim >= 4 and "attentions" in key:
        return np.moveaxis(array, 1, -1)[mask]
    if array.ndim == 4:  # [questions, choices, tokens, vocabulary]
        array = array.reshape(-1, *array.shape[2:])
    return array[mask] if array.shape[:2] == mask.shape else array


def assert_near(ours: Array, theirs: Array, what: str) -> None:
    """Within 1e-5, or 2e-5 of the value where that is large."""
    assert ours.shape == theirs.shape, f"{what}: shape {ours.shape}, expected {theirs.shape}"
    np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=1e-5, err_msg=what)
