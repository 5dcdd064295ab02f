"""Write tests/generation/golden: what Transformers generates where Lamina must generate the same.

Run with the interpreter of an environment that holds the reference; which file is written depends on its version:

    PYTHONPATH=src python scripts/make_generation_goldens.py searches   4.57.6: greedy, sampling, beams
                                                             classic    4.40.2: contrastive, groups, constraints
                                                             families   4.57.6: the same on tiny models of each family
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any

import torch
import transformers

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from tests.generation import cases  # noqa: E402
from tests.generation.standin import BOS, EOS, PAD, VOCAB, WIDTH, embed, head, source_state, states  # noqa: E402

GOLDEN = ROOT / "tests" / "generation" / "golden"
NAMES = {"pad_token_id": PAD, "bos_token_id": BOS, "eos_token_id": EOS, "decoder_start_token_id": BOS}


class StandinConfig(transformers.PretrainedConfig):
    model_type = "standin"


def _config(encoder: bool) -> StandinConfig:
    config = StandinConfig(is_encoder_decoder=encoder, **NAMES)
    config.vocab_size, config.hidden_size, config.num_hidden_layers = VOCAB, WIDTH, 1
    return config


class Decoder(transformers.PreTrainedModel, transformers.GenerationMixin):
    """The stand-in as a model of the reference; its cache is what the embeddings of the past are."""

    config_class = StandinConfig
    main_input_name = "input_ids"
    _supports_cache_class = False

    def __init__(self, config: StandinConfig):
        super().__init__(config)
        self.anchor = torch.nn.Parameter(torch.zeros(1))

    def prepare_inputs_for_generation(self, input_ids: Any, past_key_values: Any = None, **kwargs: Any) -> Any:
        if past_key_values is not None:
            input_ids = input_ids[:, -1:]
        mask = kwargs.get("attention_mask")
        return {"input_ids": input_ids, "past_key_values": past_key_values, "attention_mask": mask, **_use(kwargs)}

    def forward(
        self,
        input_ids: Any,
        attention_mask: Any = None,
        past_key_values: Any = None,
        use_cache: bool = False,
        output_hidden_states: bool = False,
        **kwargs: Any,
    ) -> Any:
        tokens = embed(input_ids)
        if past_key_values is not None:
            tokens = torch.cat([past_key_values[0][0][:, 0], tokens], 1)
        mask = torch.ones(tokens.shape[:2]) if attention_mask is None else attention_mask
        hidden = states(tokens, mask)[:, -input_ids.shape[1] :]
        return transformers.modeling_outputs.CausalLMOutputWithPast(
            logits=head(hidden),
            past_key_values=((tokens[:, None], tokens[:, None]),) if use_cache else None,
            hidden_states=(hidden,) if output_hidden_states else None,
        )


def _use(kwargs: Any) -> Any:
    return {"use_cache": bool(kwargs.get("use_cache"))}


class Encoder(torch.nn.Module):
    main_input_name = "input_ids"

    def forward(self, input_ids: Any, attention_mask: Any = None, return_dict: bool = True, **kwargs: Any) -> Any:
        state = source_state(input_ids, torch.ones_like(input_ids) if attention_mask is None else attention_mask)
        return transformers.modeling_outputs.BaseModelOutput(last_hidden_state=state[:, None])


class EncoderDecoder(Decoder):
    def __init__(self, config: StandinConfig):
        super().__init__(config)
        self.encoder = Encoder()

    def get_encoder(self, *_: Any, **__: Any) -> Any:
        return self.encoder

    def prepare_inputs_for_generation(self, input_ids: Any, encoder_outputs: Any = None, **kwargs: Any) -> Any:
        return {"decoder_input_ids": input_ids, "encoder_outputs": encoder_outputs}

    def forward(  # type: ignore[override]
        self, input_ids: Any = None, decoder_input_ids: Any = None, encoder_outputs: Any = None, **kwargs: Any
    ) -> Any:
        hidden = states(
            embed(decoder_input_ids), torch.ones_like(decoder_input_ids), encoder_outputs.last_hidden_state[:, 0]
        )
        return transformers.modeling_outputs.Seq2SeqLMOutput(logits=head(hidden))


def padded(rows: list[list[int]], left: bool) -> dict[str, torch.Tensor]:
    width = max(map(len, rows))
    gaps = [width - len(row) for row in rows]
    ids = [[PAD] * gap + row if left else row + [PAD] * gap for row, gap in zip(rows, gaps)]  # noqa: B905  old Pythons
    mask = [[0] * gap + [1] * len(row) if left else [1] * len(row) + [0] * gap for row, gap in zip(rows, gaps)]  # noqa: B905
    return {"input_ids": torch.tensor(ids), "attention_mask": torch.tensor(mask)}


def run(model: Any, inputs: dict[str, torch.Tensor], options: dict[str, Any]) -> dict[str, Any]:
    options = {name: torch.tensor(value) if name.endswith("_ids") and "input" in name else value
               for name, value in options.items()}  # fmt: skip
    if "negative_prompt_ids" in options:
        options["negative_prompt_ids"] = torch.tensor(options["negative_prompt_ids"])
    if isinstance(options.get("watermarking_config"), dict):
        options["watermarking_config"] = transformers.WatermarkingConfig(**options["watermarking_config"])
    torch.manual_seed(7)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # With scores the reference fails where constraints were not met.
        scores = "force_words_ids" not in options
        out = model.generate(**inputs, **options, return_dict_in_generate=True, output_scores=scores)
    result = {"sequences": out.sequences.tolist()}
    if out.get("sequences_scores") is not None:
        result["sequences_scores"] = [round(value, 5) for value in out.sequences_scores.tolist()]
    return result


def collect(groups: dict[str, dict[str, Any]], encoder: bool, use_cache: bool = False) -> dict[str, Any]:
    model = (EncoderDecoder if encoder else Decoder)(_config(encoder)).eval()
    found = {}
    for group, options in groups.items():
        for name, case in options.items():
            for kind, inputs in (("even", padded(cases.PROMPTS, True)), ("ragged", padded(cases.RAGGED, not encoder))):
                # The reference looks at padding here, which Lamina does not.
                if group == "contrastive" and kind == "ragged":
                    continue
                found[f"{group}/{name}/{kind}"] = run(model, inputs, {**case, "use_cache": use_cache})
    return found


def searches() -> dict[str, Any]:
    both = {
        "greedy": cases.GREEDY,
        "sampling": cases.SAMPLING,
        "beams": cases.BEAMS,
        "beam sampling": cases.BEAM_SAMPLING,
    }
    return {
        "decoder": collect(both | {"guided": cases.GUIDED}, encoder=False),
        "encoder-decoder": collect(both | {"sources": cases.SOURCES}, encoder=True),
    }


def classic() -> dict[str, Any]:
    return {
        "decoder": collect({"groups": cases.GROUPS, "constrained": cases.CONSTRAINED}, encoder=False)
        | collect({"contrastive": cases.CONTRASTIVE}, encoder=False, use_cache=True),
        "encoder-decoder": collect({"groups": cases.GROUPS, "constrained": cases.CONSTRAINED}, encoder=True),
    }


def write(name: str, found: dict[str, Any]) -> None:
    GOLDEN.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"transformers": transformers.__version__, **found}, indent=1)
    for _ in range(3):  # rows of numbers stand on one line
        text = _joined(text)
    (GOLDEN / f"{name}.json").write_text(text + "\n")
    print(name, {kind: len(values) for kind, values in found.items()})


def _joined(text: str) -> str:
    import re

    return re.sub(r"\[\s+(-?[\d.e-]+(?:,\s+-?[\d.e-]+)*)\s+\]", lambda m: "[" + re.sub(r"\s+", " ", m[1]) + "]", text)


if __name__ == "__main__":
    for part in sys.argv[1:]:
        write(part, {"searches": searches, "classic": classic}[part]())
