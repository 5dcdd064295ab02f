"""Names in tweets, ten kinds of them: a BERT of two layers, eight epochs. Real and noisy, so scores stay low.

python -m examples.train_tagger
"""

from __future__ import annotations

from lamina.training.recipes import token_classification
from scripts.assets import fetch

from .before_after import SCRATCH, train_and_tell
from .real_data import tagged_tweets, tenth

PROBES = ["Meeting Adele in Paris tomorrow , thanks to Google !"]


def main() -> None:
    tweets = tagged_tweets()
    held = [row for row in tweets if tenth(" ".join(row["tokens"])) >= 8]
    settings = token_classification.Settings(
        model=str(fetch("bert_tiny")), train=[row for row in tweets if row not in held][:900], eval=held[:200],
        output=SCRATCH / "tagger", epochs=8, batch_size=16, learning_rate=5e-4, max_length=96,
        arguments={"eval_on_start": True, "eval_strategy": "no", "save_strategy": "no", "warmup_ratio": 0.1},
    )  # fmt: skip
    train_and_tell(
        token_classification, settings, ("loss", "precision", "recall", "f1"), "token-classification", PROBES
    )


if __name__ == "__main__":
    main()
