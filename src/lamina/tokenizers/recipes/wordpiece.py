"""BERT's WordPiece, also of DistilBERT and ELECTRA: `##` pieces of words cut at spaces, signs and CJK characters."""

from __future__ import annotations

import json

from tokenizers import Tokenizer as Backend
from tokenizers import decoders, models, normalizers, pre_tokenizers

from lamina.tokenizers.files import TokenizerFolder, backend_errors, read_vocab_txt
from lamina.tokenizers.recipe import BERT_INPUTS, PLAIN_INPUTS, Assembly, Options, Recipe, bracket

SPECIAL = {
    "unk_token": "[UNK]",
    "sep_token": "[SEP]",
    "pad_token": "[PAD]",
    "cls_token": "[CLS]",
    "mask_token": "[MASK]",
}
OPTIONS = {"do_lower_case": True, "tokenize_chinese_chars": True, "strip_accents": None}


def build(folder: TokenizerFolder, options: Options) -> Assembly:
    path = folder.require("vocab.txt")
    vocab = read_vocab_txt(path)
    with backend_errors(f"Building WordPiece from {path}"):
        backend = Backend(models.WordPiece(vocab, unk_token=str(options["unk_token"])))
    dress(backend, options)
    # The reference's classes tidy decoded text only when they start from vocab.txt.
    options.setdefault("clean_up_tokenization_spaces", True)
    bracket(backend, str(options["cls_token"]), str(options["sep_token"]))
    return Assembly(backend)


def dress(backend: Backend, options: Options) -> None:
    """BERT's rules of text and `##` pieces around a model."""
    backend.normalizer = normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=options["tokenize_chinese_chars"],
        strip_accents=options["strip_accents"],
        lowercase=options["do_lower_case"],
    )
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece(prefix="##")


def adjust(backend: Backend, options: Options) -> None:
    """Let the options decide case, accents and Chinese characters, whatever the tokenizer.json says."""
    set_normalizer(
        backend,
        lowercase=options["do_lower_case"],
        strip_accents=options["strip_accents"],
        handle_chinese_chars=options["tokenize_chinese_chars"],
    )


def adjust_case(backend: Backend, options: Options) -> None:
    """Let the options decide case and accents, whatever the tokenizer.json says."""
    set_normalizer(backend, lowercase=options["do_lower_case"], strip_accents=options["strip_accents"])


def set_normalizer(backend: Backend, **wanted: bool | None) -> None:
    """Change these settings of BERT's normalizer; others have none of them."""
    if not isinstance(backend.normalizer, normalizers.BertNormalizer):
        return
    state = json.loads(backend.normalizer.__getstate__())
    del state["type"]
    if any(state.get(key) != value for key, value in wanted.items()):
        backend.normalizer = normalizers.BertNormalizer(**{**state, **wanted})


def recipe(name: str, class_name: str, inputs: tuple[str, ...]) -> Recipe:
    return Recipe(
        name, class_name, ("vocab.txt",), build, SPECIAL, inputs, OPTIONS, adjust, adjustable=frozenset(OPTIONS)
    )


BERT = recipe("bert", "BertTokenizer", BERT_INPUTS)
DISTILBERT = recipe("distilbert", "DistilBertTokenizer", PLAIN_INPUTS)
ELECTRA = recipe("electra", "ElectraTokenizer", BERT_INPUTS)
