"""`lamina convert`: an older checkpoint as the files that are written today."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from ..errors import CheckpointError
from .info import readable_size

WEIGHTS = ("model.safetensors", "model.safetensors.index.json")


def convert(
    source: Annotated[Path, typer.Argument(help="A folder, or fairseq's .pt file.")],
    target: Annotated[Path, typer.Argument(help="A new folder, or SOURCE itself.")],
    variant: Annotated[str | None, typer.Option(help="Which weights, as fp16 in model.fp16.safetensors.")] = None,
) -> None:
    """Write the checkpoint in SOURCE to TARGET as config.json, model.safetensors and vocabulary files.

    Reads pytorch_model.bin, Transformer-XL's vocab.pkl, fairseq's RoBERTa and the original GPT's .npy files. Nothing
    that a file holds is ever executed.
    """
    from ..legacy.convert import convert_checkpoint

    kept = [target / name for name in WEIGHTS if (target / name).exists()]
    if kept and target.resolve() == source.resolve():
        raise CheckpointError(f"{kept[0]} is there already, and would be replaced: choose a new folder for TARGET")
    files = convert_checkpoint(source, target, variant=variant)
    console = Console(highlight=False)
    for file in dict.fromkeys(files):
        console.print(Text(f"{readable_size(file.stat().st_size):>10}  {file}"), soft_wrap=True)
