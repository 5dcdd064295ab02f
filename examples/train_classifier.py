"""Film reviews, fresh or rotten: MiniLM fine-tuned for one epoch of 2,000.

python -m examples.train_classifier
"""

from __future__ import annotations

from lamina.training.recipes import text_classification
from scripts.assets import fetch

from .before_after import SCRATCH, train_and_tell
from .train_sentiment_default import read_reviews

PROBES = ["Not bad at all.", "Two hours that I will never get back.", "The parcel came late, and broken."]


def main() -> None:
    parts = {
        part: [{"text": review.text, "label": ("rotten", "fresh")[review.label]} for review in reviews]
        for part, reviews in read_reviews().items()  # split by film, not by review
    }
    settings = text_classification.Settings(
        model=str(fetch("minilm")), train=parts["train"][:2000], eval=parts["test"][:500],
        output=SCRATCH / "classifier", epochs=1,
        batch_size=32, learning_rate=5e-5, max_length=48, metrics=("accuracy", "f1"),
        arguments={"eval_on_start": True, "eval_strategy": "no", "save_strategy": "no", "warmup_ratio": 0.1},
    )  # fmt: skip
    train_and_tell(text_classification, settings, ("loss", "accuracy"), "text-classification", PROBES)


if __name__ == "__main__":
    main()
