"""A model's spec as a picture made of text."""

from __future__ import annotations

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from ..families.transfo_xl import AdaptiveVocabulary, SegmentSpec
from ..spec import (
    BlockSpec,
    EmbeddingSpec,
    HeadSpec,
    LearnedPositions,
    ModelSpec,
    PaddingAwarePositions,
    Pooler,
    SinusoidalPositions,
    StackSpec,
)

Line = tuple[str, str]  # a part and what it is made of

SELECTED = {
    "first": "the first token",
    "last": "the last token",
    "eos": "the last end-of-sentence token",
    "indexed": "the tokens asked for",
    "pooled": "the pooled first token",
}


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
    below = pooler_lines(spec.pooler) + head_lines("head", spec.head) + head_lines("second head", spec.second_head)
    if not below:
        return stacks
    return Group(stacks, Text("  ▼", style="cyan"), frame(below, "on top"))


def draw_stack(name: str, spec: StackSpec, embedding: list[Line]) -> RenderableType:
    """Embeddings, the repeated block, what follows it."""
    distinct = len({block for layer in spec.schedule for block in layer}) if spec.schedule else spec.num_layers
    title = (
        f"{spec.num_layers} layers" if distinct == spec.num_layers else f"{spec.num_layers} layers sharing {distinct}"
    )
    parts: list[RenderableType] = [
        aligned(embedding),
        Text("  ▼", style="cyan"),
        frame(block_lines(spec), title),
    ]
    if spec.final_norm:
        parts += [Text("  ▼", style="cyan"), aligned([("norm", f"{spec.block.norm} norm")])]
    return Panel(Group(*parts), title=name, title_align="left", expand=False, box=box.ROUNDED, border_style="cyan")


def frame(lines: list[Line], title: str) -> RenderableType:
    """Lines in a box of their own."""
    return Panel(aligned(lines), title=title, title_align="left", expand=False, box=box.ROUNDED)


def aligned(lines: list[Line]) -> Table:
    """Names in one column, what they are in the next."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
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
    if spec.token_types:
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
    tables = [(f"tokens {first:,}-{last - 1:,}", width) for (first, last), (_, width) in spans(spec.vocabulary)]
    lines = [(name, f"width {width} → {spec.vocabulary.hidden_size}") for name, width in tables]
    return [*lines, ("memory", f"{spec.memory_length:,} tokens, seen by relative distance")]


def spans(vocabulary: AdaptiveVocabulary) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Ids and shape of each table."""
    ids = vocabulary.clusters if len(vocabulary.tables) > 1 else ((0, vocabulary.edges[-1]),)
    return list(zip(ids, vocabulary.tables, strict=True))


def block_lines(stack: StackSpec) -> list[Line]:
    """What happens in one layer, in order."""
    spec = stack.block
    attention = [("self-attention", attention_facts(stack, spec))]
    if stack.cross:
        attention.append(("cross-attention", "reads the encoder"))
    inner = f"{spec.hidden_size} → {spec.intermediate_size} → {spec.hidden_size}, {spec.activation}"
    parts = [*attention, ("feed-forward", inner + (", gated" if spec.gated else ""))]
    norm = f"{spec.norm} norm"
    lines: list[Line] = []
    for part in parts:
        lines += [("norm", norm), part, ("add", "")] if spec.pre_norm else [part, ("add, norm", norm)]
    return lines


def attention_facts(stack: StackSpec, spec: BlockSpec) -> str:
    """Heads, direction, and how distance is seen."""
    head_dim = spec.head_dim or spec.hidden_size // spec.num_heads
    facts = [f"{spec.num_heads} heads of {head_dim}"]
    if stack.causal:
        facts.append("causal")
    if stack.relative is not None:
        facts.append(f"{stack.relative.buckets} buckets up to {stack.relative.max_distance}")
    return ", ".join(facts)


def pooler_lines(spec: Pooler | None) -> list[Line]:
    """The dense layer over the first token."""
    return [("pooler", f"first token, {spec.hidden_size} → {spec.hidden_size}, tanh")] if spec else []


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
