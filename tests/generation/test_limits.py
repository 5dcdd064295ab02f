"""What a model and a machine can do is asked before it is begun: positions, memory, tokens, token types."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

import lamina
from lamina.errors import GenerationError, InputError
from lamina.families.config import PretrainedConfig
from lamina.generation.generate import generate
from lamina.inference.rows import longest_row
from lamina.nn import runtime
from tests.families.rows.row import TINY

from .families import write_checkpoint
from .settings import PROMPTS, TYPES
from .standin import Standin

GOLDEN = Path(__file__).parent / "golden"
IDS = torch.tensor([[5, 9, 14]])
POSITIONS: dict[str, tuple[str, int | None]] = {  # a class of each family and the tokens that it has positions for
    "albert": ("AlbertModel", 40),
    "bert": ("BertLMHeadModel", 40),
    "distilbert": ("DistilBertModel", 40),
    "electra": ("ElectraModel", 40),
    "roberta": ("RobertaForCausalLM", 38),
    "ctrl": ("CTRLLMHeadModel", 40),
    "openai-gpt": ("OpenAIGPTLMHeadModel", 40),
    "gpt2": ("GPT2LMHeadModel", 40),
    "transfo-xl": ("TransfoXLLMHeadModel", None),
    "bart": ("BartForConditionalGeneration", 40),
    "mbart": ("MBartForConditionalGeneration", 40),
    "marian": ("MarianMTModel", 40),
    "pegasus": ("PegasusForConditionalGeneration", 40),
    "blenderbot": ("BlenderbotForConditionalGeneration", 40),
    "m2m_100": ("M2M100ForConditionalGeneration", 40),
    "t5": ("T5ForConditionalGeneration", None),
    "mt5": ("MT5ForConditionalGeneration", None),
    "umt5": ("UMT5ForConditionalGeneration", None),
    "bloom": ("BloomForCausalLM", None),
    "gpt_neo": ("GPTNeoForCausalLM", 40),
    "gpt_neox": ("GPTNeoXForCausalLM", None),
    "opt": ("OPTForCausalLM", 40),
}


def tiny(family: str, **changes: Any) -> Any:
    kind = getattr(lamina, POSITIONS[family][0])
    config: PretrainedConfig = kind.config_class(**{**TINY[family], **changes})
    torch.manual_seed(3)
    return kind(config).eval()


@pytest.mark.parametrize("family", POSITIONS)
def test_a_model_reads_as_many_tokens_as_it_says(family: str) -> None:
    model, most = tiny(family), POSITIONS[family][1]
    assert longest_row(model) == model.writing_room == most
    ids = torch.full((1, most or 90), 7)
    more = {"decoder_input_ids": ids} if model.config.is_encoder_decoder else {}
    model(input_ids=ids, **more)
    if most is None:
        return
    longer = torch.full((1, most + 1), 7)
    with pytest.raises(InputError, match=f"positions for {most}"):
        model(input_ids=longer, **more)
    if more:
        with pytest.raises(InputError, match=f"positions for {most}"):
            model(input_ids=ids, decoder_input_ids=longer)


WRITERS = [
    name for name, (kind, most) in POSITIONS.items() if most and ("LM" in kind or "Gener" in kind or "MTM" in kind)
]


@pytest.mark.parametrize("family", WRITERS)
def test_writing_ends_with_the_positions_and_says_so_at_the_door(family: str, caplog: pytest.LogCaptureFixture) -> None:
    decoder = {"is_decoder": True} if family in ("bert", "roberta") else {}
    model, most = tiny(family, **decoder), POSITIONS[family][1]
    assert most is not None
    ids = torch.full((1, 3), 7)
    free = {"eos_token_id": None, "forced_eos_token_id": None}
    out = model.generate(ids, max_length=most + 2, decoder_start_token_id=2, **free)
    assert out.shape == (1, most)
    assert f"{most} tokens" in caplog.text and "no more positions" in caplog.text
    with pytest.raises(GenerationError, match=f"positions for {most}"):
        model.generate(ids, max_length=most + 2, min_length=most + 1, decoder_start_token_id=2, **free)
    with pytest.raises(GenerationError, match=f"positions for {most}"):
        prompt = {"decoder_input_ids": torch.full((1, most), 2)} if model.config.is_encoder_decoder else {}
        model.generate(ids if prompt else torch.full((1, most), 7), decoder_start_token_id=2, **prompt, **free)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"num_beams": 10**5}, "num_beams"),
        ({"num_beams": 10**9}, "num_beams"),
        ({"num_return_sequences": 10**8, "do_sample": True}, "num_return_sequences"),
        ({"max_new_tokens": 10**12}, "max_new_tokens"),
        ({"max_length": 10**30}, "max_length"),
        ({"max_length": 10**6, "penalty_alpha": 0.5, "top_k": 10**18}, "top_k"),
        ({"max_new_tokens": 10**6, "return_dict_in_generate": True, "output_scores": True}, "max_new_tokens"),
    ],
)
def test_a_call_that_no_memory_holds_is_refused(
    options: dict[str, Any], named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "total_memory", lambda device: 3 * 10**7)
    model = Standin()
    with pytest.raises(GenerationError, match=rf"[GT]B of memory, and there are 0\.0 GB: lower .*{named}"):
        generate(model, IDS, **options)
    assert model.steps == 0
    generate(model, IDS, max_new_tokens=2)


@pytest.mark.parametrize("options", [{"top_k": 10**18}, {"prompt_lookup_num_tokens": 10**18}, {"top_k": 10**70}])
def test_counts_beyond_all_there_is_mean_all_there_is(options: dict[str, Any]) -> None:
    assert generate(Standin(), IDS, max_new_tokens=4, do_sample=True, **options).shape[1] <= 7


def test_attention_that_no_memory_holds_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    model, segments = tiny("t5"), tiny("transfo-xl")
    ids = torch.full((1, 300), 7)
    start = torch.zeros(1, 1, dtype=torch.long)
    calls = (
        partial(model, input_ids=ids, decoder_input_ids=start),
        partial(model, input_ids=start, decoder_input_ids=ids),
        partial(model.generate, ids),
        partial(segments, ids),
        partial(segments.generate, ids),
    )
    monkeypatch.setattr(runtime, "total_memory", lambda device: 10**6)
    for call in calls:
        with pytest.raises(InputError, match=r"30\d tokens would take .* GB of memory.*truncation=True"):
            call()
    model(input_ids=ids[:, :60], decoder_input_ids=start)


@pytest.mark.parametrize(
    "options",
    [
        {"force_words_ids": [[10**9]], "num_beams": 2},
        {"force_words_ids": [[[10**9], [3]]], "num_beams": 2},
        {"bad_words_ids": [[10**9]]},
        {"sequence_bias": [[[3, 10**9], 1]]},
        {"forced_bos_token_id": 10**9},
        {"forced_eos_token_id": [2, 10**9]},
        {"suppress_tokens": [10**9]},
        {"begin_suppress_tokens": [10**9]},
    ],
)
def test_tokens_outside_the_vocabulary_are_named_before_any_step(options: dict[str, Any]) -> None:
    model = Standin()
    with pytest.raises(GenerationError, match=f"{next(iter(options))} names tokens .*outside the vocabulary of 40"):
        generate(model, IDS, **options)
    assert model.steps == 0


@pytest.mark.parametrize("family", ["gpt2", "t5", "transfo-xl"])
def test_prompts_outside_the_vocabulary_are_refused(family: str) -> None:
    with pytest.raises(InputError, match="the model has 0 to 98"):
        tiny(family).generate(torch.tensor([[5, 99]]))


@pytest.mark.parametrize("pad", [-1, 400])
def test_rows_may_be_filled_with_what_is_no_token(pad: int) -> None:
    model = tiny("gpt2")
    free = model.generate(IDS.repeat(2, 1), max_new_tokens=6, eos_token_id=None)
    end = int(free[0, 4])
    out = model.generate(
        torch.tensor([[5, 9, 14], [8, 8, 1]]), max_new_tokens=6, eos_token_id=end, pad_token_id=pad, output_scores=True,
        return_dict_in_generate=True,
    ).sequences  # fmt: skip
    assert out[0, 5:].eq(pad).all()


@pytest.mark.parametrize("how", [{"num_beams": 2, "num_beam_groups": 2}, {"num_beams": 2, "force_words_ids": [[3]]}])
def test_scores_that_are_nan_are_named_by_every_search(how: dict[str, Any]) -> None:
    class Broken(Standin):
        def scores(self, out: torch.Tensor) -> torch.Tensor:
            return super().scores(out) * torch.nan

    with pytest.raises(GenerationError, match="scores are NaN"):
        generate(Broken(), IDS, **how)
    with pytest.raises(GenerationError, match="scores are NaN"):
        generate(Standin(), IDS, assistant_model=Broken(), do_sample=True, top_k=0)


@pytest.mark.parametrize("architecture", ["GPT2LMHeadModel", "OpenAIGPTLMHeadModel", "CTRLLMHeadModel"])
@pytest.mark.parametrize("beams", [1, 3])
def test_token_types_of_a_prompt_count_as_in_the_reference(architecture: str, beams: int, tmp_path: Path) -> None:
    known = json.loads((GOLDEN / "families-4.57.6.json").read_text())[architecture]["shapes"]
    shapes = [(line.split()[0], tuple(map(int, line.split()[1:]))) for line in known]
    model = getattr(lamina, architecture).from_pretrained(write_checkpoint(architecture, shapes, tmp_path))
    options = {"max_new_tokens": 9, "pad_token_id": 0, "eos_token_id": None, "num_beams": beams}
    right = json.loads((GOLDEN / "types.json").read_text())[architecture][str(beams)]
    ids, types = torch.tensor(PROMPTS), torch.tensor(TYPES)
    assert model.generate(ids, token_type_ids=types, **options).tolist() == right
    if architecture == "CTRLLMHeadModel":
        return  # the reference drops them
    assert model.generate(ids, **options).tolist() != right
    gap = torch.zeros(2, 2, dtype=torch.long)
    padded = {"input_ids": torch.cat([gap, ids], 1), "token_type_ids": torch.cat([gap, types], 1)}
    mask = torch.cat([gap, torch.ones_like(ids)], 1)
    assert model.generate(**padded, attention_mask=mask, **options)[:, 2:].tolist() == right
    with pytest.raises(InputError, match="token_type_ids run from 3 to 400"):
        model.generate(ids, token_type_ids=types + torch.tensor([[0, 0, 0], [0, 0, 360]]))
    with pytest.raises(GenerationError, match="token_type_ids has shape"):
        model.generate(ids, token_type_ids=types[:, :2])
