"""Between a checkpoint's tensors and a model's parameters, in both directions, through the family's name table."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, cast

import torch
from torch import Tensor, nn

from ..errors import CheckpointError, ConfigError
from ..families.names import Spelling, Table, spell
from ..files.shown import few
from ..spec import ModelSpec, PaddingAwareSinusoids, SinusoidalPositions
from .storage import Weights

NUMBER = re.compile(r"(?<=\.)\d+(?=\.|$)")
Mismatch = tuple[str, tuple[int, ...], tuple[int, ...]]  # their name, shape in the file, shape wanted
LARGE = 500_000_000  # bytes from which loading shows a progress bar
SPARE = 1 << 24  # parameters that a model may have beyond the bytes of its file: fresh heads


@dataclass(frozen=True)
class LoadReport:
    """Names in both spellings: `missing` and `mismatched` map ours to theirs, `unexpected` lists theirs."""

    missing: Mapping[str, str] = field(default_factory=dict)
    unexpected: tuple[str, ...] = ()
    mismatched: Mapping[str, Mismatch] = field(default_factory=dict)
    differing: Mapping[str, str] = field(default_factory=dict)  # theirs that hold other numbers than the name used

    @property
    def fresh(self) -> set[str]:
        """Our names of the parameters that hold nothing yet and are to be drawn at random."""
        return {*self.missing, *self.mismatched}

    @property
    def drawn(self) -> list[str]:
        """The checkpoint's names of the same."""
        return sorted([*self._absent, *(name for name, _, _ in self.mismatched.values())])

    @property
    def _absent(self) -> list[str]:
        return sorted(name for names in self.missing.values() for name in names.split(", "))

    def as_dict(self) -> dict[str, Any]:
        """The form `output_loading_info=True` gives, in the checkpoint's names."""
        return {
            "missing_keys": self._absent,
            "unexpected_keys": sorted(self.unexpected),
            "mismatched_keys": sorted((name, list(has), list(wants)) for name, has, wants in self.mismatched.values()),
            "error_msgs": [],
        }

    def __bool__(self) -> bool:
        return bool(self.missing or self.unexpected or self.mismatched or self.differing)

    def __str__(self) -> str:
        lines = []
        if self.missing:
            fresh = [f"{theirs} (our {ours})" for ours, theirs in self.missing.items()]
            lines.append(f"newly initialized, train before use: {few(fresh, 4)}")
        if self.mismatched:
            texts = [f"{name} {list(has)} -> {list(wants)}" for name, has, wants in self.mismatched.values()]
            lines.append(f"newly initialized, since the shapes differ: {few(texts, 4)}")
        if self.differing:
            texts = [f"{name} (used: {used})" for name, used in self.differing.items()]
            lines.append(f"not used, although the numbers differ from those used in their place: {few(texts, 4)}")
        if self.unexpected:
            lines.append(f"not used: {few(self.unexpected, 4)}")
        return "\n".join(lines)


@dataclass
class _Plan:
    """One tensor of ours: every place it is held at, how the file spells it, what it must look like."""

    key: str
    current: Tensor
    places: list[tuple[nn.Module, str]]
    spellings: list[Spelling] = field(default_factory=list)
    found: Spelling | None = None
    alone: bool = True  # no other tensor of ours is read from the same name

    def stored(self) -> Iterator[tuple[str, Tensor]]:
        """The names found in the file, and our tensor as it is to be there."""
        return zip(self.found.names, self.found.views(self.current.detach()), strict=True) if self.found else iter(())


def load_into(
    model: nn.Module,
    table: Table,
    weights: Weights,
    *,
    prefix: str = "",
    ignored: Sequence[str] = (),
    dtype: torch.dtype | None = None,
    ignore_mismatched_sizes: bool = False,
    complete: bool = False,
    optional: str | None = None,
    placed: Callable[[nn.Module], None] | None = None,
) -> LoadReport:
    """Give a model built on the meta device the tensors of a checkpoint.

    Names and shapes are all checked before anything changes. A tensor stored as we hold it stays mapped; joined,
    transposed and cast ones are read straight into their parameter. `prefix` is the part of the body's names that
    files have or lack. What the file lacks becomes zeros and is listed under `fresh` of the report, for the caller to
    draw; buffers, such as BART's final bias, may be absent without a word. `complete` says that the file
    claims to hold this very architecture, so that anything missing is a CheckpointError, save the part of the model
    whose names start with `optional`. `dtype` is that of floating
    parameters, by default their own. `placed` is called with every linear layer as soon as its tensors are there, in
    memory of its own, and may let go of them.
    """
    plans = _plans(model, table, prefix)
    report = _check(plans, weights, ignored, ignore_mismatched_sizes)
    _refuse_gaps(report, plans, weights, complete, optional)
    total = sum(_nbytes(plan, dtype) for plan in plans)
    lacking = {id(module) for plan in plans if plan.found is None for module, _ in plan.places}
    with _progress(total if weights.nbytes > LARGE else 0) as advance:
        for plan in plans:
            linears = [module for module, _ in plan.places if isinstance(module, nn.Linear)] if placed else []
            _place(plan, weights, _target(plan, dtype), mapped=not linears)
            for module in linears:
                if placed is not None and _whole(module, lacking):
                    placed(module)
            advance(_nbytes(plan, dtype))
    return report


def export(model: nn.Module | Mapping[str, Tensor], table: Table) -> Iterator[tuple[str, Tensor]]:
    """A model's parameters under the checkpoint's names, tied ones once; views wherever that is possible."""
    tensors = own_tensors(model, table) if isinstance(model, nn.Module) else model.items()
    for key, tensor in tensors:
        spelling = spell(table, key)[0]
        yield from zip(spelling.names, spelling.views(tensor.detach()), strict=True)


def check_plausible(config: Mapping[str, Any], weights_nbytes: int, parameter_count: int) -> None:
    """Refuse a config that asks for far more parameters than the file has bytes, before any memory is taken."""
    if parameter_count > weights_nbytes + SPARE:
        raise CheckpointError(
            f"the config of this {config.get('model_type', '')} model asks for {parameter_count:,} parameters, "
            f"its weights have {weights_nbytes:,} bytes: config.json and weights do not belong together"
        )


def check_tables(spec: ModelSpec, weights_nbytes: int) -> None:
    """Refuse a config whose tables of positions, which are computed and in no file, dwarf the file: before any is."""
    numbers = 0
    for stack in (spec.encoder, spec.decoder):
        positions = None if stack is None else stack.embedding.positions
        if stack is not None and isinstance(positions, SinusoidalPositions | PaddingAwareSinusoids):
            numbers += positions.size * (stack.embedding.projected_from or stack.embedding.hidden_size)
    if numbers > 16 * weights_nbytes + SPARE:
        raise ConfigError(
            f"the config asks for {numbers:,} in tables of positions, its weights have {weights_nbytes:,} bytes: "
            "config.json and weights do not belong together"
        )


def own_tensors(model: nn.Module, table: Table) -> Iterator[tuple[str, Tensor]]:
    """What a checkpoint holds of a model, under our names: its parameters, tied ones once, and buffers of the table."""
    return ((plan.key, plan.current) for plan in _plans(model, table, ""))


def _plans(model: nn.Module, table: Table, prefix: str) -> list[_Plan]:
    plans: dict[int, _Plan] = {}
    for path, module in model.named_modules():
        held = {**module._parameters, **{k: b for k, b in module._buffers.items() if spelled(table, f"{path}.{k}")}}
        for name, tensor in held.items():
            if tensor is None or name in module._non_persistent_buffers_set:
                continue
            key = f"{path}.{name}".lstrip(".")
            plan = plans.setdefault(id(tensor), _Plan(key, tensor, []))
            plan.places.append((module, name))
            plan.spellings += spelled(table, key)
    for plan in plans.values():
        if not plan.spellings:
            spell(table, plan.key)  # a gap in the family's table: raises
        plan.spellings = [other for spelling in plan.spellings for other in _variants(spelling, prefix)]
    return list(plans.values())


def spelled(table: Table, key: str) -> list[Spelling]:
    """Every way a checkpoint may spell our `key`; none where it is not in it."""
    try:
        return spell(table, key.lstrip("."))
    except KeyError:
        return []


def _variants(spelling: Spelling, prefix: str) -> Iterator[Spelling]:
    """The same tensor as other files have it: without the body's prefix, with it, with TensorFlow's norm names."""
    ways = [spelling.names]
    if prefix and all(name.startswith(prefix) for name in spelling.names):
        ways.append(tuple(name.removeprefix(prefix) for name in spelling.names))
    elif prefix:
        ways.append(tuple(prefix + name for name in spelling.names))
    for names in ways:
        yield replace(spelling, names=names)
        old = tuple(
            name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
            for name in names
        )
        if old != names:
            yield replace(spelling, names=old)


def _check(plans: list[_Plan], weights: Weights, ignored: Sequence[str], tolerant: bool) -> LoadReport:
    missing: dict[str, str] = {}
    differing: dict[str, str] = {}
    mismatched: dict[str, Mismatch] = {}
    for plan in plans:
        plan.found = next((way for way in plan.spellings if all(name in weights for name in way.names)), None)
        if plan.found is None:
            if isinstance(plan.current, nn.Parameter):
                missing[plan.key] = _lacking(plan, weights)
        elif unfit := _unfit(plan, weights):
            mismatched[plan.key], plan.found = unfit, None
        else:
            differing.update(_differing(plan, plan.found, weights))
    if mismatched and not tolerant:
        texts = [
            f"{name} is {list(has)} in {weights.path(name)}, the model wants {list(wants)} for its {key}"
            for key, (name, has, wants) in mismatched.items()
        ]
        raise CheckpointError(
            f"{few(texts, 2)}. If the model is meant to differ, pass ignore_mismatched_sizes=True to start these anew"
        )
    taken = [plan.found.names for plan in plans if plan.found]
    for plan in plans:
        plan.alone = plan.found is None or taken.count(plan.found.names) == 1
    known = {name for plan in plans for spelling in plan.spellings for name in spelling.names}
    silent = {NUMBER.sub("*", pattern) for pattern in ignored}
    unexpected = tuple(name for name in weights if name not in known and not _matches(name, silent))
    _refuse_scales(unexpected, plans, weights)
    return LoadReport(missing, unexpected, mismatched, differing)


def _unfit(plan: _Plan, weights: Weights) -> Mismatch | None:
    """The first tensor of another shape than the model's; CheckpointError for one that holds no weights."""
    for name, view in plan.stored():
        if view.is_floating_point() and not weights.dtype(name).is_floating_point:
            raise CheckpointError(f"{name} in {weights.path(name)} holds {weights.dtype(name)}, not weights")
        if weights.shape(name) != view.shape:
            return name, weights.shape(name), tuple(view.shape)
    return None


def _differing(plan: _Plan, used: Spelling, weights: Weights) -> Iterator[tuple[str, str]]:
    """Names in the file that should hold the tensor that is used, and hold another."""
    for way in plan.spellings:
        if way.names != used.names and len(way.names) == len(used.names):
            for name, other in zip(used.names, way.names, strict=True):
                if other in weights and other != name and not _alike(weights, name, other):
                    yield other, name


def _alike(weights: Weights, name: str, other: str) -> bool:
    """Whether two tensors are the same, as far as some of their rows tell: all of large ones would cost time."""
    if weights.location(name) == weights.location(other) or weights.shape(name) != weights.shape(other):
        return weights.shape(name) == weights.shape(other)
    first, second = weights[name], weights[other]
    rows = slice(None) if first.dim() < 2 else sorted({0, len(first) // 2, max(len(first) - 1, 0)})
    return not first.numel() or torch.equal(first[rows].float(), second[rows].float())


def _refuse_scales(unexpected: Sequence[str], plans: list[_Plan], weights: Weights) -> None:
    """Numbers of eight bits mean something else where the file has scales for them that are not understood."""
    narrow = {name for plan in plans if plan.found for name in plan.found.names if weights.dtype(name).itemsize == 1}
    for name in unexpected if narrow else ():
        if name.rpartition("scale")[0].rstrip("._") in narrow:
            raise CheckpointError(
                f"{weights.path(name)} holds {name}, scales of a format that is not read: "
                "take the checkpoint that it was made from"
            )


def _refuse_gaps(
    report: LoadReport, plans: list[_Plan], weights: Weights, complete: bool, optional: str | None
) -> None:
    if not any(plan.found for plan in plans) and not report.mismatched:
        raise CheckpointError(
            f"{weights.folder} holds none of this model's tensors: it wants names such as "
            f"{few([theirs for theirs in report.missing.values()], 2)}, the file has {few(list(weights), 2)}"
        )
    texts = [
        f"{theirs} (our {ours})"
        for ours, theirs in report.missing.items()
        if optional is None or not ours.startswith(optional)
    ]
    if complete and texts:
        raise CheckpointError(
            f"{weights.folder} claims to hold this architecture, but these tensors are missing: {few(texts, 4)}. "
            "The file is damaged, or config.json belongs to another"
        )


def _lacking(plan: _Plan, weights: Weights) -> str:
    """The file's name for a missing tensor: of several to join, those that are not there."""
    nearest = max(plan.spellings, key=lambda way: sum(name in weights for name in way.names))
    return ", ".join(name for name in nearest.names if name not in weights)


def _matches(name: str, patterns: Iterable[str]) -> bool:
    plain = NUMBER.sub("*", name)
    return any(plain == pattern or plain.endswith("." + pattern) for pattern in patterns)


def _target(plan: _Plan, dtype: torch.dtype | None) -> torch.dtype:
    current = plan.current.dtype
    return dtype if dtype is not None and current.is_floating_point else current


def _nbytes(plan: _Plan, dtype: torch.dtype | None) -> int:
    return plan.current.numel() * _target(plan, dtype).itemsize


def _whole(module: nn.Module, lacking: set[int]) -> bool:
    """Whether all tensors of a module are there, and none of them is one that the file lacks."""
    held = (*module._parameters.values(), *module._buffers.values())
    return id(module) not in lacking and not any(tensor is not None and tensor.is_meta for tensor in held)


def _place(plan: _Plan, weights: Weights, dtype: torch.dtype, mapped: bool = True) -> None:
    if not plan.current.is_meta:
        if plan.found is None and not isinstance(plan.current, nn.Parameter):
            return  # a buffer that was built with its value
        with torch.no_grad():
            plan.current.copy_(_tensor(plan, weights, plan.current.dtype, mapped))
        return
    tensor = _tensor(plan, weights, dtype, mapped)
    if isinstance(plan.current, nn.Parameter):
        tensor = nn.Parameter(tensor, requires_grad=plan.current.requires_grad)
    for module, name in plan.places:
        held: dict[str, Any] = module._parameters if name in module._parameters else module._buffers
        held[name] = tensor


def _tensor(plan: _Plan, weights: Weights, dtype: torch.dtype, mapped: bool) -> Tensor:
    if plan.found is None:
        return torch.zeros(plan.current.shape, dtype=dtype)
    if plan.found.mark == "heads":
        rows = torch.empty(plan.current.shape, dtype=dtype)
        weights.read_into(plan.found.names[0], rows)
        return cast(Tensor, plan.found.by_kind(rows))
    (name, view), *others = plan.stored()
    if mapped and not others and view.is_contiguous() and weights.dtype(name) == dtype:
        tensor = weights[name].reshape(plan.current.shape)
        return tensor if plan.alone else tensor.clone()
    out = torch.empty(plan.current.shape, dtype=dtype)
    for name, view in zip(plan.found.names, plan.found.views(out), strict=True):
        weights.read_into(name, view)
    return out


@contextmanager
def _progress(total: int) -> Iterator[Any]:
    """A bar on the terminal for large files, nothing for small ones or into a pipe."""
    if not total or not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("Loading weights"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda amount: bar.advance(task, amount)
