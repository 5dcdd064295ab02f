"""Every search, token for token against the reference's on a small model (scripts/goldens.py generation)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from lamina.generation.generate import generate

from . import cases
from .standin import PAD, Standin

GOLDEN = Path(__file__).parent / "golden"
OPTIONS = {
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


def _rows() -> list[tuple[str, str, dict[str, Any]]]:
    found = []
    for part in ("searches", "classic"):
        golden = json.loads((GOLDEN / f"{part}.json").read_text())
        for kind in ("decoder", "encoder-decoder"):
            found += [(kind, name, wanted) for name, wanted in golden[kind].items()]
    return found


def _inputs(kind: str, ragged: bool) -> dict[str, torch.Tensor]:
    rows = cases.RAGGED if ragged else cases.PROMPTS
    width = max(map(len, rows))
    gaps = [(row, width - len(row)) for row in rows]
    left = kind == "decoder"
    ids = [[PAD] * gap + row if left else row + [PAD] * gap for row, gap in gaps]
    mask = [[0] * gap + [1] * len(row) if left else [1] * len(row) + [0] * gap for row, gap in gaps]
    return {"input_ids": torch.tensor(ids), "attention_mask": torch.tensor(mask)}


@pytest.mark.parametrize(("kind", "name", "wanted"), [pytest.param(*row, id=f"{row[0]}/{row[1]}") for row in _rows()])
def test_ids_and_scores_equal_the_reference(kind: str, name: str, wanted: dict[str, Any]) -> None:
    group, case, shape = name.split("/")
    options = dict(OPTIONS[group][case])
    if "negative_prompt_ids" in options:
        options["negative_prompt_ids"] = torch.tensor(options["negative_prompt_ids"])
    model = Standin(encoder=kind == "encoder-decoder")
    inputs = _inputs(kind, shape == "ragged")
    torch.manual_seed(7)
    ids = generate(model, **inputs, **options)
    assert ids.tolist() == wanted["sequences"]
    if "sequences_scores" in wanted:
        out = generate(model, **inputs, **options, return_dict_in_generate=True, output_scores=True)
        if not options.get("do_sample"):
            assert out.sequences_scores.tolist() == pytest.approx(wanted["sequences_scores"], rel=1e-5, abs=2e-5)
