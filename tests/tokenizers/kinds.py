"""The tokenizers that are compared with the reference: which files make up each, and the texts and calls they meet.

Read by the tests and by scripts/goldens.py tokenizers, so it imports neither library.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
FIXTURES, GOLDEN = HERE / "fixtures", HERE / "golden"

Find = Callable[[str], Path]  # the path of an asset


@dataclass(frozen=True)
class Kind:
    """One tokenizer: our recipe, the reference's class, and its files: name -> "fixture:PATH" or "asset:NAME/PATH"."""

    recipe: str | None
    reference: str
    files: dict[str, str] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)  # a tokenizer_config.json to write
    joint_vocab: str = ""  # a SentencePiece asset whose pieces become vocab.json
    brief: bool = False  # a few texts only: the rest is the same as another kind's
    aligned: bool = True  # offsets and words are known


BERT_FILES = {"vocab.txt": "asset:minilm/vocab.txt"}
ROBERTA_FILES = {name: f"fixture:roberta/{name}" for name in ("vocab.json", "merges.txt")}
MARIAN_FILES = {name: f"fixture:marian/{name}" for name in ("source.spm", "target.spm", "vocab.json")}

EN_FAIRSEQ = {"sentencepiece.bpe.model": "asset:sentencepiece_en"}
M2M_FILES = {"sentencepiece.bpe.model": "fixture:m2m_100/sentencepiece.bpe.model"}
M2M_CODES = """
    af am ar ast az ba be bg bn br bs ca ceb cs cy da de el en es et fa ff fi fr fy ga gd gl gu ha he hi hr ht hu hy id
    ig ilo is it ja jv ka kk km kn ko lb lg ln lo lt lv mg mk ml mn mr ms my ne nl no ns oc or pa pl ps pt ro ru sd si
    sk sl so sq sr ss su sv sw ta th tl tn tr uk ur uz vi wo xh yi yo zh zu
    """.split()  # noqa: SIM905
WMT21_CODES = ["en", "ha", "is", "ja", "cs", "ru", "zh", "de"]

KINDS: dict[str, Kind] = {
    "bert": Kind("bert", "BertTokenizerFast", BERT_FILES),
    "bert_cased": Kind("bert", "BertTokenizerFast", BERT_FILES, {"do_lower_case": False}),
    "bert_plain_chinese": Kind(
        "bert", "BertTokenizerFast", BERT_FILES, {"tokenize_chinese_chars": False, "strip_accents": False}, brief=True
    ),
    "bert_stored": Kind(
        None,
        "BertTokenizerFast",
        {
            name: f"asset:minilm/{name}"
            for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
        },
        brief=True,
    ),
    "bert_tiny": Kind(
        "bert",
        "BertTokenizerFast",
        {name: f"asset:bert_tiny/{name}" for name in ("tokenizer.json", "tokenizer_config.json")},
        brief=True,
    ),
    "distilbert": Kind("distilbert", "DistilBertTokenizerFast", BERT_FILES, brief=True),
    "electra": Kind("electra", "ElectraTokenizerFast", BERT_FILES, brief=True),
    "roberta": Kind("roberta", "RobertaTokenizerFast", ROBERTA_FILES),
    "roberta_prefix": Kind("roberta", "RobertaTokenizerFast", ROBERTA_FILES, {"add_prefix_space": True}, brief=True),
    "roberta_saved": Kind(
        None,
        "RobertaTokenizerFast",
        {
            name: f"fixture:roberta_saved/{name}"
            for name in (
                "tokenizer.json",
                "tokenizer_config.json",
                "special_tokens_map.json",
                "vocab.json",
                "merges.txt",
            )
        },
        brief=True,
    ),
    "bart": Kind("bart", "BartTokenizerFast", ROBERTA_FILES, brief=True),
    "gpt2": Kind(
        "gpt2",
        "GPT2TokenizerFast",
        {"vocab.json": "asset:gpt2_vocab/encoder.json", "merges.txt": "asset:gpt2_vocab/vocab.bpe"},
        {"pad_token": "<|endoftext|>"},
    ),
    "gpt": Kind(
        "gpt",
        "OpenAIGPTTokenizerFast",
        {n: f"fixture:gpt/{n}" for n in ("vocab.json", "merges.txt")},
        {"pad_token": "<unk>"},
    ),
    "albert": Kind("albert", "AlbertTokenizerFast", {"spiece.model": "fixture:albert/spiece.model"}),
    "albert_full": Kind("albert", "AlbertTokenizerFast", {"spiece.model": "asset:sentencepiece_en"}),
    "albert_cased": Kind(
        "albert",
        "AlbertTokenizerFast",
        {"spiece.model": "asset:sentencepiece_en"},
        {"do_lower_case": False, "keep_accents": True},
        brief=True,
    ),
    "albert_saved": Kind(
        None,
        "AlbertTokenizerFast",
        {
            name: f"fixture:albert_saved/{name}"
            for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
        },
        brief=True,
    ),
    "t5": Kind("t5", "T5TokenizerFast", {"spiece.model": "fixture:t5/spiece.model"}),
    "t5_full": Kind("t5", "T5TokenizerFast", {"spiece.model": "asset:t5_spm"}, {"extra_ids": 10}),
    "mbart": Kind("mbart", "MBartTokenizerFast", {"sentencepiece.bpe.model": "asset:sentencepiece_en"}),
    "mbart_romanian": Kind(
        "mbart",
        "MBartTokenizerFast",
        {"sentencepiece.bpe.model": "asset:sentencepiece_en"},
        {"src_lang": "ro_RO", "tgt_lang": "fr_XX"},
        brief=True,
    ),
    "mbart50": Kind("mbart50", "MBart50TokenizerFast", {"sentencepiece.bpe.model": "asset:sentencepiece_ja"}),
    "xlm_roberta": Kind("xlm_roberta", "XLMRobertaTokenizerFast", EN_FAIRSEQ),
    "camembert": Kind("camembert", "CamembertTokenizerFast", EN_FAIRSEQ, brief=True),
    "barthez": Kind("barthez", "BarthezTokenizerFast", EN_FAIRSEQ, brief=True),
    "nllb": Kind("nllb", "NllbTokenizerFast", M2M_FILES, {"src_lang": "kor_Hang"}),
    "nllb_unigram": Kind(
        "nllb", "NllbTokenizerFast", EN_FAIRSEQ, {"legacy_behaviour": True, "tgt_lang": "deu_Latn"}, brief=True
    ),
    "deberta_v2": Kind("deberta_v2", "DebertaV2TokenizerFast", {"spm.model": "fixture:deberta_v2/spm.model"}),
    "deberta_v2_parted": Kind(
        "deberta_v2",
        "DebertaV2TokenizerFast",
        {"spm.model": "fixture:deberta_v2/spm.model"},
        {"do_lower_case": True, "split_by_punct": True},
        brief=True,
    ),
    "pegasus": Kind("pegasus", "PegasusTokenizerFast", {"spiece.model": "fixture:t5/spiece.model"}),
    "pegasus_moved": Kind(
        "pegasus", "PegasusTokenizerFast", {"spiece.model": "fixture:t5/spiece.model"}, {"offset": 7}, brief=True
    ),
    "xlnet": Kind("xlnet", "XLNetTokenizerFast", {"spiece.model": "fixture:xlnet/spiece.model"}),
    "mpnet": Kind("mpnet", "MPNetTokenizerFast", {"vocab.txt": "fixture:mpnet/vocab.txt"}),
    "m2m_100": Kind(
        "m2m_100",
        "M2M100Tokenizer",
        M2M_FILES | {"vocab.json": "fixture:m2m_100/vocab.json"},
        config={"additional_special_tokens": [f"__{code}__" for code in M2M_CODES]},
        aligned=False,
    ),
    "m2m_100_unigram": Kind(
        "m2m_100",
        "M2M100Tokenizer",
        EN_FAIRSEQ,
        {"src_lang": "de"},
        {"language_codes": "wmt21", "additional_special_tokens": [f"__{code}__" for code in WMT21_CODES]},
        joint_vocab="sentencepiece_en",
        aligned=False,
        brief=True,
    ),
    "ctrl": Kind(
        "ctrl",
        "CTRLTokenizer",
        {n: f"fixture:ctrl/{n}" for n in ("vocab.json", "merges.txt")},
        {"pad_token": "<unk>"},
        aligned=False,
    ),
    "byt5": Kind("byt5", "ByT5Tokenizer", {}, aligned=False),
    "marian": Kind("marian", "MarianTokenizer", MARIAN_FILES, aligned=False),
    "marian_separate": Kind(
        "marian",
        "MarianTokenizer",
        {**MARIAN_FILES, "target_vocab.json": "fixture:marian/target_vocab.json"},
        {"separate_vocabs": True},
        aligned=False,
    ),
    "marian_full": Kind(
        "marian",
        "MarianTokenizer",
        {"source.spm": "asset:marian_spm", "target.spm": "asset:marian_spm"},
        joint_vocab="marian_spm",
        aligned=False,
    ),
    "transfo_xl": Kind(
        "transfo_xl",
        "TransfoXLTokenizer",
        {"vocab.txt": "fixture:transfo_xl/vocab.txt"},
        {"pad_token": "<eos>"},
        aligned=False,
    ),
    "transfo_xl_lower": Kind(
        "transfo_xl",
        "TransfoXLTokenizer",
        {"vocab.txt": "fixture:transfo_xl/vocab.txt"},
        {"pad_token": "<eos>", "lower_case": True},
        aligned=False,
        brief=True,
    ),
}

# The language of the targets that are recorded, by recipe: None where the kind has other files for targets.
TARGETS = {"marian": None, "mbart": "fr_XX", "mbart50": "fr_XX", "m2m_100": "ru", "nllb": "fra_Latn"}

TEXTS = [
    "",
    " ",
    "Hello, world!",
    "  two  spaces   and trailing  ",
    "tabs\tand\nlines\r\nend\n",
    "I don't know, you're the 1st; it's Mr. O'Neil's 1,000.50 (or 3,5) dollars...",
    "naïve café résumé Ångström",
    "cafe\u0301 n\u0303 e\u0302\u0323",
    "ﬁne ①② ½ ＡＢＣ ™ ㎏",
    "나는 학교에 갑니다. 한국어!",
    "مرحبا بالعالم، كيف حالك؟",
    "我爱北京天安门。日本語テスト",
    "👍🏽 family: 👨‍👩‍👧‍👦 flag: 🇰🇷 heart ❤️",
    "a" * 120,
    "\x00control\x07chars\u200bzero\u00adsoft\ufeffbom\ufffd",
    "``quotes'' and ''more'' \"plain\" “curly” ‘single’ – — …",
    "literal [CLS] [SEP] [MASK] <s> </s> <mask> <pad> <unk> <|endoftext|> <eos>",
    "the <mask> of <mask>. [MASK]x a</s>b<extra_id_0> <extra_id_1>c",
    "hyphen-ated e-mail a@b.com http://x.org/y?z=1&q=2 C++ #tag $5 50% 7/8 _under_",
    ">>fra<< Botchan went to school. Links",
    "1.5 23,000 1,2,3 '90s rock'n'roll U.S.A. e.g. this",
    "Ǆ ǅ İstanbul ß ẞ ŒUVRE ſ",
    "x\u00a0y\u3000z\u2028w",
    "No. 5 vs. Art. 7 etc. Prof. Smith. end.",
]
BRIEF = [TEXTS[i] for i in (2, 3, 5, 8, 12, 16, 17)]

FIRST = "Botchan went to the school in the country, and he was not fond of it at all."
SECOND = "He was a teacher there."

CALLS: list[dict[str, Any]] = [
    {"text": FIRST, "text_pair": SECOND},
    {"text": FIRST, "text_pair": SECOND, "add_special_tokens": False},
    {"text": [FIRST, SECOND], "padding": True},
    {"text": [FIRST, SECOND], "padding": True, "padding_side": "left"},
    {"text": [FIRST, SECOND], "padding": "max_length", "max_length": 12, "truncation": True},
    {"text": [FIRST, SECOND], "padding": True, "pad_to_multiple_of": 16},
    {"text": [[FIRST, SECOND], [SECOND, FIRST]], "pairs": True, "truncation": True, "max_length": 15},
    {"text": [[FIRST, SECOND], [SECOND, FIRST]], "pairs": True, "truncation": "longest_first", "max_length": 16},
    {"text": FIRST, "text_pair": SECOND, "truncation": "only_first", "max_length": 20},
    {"text": SECOND, "text_pair": FIRST, "truncation": "only_second", "max_length": 20},
    {"text": FIRST, "return_special_tokens_mask": True, "return_length": True},
    {"text": [FIRST, SECOND], "return_attention_mask": False, "return_token_type_ids": False},
    {"text": FIRST, "max_length": 8, "truncation": True, "add_special_tokens": False},
    {"text": ["", FIRST], "padding": True, "return_special_tokens_mask": True},
]
WINDOWS: list[dict[str, Any]] = [
    {"text": FIRST, "max_length": 12, "truncation": True, "stride": 4, "return_overflowing_tokens": True},
    {
        "text": SECOND,
        "text_pair": FIRST,
        "max_length": 22,
        "truncation": "only_second",
        "stride": 3,
        "return_overflowing_tokens": True,
        "return_offsets_mapping": True,
        "padding": "max_length",
    },
    {
        "text": [FIRST, SECOND, FIRST],
        "max_length": 14,
        "truncation": True,
        "stride": 2,
        "return_overflowing_tokens": True,
        "padding": True,
    },
]
WORDS = ["Botchan", "is", "unbelievably", "fond", "of", "", "(soba)"]


def fill(folder: Path, kind: Kind, find: Find, pieces: Callable[[Path], list[str]]) -> Path:
    """Put a kind's files into a folder; `pieces` reads the pieces of a SentencePiece file."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, source in kind.files.items():
        where, _, path = source.partition(":")
        asset_name, _, rest = path.partition("/")
        shutil.copyfile(FIXTURES / path if where == "fixture" else find(asset_name) / rest, folder / name)
    if kind.joint_vocab:
        known = pieces(find(kind.joint_vocab))
        vocab = {piece: index for index, piece in enumerate([*dict.fromkeys(known), "<pad>"])}
        (folder / "vocab.json").write_text(json.dumps(vocab), encoding="utf-8")
    if kind.config:
        (folder / "tokenizer_config.json").write_text(json.dumps(kind.config), encoding="utf-8")
    return folder
