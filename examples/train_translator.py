"""English to French from nothing: a T5 of some 1 million parameters learns from what Debian's packages are.

python -m examples.train_translator
"""

from __future__ import annotations

from lamina import T5Config, Tokenizer
from lamina.training.recipes import translation

from .before_after import SCRATCH, train_and_tell
from .debian import descriptions

PROBES = ["library for image processing", "text editor written in Python", "documentation for the C compiler"]


def pairs() -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """Pairs of synopses to learn from, and those of other packages to be scored on; no source comes twice."""
    english, french = descriptions("en"), descriptions("fr")
    learned, held, seen = [], [], set()
    for key in sorted(english.keys() & french.keys()):
        source, target = english[key].synopsis, french[key].synopsis
        if source in seen or source == target or not target:
            continue
        seen.add(source)
        (held if english[key].tenth == 9 else learned).append({"source": source, "target": target})
    return learned, held[:300]


def main() -> None:
    learned, held = pairs()
    folder = SCRATCH / "translator-shape"
    texts = [text for row in learned for text in row.values()]
    specials = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
    tokenizer = Tokenizer.train(texts, kind="unigram", vocab_size=4000, special_tokens=specials, model_max_length=64)
    tokenizer.save_pretrained(folder)
    T5Config(
        vocab_size=len(tokenizer), d_model=128, d_kv=32, d_ff=512, num_layers=1, num_decoder_layers=1, num_heads=4,
        pad_token_id=0, eos_token_id=3, decoder_start_token_id=0, dropout_rate=0.05,
    ).save_pretrained(folder)  # fmt: skip
    settings = translation.Settings(
        model=str(folder), from_scratch=True, train=learned, eval=held, output=SCRATCH / "translator", epochs=5,
        batch_size=64, learning_rate=2e-3, max_target_length=40,
        arguments={"eval_on_start": True, "eval_strategy": "no", "save_strategy": "no", "warmup_ratio": 0.05},
    )  # fmt: skip
    train_and_tell(translation, settings, ("loss", "bleu"), "translation", PROBES)


if __name__ == "__main__":
    main()
