"""What Transformers generates where Lamina must generate the same.

searches, settings and types are 4.57.6's; classic (contrastive search, groups, constraints) is 4.40.2's; families has
all searches on tiny models of each family, in a file for each of 4.57.6, 4.40.2 and 4.37.2.
"""

from __future__ import annotations

import json
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import load_file

from tests.generation import cases
from tests.generation.families import ARCHITECTURES, STUBBORN, class_name, config, write_checkpoint
from tests.generation.settings import CASES, CLASSES, PROMPTS, TYPES, rows, write_settings
from tests.generation.standin import BOS, EOS, PAD, VOCAB, WIDTH, embed, head, source_state, states

from .forms import TESTS, indented

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


def padded(rows: list[list[int]], left: bool, pad: int = PAD) -> dict[str, torch.Tensor]:
    width = max(map(len, rows))
    gaps = [width - len(row) for row in rows]
    ids = [[pad] * gap + row if left else row + [pad] * gap for row, gap in zip(rows, gaps)]  # noqa: B905  old Pythons
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


UNREPEATED = {"no_repeat_ngram_size": 1}
WITH_CONTRASTIVE = ("CTRLLMHeadModel", "GPT2LMHeadModel", "BartForConditionalGeneration", "T5ForConditionalGeneration")
ROLLING = ("M2M100ForConditionalGeneration",)  # draws a number for each layer, although none is dropped
MASKLESS = ("CTRLLMHeadModel", "OpenAIGPTLMHeadModel", "TransfoXLLMHeadModel")  # padding shifts what they say


def families() -> dict[str, Any]:
    """By version: 4.37.2 speaks for Transformer-XL, 4.40.2 for the searches given up later, 4.57.6 for the rest."""
    version = transformers.__version__
    names = [name for name in ARCHITECTURES if (name == "TransfoXLLMHeadModel") == version.startswith("4.37")]
    classic = version.startswith("4.40")
    return {name: family(name, cases.FAMILY_CLASSIC if classic else cases.FAMILY) for name in names}


def family(architecture: str, groups: dict[str, Any]) -> dict[str, Any]:
    model, shapes = _tiny(architecture)
    common = _common(model)
    if model.config.is_encoder_decoder and "greedy" in groups:
        groups = groups | cases.FAMILY_SOURCES
    answers = {}
    for case, options in groups.items():
        if architecture == "MarianMTModel-wider" and options.get("num_beams", 1) > 1:
            continue  # its beams are counted with the source's vocabulary
        if case == "contrastive" and architecture not in WITH_CONTRASTIVE:
            continue
        if case == "sampled beams" and architecture == "TransfoXLLMHeadModel":
            continue  # 4.37 adds up scores before it shapes their distribution
        if options.get("do_sample") and architecture in ROLLING:
            continue
        options = common | (UNREPEATED if architecture in STUBBORN and options else {}) | options
        answers[f"{case}/even"] = run(model, _tensors(model, cases.FAMILY_PROMPTS, common), options)
        if case == "contrastive" or (options.get("do_sample") and architecture in MASKLESS):
            continue
        if architecture in MASKLESS:
            answers[f"{case}/ragged"] = one_by_one(model, cases.FAMILY_RAGGED, options)
        else:
            answers[f"{case}/ragged"] = run(model, _tensors(model, cases.FAMILY_RAGGED, common), options)
    found: dict[str, Any] = {"options": common, "answers": answers}
    if not transformers.__version__.startswith("4.40"):  # they stand in 4.57's file
        found["shapes"] = [f"{name} {' '.join(map(str, shape))}" for name, shape in shapes]
    return found


def _tiny(architecture: str) -> tuple[Any, list[Any]]:
    kind, (family_name, _) = getattr(transformers, class_name(architecture)), ARCHITECTURES[architecture]
    model = kind(transformers.AutoConfig.for_model(family_name, **config(architecture)))
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder, safe_serialization=True)
        stored = load_file(Path(folder) / "model.safetensors")
        shapes = [
            (name, list(value.shape)) for name, value in sorted(stored.items()) if not _made_anew(family_name, name)
        ]
        write_checkpoint(architecture, shapes, Path(folder))
        return kind.from_pretrained(folder).eval(), shapes


def _made_anew(family_name: str, name: str) -> bool:
    return family_name == "marian" and "embed_positions" in name


def _common(model: Any) -> dict[str, Any]:
    """Options of every case; the end token is one that the first row comes to after a while."""
    common = {"max_new_tokens": 14, "pad_token_id": model.config.pad_token_id}
    if model.config.model_type == "transfo-xl":
        common["pad_token_id"] = 98  # 4.37 fills beams with a pad token of 0, which later versions do not
    if model.config.is_encoder_decoder:
        common["decoder_start_token_id"] = model.config.decoder_start_token_id or 2
        common["forced_eos_token_id"] = None
    inputs = _tensors(model, cases.FAMILY_PROMPTS, common)
    ids = model.generate(**inputs, **common | {"eos_token_id": None, "no_repeat_ngram_size": 1})[0].tolist()
    return common | {"eos_token_id": ids[-common["max_new_tokens"] + 4]}


def _tensors(model: Any, rows: list[list[int]], common: dict[str, Any]) -> dict[str, torch.Tensor]:
    inputs = padded(rows, not model.config.is_encoder_decoder, common["pad_token_id"])
    if model.config.model_type == "transfo-xl":
        del inputs["attention_mask"]
    return inputs


def one_by_one(model: Any, rows: list[list[int]], options: dict[str, Any]) -> dict[str, Any]:
    """What a batch must give where the reference does not see its padding: the answers to each row alone."""
    width = max(map(len, rows))
    found = []
    for row in rows:
        one = run(model, _tensors(model, [row], options), options)
        found += [[options["pad_token_id"]] * (width - len(row)) + ids for ids in one["sequences"]]
    longest = max(map(len, found))
    filler = options["pad_token_id"]
    if options.get("num_beams", 1) > 1 and transformers.__version__.startswith("4.57"):  # as it fills its beams
        filler = filler or options["eos_token_id"]
    return {"sequences": [ids + [filler] * (longest - len(ids)) for ids in found]}


def settings() -> dict[str, Any]:
    return {f"{family}/{case}": _set_up(family, CASES[case]) for family, case in rows()}


def _set_up(family: str, case: dict[str, Any]) -> dict[str, Any]:
    """The options that count and the ids that come of them."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write_settings(family, case, Path(folder))
        model = getattr(transformers, CLASSES[family]).from_pretrained(folder, **case.get("load", {})).eval()
        for name, value in case.get("changes", {}).items():
            setattr(model.config, name, value)
        for name, value in case.get("own", {}).items():
            setattr(model.generation_config, name, value)
        call = case.get("call", {})
        options, _ = model._prepare_generation_config(None, None, **call)
        shown = {k: v for k, v in options.to_diff_dict().items() if k[0] != "_" and k != "transformers_version"}
        ids = torch.tensor(PROMPTS)
        found = model.generate(ids, attention_mask=torch.ones_like(ids), **call)
        model.save_pretrained(folder)
        saved = json.loads((Path(folder) / "generation_config.json").read_text())
    kept = {name: value for name, value in saved.items() if name != "transformers_version"}
    return {"options": shown, "sequences": found.tolist(), "saved": kept}


def types() -> dict[str, Any]:
    """What models write on from prompts with token types."""
    found = {}
    for architecture in ("GPT2LMHeadModel", "OpenAIGPTLMHeadModel", "CTRLLMHeadModel"):
        model, _ = _tiny(architecture)
        common = {"max_new_tokens": 9, "pad_token_id": 0, "eos_token_id": None}
        inputs = {"input_ids": torch.tensor(PROMPTS), "token_type_ids": torch.tensor(TYPES)}
        found[architecture] = {str(n): model.generate(**inputs, **common, num_beams=n).tolist() for n in (1, 3)}
    return found


PARTS = {"searches": searches, "classic": classic, "families": families, "settings": settings, "types": types}


def names() -> list[str]:
    """What this version of the reference answers."""
    by_version = {"4.57": ("searches", "settings", "types", "families"), "4.40": ("classic", "families")}
    return list(by_version.get(transformers.__version__[:4], ("families",)))


def make(name: str) -> Iterator[tuple[Path, bytes]]:
    file = f"families-{transformers.__version__}" if name == "families" else name
    found = {"transformers": transformers.__version__, **PARTS[name]()}
    yield TESTS / "generation" / "golden" / f"{file}.json", indented(found, joined=True)
