"""BERT's WordPiece, also of DistilBERT and ELECTRA: `##` pieces of words cut at spaces, signs and CJK characters."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from tokenizers import AddedToken, decoders, models, normalizers, pre_tokenizers
from tokenizers import Tokenizer as Backend

from lamina.tokenizers.files import TokenizerFolder, backend_errors, read_vocab_txt
from lamina.tokenizers.recipe import (
    BERT_INPUTS,
    BRACKETS,
    PLAIN_INPUTS,
    Assembly,
    Options,
    Recipe,
    Template,
    Tokens,
    set_settings,
    surround,
)

SPECIAL = {
    "unk_token": "[UNK]",
    "sep_token": "[SEP]",
    "pad_token": "[PAD]",
    "cls_token": "[CLS]",
    "mask_token": "[MASK]",
}
MPNET_SPECIAL: Tokens = {
    "bos_token": "<s>",
    "eos_token": "</s>",
    "unk_token": "[UNK]",
    "sep_token": "</s>",
    "pad_token": "<pad>",
    "cls_token": "<s>",
    "mask_token": AddedToken("<mask>", lstrip=True, special=True),
}
OPTIONS = {"do_lower_case": True, "tokenize_chinese_chars": True, "strip_accents": None}


def build(template: Template, folder: TokenizerFolder, options: Options) -> Assembly:
    path = folder.require("vocab.txt")
    vocab = read_vocab_txt(path)
    with backend_errors(f"Building WordPiece from {path}"):
        backend = Backend(models.WordPiece(vocab, unk_token=str(options["unk_token"])))
    set_components(backend, options)
    # The reference's classes tidy decoded text only when they start from vocab.txt.
    options.setdefault("clean_up_tokenization_spaces", True)
    surround(backend, options, template)  # now, since the vocabulary should have these tokens
    return Assembly(backend)


def set_components(backend: Backend, options: Options) -> None:
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
    adjust_case(backend, options)
    chinese = options["tokenize_chinese_chars"]
    set_settings(backend, "normalizer", normalizers.BertNormalizer, handle_chinese_chars=chinese)


def adjust_case(backend: Backend, options: Options) -> None:
    """Let the options decide case and accents, whatever the tokenizer.json says."""
    wanted = {"lowercase": options["do_lower_case"], "strip_accents": options["strip_accents"]}
    set_settings(backend, "normalizer", normalizers.BertNormalizer, **wanted)


BERT = Recipe(
    name="bert",
    class_name="BertTokenizer",
    files=("vocab.txt",),
    build=partial(build, BRACKETS),
    special_tokens=SPECIAL,
    model_input_names=BERT_INPUTS,
    options=OPTIONS,
    adjust=adjust,
)
MPNET = replace(
    BERT,
    name="mpnet",
    class_name="MPNetTokenizer",
    build=partial(build, ("cls_token $A sep_token", "cls_token $A sep_token sep_token $B:1 sep_token:1")),
    special_tokens=MPNET_SPECIAL,
    model_input_names=PLAIN_INPUTS,
    adjust=adjust_case,
    fixed=("tokenize_chinese_chars",),
)
DISTILBERT = replace(BERT, name="distilbert", class_name="DistilBertTokenizer", model_input_names=PLAIN_INPUTS)
ELECTRA = replace(BERT, name="electra", class_name="ElectraTokenizer")
