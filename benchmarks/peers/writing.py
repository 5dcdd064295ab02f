"""Generation through the calls that the reference's models and ours have in common."""

from __future__ import annotations

from typing import Any

import torch

from ..worker import Work
from .batches import arrange, padded


def writing(model: Any, case: dict[str, Any], policy: str, size: int) -> Work:
    """New tokens of every row; which tokens a forced text makes likeliest, for the comparison alone."""
    rows, new = case["ids"], case["new"]
    seq2seq = "start" in case
    options = {
        "max_new_tokens": new,
        "min_new_tokens": new,
        "num_beams": case["beams"],
        "do_sample": False,
        "pad_token_id": case["pad"],
    }

    def run() -> list[list[int]]:
        found: dict[int, list[int]] = {}
        for batch in arrange(rows, policy, size):
            ids, mask = (torch.tensor(each, device=model.device) for each in padded(rows, batch, case["pad"]))
            written = model.generate(input_ids=ids, attention_mask=mask, **options)[:, -new:]
            found.update(zip(batch, written.tolist(), strict=True))
        return [found[number] for number in range(len(rows))]

    def answer(found: list[list[int]]) -> dict[str, Any]:
        forced = torch.tensor(case["forced"], device=model.device)
        source = torch.tensor([rows[0][: min(map(len, rows))]] * len(forced), device=model.device)
        inputs = {"input_ids": source, "decoder_input_ids": forced} if seq2seq else {"input_ids": forced}
        with torch.inference_mode():
            best = model(**inputs).logits.argmax(-1)
        return {"ids": found, "top1": best.tolist()}

    return Work(run, answer)
