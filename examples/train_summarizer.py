"""Synopses from nothing: a T5 of some 1 million parameters learns to say in seven words what a Debian package is.

python -m examples.train_summarizer
"""

from __future__ import annotations

from lamina import T5Config, Tokenizer
from lamina.training.recipes import summarization

from .before_after import SCRATCH, train_and_tell
from .debian import Description, descriptions

ROWS = 1_500


def rows_of(found: list[Description]) -> list[dict[str, str]]:
    return [{"text": each.long, "summary": each.synopsis} for each in found]


def packages() -> tuple[list[Description], list[Description]]:
    """Descriptions to learn from and those of other families to be scored on; no synopsis comes twice."""
    found = {each.synopsis: each for _, each in sorted(descriptions("en").items()) if len(each.long.split()) >= 20}
    learned = [each for each in found.values() if each.tenth != 9]
    return learned[:ROWS], [each for each in found.values() if each.tenth == 9][:100]


def main() -> None:
    learned, held = map(rows_of, packages())
    folder = SCRATCH / "summarizer-shape"
    texts = [text for row in learned for text in row.values()]
    specials = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
    tokenizer = Tokenizer.train(texts, kind="unigram", vocab_size=4000, special_tokens=specials, model_max_length=64)
    tokenizer.save_pretrained(folder)
    T5Config(
        vocab_size=len(tokenizer), d_model=128, d_kv=32, d_ff=512, num_layers=1, num_decoder_layers=1, num_heads=4,
        pad_token_id=0, eos_token_id=3, decoder_start_token_id=0, dropout_rate=0.05,
    ).save_pretrained(folder)  # fmt: skip
    settings = summarization.Settings(
        model=str(folder), from_scratch=True, train=learned, eval=held, output=SCRATCH / "summarizer", epochs=3,
        batch_size=32, learning_rate=2e-3, max_target_length=24,
        arguments={"eval_on_start": True, "eval_strategy": "no", "save_strategy": "no", "warmup_ratio": 0.05},
    )  # fmt: skip
    probes = [row["text"] for row in held[:3]]
    train_and_tell(summarization, settings, ("loss", "rouge1", "rouge2", "rougeL"), "summarization", probes)


if __name__ == "__main__":
    main()
