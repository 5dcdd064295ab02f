"""A client of `lamina serve`: start the server in another shell, then run this. It is Hugging Face's own, unmodified.

python examples/serve_client.py [URL]
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

from huggingface_hub import AsyncInferenceClient, InferenceClient

SENTENCES = ("Not bad at all.", "I hate this so much!", "The film was long, and I loved every minute of it.")


def one(url: str) -> str:
    """The likeliest label of a sentence."""
    return InferenceClient(url).text_classification(SENTENCES[0])[0].label


async def many(url: str) -> Sequence[str]:
    """All sentences at once: requests that arrive together are read together."""
    async with AsyncInferenceClient(url) as client:
        answers = await asyncio.gather(*(client.text_classification(sentence) for sentence in SENTENCES))
    return [f"{answer[0].label} {answer[0].score:.2f}" for answer in answers]


def main() -> None:
    url = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080"
    print(f"{SENTENCES[0]!r} is {one(url)}")
    for sentence, label in zip(SENTENCES, asyncio.run(many(url)), strict=True):
        print(f"{label:14} {sentence}")


if __name__ == "__main__":
    main()
