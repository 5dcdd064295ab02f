"""The small vocabularies of tests/tokenizers/fixtures: kinds that no package ships a real vocabulary of.

Text: Botchan (public domain), from the sentencepiece package's tests. The full Unicode rules would make each
SentencePiece file 240 kB, so these carry a few rules of their own; the full ones are tested with real vocabularies.
Other releases of sentencepiece and tokenizers train other pieces of the same kinds: the files that are kept come from
earlier ones, and with new files the answers of the tokenizers' goldens change too.
"""

from __future__ import annotations

import collections
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sacremoses
import sentencepiece
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from scripts.assets import fetch

from .forms import TESTS

FIXTURES = TESTS / "tokenizers" / "fixtures"
RULES = {
    "\ufb01": "fi",
    "\u2460": "1",
    "\u2461": "2",
    "\u3000": " ",
    "\u00a0": " ",
    "\t": " ",
    "\n": " ",
    "\uff21": "A",
}
Files = dict[str, bytes]


def names() -> list[str]:
    return list(MAKERS)


def make(name: str) -> Iterator[tuple[Path, bytes]]:
    for file, content in MAKERS[name](fetch("botchan")).items():
        yield FIXTURES / name / file, content


def trained(text: Path, size: int, **options: Any) -> bytes:
    """A SentencePiece model."""
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
        return (Path(folder) / "model.model").read_bytes()


def roberta(text: Path) -> Files:
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
    return bpe(vocab, tokenizer)


def bpe(vocab: dict[str, int], tokenizer: Tokenizer) -> Files:
    ordered = dict(sorted(vocab.items(), key=lambda item: item[1]))
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    text = "#version: 0.2\n" + "".join(f"{left} {right}\n" for left, right in merges)
    return {"vocab.json": as_json(ordered), "merges.txt": text.encode()}


def as_json(vocab: dict[str, int]) -> bytes:
    return json.dumps(vocab, ensure_ascii=False).encode()


def numbered(pieces: list[str]) -> dict[str, int]:
    return {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}


def gpt(text: Path) -> Files:
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.BPEDecoder(suffix="</w>")
    trainer = trainers.BpeTrainer(
        vocab_size=600, special_tokens=["<unk>"], end_of_word_suffix="</w>", show_progress=False
    )
    tokenizer.train([str(text)], trainer)
    return bpe(tokenizer.get_vocab(), tokenizer)


def ctrl(text: Path) -> Files:
    """fastBPE's form: merges end words in `</w>`, the vocabulary marks pieces that go on with `@@`."""
    tokenizer = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.train([str(text)], trainers.BpeTrainer(vocab_size=700, end_of_word_suffix="</w>", show_progress=False))
    pieces = ["<unk>", "Links", "Wikipedia", "Books"]
    for symbol in sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().get):
        pieces.append(symbol[:-4] if symbol.endswith("</w>") else symbol + "@@")
    pieces += ["\n", "the\n"]
    return bpe(numbered(pieces), tokenizer)


def marian(text: Path) -> Files:
    shared = {"unk_id": 1, "eos_id": 0, "bos_id": -1, "pad_id": -1}
    files = {"source.spm": trained(text, 400, **shared), "target.spm": trained(text, 300, **shared)}
    pieces = ["</s>", "<unk>", ">>fra<<", ">>deu<<"]
    for content in files.values():
        model = sentencepiece.SentencePieceProcessor(model_proto=content)
        pieces += [model.id_to_piece(index) for index in range(2, len(model))]
    # A few pieces of the files are missing from the vocabulary, and it knows one character that they do not.
    pieces = [piece for piece in dict.fromkeys(pieces) if piece not in ("\u2581he", "ed")] + ["ü", "<pad>"]
    target = ["</s>", "<unk>", *(piece for piece in reversed(pieces) if piece not in ("</s>", "<unk>"))]
    return {**files, "vocab.json": as_json(numbered(pieces)), "target_vocab.json": as_json(numbered(target))}


def transfo_xl(text: Path) -> Files:
    words = sacremoses.MosesTokenizer("en")
    counts: collections.Counter[str] = collections.Counter()
    for line in text.read_text(encoding="utf-8").splitlines():
        counts.update(words.tokenize(line, aggressive_dash_splits=True, escape=False))
    tokens = ["<eos>", "<unk>", "@,@", "@.@", "@-@", "000", "<formula>"]
    tokens += [word for word, _ in counts.most_common(1500)]
    return {"vocab.txt": ("\n".join(dict.fromkeys(tokens)) + "\n").encode()}


def albert(text: Path) -> Files:
    marks = ["[MASK]", "(", ")", "1,", "1", "0", "000"]
    more: dict[str, Any] = {"control_symbols": ["[CLS]", "[SEP]"], "user_defined_symbols": marks}
    return {"spiece.model": trained(text, 500, pad_id=0, unk_id=1, bos_id=-1, eos_id=-1, **more)}


def t5(text: Path) -> Files:
    return {"spiece.model": trained(text, 500, pad_id=0, eos_id=1, unk_id=2, bos_id=-1)}


def deberta_v2(text: Path) -> Files:
    pieces = {"pad_piece": "[PAD]", "bos_piece": "[CLS]", "eos_piece": "[SEP]", "unk_piece": "[UNK]"}
    return {"spm.model": trained(text, 400, pad_id=0, bos_id=1, eos_id=2, unk_id=3, **pieces)}


def xlnet(text: Path) -> Files:
    marks = ["<cls>", "<sep>", "<pad>", "<mask>", "<eod>"]
    return {"spiece.model": trained(text, 400, control_symbols=marks, user_defined_symbols=["<eop>", "1,", "."])}


def m2m_100(text: Path) -> Files:
    content = trained(text, 400, model_type="bpe")
    model = sentencepiece.SentencePieceProcessor(model_proto=content)
    pieces = ["<s>", "<pad>", "</s>", "<unk>", *(model.id_to_piece(index) for index in range(3, len(model)))]
    return {"sentencepiece.bpe.model": content, "vocab.json": as_json(numbered(pieces))}


def mpnet(text: Path) -> Files:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.train([str(text)], trainers.WordPieceTrainer(vocab_size=400, special_tokens=["[UNK]"]))
    vocab = tokenizer.get_vocab()
    tokens = ["<s>", "<pad>", "</s>", "<unk>", *sorted(vocab, key=vocab.__getitem__), "<mask>"]
    return {"vocab.txt": ("\n".join(tokens) + "\n").encode()}


MAKERS = {
    each.__name__: each
    for each in (roberta, gpt, ctrl, marian, transfo_xl, albert, t5, deberta_v2, xlnet, m2m_100, mpnet)
}
