"""Every search and option, as a small model and tiny models of every family answer them, under each property.

The answers are the reference's (scripts/goldens.py generation).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

import lamina
from lamina.generation import GenerationConfig
from lamina.generation.generate import generate

from . import cases
from .families import STUBBORN, class_name, write_checkpoint
from .standin import PAD, Standin

GOLDEN = Path(__file__).parent / "golden"
SEARCHES = {
    "greedy": cases.GREEDY,
    "sampling": cases.SAMPLING,
    "beams": cases.BEAMS,
    "beam sampling": cases.BEAM_SAMPLING,
    "guided": cases.GUIDED,
    "sources": cases.SOURCES,
    "contrastive": cases.CONTRASTIVE,
    "groups": cases.GROUPS,
    "constrained": cases.CONSTRAINED,
}
FAMILY = cases.FAMILY | cases.FAMILY_SOURCES | cases.FAMILY_CLASSIC
UNREPEATED = {"no_repeat_ngram_size": 1}
PER_ROW = ("decoder_input_ids", "negative_prompt_ids")  # inputs with a row for each prompt


@dataclass(frozen=True)
class Row:
    model: str  # a class of the families, or "decoder" or "encoder-decoder": the small model
    case: str
    options: dict[str, Any]
    prompts: list[list[int]]
    wanted: dict[str, Any]

    @property
    def sampled(self) -> bool:
        return bool(self.options.get("do_sample"))


@cache
def golden(part: str) -> dict[str, Any]:
    return dict(json.loads((GOLDEN / f"{part}.json").read_text()))


def rows() -> list[Row]:
    found = []
    for part in ("searches", "classic"):
        for kind in ("decoder", "encoder-decoder"):
            for name, wanted in golden(part)[kind].items():
                group, case, shape = name.split("/")
                prompts = cases.RAGGED if shape == "ragged" else cases.PROMPTS
                options = SEARCHES[group][case] | {"pad_token_id": PAD}
                found.append(Row(kind, name, options, prompts, wanted))
    for version in ("4.57.6", "4.40.2", "4.37.2"):
        known = golden(f"families-{version}")
        for model in known.keys() - {"transformers"}:
            for name, wanted in known[model]["answers"].items():
                case, shape = name.split("/")
                rules = UNREPEATED if model in STUBBORN and FAMILY[case] else {}
                prompts = cases.FAMILY_RAGGED if shape == "ragged" else cases.FAMILY_PROMPTS
                found.append(Row(model, name, known[model]["options"] | rules | FAMILY[case], prompts, wanted))
    return sorted(found, key=lambda row: row.model)


ROWS = rows()
# Those of the small model, and of the families what tells whether states are carried along rightly.
FEWER = [row for row in ROWS if "decoder" in row.model or row.case in ("greedy/ragged", "beams/even", "sampling/even")]


def table(*kept: Row) -> Any:
    return pytest.mark.parametrize("row", [pytest.param(row, id=f"{row.model}/{row.case}") for row in kept])


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Any:
    @cache
    def load(name: str) -> Any:
        if "decoder" in name:
            return Standin(encoder=name == "encoder-decoder")
        known = golden("families-4.37.2" if name == "TransfoXLLMHeadModel" else "families-4.57.6")[name]["shapes"]
        shapes = [(line.split()[0], tuple(map(int, line.split()[1:]))) for line in known]
        folder = write_checkpoint(name, shapes, tmp_path_factory.mktemp(name))
        model = getattr(lamina, class_name(name)).from_pretrained(folder).eval()
        model.generation_config = GenerationConfig()
        return model

    return load


def write(model: Any, row: Row, only: int | None = None, **more: Any) -> Any:
    """What is written for all prompts of a row, or for one `only`."""
    one = slice(None) if only is None else slice(only, only + 1)
    width, pad = max(map(len, row.prompts[one])), row.options["pad_token_id"]
    gaps = [(prompt, width - len(prompt)) for prompt in row.prompts[one]]
    left = not getattr(model.config, "is_encoder_decoder", False)
    ids = [[pad] * gap + prompt if left else prompt + [pad] * gap for prompt, gap in gaps]
    mask = [[0] * gap + [1] * len(prompt) if left else [1] * len(prompt) + [0] * gap for prompt, gap in gaps]
    own = {name: torch.tensor(row.options[name])[one] for name in PER_ROW if name in row.options}
    torch.manual_seed(7)
    inputs = {"input_ids": torch.tensor(ids), "attention_mask": torch.tensor(mask)}
    return generate(model, **inputs, **(row.options | own | more))


@table(*ROWS)
def test_ids_and_scores_equal_the_reference(row: Row, models: Any) -> None:
    assert write(models(row.model), row).tolist() == row.wanted["sequences"]
    if "sequences_scores" in row.wanted and not row.sampled:
        out = write(models(row.model), row, return_dict_in_generate=True, output_scores=True)
        assert out.sequences_scores.tolist() == pytest.approx(row.wanted["sequences_scores"], rel=1e-5, abs=2e-5)


@table(*(row for row in FEWER if not row.sampled and not row.case.endswith("ragged")))
def test_a_batch_writes_what_each_row_would_alone(row: Row, models: Any) -> None:
    count = row.options.get("num_return_sequences", 1)
    for number in range(len(row.prompts)):
        together = row.wanted["sequences"][number * count : (number + 1) * count]
        for one, alone in zip(together, write(models(row.model), row, number).tolist(), strict=True):
            assert one[: len(alone)] == alone


@table(*(row for row in FEWER if not {"num_beams", "num_return_sequences"} & row.options.keys()))
def test_what_is_streamed_is_what_is_returned(row: Row, models: Any) -> None:
    class Kept(list[Any]):
        put, end = list.append, staticmethod(lambda: None)

    taken = Kept()
    out = write(models(row.model), row, streamer=taken)
    assert torch.cat([taken[0], *(tokens[:, None] for tokens in taken[1:])], 1).tolist() == out.tolist()


@table(*(row for row in FEWER if "num_beam_groups" not in row.options and "penalty_alpha" not in row.options))
def test_rows_that_leave_change_no_other(row: Row, models: Any) -> None:
    watched = write(models(row.model), row, logits_processor=[lambda ids, scores: scores])
    assert watched.tolist() == row.wanted["sequences"]


@table(
    *(row for row in FEWER if not row.sampled and not {"num_beams", "guidance_scale", "penalty_alpha"} & {*row.options})
)
@pytest.mark.parametrize("ahead", [1, 4])
def test_looking_ahead_changes_no_token(row: Row, ahead: int, models: Any) -> None:
    out = write(models(row.model), row, prompt_lookup_num_tokens=ahead)
    assert out.tolist() == row.wanted["sequences"]
