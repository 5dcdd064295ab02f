"""Train the small vocabularies of tests/tokenizers/fixtures: kinds of which no package ships a real one.

Run once, with the reference environment: `python scripts/make_tokenizer_fixtures.py`. Text: Botchan (public domain),
from the sentencepiece package's tests. The full Unicode rules would make each SentencePiece file 240 kB, so these carry
a few rules of their own; the full ones are tested with real vocabularies.
"""

from __future__ import annotations

import collections
import json
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import sacremoses  # noqa: E402
import sentencepiece  # noqa: E402
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers  # noqa: E402

from scripts import assets  # noqa: E402

FIXTURES = ROOT / "tests" / "tokenizers" / "fixtures"
RULES = {"ﬁ": "fi", "①": "1", "②": "2", "\u3000": " ", "\u00a0": " ", "\t": " ", "\n": " ", "é": "é", "Ａ": "A"}


def train_sentencepiece(text: Path, target: Path, size: int, **options: object) -> None:
    with tempfile.TemporaryDirectory() as folder:
        rules = Path(folder) / "rules.tsv"
        lines = [
            " ".join(f"{ord(c):X}" for c in left) + "\t" + " ".join(f"{ord(c):X}" for c in right)
            for left, right in RULES.items()
        ]
        rules.write_text("\n".join(lines) + "\n", encoding="utf-8")
        sentencepiece.SentencePieceTrainer.train(
            input=str(text),
            model_prefix=str(Path(folder) / "model"),
            vocab_size=size,
            normalization_rule_tsv=str(rules),
            num_threads=1,
            minloglevel=2,
            **options,
        )
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((Path(folder) / "model.model").read_bytes())


def make_roberta(text: Path) -> None:
    tokenizer = Tokenizer(models.BPE(continuing_subword_prefix="", end_of_word_suffix=""))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    specials = ["<s>", "<pad>", "</s>", "<unk>"]
    trainer = trainers.BpeTrainer(
        vocab_size=700, special_tokens=specials, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train([str(text)], trainer)
    vocab = tokenizer.get_vocab()
    vocab["<mask>"] = len(vocab)
    save_bpe("roberta", vocab, merges_of(tokenizer))


def merges_of(tokenizer: Tokenizer) -> list[list[str]]:
    return json.loads(tokenizer.to_str())["model"]["merges"]


def save_bpe(name: str, vocab: dict[str, int], merges: list[list[str]]) -> None:
    folder = FIXTURES / name
    folder.mkdir(parents=True, exist_ok=True)
    ordered = dict(sorted(vocab.items(), key=lambda item: item[1]))
    (folder / "vocab.json").write_text(json.dumps(ordered, ensure_ascii=False), encoding="utf-8")
    lines = "".join(f"{left} {right}\n" for left, right in merges)
    (folder / "merges.txt").write_text("#version: 0.2\n" + lines, encoding="utf-8")


def make_gpt(text: Path) -> None:
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.BPEDecoder(suffix="</w>")
    trainer = trainers.BpeTrainer(
        vocab_size=600, special_tokens=["<unk>"], end_of_word_suffix="</w>", show_progress=False
    )
    tokenizer.train([str(text)], trainer)
    save_bpe("gpt", tokenizer.get_vocab(), merges_of(tokenizer))


def make_ctrl(text: Path) -> None:
    """fastBPE's form: merges end words in `</w>`, the vocabulary marks pieces that go on with `@@`."""
    tokenizer = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.train([str(text)], trainers.BpeTrainer(vocab_size=700, end_of_word_suffix="</w>", show_progress=False))
    pieces = ["<unk>", "Links", "Wikipedia", "Books"]
    for symbol in sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().get):
        pieces.append(symbol[:-4] if symbol.endswith("</w>") else symbol + "@@")
    pieces += ["\n", "the\n"]
    save_bpe("ctrl", {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}, merges_of(tokenizer))


def make_marian(text: Path) -> None:
    folder = FIXTURES / "marian"
    shared = {"unk_id": 1, "eos_id": 0, "bos_id": -1, "pad_id": -1}
    train_sentencepiece(text, folder / "source.spm", 400, **shared)
    train_sentencepiece(text, folder / "target.spm", 300, **shared)
    pieces = ["</s>", "<unk>", ">>fra<<", ">>deu<<"]
    for name in ("source.spm", "target.spm"):
        model = sentencepiece.SentencePieceProcessor(model_file=str(folder / name))
        pieces += [model.id_to_piece(index) for index in range(2, len(model))]
    # A few pieces of the files are missing from the vocabulary, and it knows one character that they do not.
    pieces = [piece for piece in dict.fromkeys(pieces) if piece not in ("▁he", "ed")] + ["ü", "<pad>"]
    vocab = {piece: index for index, piece in enumerate(pieces)}
    (folder / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False), encoding="utf-8")
    target = ["</s>", "<unk>", *(piece for piece in reversed(pieces) if piece not in ("</s>", "<unk>"))]
    (folder / "target_vocab.json").write_text(
        json.dumps({piece: index for index, piece in enumerate(target)}, ensure_ascii=False), encoding="utf-8"
    )


def make_transfo_xl(text: Path) -> None:
    words = sacremoses.MosesTokenizer("en")
    counts: collections.Counter[str] = collections.Counter()
    for line in text.read_text(encoding="utf-8").splitlines():
        counts.update(words.tokenize(line, aggressive_dash_splits=True, escape=False))
    folder = FIXTURES / "transfo_xl"
    folder.mkdir(parents=True, exist_ok=True)
    tokens = ["<eos>", "<unk>", "@,@", "@.@", "@-@", "000", "<formula>"]
    tokens += [word for word, _ in counts.most_common(1500)]
    (folder / "vocab.txt").write_text("\n".join(dict.fromkeys(tokens)) + "\n", encoding="utf-8")


def main() -> None:
    text = assets.fetch("botchan")
    make_roberta(text)
    make_gpt(text)
    make_ctrl(text)
    make_marian(text)
    make_transfo_xl(text)
    train_sentencepiece(
        text,
        FIXTURES / "albert" / "spiece.model",
        500,
        pad_id=0,
        unk_id=1,
        bos_id=-1,
        eos_id=-1,
        control_symbols=["[CLS]", "[SEP]"],
        user_defined_symbols=["[MASK]", "(", ")", "1,", "1", "0", "000"],
    )
    train_sentencepiece(text, FIXTURES / "t5" / "spiece.model", 500, pad_id=0, eos_id=1, unk_id=2, bos_id=-1)


if __name__ == "__main__":
    main()
