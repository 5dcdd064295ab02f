"""A search across languages: MiniLM, which was trained on English, learns to find Django's French messages.

python -m examples.train_sentence_embeddings
"""

from __future__ import annotations

import time

from lamina import SentenceTransformer
from lamina.training.recipes import sentence_embeddings
from scripts.assets import fetch

from .before_after import SCRATCH, first_scores
from .real_data import messages, tenth

SCORES = ("recall_at_1", "recall_at_10", "ndcg_at_10", "mrr_at_10")
PROBES = ["Your password was changed.", "Delete the selected rows", "yesterday at noon"]


def main() -> None:
    rows = [{"anchor": row["source"], "positive": row["target"]} for row in messages("fr") if row["target"]]
    held = [row for row in rows if tenth(row["anchor"]) >= 7]
    settings = sentence_embeddings.Settings(
        model=str(fetch("minilm")), train=[row for row in rows if row not in held], eval=held,
        output=SCRATCH / "sentence-embeddings", epochs=8, batch_size=64, learning_rate=2e-4, max_length=48,
        arguments={"eval_on_start": True, "eval_strategy": "no", "save_strategy": "no", "warmup_ratio": 0.1},
    )  # fmt: skip
    began = time.monotonic()
    results = sentence_embeddings.train(settings)
    minutes = (time.monotonic() - began) / 60
    print(f"{len(settings.train):,} pairs to learn from, {len(held):,} held out, {minutes:.1f} minutes")
    before = first_scores(settings.output / "log.jsonl")
    for name in SCORES:
        print(f"{name:14} {before[f'eval_{name}']:8.3f} -> {results[f'eval_{name}']:8.3f}")
    french = [row["positive"] for row in held]
    for model in (SentenceTransformer(settings.model), SentenceTransformer(settings.output)):
        vectors = model.encode(french, show_progress_bar=False)
        for probe in PROBES:
            best = int(model.similarity(model.encode(probe, show_progress_bar=False), vectors)[0].argmax())
            print(f"{probe} -> {french[best]}")


if __name__ == "__main__":
    main()
