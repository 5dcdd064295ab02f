"""The names of a classifier's classes, as config.json keeps them: `id2label` and its inverse."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from ..errors import ConfigError
from ..files.shown import shown

MOST_LABELS = 100_000
logger = logging.getLogger("lamina")


def read_labels(given: Mapping[str, Any], default: int, source: str) -> dict[str, Any]:
    """Both mappings from what a file or a call gives of num_labels, id2label and label2id."""
    id2label, label2id, count = given.get("id2label"), given.get("label2id"), given.get("num_labels")
    if id2label is None:
        made = default_labels(default if count is None else count, source)
        if label2id and len(_indices(label2id, source)) == len(made["id2label"]):
            made = {"id2label": {number: label for label, number in label2id.items()}, "label2id": dict(label2id)}
        return made
    made = check_labels("id2label", id2label, source)
    if count is not None and (type(count) is not int or count != len(made["id2label"])):
        default_labels(count, source)
        logger.warning("%s: num_labels is %d, id2label names %d, which counts", source, count, len(made["id2label"]))
    if label2id:
        made["label2id"] = _indices(label2id, source)
    return made


def check_labels(key: str, value: Any, source: str) -> dict[str, Any]:
    """What setting one of the two mappings changes: the inverse follows `id2label`."""
    if key == "label2id":
        return {"label2id": _indices(value, source)}
    if not isinstance(value, Mapping) or not 0 < len(value) <= MOST_LABELS:
        raise ConfigError(f"{source}: id2label must map 1 to {MOST_LABELS:,} numbers to names, not {shown(value)}")
    try:
        numbers = [int(number) for number in value]
        if any(abs(number) >= 2**31 for number in numbers):
            raise ValueError("larger than any class's number")
        names = dict(zip(numbers, value.values(), strict=True))
    except (TypeError, ValueError, OverflowError):
        raise ConfigError(f"{source}: id2label must have whole numbers as keys, not {shown(value)}") from None
    if not all(isinstance(label, (str, int)) for label in names.values()) or len(names) != len(value):
        raise ConfigError(f"{source}: id2label must map each number to one name")
    if any(isinstance(label, int) and abs(label) >= 2**63 for label in names.values()):
        raise ConfigError(f"{source}: id2label must map each number to one name")
    names = {number: str(label) for number, label in names.items()}
    return {"id2label": names, "label2id": {label: number for number, label in names.items()}}


def default_labels(count: Any, source: str) -> dict[str, Any]:
    """LABEL_0, LABEL_1, ..."""
    if type(count) is not int or not 0 < count <= MOST_LABELS:
        raise ConfigError(f"{source}: num_labels must be a whole number from 1 to {MOST_LABELS:,}, not {shown(count)}")
    names = {number: f"LABEL_{number}" for number in range(count)}
    return {"id2label": names, "label2id": {label: number for number, label in names.items()}}


def _indices(value: Any, source: str) -> dict[Any, int]:
    if not isinstance(value, Mapping) or not all(type(number) is int for number in value.values()):
        raise ConfigError(f"{source}: label2id must map names to whole numbers, not {shown(value)}")
    return dict(value)
