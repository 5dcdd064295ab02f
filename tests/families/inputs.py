"""What is fed to a tiny model: small parts that a row of the table strings together.

A part takes a frozen random generator, the arrays so far and the configuration, and adds arrays by argument name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Part = Callable[[np.random.RandomState, dict[str, Array], Mapping[str, Any]], None]

FIRST, PAST = 5, 90  # drawn tokens stay clear of the special ones at both ends of the vocabulary


def _mask(random: np.random.RandomState, padding: str, batch: int, length: int) -> Array:
    mask = np.ones((batch, length), np.int64)
    for row, lost in enumerate((0, 2, 4)[:batch]):
        if padding == "right":
            mask[row, length - lost :] = 0
        elif padding == "left":
            mask[row, :lost] = 0
        else:
            mask[row, 1 + random.permutation(length - 2)[:lost]] = 0
    return mask


def text(padding: str | None = None, batch: int = 3, length: int = 7, side: str = "") -> Part:
    """`input_ids`, with an attention mask where `padding` is "right", "left" or "holes"; `side` may be "decoder_"."""

    def part(random: np.random.RandomState, arrays: dict[str, Array], config: Mapping[str, Any]) -> None:
        ids = random.randint(FIRST, PAST, (batch, length))
        if padding is not None:
            mask = _mask(random, padding, batch, length)
            if padding != "holes":
                ids = np.where(mask == 1, ids, config["pad_token_id"])
            arrays[side + "attention_mask"] = mask
        arrays[side + "input_ids"] = ids.astype(np.int64)

    return part


def maskless(random: np.random.RandomState, arrays: dict[str, Array], config: Mapping[str, Any]) -> None:
    """Padded, but with nothing to tell so except the pad tokens."""
    del arrays["attention_mask"]


def ending(token: int) -> Part:
    """The last real token of each row becomes `token`."""

    def part(random: np.random.RandomState, arrays: dict[str, Array], config: Mapping[str, Any]) -> None:
        ids, mask = arrays["input_ids"], arrays.get("attention_mask", np.ones_like(arrays["input_ids"]))
        ids[np.arange(len(ids)), mask.sum(1) - 1] = token

    return part


def choices(count: int = 3) -> Part:
    """`count` choices for each of two questions, every second one padded."""

    def part(random: np.random.RandomState, arrays: dict[str, Array], config: Mapping[str, Any]) -> None:
        ids = random.randint(FIRST, PAST, (2, count, 6)).astype(np.int64)
        mask = np.ones_like(ids)
        mask[:, 1::2, 4:] = 0
        arrays["input_ids"] = np.where(mask == 1, ids, config["pad_token_id"])
        arrays["attention_mask"] = mask

    return part


def types(count: int = 2) -> Part:
    """`token_type_ids` below `count`."""

    def part(random: np.random.RandomState, arrays: dict[str, Array], config: Mapping[str, Any]) -> None:
        arrays["token_type_ids"] = random.randint(0, count, arrays["input_ids"].shape).astype(np.int64)

    return part


def positions(random: np.random.RandomState, arrays: dict[str, Array], config: Mapping[str, Any]) -> None:
    """`position_ids` in no order."""
    shape = arrays["input_ids"].shape
    arrays["position_ids"] = np.stack([2 + random.permutation(30)[: shape[1]] for _ in range(shape[0])]).astype(
        np.int64
    )


def shifted_positions(random: np.random.RandomState, arrays: dict[str, Array], config: Mapping[str, Any]) -> None:
    """`position_ids` that count up from elsewhere than zero; a jump would tell the reference of packed texts."""
    shape = arrays["input_ids"].shape
    arrays["position_ids"] = (2 + random.randint(0, 20, (shape[0], 1)) + np.arange(shape[1])).astype(np.int64)


def embeds(side: str = "") -> Part:
    """`inputs_embeds` in place of `input_ids`."""

    def part(random: np.random.RandomState, arrays: dict[str, Array], config: Mapping[str, Any]) -> None:
        width = next(
            (config[key] for key in ("embedding_size", "input_embedding_size", "d_model") if key in config), 32
        )
        shape = (*arrays.pop(side + "input_ids").shape, width)
        arrays[side + "inputs_embeds"] = (random.random_sample(shape) - 0.5).astype(np.float32)

    return part


def source(random: np.random.RandomState, arrays: dict[str, Array], config: Mapping[str, Any]) -> None:
    """An encoder's states for a decoder to look at, one row of them partly hidden."""
    batch = len(arrays["input_ids"])
    arrays["encoder_hidden_states"] = (2 * random.random_sample((batch, 6, 32)) - 1).astype(np.float32)
    arrays["encoder_attention_mask"] = _mask(random, "right", batch, 6)


def token_labels(classes: int = 99) -> Part:
    """One label for each real token, a few of them left out by -100."""

    def part(random: np.random.RandomState, arrays: dict[str, Array], config: Mapping[str, Any]) -> None:
        shape = arrays["input_ids"].shape
        labels = random.randint(0, classes, shape)
        labels[random.random_sample(shape) < 0.2] = -100
        if "attention_mask" in arrays:
            labels[arrays["attention_mask"] == 0] = -100
        arrays["labels"] = labels.astype(np.int64)

    return part


def target_labels(pad: int, length: int = 7) -> Part:
    """`labels` of a target text: its end padded by -100 in one row and by the pad token in another."""

    def part(random: np.random.RandomState, arrays: dict[str, Array], config: Mapping[str, Any]) -> None:
        labels = random.randint(FIRST, PAST, (len(arrays["input_ids"]), length)).astype(np.int64)
        labels[1, length - 2 :] = -100
        labels[2, length - 1 :] = pad
        arrays["labels"] = labels

    return part


def replaced(random: np.random.RandomState, arrays: dict[str, Array], config: Mapping[str, Any]) -> None:
    """Which tokens were replaced (ELECTRA's discriminator)."""
    arrays["labels"] = random.randint(0, 2, arrays["input_ids"].shape).astype(np.int64)


def row_label(classes: int = 3, name: str = "labels") -> Part:
    """One class for each row."""

    def part(random: np.random.RandomState, arrays: dict[str, Array], config: Mapping[str, Any]) -> None:
        arrays[name] = random.randint(0, classes, len(arrays["input_ids"])).astype(np.int64)

    return part


def row_values(width: int | None = None) -> Part:
    """Real numbers to regress on: one for each row, or `width` of them."""

    def part(random: np.random.RandomState, arrays: dict[str, Array], config: Mapping[str, Any]) -> None:
        shape = (len(arrays["input_ids"]),) + (() if width is None else (width,))
        arrays["labels"] = random.random_sample(shape).astype(np.float32)

    return part


def row_flags(classes: int = 3) -> Part:
    """Any number of classes for each row."""

    def part(random: np.random.RandomState, arrays: dict[str, Array], config: Mapping[str, Any]) -> None:
        arrays["labels"] = random.randint(0, 2, (len(arrays["input_ids"]), classes)).astype(np.float32)

    return part


def span(random: np.random.RandomState, arrays: dict[str, Array], config: Mapping[str, Any]) -> None:
    """Where answers start and end, one of them past the end of the text, which must not count."""
    batch, length = arrays["input_ids"].shape
    arrays["start_positions"] = random.randint(0, 3, batch).astype(np.int64)
    arrays["end_positions"] = random.randint(1, 4, batch).astype(np.int64)
    arrays["end_positions"][-1] = length + 4


def chosen_tokens(random: np.random.RandomState, arrays: dict[str, Array], config: Mapping[str, Any]) -> None:
    """Which token of each choice speaks for it (double heads)."""
    shape = arrays["input_ids"].shape
    arrays["mc_token_ids"] = random.randint(0, shape[-1], shape[:-1]).astype(np.int64)
