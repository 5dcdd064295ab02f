"""What Transformer-XL writes, and the corners of its loss: transformers 4.37.2, the last version in which it works."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import load_file, save_file

from tests.families.rows.row import TINY
from tests.families.weights import fill

from .forms import TESTS, compact

CONFIGS: dict[str, dict[str, Any]] = {
    "usual": {},
    "short_memory": {"mem_len": 4, "cutoffs": [4, 9, 50]},
    "any_length": {"same_length": False, "clamp_len": 5},
    "pre_norm": {"pre_lnorm": True, "clamp_len": -1},
    "shared_biases": {"untie_r": False, "mem_len": 30},
    "undivided": {"div_val": 1, "d_embed": 16},
    "one_cluster": {"div_val": 1, "cutoffs": []},
    "no_memory": {"mem_len": 0, "same_length": False},
}
SEARCHES: dict[str, dict[str, Any]] = {
    "greedy": {},
    "beams": {"num_beams": 4},
    "penalized": {"num_beams": 3, "length_penalty": 0.2, "no_repeat_ngram_size": 2, "num_return_sequences": 2},
    "repetition": {"repetition_penalty": 1.3, "min_new_tokens": 6},
}
PROMPT = [[11, 25, 47, 83, 6], [60, 7, 33, 21, 90]]
NEW_TOKENS = 14
PAD = 98  # not 0, which later versions' beam search takes for none
LABELS = {
    "first_row_ignored": [[-100] * 6, [5, 25, 85, -100, 41, 19]],
    "all_ignored": [[-100] * 6, [-100] * 6],
    "one_in_each_cluster": [[1, 25, 95, 45, -100, -100], [3, 79, 80, 39, 40, 20]],
}


def load(changes: dict[str, Any]) -> Any:
    """A tiny model, its weights by `fill`."""
    config = transformers.AutoConfig.for_model("transfo-xl", **{**TINY["transfo-xl"], **changes})
    with tempfile.TemporaryDirectory() as folder:
        transformers.TransfoXLLMHeadModel(config).save_pretrained(folder)
        path = Path(folder) / "model.safetensors"
        tensors = {name: torch.from_numpy(fill(name, tuple(held.shape))) for name, held in load_file(path).items()}
        save_file(tensors, path, metadata={"format": "pt"})
        return transformers.TransfoXLLMHeadModel.from_pretrained(folder).eval()


def written(model: Any) -> dict[str, Any]:
    """Ids of every search; the end of a sequence is a token that the model comes to write."""
    prompt = torch.tensor(PROMPT)
    model.generation_config.eos_token_id = None
    free = model.generate(prompt, max_new_tokens=NEW_TOKENS, pad_token_id=PAD)
    answers: dict[str, Any] = {"endless": free.tolist()}
    new = free[0, len(PROMPT[0]) :].tolist()
    eos = max(set(new), key=new.index)
    answers["eos"] = eos
    for name, options in SEARCHES.items():
        output = model.generate(
            prompt,
            max_new_tokens=NEW_TOKENS,
            eos_token_id=eos,
            pad_token_id=PAD,
            return_dict_in_generate=True,
            output_scores=True,
            **options,
        )
        answers[name] = {"ids": output.sequences.tolist()}
        if getattr(output, "sequences_scores", None) is not None:
            answers[name]["scores"] = output.sequences_scores.tolist()
    return answers


def losses(model: Any) -> dict[str, Any]:
    """Losses of labels that try the reference's guards."""
    ids = torch.tensor([[5, 25, 45, 85, 19, 20], [79, 80, 39, 40, 20, 6]])
    found: dict[str, Any] = {"ids": ids.tolist()}
    for name, labels in LABELS.items():
        output = model(ids, labels=torch.tensor(labels))
        found[name] = {"labels": labels, "loss": float(output.loss), "losses": output.losses.tolist()}
    return found


def names() -> list[str]:
    return ["written"]


def make(name: str) -> Iterator[tuple[Path, bytes]]:
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(1)
    with torch.no_grad():
        models = {name: load(changes) for name, changes in CONFIGS.items()}
        golden = {
            "reference": transformers.__version__,
            "prompt": PROMPT,
            "new_tokens": NEW_TOKENS,
            "pad": PAD,
            "searches": SEARCHES,
            "written": {name: {"config": CONFIGS[name], **written(model)} for name, model in models.items()},
            "losses": losses(models["usual"]),
        }
    yield TESTS / "families" / "golden" / "transfo_xl.json", compact(golden)
