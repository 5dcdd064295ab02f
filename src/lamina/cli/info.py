"""`lamina info`: what a model is made of and how large each part is, before any of its weights are read."""

from __future__ import annotations

import json as json_format
from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from ..errors import CheckpointError
from ..families.transfo_xl.spec import SegmentSpec
from ..files.shown import visible
from ..spec import (
    Disentangled,
    EmbeddingSpec,
    HeadSpec,
    LearnedPositions,
    ModelSpec,
    PaddingAwarePositions,
    RelativeBuckets,
    SinusoidalPositions,
    Slopes,
    StackSpec,
)
from .options import AS_JSON, BUILT_IN, model_class, model_name, switch, with_options

Line = tuple[str, str]  # a part and what it is made of

BYTES = {"float32": 4, "bfloat16": 2}
KNOWN_AS = {  # kinds that differ inside and are one task to a user
    "aligned-lm": "causal-lm",
    "next-sentence-pretraining": "pre-training",
    "sentence-order-pretraining": "pre-training",
    "replaced-token": "pre-training",
    "encoder-body": "text-encoding",
    "pooled-body": "body",
}
SELECTED = {
    "first": "the first token",
    "first shown": "the first token that is not hidden",
    "mean": "the mean of all tokens",
    "last": "the last token",
    "eos": "the last end-of-sentence token",
    "indexed": "the tokens asked for",
    "pooled": "the pooled first token",
}


@with_options(switch("families", "The model families and what each can do."), AS_JSON)
def info(
    model: Annotated[
        str | None, typer.Argument(help="A folder or a name on the Hub; left out, the built-in model.")
    ] = None,
    **said: Any,
) -> None:
    """Show a MODEL's parts, parameters and memory.

    Only its config.json is read, so a model on the Hub is described without downloading it.
    """
    if said["families"] and model is not None:
        raise typer.BadParameter("it is about all families, and not about a MODEL", param_hint="--families")
    found = family_tasks() if said["families"] else describe(model)
    if said["json"]:
        print(json_format.dumps(found, ensure_ascii=False, indent=2, default=plain))
    else:
        (show_families if said["families"] else show_description)(Console(highlight=False), found)


def family_tasks() -> dict[str, list[str]]:
    """The tasks of every family, under the names that AutoModelForX and its kin go by."""
    from ..families import MODULES, family

    def kinds(name: str) -> list[str]:
        return list(dict.fromkeys(KNOWN_AS.get(task.kind, task.kind) for task in family(name).tasks))

    return {name: kinds(name) for name in sorted(MODULES)}


def show_families(console: Console, found: dict[str, list[str]]) -> None:
    """Families down, tasks across under their initials, a dot where they meet."""
    kinds = list(dict.fromkeys(kind for tasks in found.values() for kind in tasks if kind != "body"))
    table = Table(box=None, padding=(0, 1), header_style="bold")
    table.add_column("family", style="cyan")
    for kind in kinds:
        table.add_column(initials(kind), justify="center", no_wrap=True)
    for name, tasks in found.items():
        table.add_row(name, *("●" if kind in tasks else "" for kind in kinds))
    console.print(table)
    console.print()
    console.print(Columns([Text.assemble((initials(kind), "bold"), f" {kind}") for kind in kinds], padding=(0, 2)))


def initials(kind: str) -> str:
    """The short form of a task's name: MLM for masked-lm, QA for question-answering."""
    return "".join("LM" if word == "lm" else word[0].upper() for word in kind.split("-"))


def describe(name: str | None) -> dict[str, Any]:
    """Names, spec and sizes of a model from its config alone: nothing is allocated."""
    import torch

    from ..auto import find

    folder = str(model_name(name or BUILT_IN))
    config = find("AutoConfig").from_pretrained(folder)
    with torch.device("meta"):
        model = model_class(config)(config)
    classes = [config.id2label[number] for number in sorted(config.id2label)]
    return {
        "model": name or "the built-in sentiment model",
        "architecture": type(model).__name__,
        "family": config.family.model_type,
        "task": model.kind,
        "labels": classes if model.kind.endswith("classification") else [],
        "stored": stored(Path(folder)),
        "spec": model.spec,
        "parts": measure(model),
    }


def stored(folder: Path) -> str | None:
    """How much the weights take on disk, or why they cannot be read; None for a model that is not a folder here."""
    from ..checkpoint.files import open_weights

    if not folder.is_dir():
        return None
    try:
        with open_weights(folder) as weights:
            return f"{weights.nbytes / 1e6:,.1f} MB"
    except CheckpointError as error:
        return str(error)


def measure(model: Any) -> list[dict[str, Any]]:
    """Parameters and bytes of each part, in the order in which they compute; shared tensors count once."""
    from torch import nn

    narrow = {id(module.weight) for module in model.modules() if isinstance(module, nn.Linear)}
    tables = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    parts: dict[str, dict[str, Any]] = {}
    for path, parameter in model.named_parameters():
        part = parts.setdefault(part_of(path), {"parameters": 0, "bytes": dict.fromkeys([*BYTES, "int8 linear"], 0)})
        count, rows = parameter.numel(), parameter.shape[0]
        part["parameters"] += count
        for dtype, width in BYTES.items():
            part["bytes"][dtype] += count * width
        linear = id(parameter) in narrow - tables  # with one scale a row; the rest stays float32
        part["bytes"]["int8 linear"] += count + 4 * rows if linear else count * 4
    return [{"name": name, **part} for name, part in parts.items()]


def part_of(path: str) -> str:
    """The part that a parameter belongs to: "encoder embeddings", "encoder layers", "pooler", "head"."""
    first, second, *_ = [*path.split("."), ""]
    if first not in ("encoder", "decoder"):
        return first.replace("_", " ")
    return f"{first} {'embeddings' if second == 'embeddings' else 'layers'}"


def show_description(console: Console, found: dict[str, Any]) -> None:
    names = ("model", "architecture", "family", "task", "labels", "stored")
    facts = aligned([(name, readable(found[name])) for name in names if found.get(name)])
    for part in (facts, draw_model(found["spec"]), parts_table(found["parts"])):
        console.print()
        console.print(part)


def parts_table(parts: list[dict[str, Any]]) -> Table:
    table = figures("part", "parameters", "share", *parts[0]["bytes"])
    total = sum(part["parameters"] for part in parts)
    for part in parts:
        share = part["parameters"] / total if total else 0
        size = [readable_size(count) for count in part["bytes"].values()]
        table.add_row(part["name"], f"{part['parameters']:,}", f"{share:.0%}", *size)
    whole = [readable_size(sum(part["bytes"][dtype] for part in parts)) for dtype in parts[0]["bytes"]]
    table.add_section()
    table.add_row("all", f"{total:,}", "100%", *whole, style="bold")
    return table


def figures(first: str, *headings: str, style: str = "") -> Table:
    """A table of names and, in columns that end at the right, what belongs to them."""
    table = Table(box=None, padding=(0, 1), header_style="bold")
    table.add_column(first, style=style, no_wrap=True)
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def readable_size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB" if count >= 1e5 else f"{count / 1e3:,.1f} kB"


def readable(value: Any) -> str:
    if isinstance(value, list):
        more = f" and {len(value) - 8} more" if len(value) > 8 else ""
        return visible(", ".join(map(str, value[:8])) + more)
    return visible(str(value))


def plain(value: Any) -> Any:
    """A dataclass with its name, since several kinds may stand in one place."""
    if is_dataclass(value):
        own = {field.name: getattr(value, field.name) for field in fields(value)}
        return {"kind": type(value).__name__, **own}
    raise TypeError(f"no JSON for {type(value).__name__}")


def draw_model(spec: ModelSpec) -> RenderableType:
    """The stacks as boxes, side by side where one reads the other, and the heads below them."""
    stacks = Table.grid(padding=(0, 1))
    boxes: list[RenderableType] = []
    if spec.encoder is not None:
        boxes.append(draw_stack("encoder", spec.encoder, embedding_lines(spec.encoder.embedding)))
    if spec.decoder is not None:
        lines = segment_lines(spec) or embedding_lines(spec.decoder.embedding)
        if boxes:
            boxes.append(Text("\n\n\n──▶", style="cyan"))
            lines[0] = ("tokens", "the encoder's") if spec.shared_tokens else lines[0]
        boxes.append(draw_stack("decoder", spec.decoder, lines))
    stacks.add_row(*boxes)
    width = spec.pooler.hidden_size if spec.pooler else 0
    pooler = [("pooler", f"first token, {width} → {width}, tanh")] if spec.pooler else []
    below = pooler + head_lines("head", spec.head) + head_lines("second head", spec.second_head)
    if not below:
        return stacks
    return Group(stacks, Text("  ▼", style="cyan"), frame(aligned(below), "on top"))


def draw_stack(name: str, spec: StackSpec, embedding: list[Line]) -> RenderableType:
    """Embeddings, the repeated block, what follows it."""
    distinct = len({block for layer in spec.schedule for block in layer}) if spec.schedule else spec.num_layers
    title = f"{spec.num_layers} layer{'' if spec.num_layers == 1 else 's'}"
    title += f" sharing {distinct}" if distinct != spec.num_layers else ""
    arrow = Text("  ▼", style="cyan")
    parts: list[RenderableType] = [aligned(embedding), arrow, frame(aligned(block_lines(spec)), title)]
    if spec.final_norm:
        parts += [arrow, aligned([("norm", f"{spec.block.norm} norm")])]
    return frame(Group(*parts), name, border_style="cyan")


def frame(content: RenderableType, title: str, **style: Any) -> RenderableType:
    return Panel(content, title=title, title_align="left", expand=False, box=box.ROUNDED, **style)


def aligned(lines: Iterable[Line], style: str = "bold") -> Table:
    """Names in one column, what they are in the next."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style=style, no_wrap=True)
    for name, facts in lines:
        table.add_row(Text(name), Text(facts))
    return table


def embedding_lines(spec: EmbeddingSpec) -> list[Line]:
    """Every table that a token's vector is made of."""
    width = spec.projected_from or spec.hidden_size
    lines = [("tokens", f"{spec.vocab_size:,} × {width}" + (f", times {spec.scale:.4g}" if spec.scale != 1 else ""))]
    match spec.positions:
        case LearnedPositions(size, offset):
            lines.append(("positions", f"{size:,} × {width}, learned" + (f", from row {offset}" if offset else "")))
        case PaddingAwarePositions(size, padding_id):
            lines.append(("positions", f"{size:,} × {width}, learned, from row {padding_id + 1}"))
        case SinusoidalPositions(size):
            lines.append(("positions", f"{size:,} × {width}, sines and cosines"))
    if isinstance(spec.token_types, int) and spec.token_types:
        lines.append(("token types", f"{spec.token_types} × {width}"))
    if spec.norm:
        lines.append(("norm", f"layer norm, eps {spec.eps:g}"))
    if spec.projected_from:
        lines.append(("projection", f"{width} → {spec.hidden_size}"))
    return lines


def segment_lines(spec: ModelSpec) -> list[Line]:
    """The tables and the memory of a model that reads in segments; nothing for others."""
    if not isinstance(spec, SegmentSpec) or spec.vocabulary is None:
        return []
    words = spec.vocabulary
    spans = words.clusters if len(words.tables) > 1 else ((0, words.edges[-1]),)
    tables = zip(spans, words.tables, strict=True)
    lines = [(f"tokens {first:,}-{end - 1:,}", f"width {w} → {words.hidden_size}") for (first, end), (_, w) in tables]
    return [*lines, ("memory", f"{spec.memory_length:,} tokens, seen by relative distance")]


def block_lines(stack: StackSpec) -> list[Line]:
    """What happens in one layer, in order."""
    spec = stack.block
    facts = [f"{spec.num_heads} heads of {spec.head_dim or spec.hidden_size // spec.num_heads}"]
    facts += ["causal"] if stack.causal else []
    facts += position_facts(stack)
    attention = [("self-attention", ", ".join(facts))]
    if stack.cross:
        attention.append(("cross-attention", "reads the encoder"))
    inner = f"{spec.hidden_size} → {spec.intermediate_size} → {spec.hidden_size}, {spec.activation}"
    parts = [*attention, ("feed-forward", inner + (", gated" if spec.gated else ""))]
    norm = f"{spec.norm} norm"
    if spec.order == "parallel":
        return [("norm", norm), ("side by side", " + ".join(name for name, _ in parts)), *parts, ("add", "")]
    lines: list[Line] = []
    for part in parts:
        lines += [("norm", norm), part, ("add", "")] if spec.order == "pre-norm" else [part, ("add, norm", norm)]
    return lines


def position_facts(stack: StackSpec) -> list[str]:
    """How attention tells distances."""
    facts = []
    match stack.relative:
        case RelativeBuckets(buckets, farthest, per_layer):
            facts.append(f"{buckets} buckets up to {farthest}" + (", each layer its own" if per_layer else ""))
        case Slopes():
            facts.append("scores fall with distance")
        case Disentangled(span, kinds=kinds):
            facts.append(f"{' and '.join(kinds)} of {span} distances each way")
    if stack.rotary is not None:
        facts.append(f"rotary positions of {stack.rotary.size}")
    if stack.windows is not None:
        far = sorted({window for window in stack.windows if window is not None})
        local = sum(window is not None for window in stack.windows)
        facts.append(f"{local} of {stack.num_layers} layers see {', '.join(map(str, far))} tokens far")
    return facts


def head_lines(name: str, spec: HeadSpec | None) -> list[Line]:
    """What turns states into logits."""
    if spec is None:
        return []
    size = spec.dense_size or spec.hidden_size
    steps = [SELECTED[spec.select] if spec.select else "every token"]
    if spec.dense:
        steps.append(f"{spec.hidden_size} → {size}, {spec.dense}")
    if spec.norm:
        steps.append("layer norm")
    steps.append(f"{size} → {spec.outputs:,}" + (", tied" if spec.tied else ""))
    return [(name, "; ".join(steps))]
