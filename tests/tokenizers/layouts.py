"""Folders as they are published: which class their files name, for which model, and which files are there.

Read by test_layouts.py and by scripts/goldens.py, so it imports neither library; the Rust one under both
makes the small tokenizer.json files.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from tests.tokenizers.kinds import BERT_FILES, FIXTURES, GOLDEN, M2M_CODES, ROBERTA_FILES, Find

GOLDENS = GOLDEN.parent / "layouts.json"

TEXTS = [
    "Hello, world!",
    "  Deniz was HERE,  naïve café. ",
    "the <mask> of [MASK] </s> [SEP] <extra_id_0>x <|endoftext|>",
    "",
    "나는 학교에 갑니다.",
]
PAIR = ("Who was here?", "Deniz was.")
LETTERS = [*"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ,.!?<>[]/_|'", "é", "ï"]


@dataclass(frozen=True)
class Layout:
    """One folder, and the options it is loaded with."""

    model_type: str = ""  # of config.json, "" where there is none
    stated: str = ""  # the tokenizer_class of tokenizer_config.json
    files: dict[str, str] = field(default_factory=dict)  # name -> "fixture:PATH", "asset:NAME/PATH" or "made:KIND"
    config: dict[str, Any] = field(default_factory=dict)  # the rest of tokenizer_config.json
    model: dict[str, Any] = field(default_factory=dict)  # the rest of config.json
    more: dict[str, Any] = field(default_factory=dict)  # JSON files: name -> value
    options: dict[str, Any] = field(default_factory=dict)
    then: tuple[tuple[str, tuple[Any, ...]], ...] = ()  # methods called after loading
    exact: bool = True  # False: the reference adds usual tokens that the files do not have, and Lamina does not


BERT_JSON = {"tokenizer.json": "asset:minilm/tokenizer.json"}
ROBERTA_JSON = {"tokenizer.json": "fixture:roberta_saved/tokenizer.json"}
SPIECE = {"spiece.model": "fixture:t5/spiece.model"}
BPE_JA = {"sentencepiece.bpe.model": "asset:sentencepiece_ja"}
KO_TOKENS = {
    "bos_token": "<s>",
    "eos_token": "</s>",
    "unk_token": "<unk>",
    "pad_token": "<pad>",
    "mask_token": "<mask>",
}
FAST = "PreTrainedTokenizerFast"
BPE_EN = {"sentencepiece.bpe.model": "asset:sentencepiece_en"}
MPNET_FILES = {"vocab.txt": "fixture:mpnet/vocab.txt"}
DEBERTA_FILES = {"spm.model": "fixture:deberta_v2/spm.model"}
XLNET_FILES = {"spiece.model": "fixture:xlnet/spiece.model"}
NLLB_FILES = {"sentencepiece.bpe.model": "fixture:m2m_100/sentencepiece.bpe.model"}
M2M_FILES = NLLB_FILES | {"vocab.json": "fixture:m2m_100/vocab.json"}
M2M_TOKENS = {"additional_special_tokens": [f"__{code}__" for code in M2M_CODES]}
KOBERT_TOKENS = {
    "bos_token": "[CLS]",
    "eos_token": "[SEP]",
    "unk_token": "[UNK]",
    "sep_token": "[SEP]",
    "pad_token": "[PAD]",
    "cls_token": "[CLS]",
    "mask_token": "[MASK]",
}
MODERN_TOKENS: dict[str, Any] = {
    **{"cls_token": "[CLS]", "sep_token": "[SEP]", "unk_token": "[UNK]", "pad_token": "[PAD]", "mask_token": "[MASK]"},
    **{"model_input_names": ["input_ids", "attention_mask"], "model_max_length": 8192},
}
OPT_TOKENS: dict[str, Any] = {
    **{"bos_token": "</s>", "eos_token": "</s>", "unk_token": "</s>", "pad_token": "<pad>"},
    **{"add_bos_token": True, "add_prefix_space": False, "errors": "replace"},
}
LATER = {"<sep2>": 30522, "Deniz": 30523}
MARIAN_FILES = {name: f"fixture:marian/{name}" for name in ("source.spm", "target.spm", "vocab.json")}
CTRL_FILES = {name: f"fixture:ctrl/{name}" for name in ("vocab.json", "merges.txt")}
PLAIN = {"lstrip": False, "rstrip": False, "normalized": False, "single_word": False}
PLACED = {"5": {"content": "the", **PLAIN, "special": False}, "60000": {"content": "Deniz", **PLAIN, "special": True}}
BYT5_PLACED = {str(i): {"content": t, **PLAIN, "special": True} for i, t in enumerate(("<pad>", "</s>", "<unk>"))}
BYT5_PLACED["259"] = {"content": "Deniz", **PLAIN, "special": True}
WHOLE = AddedToken("was", single_word=True)
END = ("add_special_tokens", ({"eos_token": "<eos>"},))
SPECIAL = ("add_tokens", (["Deniz"], True))


def made(kind: str) -> dict[str, str]:
    """A small tokenizer.json of this kind."""
    return {"tokenizer.json": f"made:{kind}"}


LAYOUTS: dict[str, Layout] = {
    # mBART and mBART-50
    "mbart50": Layout("mbart", "MBart50Tokenizer", BPE_JA, {"src_lang": "en_XX", "tgt_lang": "ro_RO"}),
    "mbart50-fast-korean": Layout("mbart", "MBart50TokenizerFast", BPE_JA, {"src_lang": "ko_KR"}),
    "mbart50-by-config": Layout("mbart", files=BPE_JA, model={"tokenizer_class": "MBart50Tokenizer"}),
    "mbart50-over-config": Layout("mbart", "MBartTokenizer", BPE_JA, model={"tokenizer_class": "MBart50Tokenizer"}),
    "mbart": Layout("mbart", files=BPE_JA),
    "mbart-nllb": Layout(
        "mbart", "NllbTokenizer", made("nllb"), {"additional_special_tokens": ["eng_Latn", "kor_Hang"]}
    ),
    # T5 and what stands in its place
    "t5-byt5": Layout("t5", "ByT5Tokenizer"),
    "t5-byt5-by-config": Layout("t5", model={"tokenizer_class": "ByT5Tokenizer"}),
    "t5": Layout("t5", "T5Tokenizer", SPIECE),
    "t5-mt5": Layout("t5", "MT5Tokenizer", SPIECE, {"extra_ids": 0}),
    "mt5": Layout("mt5", "T5Tokenizer", SPIECE),
    "t5-not-legacy": Layout("t5", "T5Tokenizer", SPIECE, {"legacy": False}),
    "t5-prefix": Layout("t5", "T5Tokenizer", SPIECE | made("t5"), {"add_prefix_space": True}),
    "t5-json": Layout("t5", "T5TokenizerFast", made("t5"), {"extra_ids": 2}),
    "t5-bert": Layout("t5", "BertTokenizer", BERT_FILES),
    "t5-fast": Layout("t5", FAST, made("ko"), KO_TOKENS),
    # RoBERTa
    "roberta-bert-vocab": Layout("roberta", "BertTokenizer", BERT_FILES, {"do_lower_case": False}),
    "roberta-bert-json": Layout("roberta", "BertTokenizer", BERT_JSON),
    "roberta-bert-by-config": Layout("roberta", files=BERT_JSON, model={"tokenizer_class": "BertTokenizer"}),
    "roberta-fast": Layout("roberta", FAST, made("xlm-r"), {**KO_TOKENS, "cls_token": "<s>", "sep_token": "</s>"}),
    "roberta-xlm-r": Layout("roberta", "XLMRobertaTokenizer", made("xlm-r")),
    "roberta-t5": Layout("roberta", "T5Tokenizer", SPIECE, {"extra_ids": 0, "cls_token": "[CLS]", "bos_token": "<s>"}),
    "roberta": Layout("roberta", files=ROBERTA_FILES),
    "roberta-json": Layout("roberta", "RobertaTokenizer", ROBERTA_JSON, {"add_prefix_space": True}),
    "roberta-by-model": Layout("roberta", files=ROBERTA_JSON),
    "roberta-longformer": Layout("roberta", "LongformerTokenizer", ROBERTA_FILES),
    # BART
    "bart-bert": Layout("bart", "BertTokenizer", BERT_FILES),
    "bart-fast": Layout("bart", FAST, made("ko"), KO_TOKENS),
    "bart-fast-map": Layout("bart", FAST, made("ko"), more={"special_tokens_map.json": KO_TOKENS}),
    "bart-fast-bare": Layout("bart", FAST, made("ko")),
    "bart-roberta": Layout("bart", "RobertaTokenizerFast", ROBERTA_FILES),
    "bart-led": Layout("bart", "LEDTokenizer", ROBERTA_FILES),
    "bart-xlm-r": Layout("bart", "XLMRobertaTokenizerFast", made("xlm-r")),
    "bart-columns": Layout("bart", "BartTokenizer", ROBERTA_FILES, {"model_input_names": ["input_ids"]}),
    # GPT-2
    "gpt2": Layout("gpt2", files=ROBERTA_FILES),
    "gpt2-bos": Layout("gpt2", "GPT2Tokenizer", ROBERTA_FILES, {"add_bos_token": True, "pad_token": "<|endoftext|>"}),
    "gpt2-bert": Layout("gpt2", "BertTokenizer", BERT_FILES),
    "gpt2-fast": Layout("gpt2", FAST, made("ko"), {"eos_token": "</s>", "pad_token": "<pad>"}),
    "gpt2-fast-prefix": Layout("gpt2", FAST, made("bytes")),
    "gpt2-json": Layout("gpt2", "GPT2Tokenizer", made("bytes")),
    "gpt2-by-model": Layout("gpt2", files=made("ko"), exact=False),
    "gpt2-t5": Layout("gpt2", "T5Tokenizer", SPIECE, {"extra_ids": 0, "bos_token": "<s>", "cls_token": "[CLS]"}),
    "gpt2-roberta": Layout("gpt2", "RobertaTokenizer", ROBERTA_FILES),
    # BERT's kin
    "bert": Layout("bert", files=BERT_FILES),
    "bert-json": Layout("bert", files=BERT_JSON),
    "bert-fast": Layout("bert", FAST, made("xlm-r"), {**KO_TOKENS, "cls_token": "<s>", "sep_token": "</s>"}),
    "bert-xlm-r": Layout("bert", "XLMRobertaTokenizer", made("xlm-r"), {"model_max_length": 512}),
    "bert-electra": Layout("bert", "ElectraTokenizer", BERT_FILES),
    "bert-distilbert": Layout("bert", "DistilBertTokenizerFast", BERT_JSON),
    "bert-mobilebert": Layout("bert", "MobileBertTokenizer", BERT_FILES),
    "bert-herbert": Layout("bert", "HerbertTokenizerFast", made("xlm-r")),
    "bert-mpnet": Layout("bert", "MPNetTokenizer", made("mpnet"), {"do_lower_case": False}),
    "bert-deberta-v2": Layout("bert", "DebertaV2Tokenizer", made("deberta-v2")),
    "bert-roberta": Layout("bert", "RobertaTokenizer", ROBERTA_FILES),
    "bert-albert": Layout("bert", "AlbertTokenizer", {"spiece.model": "fixture:albert/spiece.model"}),
    "bert-python-tokenizer": Layout("bert", "PreTrainedTokenizer", BERT_JSON),
    "bert-added": Layout("bert", "BertTokenizer", BERT_FILES, more={"added_tokens.json": LATER}),
    "bert-added-special": Layout(
        "bert",
        "BertTokenizer",
        BERT_FILES,
        {"additional_special_tokens": ["<sep2>"]},
        more={"added_tokens.json": LATER, "special_tokens_map.json": {"additional_special_tokens": ["[unused5]"]}},
    ),
    "bert-decoder-of-added": Layout(
        "bert",
        "BertTokenizer",
        BERT_JSON,
        {"added_tokens_decoder": {"30522": {"content": "Deniz", "normalized": True, "special": False}}},
    ),
    "bert-named-extra": Layout(
        "bert", "BertTokenizer", BERT_FILES, {"extra_special_tokens": {"image_token": "<image>"}}
    ),
    "bert-cased-accents": Layout(
        "bert",
        "BertTokenizer",
        BERT_JSON,
        {"do_lower_case": False, "strip_accents": True, "tokenize_chinese_chars": False},
    ),
    "bert-python-only": Layout("bert", "BertTokenizer", BERT_FILES, {"do_basic_tokenize": False, "never_split": ["x"]}),
    "bert-left": Layout("bert", "BertTokenizer", BERT_FILES, {"padding_side": "left", "truncation_side": "left"}),
    "bert-split-special": Layout("bert", "BertTokenizer", BERT_FILES, {"split_special_tokens": True}),
    "bert-null-mask": Layout("bert", "BertTokenizer", BERT_JSON, {"mask_token": None}),
    "distilbert-bert": Layout("distilbert", "BertTokenizer", BERT_FILES),
    "distilbert": Layout("distilbert", files=BERT_JSON),
    "electra-bert": Layout("electra", "BertTokenizer", BERT_FILES),
    "electra-fast": Layout("electra", FAST, BERT_JSON, {"pad_token": "[PAD]", "cls_token": "[CLS]"}),
    "albert-bert": Layout("albert", "BertTokenizer", BERT_FILES),
    "albert-fast": Layout("albert", FAST, made("ko"), KO_TOKENS),
    # XLM-R, CamemBERT, MPNet, DeBERTa-v2, XLNet's on BERT
    "xlm-roberta-pieces": Layout("xlm-roberta", files=BPE_JA),
    "xlm-roberta-class": Layout("xlm-roberta", "XLMRobertaTokenizer", BPE_JA, {"model_max_length": 512}),
    "xlm-roberta-both": Layout("xlm-roberta", "XLMRobertaTokenizerFast", BPE_JA | made("xlm-r")),
    "bert-xlm-r-pieces": Layout("bert", "XLMRobertaTokenizer", BPE_JA),
    "camembert-pieces": Layout("camembert", files=BPE_EN),
    "camembert-class": Layout("camembert", "CamembertTokenizer", BPE_EN, {"model_max_length": 512}),
    "mpnet-vocab": Layout("mpnet", "MPNetTokenizer", MPNET_FILES, {"do_lower_case": True, "model_max_length": 512}),
    "mpnet-vocab-cased": Layout("mpnet", files=MPNET_FILES, config={"do_lower_case": False, "strip_accents": False}),
    "mpnet-json": Layout("mpnet", "MPNetTokenizer", made("mpnet")),
    "deberta-v3": Layout("deberta-v2", files=DEBERTA_FILES, config={"do_lower_case": False, "vocab_type": "spm"}),
    "deberta-v3-class": Layout("deberta-v2", "DebertaV2Tokenizer", DEBERTA_FILES, {"split_by_punct": True}),
    "deberta-v3-json": Layout("deberta-v2", "DebertaV2Tokenizer", made("deberta-v2"), {"do_lower_case": False}),
    "xlnet": Layout("xlnet", files=XLNET_FILES),
    "bert-xlnet": Layout("bert", "XLNetTokenizer", XLNET_FILES, {"do_lower_case": True}),
    "kobert": Layout("bert", "XLNetTokenizer", {"spiece.model": "fixture:deberta_v2/spm.model"}, KOBERT_TOKENS),
    # PEGASUS, mT5, M2M100 and NLLB
    "pegasus-pieces": Layout("pegasus", "PegasusTokenizer", SPIECE, {"model_max_length": 1024}),
    "pegasus-by-model": Layout("pegasus", files=SPIECE),
    "pegasus-tokens": Layout(
        "pegasus",
        "PegasusTokenizer",
        SPIECE,
        {"offset": 9, "additional_special_tokens": ["<mask_1>", "<unk_2>", "<x>"]},
    ),
    "pegasus-other-end": Layout("pegasus", "PegasusTokenizer", SPIECE, {"eos_token": "<eos>"}),
    "mt5-by-model": Layout("mt5", files=SPIECE, config={"extra_ids": 0}),
    "mt5-class": Layout("mt5", "MT5Tokenizer", SPIECE, {"extra_ids": 3}),
    "umt5": Layout("umt5", "T5Tokenizer", SPIECE, {"extra_ids": 300}),
    "umt5-by-model": Layout("umt5", files=SPIECE),
    "m2m100": Layout("m2m_100", files=M2M_FILES, more={"special_tokens_map.json": M2M_TOKENS}),
    "m2m100-class": Layout("m2m_100", "M2M100Tokenizer", M2M_FILES, {**M2M_TOKENS, "src_lang": "ko", "tgt_lang": "fr"}),
    "m2m100-then-french": Layout(
        "m2m_100", files=M2M_FILES, config=M2M_TOKENS, then=(("__setattr__", ("src_lang", "fr")),)
    ),
    "m2m100-then-end": Layout("m2m_100", files=M2M_FILES, config=M2M_TOKENS, then=(END, SPECIAL)),
    "nllb-pieces": Layout("m2m_100", "NllbTokenizer", NLLB_FILES, {"src_lang": "kor_Hang", "tgt_lang": "fra_Latn"}),
    "nllb-unigram": Layout("m2m_100", "NllbTokenizer", BPE_JA, {"legacy_behaviour": True}),
    "nllb-few": Layout("m2m_100", "NllbTokenizer", NLLB_FILES, {"additional_special_tokens": ["eng_Latn", "kor_Hang"]}),
    "nllb-then-french": Layout(
        "m2m_100", "NllbTokenizer", NLLB_FILES, then=(("__setattr__", ("src_lang", "fra_Latn")),)
    ),
    "nllb-then-end": Layout("m2m_100", "NllbTokenizer", NLLB_FILES, then=(END,)),
    # OPT, GPT-Neo, GPT-NeoX, BLOOM, ModernBERT
    "opt": Layout("opt", "GPT2Tokenizer", ROBERTA_FILES, OPT_TOKENS),
    "opt-by-model": Layout("opt", files=ROBERTA_FILES),
    "gpt-neo": Layout(
        "gpt_neo", "GPT2Tokenizer", ROBERTA_FILES | made("bytes"), {"eos_token": "</s>", "pad_token": None}
    ),
    "gpt-neo-by-model": Layout("gpt_neo", files=ROBERTA_FILES),
    "gpt-neox": Layout("gpt_neox", "GPTNeoXTokenizer", made("neox"), {"add_prefix_space": False}),
    "gpt-neox-prefix": Layout("gpt_neox", "GPTNeoXTokenizer", made("neox"), {"add_prefix_space": True}),
    "gpt-neox-begins": Layout("gpt_neox", "GPTNeoXTokenizerFast", made("neox"), {"add_bos_token": True}),
    "gpt-neox-by-model": Layout("gpt_neox", files=made("neox")),
    "polyglot": Layout("gpt_neox", FAST, made("neox"), {"eos_token": "<|endoftext|>", "pad_token": "<pad>"}),
    "bloom": Layout("bloom", "BloomTokenizerFast", made("bytes"), {"padding_side": "left"}),
    "bloom-by-model": Layout("bloom", files=made("ko")),
    "modernbert": Layout("modernbert", FAST, made("modernbert"), MODERN_TOKENS),
    "modernbert-by-model": Layout("modernbert", files=made("modernbert")),
    "blenderbot": Layout("blenderbot", "BlenderbotTokenizer", ROBERTA_FILES, {"add_prefix_space": True}),
    "blenderbot-json": Layout("blenderbot", "BlenderbotTokenizer", made("bytes")),
    "roberta-bytes": Layout("roberta", "RobertaTokenizer", made("bytes"), {"add_prefix_space": True}),
    # klue/roberta
    "roberta-klue": Layout("roberta", files=BERT_FILES, model={"tokenizer_class": "BertTokenizer"}),
    # families to come, by their tokenizer.json
    "xlm-roberta": Layout("xlm-roberta", files=made("xlm-r")),
    "camembert": Layout(
        "camembert", "CamembertTokenizer", made("xlm-r"), {"additional_special_tokens": ["<s>NOTUSED"]}
    ),
    "pegasus": Layout("pegasus", "PegasusTokenizer", made("pegasus")),
    "nllb": Layout(
        "m2m_100",
        "NllbTokenizerFast",
        made("nllb"),
        {"src_lang": "kor_Hang", "legacy_behaviour": True, "additional_special_tokens": ["eng_Latn", "kor_Hang"]},
    ),
    "no-model": Layout(stated="MBart50Tokenizer", files=BPE_JA),
    "versioned": Layout(
        "bert",
        FAST,
        {"tokenizer.json": "made:xlm-r", "tokenizer.4.0.0.json": "made:ko", "tokenizer.5.0.0.json": "made:t5"},
        {"fast_tokenizer_files": ["tokenizer.json", "tokenizer.4.0.0.json", "tokenizer.5.0.0.json"]},
    ),
    # ids that the files state, and roles that they change
    "t5-other-end": Layout("t5", "T5Tokenizer", SPIECE, {"eos_token": "<eos>", "bos_token": "<bos>"}),
    "albert-other-brackets": Layout(
        "albert",
        "AlbertTokenizer",
        {"spiece.model": "fixture:albert/spiece.model"},
        {"cls_token": "[FIRST]", "sep_token": "[LAST]"},
    ),
    "gpt2-null-prefix": Layout("gpt2", FAST, made("bytes"), {"add_prefix_space": None}),
    "mbart50-more": Layout("mbart", "MBart50Tokenizer", BPE_JA, {"additional_special_tokens": ["<more>"]}),
    "mbart-more": Layout("mbart", "MBartTokenizer", BPE_JA, {"additional_special_tokens": ["<more>"]}),
    "byt5-no-sentinels": Layout("t5", "ByT5Tokenizer", config={"additional_special_tokens": []}),
    "byt5-placed": Layout(
        "t5",
        "ByT5Tokenizer",
        config={"added_tokens_decoder": BYT5_PLACED, "pad_token": "Deniz", "additional_special_tokens": []},
    ),
    "byt5-added": Layout("t5", "ByT5Tokenizer", more={"added_tokens.json": {"the": 400, "Deniz": 401}}),
    "ctrl-placed": Layout("ctrl", "CTRLTokenizer", CTRL_FILES, {"added_tokens_decoder": PLACED}),
    "marian-placed": Layout("marian", "MarianTokenizer", MARIAN_FILES, {"added_tokens_decoder": PLACED}),
    "marian-added": Layout("marian", "MarianTokenizer", MARIAN_FILES, more={"added_tokens.json": {"Deniz": 500}}),
    # changes after loading
    "byt5-then-end": Layout("t5", "ByT5Tokenizer", then=(END,)),
    "marian-then-end": Layout("marian", "MarianTokenizer", MARIAN_FILES, then=(END,)),
    "mbart-then-end": Layout("mbart", "MBartTokenizer", BPE_JA, then=(END,)),
    "mbart50-then-end": Layout("mbart", "MBart50Tokenizer", BPE_JA, then=(END,)),
    "bert-then-end": Layout("bert", "BertTokenizer", BERT_FILES, then=(END, SPECIAL)),
    "t5-then-end": Layout("t5", "T5Tokenizer", SPIECE, then=(END,)),
    "byt5-then-special": Layout("t5", "ByT5Tokenizer", then=(SPECIAL,)),
    "ctrl-then-special": Layout("ctrl", "CTRLTokenizer", CTRL_FILES, then=(SPECIAL,)),
    "marian-then-special": Layout("marian", "MarianTokenizer", MARIAN_FILES, then=(SPECIAL,)),
    "byt5-then-whole": Layout("t5", "ByT5Tokenizer", then=(("add_tokens", ([WHOLE],)),)),
    "ctrl-then-whole": Layout("ctrl", "CTRLTokenizer", CTRL_FILES, then=(("add_tokens", ([WHOLE],)),)),
    "bert-then-whole": Layout("bert", "BertTokenizer", BERT_FILES, then=(("add_tokens", ([WHOLE],)),)),
    # the caller's options
    "type-over-files": Layout("mbart", "MBartTokenizer", BPE_JA, options={"tokenizer_type": "mbart50"}),
    "from-slow": Layout("bert", "BertTokenizer", BERT_FILES | made("bytes"), options={"from_slow": True}),
    "python": Layout("bert", "BertTokenizer", BERT_FILES | made("bytes"), options={"use_fast": False}),
    "python-gpt2-bos": Layout(
        "gpt2", "GPT2Tokenizer", ROBERTA_FILES | made("bytes"), options={"add_bos_token": True, "use_fast": False}
    ),
    "python-no-class": Layout("gpt2", FAST, made("ko"), options={"use_fast": False}),
    "other-tokens": Layout("gpt2", "GPT2Tokenizer", ROBERTA_FILES, options={"pad_token": "!", "bos_token": "<s>"}),
}

# What neither library takes, and what the error names.
REFUSED: dict[str, tuple[Layout, str]] = {
    "own-class": (Layout("bert", "KoBertTokenizer", BERT_FILES), "KoBertTokenizer"),
    "own-class-json": (Layout("bert", "MyTokenizer", BERT_JSON), "MyTokenizer"),
    "own-class-by-config": (Layout("bert", files=BERT_FILES, model={"tokenizer_class": "MyTokenizer"}), "MyTokenizer"),
    "not-text": (Layout("bert", files=BERT_FILES, config={"tokenizer_class": 3}), "3"),
    "no-file-for-class": (Layout("bart", "BertTokenizer", ROBERTA_FILES), "vocab.txt"),
    "no-file-for-fast": (Layout("bart", FAST, ROBERTA_FILES), "tokenizer.json"),
    "no-python-files": (Layout("bert", "BertTokenizer", made("ko"), options={"use_fast": False}), "use_fast=False"),
    "from-slow-alone": (Layout("gpt2", FAST, made("ko"), options={"from_slow": True}), "from_slow=True"),
    "unknown-type": (Layout("bert", files=BERT_FILES, options={"tokenizer_type": "nope"}), "nope"),
}


def json_tokenizer(kind: str) -> Tokenizer:
    """A small tokenizer of one of the kinds that tokenizer.json files are."""
    if kind == "mpnet":
        return mpnet()
    if kind in ("neox", "modernbert"):
        return normalized_bytes(kind)
    if kind == "bytes":
        vocab = json.loads((FIXTURES / "roberta" / "vocab.json").read_text(encoding="utf-8"))
        lines = (FIXTURES / "roberta" / "merges.txt").read_text(encoding="utf-8").split("\n")[1:]
        backend = Tokenizer(models.BPE(vocab, [tuple(line.split(" ")) for line in lines if line]))
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
        backend.decoder = decoders.ByteLevel()
        backend.post_processor = processors.ByteLevel(trim_offsets=False)
        return backend
    first, last, single, pair = UNIGRAMS[kind]
    tokens = [*first, "▁", *LETTERS, "▁the", "▁was", "Deniz", *last]
    backend = Tokenizer(
        models.Unigram([(t, -2.0 if len(t) > 1 else -4.0) for t in tokens], first.index(unknown(first)))
    )
    backend.normalizer = normalizers.Replace("``", '"')
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.decoder = decoders.Metaspace()
    backend.add_special_tokens([AddedToken(t, special=True, lstrip="mask" in t.lower()) for t in (*first, *last)])
    if single:
        used = {item.split(":")[0] for item in (*single, *pair)} - {"$A", "$B"}
        backend.post_processor = processors.TemplateProcessing(
            single=single, pair=pair, special_tokens=[(token, tokens.index(token)) for token in sorted(used)]
        )
    return backend


def normalized_bytes(kind: str) -> Tokenizer:
    """Byte-level BPE of composed characters, without special tokens of the text's own."""
    backend = json_tokenizer("bytes")
    backend.normalizer = normalizers.NFC()
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    if kind == "neox":
        backend.add_special_tokens(["<|endoftext|>", "<|padding|>"])
        backend.add_tokens([AddedToken("   ", normalized=True), AddedToken("  ", normalized=True)])
        return backend
    backend.add_special_tokens(["[UNK]", "[CLS]", "[SEP]", "[PAD]", AddedToken("[MASK]", lstrip=True, special=True)])
    ids = [(token, backend.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0", pair="[CLS]:0 $A:0 [SEP]:0 $B:0 [SEP]:0", special_tokens=ids
    )
    return backend


def unknown(tokens: Sequence[str]) -> str:
    """The unknown token among some."""
    return "<unk>" if "<unk>" in tokens else "[UNK]"


UNIGRAMS: dict[str, tuple[list[str], list[str], list[str], list[str]]] = {
    "ko": (["<s>", "</s>", "<unk>", "<pad>", "<mask>"], [], [], []),
    "xlm-r": (
        ["<s>", "<pad>", "</s>", "<unk>"],
        ["<mask>"],
        ["<s>", "$A", "</s>"],
        ["<s>", "$A", "</s>", "</s>", "$B", "</s>"],
    ),
    "deberta-v2": (
        ["[PAD]", "[CLS]", "[SEP]", "[UNK]"],
        ["[MASK]"],
        ["[CLS]:0", "$A:0", "[SEP]:0"],
        ["[CLS]:0", "$A:0", "[SEP]:0", "$B:1", "[SEP]:1"],
    ),
    "t5": (["<pad>", "</s>", "<unk>"], ["<extra_id_1>", "<extra_id_0>"], ["$A", "</s>"], ["$A", "</s>", "$B", "</s>"]),
    "pegasus": (
        ["<pad>", "</s>", "<mask_1>", "<mask_2>", *(f"<unk_{i}>" for i in range(2, 103)), "<unk>"],
        [],
        ["$A", "</s>"],
        ["$A", "$B", "</s>"],
    ),
    "nllb": (
        ["<s>", "<pad>", "</s>", "<unk>"],
        ["eng_Latn", "kor_Hang", "<mask>"],
        ["eng_Latn", "$A", "</s>"],
        ["eng_Latn", "$A", "$B", "</s>"],
    ),
}


def mpnet() -> Tokenizer:
    """WordPiece with MPNet's brackets."""
    tokens = ["<s>", "<pad>", "</s>", "[UNK]", *LETTERS, *(f"##{letter}" for letter in LETTERS), "the", "was", "<mask>"]
    backend = Tokenizer(models.WordPiece({token: i for i, token in enumerate(tokens)}, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer()
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece()
    backend.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets=False)
    backend.add_special_tokens(["<s>", "<pad>", "</s>", "[UNK]", AddedToken("<mask>", lstrip=True, special=True)])
    return backend


def write(folder: Path, layout: Layout, find: Find) -> Path:
    """Put a layout into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, source in layout.files.items():
        where, _, path = source.partition(":")
        if where == "made":
            json_tokenizer(path).save(str(folder / name))
            continue
        asset_name, _, rest = path.partition("/")
        shutil.copyfile(FIXTURES / path if where == "fixture" else find(asset_name) / rest, folder / name)
    config = {**({"tokenizer_class": layout.stated} if layout.stated else {}), **layout.config}
    model = {**({"model_type": layout.model_type} if layout.model_type else {}), **layout.model}
    for name, value in {"tokenizer_config.json": config, "config.json": model, **layout.more}.items():
        if value:
            (folder / name).write_text(json.dumps(value), encoding="utf-8")
    return folder


def change(tokenizer: Any, layout: Layout) -> Any:
    """Do to a tokenizer what its row does after loading."""
    for name, arguments in layout.then:
        getattr(tokenizer, name)(*arguments)
    return tokenizer


def facts(tokenizer: Any) -> dict[str, Any]:
    """What a tokenizer answers, in JSON's types."""
    calls = [(text, None) for text in TEXTS] + [PAIR]
    rows = [tokenizer(text, pair) for text, pair in calls]
    return {
        "columns": list(rows[0]),
        "ids": [list(row["input_ids"]) for row in rows],
        "types": [list(row["token_type_ids"]) for row in rows] if "token_type_ids" in rows[0] else None,
        "offsets": [list(span) for span in tokenizer(*PAIR, return_offsets_mapping=True)["offset_mapping"]]
        if tokenizer.is_fast
        else None,
        "text": [tokenizer.decode(row["input_ids"], skip_special_tokens=True) for row in rows],
        "special": dict(tokenizer.special_tokens_map),
        "special_ids": list(tokenizer.all_special_ids),
        "size": len(tokenizer),
        "limit": tokenizer.model_max_length,
        "sides": [tokenizer.padding_side, tokenizer.truncation_side],
    }
