"""What the reference answers for every row of `tests/families/rows`: 4.57.6, and 4.37.2 for Transformer-XL."""

from __future__ import annotations

import inspect
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from safetensors.numpy import save
from safetensors.torch import load_file
from safetensors.torch import save_file as save_torch_file

from tests.families.rows import FAMILIES
from tests.families.rows.row import Row
from tests.families.weights import fill, probe, sinusoids

from .forms import TESTS, indented

GOLDEN = TESTS / "families" / "golden"
LABELS = ("labels", "start_positions", "mc_labels")
Names = list[tuple[str, tuple[int, ...]]]
DRAWS = 16  # fresh models from which the statistics of initialization are taken


def names() -> list[str]:
    """The families that this version of the reference speaks for."""
    return [name for name in FAMILIES if (name == "transfo-xl") == (transformers.__version__ == "4.37.2")]


def make(family: str) -> Iterator[tuple[Path, bytes]]:
    """Its rows, and what its configuration says when nothing is asked for."""
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(1)
    for row in FAMILIES[family]:
        yield GOLDEN / f"{row.id}.safetensors", answers(row)
    defaults = json.loads((GOLDEN / "defaults.json").read_text())
    defaults[family] = transformers.AutoConfig.for_model(family).to_diff_dict()
    yield GOLDEN / "defaults.json", indented(defaults, sort=True)


def make_checkpoint(row: Row, folder: Path) -> tuple[Names, Names]:
    """A checkpoint as the reference saves it, refilled by `fill`: names and shapes in it, and those left as they are.

    Marian's sinusoids are in some of its files and not in others; every reader makes them anew.
    """
    config = transformers.AutoConfig.for_model(row.family, **row.config)
    getattr(transformers, row.architecture)(config).save_pretrained(folder)
    tensors = load_file(folder / "model.safetensors")
    fixed = {name for name in tensors if row.family == "marian" and name.endswith("embed_positions.weight")}
    for name in fixed:
        np.testing.assert_allclose(tensors[name].numpy(), sinusoids(tuple(tensors[name].shape)), atol=1e-6)
    filled = {name: torch.from_numpy(fill(name, tuple(tensor.shape))) for name, tensor in tensors.items()}
    save_torch_file(
        {**filled, **{name: tensors[name] for name in fixed}}, folder / "model.safetensors", {"format": "pt"}
    )
    names = [(name, tuple(tensor.shape)) for name, tensor in sorted(tensors.items())]
    return [item for item in names if item[0] not in fixed], [item for item in names if item[0] in fixed]


def load(row: Row, folder: Path) -> Any:
    model, report = getattr(transformers, row.architecture).from_pretrained(
        folder, output_loading_info=True, attn_implementation="eager"
    )
    unread = {problem: names for problem, names in report.items() if names}
    if unread:
        raise SystemExit(f"{row.id}: the reference does not read its own checkpoint: {unread}")
    return model.eval()


def call(row: Row, model: Any, inputs: dict[str, np.ndarray[Any, Any]]) -> tuple[list[Any], dict[str, Any]]:
    """The outputs of each segment, and all of their tensors by name."""
    tensors = {name: torch.from_numpy(array.copy()) for name, array in inputs.items()}
    # The reference cannot cache cross-attention in a lone BART decoder; nothing else depends on this.
    options = {"use_cache": False} if "use_cache" in inspect.signature(model.forward).parameters else {}
    # Where there is a loss, the gradients of every tensor say more than the states in between.
    hidden = True if not any(name in inputs for name in LABELS) else None
    outputs: list[Any] = []
    for segment in range(row.segments):
        pieces = dict(tensors)
        if row.segments > 1:
            pieces = {name: tensor.chunk(row.segments, 1)[segment] for name, tensor in tensors.items()}
        if segment:
            pieces["mems"] = outputs[-1].mems
        outputs.append(
            model(
                **pieces,
                **options,
                output_hidden_states=hidden,
                output_attentions=row.attentions or None,
                return_dict=True,
            )
        )
    found = {}
    for segment, output in enumerate(outputs):
        for key, value in output.items():
            parts = {key: value} if torch.is_tensor(value) else {f"{key}.{i}": part for i, part in enumerate(value)}
            found.update({f"out{segment}.{name}": part.detach().numpy() for name, part in parts.items()})
    return outputs, found


def gradients(model: Any, loss: torch.Tensor, names: Names) -> np.ndarray[Any, Any]:
    """Norm and dot product with `probe` of the loss's gradient in each tensor; NaN for what takes none."""
    loss.backward()
    parameters = dict(model.named_parameters(remove_duplicate=False))
    rows = []
    for name, shape in names:
        gradient = parameters[name].grad if name in parameters else None
        if gradient is None:
            rows.append((np.nan, np.nan) if name not in parameters else (0.0, 0.0))
        else:
            values = gradient.double().numpy()
            rows.append((np.linalg.norm(values), float((values * probe(name, shape)).sum())))
    return np.asarray(rows, dtype=np.float32)


def initial(row: Row, names: Names) -> np.ndarray[Any, Any]:
    """Mean, standard deviation and share of zeros of each tensor of a fresh model, over several draws."""
    drawn: dict[str, list[np.ndarray[Any, Any]]] = {name: [] for name, _ in names}
    for seed in range(DRAWS):
        torch.manual_seed(seed)
        config = transformers.AutoConfig.for_model(row.family, **row.config)
        state = getattr(transformers, row.architecture)(config).state_dict()
        for name in drawn:
            drawn[name].append(state[name].double().numpy().ravel())
    values = [np.concatenate(parts) for parts in drawn.values()]
    return np.asarray([(value.mean(), value.std(), (value == 0).mean()) for value in values], dtype=np.float32)


def answers(row: Row) -> bytes:
    inputs = row.inputs()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        names, recreated = make_checkpoint(row, folder)
        config = json.loads((folder / "config.json").read_text())
        model = load(row, folder)
    outputs, tensors = call(row, model, inputs)
    tensors.update({f"in.{name}": array for name, array in inputs.items()})
    losses = [outputs[-1][key] for key in ("loss", "mc_loss") if outputs[-1].get(key) is not None]
    if losses:
        tensors["gradients"] = gradients(model, sum(losses), names)
    tensors["initial"] = initial(row, names)
    meta = {
        "family": row.family,
        "architecture": row.architecture,
        "changes": row.changes,
        "reference": transformers.__version__,
        "config": config,
        "tensors": names,
        "recreated": recreated,
        "keys": [list(output) for output in outputs],
    }
    kept = {name: np.ascontiguousarray(tensor).reshape(tensor.shape) for name, tensor in tensors.items()}
    return save(kept, {"golden": json.dumps(meta, separators=(",", ":"))})
