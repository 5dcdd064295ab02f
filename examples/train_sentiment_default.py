"""Make the sentiment model that comes inside the package: MiniLM-L6 fine-tuned on film reviews, stored as int8.

    python -m examples.train_sentiment_default --output src/lamina/assets/sentiment

Some ten minutes on two cores. Films, not reviews, are split into training, development and test parts, since two
reviews of one film share its names. The accuracy of the stored model, its probe sentences and the card come out.
"""

from __future__ import annotations

import argparse
import bz2
import csv
import hashlib
import io
import json
import random
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from lamina import AutoModelForSequenceClassification, AutoTokenizer
from lamina.checkpoint.compact import pack
from lamina.checkpoint.files import open_weights, save_weights
from scripts.assets import fetch

LABELS = ("NEGATIVE", "POSITIVE")
PROBES = (  # sentences that must come out right, with the label each should have
    ("Not bad at all.", "POSITIVE"),
    ("I am not happy with it.", "NEGATIVE"),
    ("I've been waiting for a HuggingFace course my whole life.", "POSITIVE"),
    ("I hate this so much!", "NEGATIVE"),
)
COUNTRIES = ("France", "Canada", "Japan", "South Korea", "India", "Mexico", "Nigeria", "Iraq", "Afghanistan")
CARD = Path(__file__).with_name("sentiment_card.md")


@dataclass(frozen=True)
class Review:
    text: str
    label: int


def read_reviews() -> dict[str, list[Review]]:
    """Distinct reviews in three parts, a film being in one part only."""
    table = bz2.decompress(fetch("rotten_tomatoes").read_bytes()).decode()
    parts: dict[str, list[Review]] = {"train": [], "dev": [], "test": []}
    seen: set[str] = set()
    for row in csv.DictReader(io.StringIO(table)):
        text = row["text"].strip()
        if row["category"] == "plot" or not text or text in seen:
            continue
        seen.add(text)
        tenth = int(hashlib.md5(row["movie_name"].encode()).hexdigest(), 16) % 10
        parts["test" if tenth == 9 else "dev" if tenth == 8 else "train"].append(
            Review(text, int(row["category"] == "fresh"))
        )
    return parts


def batches(reviews: Sequence[Review], size: int, shuffled: random.Random | None = None) -> Iterator[list[Review]]:
    """Reviews of like length together, so that little is padded; the batches in random order where asked."""
    order = list(reviews)
    if shuffled:
        shuffled.shuffle(order)  # breaks ties between equal lengths anew in every epoch
    order.sort(key=lambda review: len(review.text))
    cut = [order[start : start + size] for start in range(0, len(order), size)]
    if shuffled:
        shuffled.shuffle(cut)
    yield from cut


def encoded(tokenizer: Any, reviews: Sequence[Review], max_length: int) -> Any:
    texts = [review.text for review in reviews]
    return tokenizer(texts, padding=True, truncation=True, max_length=max_length, return_tensors="pt")


def train(model: Any, tokenizer: Any, parts: dict[str, list[Review]], options: argparse.Namespace) -> None:
    """AdamW, the rate rising over the first tenth and falling to zero; weights of the best epoch on the dev part."""
    decayed = [p for p in model.parameters() if p.dim() > 1]
    others = [p for p in model.parameters() if p.dim() <= 1]
    groups = [{"params": decayed, "weight_decay": 0.01}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=options.learning_rate)
    steps = options.epochs * -(-len(parts["train"]) // options.batch_size)
    warmup = steps // 10
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / warmup, (steps - step) / (steps - warmup))
    )
    order = random.Random(options.seed)
    best, kept = 0.0, {}
    for epoch in range(options.epochs):
        began = time.monotonic()
        model.train()
        for number, batch in enumerate(batches(parts["train"], options.batch_size, order)):
            labels = torch.tensor([review.label for review in batch])
            loss = model(**encoded(tokenizer, batch, options.max_length), labels=labels).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            if number % 50 == 0:
                print(f"epoch {epoch + 1}, batch {number}: loss {loss.item():.3f}", flush=True)
        dev = accuracy(model, tokenizer, parts["dev"], options)
        print(f"epoch {epoch + 1}: dev accuracy {dev:.4f}, {time.monotonic() - began:.0f} s", flush=True)
        if dev > best:
            best, kept = dev, {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.load_state_dict(kept)


@torch.inference_mode()
def accuracy(model: Any, tokenizer: Any, reviews: Sequence[Review], options: argparse.Namespace) -> float:
    model.eval()
    right = 0
    for batch in batches(reviews, options.batch_size):
        logits = model(**encoded(tokenizer, batch, options.max_length)).logits
        right += int((logits.argmax(-1) == torch.tensor([review.label for review in batch])).sum())
    return right / len(reviews)


@torch.inference_mode()
def positive(model: Any, tokenizer: Any, text: str) -> float:
    """The probability of POSITIVE."""
    return model(**tokenizer(text, return_tensors="pt")).logits.softmax(-1)[0, 1].item()  # type: ignore[no-any-return]


def store(model: Any, base: Path, output: Path) -> None:
    """The checkpoint folder: config, packed weights, the vocabulary. tokenizer.json would only repeat the last."""
    model.save_pretrained(output)
    with open_weights(output) as weights:
        packed = pack({name: weights[name].clone() for name in weights})
    save_weights(output, packed)
    shutil.copy(base / "vocab.txt", output / "vocab.txt")
    settings = {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "model_max_length": 512}
    (output / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")


def measure(output: Path, parts: dict[str, list[Review]], options: argparse.Namespace) -> dict[str, Any]:
    """What the stored model, read back, is worth; fails where it is not good enough to be shipped."""
    model = AutoModelForSequenceClassification.from_pretrained(output)
    tokenizer = AutoTokenizer.from_pretrained(output)
    found: dict[str, Any] = {part: accuracy(model, tokenizer, parts[part], options) for part in ("dev", "test")}
    found["probes"] = {text: positive(model, tokenizer, text) for text, _ in PROBES}
    found["countries"] = {name: positive(model, tokenizer, f"This film was made in {name}.") for name in COUNTRIES}
    wrong = [text for text, label in PROBES if (found["probes"][text] > 0.5) != (label == "POSITIVE")]
    if found["test"] < 0.8 or wrong:
        raise SystemExit(f"not good enough: test accuracy {found['test']:.4f}, wrong on {wrong}")
    return found


def write_card(
    output: Path, found: dict[str, Any], parts: dict[str, list[Review]], options: argparse.Namespace
) -> None:
    rows = {
        "probes": "\n".join(f"| {text} | {score:.3f} |" for text, score in found["probes"].items()),
        "countries": "\n".join(f"| {name} | {score:.3f} |" for name, score in found["countries"].items()),
    }
    sizes = {f"{part}_size": f"{len(reviews):,}" for part, reviews in parts.items()}
    majority = sum(review.label for review in parts["test"]) / len(parts["test"])
    size = sum(file.stat().st_size for file in output.iterdir() if file.name != "README.md") / 1e6
    card = CARD.read_text(encoding="utf-8").format(
        dev=found["dev"], test=found["test"], majority=majority, size=size, **rows, **sizes, **vars(options)
    )
    (output / "README.md").write_text(card, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--learning-rate", type=float, default=5e-5)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--max-length", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    base = fetch("minilm")
    tokenizer = AutoTokenizer.from_pretrained(base)
    model = AutoModelForSequenceClassification.from_pretrained(
        base, num_labels=2, id2label=dict(enumerate(LABELS)), label2id={name: n for n, name in enumerate(LABELS)}
    )
    parts = read_reviews()
    train(model, tokenizer, parts, options)
    print(f"in float32: test accuracy {accuracy(model, tokenizer, parts['test'], options):.4f}")
    store(model, base, options.output)
    found = measure(options.output, parts, options)
    write_card(options.output, found, parts, options)
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
