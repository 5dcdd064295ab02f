"""What `generate` wrote for each row, free of what only the rows beside it needed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..nn.outputs import ModelOutput

Ids = list[int]
Over = Callable[[Ids, int], bool]  # whether a sequence is over after so many of these ids


@dataclass(frozen=True)
class Written:
    """The sequences for one row, best first, equally long, and what else was asked for of each."""

    sequences: list[Ids]
    more: list[dict[str, Any]]


def split_rows(output: Tensor | ModelOutput, rows: int, start: int, first: int, over: Over) -> list[Written]:
    """What `generate` answered for each of `rows` rows, from column `start` on, where chosen tokens begin at `first`.

    After the end of a sequence comes padding, of which as much is kept as the sequences of one row need to be equally
    long.
    """
    ids = output["sequences"] if isinstance(output, ModelOutput) else output
    sequences: list[Ids] = ids.tolist()
    more = details(output, len(sequences)) if isinstance(output, ModelOutput) else [{} for _ in sequences]
    each = len(sequences) // rows
    found = []
    for number in range(0, len(sequences), each):
        own = sequences[number : number + each]
        end = max(ending(sequence, first, over) for sequence in own)
        found.append(Written([sequence[start:end] for sequence in own], more[number : number + each]))
    return found


def ending(ids: Ids, first: int, over: Over) -> int:
    """How many of `ids` there are up to the end of the sequence."""
    return next((end for end in range(first + 1, len(ids)) if over(ids, end)), len(ids))


def details(output: ModelOutput, count: int) -> list[dict[str, Any]]:
    """Scores, logits and the like of each of `count` sequences, as lists; what belongs to beams is left out."""
    found: list[dict[str, Any]] = [{} for _ in range(count)]
    for name, value in output.items():
        if name == "sequences":
            continue
        tensor = torch.stack(value, 1) if isinstance(value, tuple) else value  # of steps: [sequences, steps, vocab]
        if len(tensor) == count:
            for record, row in zip(found, tensor.tolist(), strict=True):
                record[name] = row
    return found
