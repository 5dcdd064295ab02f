"""Whatever stands in an option, in a file or in a call: it is used, or refused by its name; nothing else goes wrong."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch

from lamina.errors import GenerationError, LaminaError
from lamina.generation import GenerationConfig, WatermarkingConfig
from lamina.generation import config as table
from lamina.generation.generate import generate
from lamina.nn import runtime

from .standin import Standin

IDS = torch.tensor([[5, 9, 14], [7, 7, 3]])
NAN, INF = float("nan"), float("inf")
BAD: dict[str, Any] = {  # values, of which no option may take one that it does not list in `GOOD`
    "text": "x",
    "number as text": "3",
    "nothing": "",
    "truth": True,
    "below 0": -7,
    "0": 0,
    "a fraction": 2.5,
    "huge": 10**9,
    "more than 64 bits": 10**30,
    "400 digits": 10**400,
    "5000 digits": 10**5000,
    "largest float": 1e308,
    "smallest float": 1e-308,
    "NaN": NAN,
    "infinity": INF,
    "minus infinity": -INF,
    "list": [1, 2],
    "empty list": [],
    "list of text": ["x"],
    "list of huge": [[10**400]],
    "list of lists": [[[[[1]]]]],
    "object": {"a": 1},
    "empty object": {},
    "pair": [10**400, 1.5],
    "endless pair": [1, INF],
}


@pytest.fixture(autouse=True)
def small_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "total_memory", lambda device: 10**8)


def attempt(options: dict[str, Any], model: Standin) -> str:
    """The complaint, of ours and naming an option; empty where the options were used."""
    try:
        generate(model, IDS, **{"max_new_tokens": 2, **options})
    except LaminaError as error:
        assert isinstance(error, GenerationError)
        assert len(str(error)) < 600
        return str(error)
    return ""


def test_every_option_has_a_rule() -> None:
    hints = {name for name in GenerationConfig.__annotations__ if not name.startswith("_")}
    assert set(table.OPTIONS) == hints
    assert set(table.WATERMARK_RULES) == set(WatermarkingConfig().to_dict())


@pytest.mark.parametrize("name", table.OPTIONS)
def test_no_value_of_an_option_goes_wrong(name: str) -> None:
    others = ("num_beam", "num_return", "temperature", "stop_strings", "max_", "min_", "diversity")
    for how in ({}, {"do_sample": True}, {"num_beams": 2}):
        for value in BAD.values():
            complaint = attempt({**how, name: value}, Standin())
            assert not complaint or name in complaint or name.startswith(others)


REFUSED: list[tuple[str, Any]] = [
    ("eos_token_id", "x"),
    ("eos_token_id", [2, "x"]),
    ("eos_token_id", True),
    ("pad_token_id", [0, 1]),
    ("bos_token_id", 10**30),
    ("decoder_start_token_id", 2.0),
    ("temperature", 10**400),
    ("temperature", NAN),
    ("temperature", "1"),
    ("length_penalty", INF),
    ("repetition_penalty", 1e308),
    ("diversity_penalty", NAN),
    ("force_words_ids", [[10**400]]),
    ("force_words_ids", "x"),
    ("constraints", 3),
    ("num_beams", True),
    ("num_beams", "2"),
    ("use_cache", 1),
    ("output_scores", "yes"),
    ("return_dict_in_generate", 0),
    ("exponential_decay_length_penalty", [1, 10**400]),
    ("suppress_tokens", [True]),
    ("suppress_tokens", "57"),
    ("sequence_bias", [[[3.7], 1.0]]),
    ("sequence_bias", [[[3], NAN]]),
    ("sequence_bias", [[["3"], 1.0]]),
    ("forced_eos_token_id", []),
    ("set_options", {}),
    ("follows_model_config", True),
    ("to_dict", 1),
    ("from_file", None),
    ("dola_layers", "high"),
    ("cache_implementation", "quantized"),
    ("token_healing", True),
]


@pytest.mark.parametrize(("name", "value"), REFUSED)
def test_what_no_option_can_be_is_refused_by_name(name: str, value: Any, tmp_path: Path) -> None:
    with pytest.raises(GenerationError, match=name):
        GenerationConfig(**{name: value})
    try:
        text = json.dumps({name: value}, allow_nan=False)
    except ValueError:
        return
    (tmp_path / "generation_config.json").write_text(text)
    with pytest.raises(LaminaError) as caught:
        GenerationConfig.from_pretrained(tmp_path)
    assert "generation_config.json" in str(caught.value) and (
        name in str(caught.value) or "digits" in str(caught.value)
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"greenlist_ratio": "x"},
        {"greenlist_ratio": NAN},
        {"bias": "x"},
        {"bias": 10**400},
        {"hashing_key": 10**30},
        {"hashing_key": 1.5},
        {"seeding_scheme": ["lefthash"]},
        {"context_width": "x"},
        {"context_width": True},
    ],
)
def test_fields_of_a_watermark_are_refused_by_name(fields: dict[str, Any]) -> None:
    with pytest.raises(GenerationError, match=next(iter(fields))):
        GenerationConfig(watermarking_config=fields)


def test_a_null_stands_for_the_default() -> None:
    config = GenerationConfig(num_beams=None, max_length=None, do_sample=None, length_penalty=None, top_k=None)
    assert (config.num_beams, config.max_length, config.do_sample, config.length_penalty) == (1, 20, False, 1.0)
    assert config.top_k is None  # which switches it off
    assert generate(Standin(), IDS, num_beams=None, max_length=None, eos_token_id=None).shape[1] == 23


def test_penalties_of_any_size_are_computed() -> None:
    for penalty in (-1e30, -400.0, 400.0, 1e30):
        for how in (
            {"num_beams": 2},
            {"num_beams": 2, "num_beam_groups": 2},
            {"num_beams": 2, "early_stopping": "never"},
        ):
            assert len(generate(Standin(), IDS, max_new_tokens=4, length_penalty=penalty, **how)) == 2
    decay = {"max_new_tokens": 12, "exponential_decay_length_penalty": (1, 1e30)}
    assert len(generate(Standin(), IDS, **decay)) == 2


def test_ends_that_are_no_tokens_end_nothing() -> None:
    assert generate(Standin(), IDS, eos_token_id=-1, min_new_tokens=2, max_new_tokens=5).shape[1] == 8
    assert generate(Standin(), IDS, eos_token_id=[], max_new_tokens=5).shape[1] == 8
    ruled = {"min_new_tokens": 3, "exponential_decay_length_penalty": (1, 1.5), "max_new_tokens": 9}
    beyond = generate(Standin(), IDS, eos_token_id=[2, 50256], pad_token_id=2, **ruled)
    assert torch.equal(beyond, generate(Standin(), IDS, eos_token_id=2, pad_token_id=2, **ruled))
    ends = generate(Standin(), IDS, eos_token_id=torch.tensor([2, 14]), max_new_tokens=9)
    assert torch.equal(ends, generate(Standin(), IDS, eos_token_id=[2, 14], max_new_tokens=9))


def test_keys_that_are_no_options_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    found = {"num_beam": 3, "zzz": 1, "cache_implementation": "static", "low_memory": True, "num_beams": 2}
    (tmp_path / "generation_config.json").write_text(json.dumps(found))
    config = GenerationConfig.from_pretrained(tmp_path)
    assert config.num_beams == 2 and config.num_beam == 3
    assert "'num_beam' (did you mean num_beams?), 'zzz'" in caplog.text and "low_memory" not in caplog.text


PIECES = [
    *(value for name, value in BAD.items() if name != "5000 digits"),
    None,
    1,
    2,
    3,
    0.5,
    False,
    "never",
    [3],
    [[3]],
    [[3, 4]],
    [[[3], 1.5]],
]


@pytest.mark.parametrize("seed", range(200))
def test_files_of_anything_raise_nothing_foreign(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    names = [
        *table.OPTIONS,
        *table.WITHOUT_EFFECT,
        "dola_layers",
        "__class__",
        "_origin",
        "copy",
        "nothing",
        "",
    ]
    found = {chance.choice(names): chance.choice(PIECES) for _ in range(chance.randint(1, 5))}
    (tmp_path / "generation_config.json").write_text(json.dumps(found, default=str) if seed % 9 else "{" + str(found))
    try:
        config = GenerationConfig.from_pretrained(tmp_path)
    except LaminaError:
        return
    model = Standin()
    model.generation_config = config.with_defaults_of(model.generation_config, every=False)
    for how in ({}, {"max_new_tokens": 3}):
        try:
            generate(model, IDS, **how)
        except LaminaError as error:
            assert len(str(error)) < 600
