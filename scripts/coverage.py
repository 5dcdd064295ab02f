"""Which of the checkpoints that people use most run here: tiny folders in their published layouts, tried one by one.

`python -m scripts.coverage` prints what each does, and `--write` puts the table into docs/families.md, which a test
compares. A folder has the published keys of config.json, the published tokenizer files and classes, and for a sentence
model its modules; sizes and vocabularies are small and weights are random, so nothing here says how right an answer is:
tests/families and tests/tokenizers do.
"""

from __future__ import annotations

import json
import logging
import math
import re
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

import lamina
from lamina import LaminaError
from lamina.families import MODULES, family
from tests.families.rows.row import TINY
from tests.tokenizers.layouts import FAST, LETTERS, Layout, made, write

PAGE = Path(__file__).resolve().parent.parent / "docs" / "families.md"
START, END = "<!-- written by scripts/coverage.py -->", "<!-- end -->"
HANGUL = [*"나는학교에갑니다"]
FORMS = [*LETTERS, *HANGUL, *(f"##{form}" for form in (*LETTERS, *HANGUL))]
BRACKETS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
TEXT, OTHER, KOREAN = "the cat was here", "Deniz was there", "나는 학교에 갑니다"
LANGUAGES = {  # what a call names, by the class of the tokenizer
    "MBart50Tokenizer": ("en_XX", "ko_KR"),
    "NllbTokenizer": ("eng_Latn", "kor_Hang"),
    "M2M100Tokenizer": ("en", "ko"),
}
Config = Mapping[str, Any]


def tokenizer(stated: str, files: Mapping[str, str], **config: Any) -> Layout:
    """Files of a tokenizer and the class that its tokenizer_config.json states."""
    return Layout("", stated, dict(files), config)


def fixture(*paths: str) -> dict[str, str]:
    return {Path(path).name: f"fixture:{path}" for path in paths}


BYTE_LEVEL = fixture("roberta/vocab.json", "roberta/merges.txt")
PIECES = {"sentencepiece.bpe.model": "fixture:m2m_100/sentencepiece.bpe.model"}
SPIECE = fixture("t5/spiece.model")
BERT = tokenizer("BertTokenizer", {"vocab.txt": "vocabulary"}, do_lower_case=True)
CASED = tokenizer("BertTokenizer", {"vocab.txt": "vocabulary"}, do_lower_case=False)
ROBERTA = tokenizer("", BYTE_LEVEL)
GPT2 = tokenizer("GPT2Tokenizer", BYTE_LEVEL)
BART = tokenizer("BartTokenizer", BYTE_LEVEL)
T5 = tokenizer("T5Tokenizer", SPIECE)
XLM_R = tokenizer("XLMRobertaTokenizer", PIECES | made("xlm-r"))
XLM_R_PIECES = tokenizer("XLMRobertaTokenizer", PIECES)
CAMEMBERT = tokenizer("CamembertTokenizer", PIECES)
DEBERTA = tokenizer("DebertaV2Tokenizer", fixture("deberta_v2/spm.model"), do_lower_case=False)
MPNET = tokenizer("MPNetTokenizer", fixture("mpnet/vocab.txt"))
MBART50 = tokenizer("MBart50Tokenizer", PIECES, src_lang="en_XX", tgt_lang="ro_RO")
NLLB = tokenizer("NllbTokenizer", PIECES, src_lang="eng_Latn", tgt_lang="kor_Hang")
M2M = tokenizer("M2M100Tokenizer", fixture("m2m_100/sentencepiece.bpe.model", "m2m_100/vocab.json"))
MARIAN = tokenizer("MarianTokenizer", fixture("marian/source.spm", "marian/target.spm", "marian/vocab.json"))
KO_TOKENS = {role: f"<{role.partition('_')[0]}>" for role in ("unk_token", "pad_token", "mask_token")}
KO_FAST = tokenizer(FAST, made("ko"), **KO_TOKENS, bos_token="<s>", eos_token="</s>")
KO_JSON = tokenizer("", made("ko"), **KO_TOKENS, bos_token="<s>", eos_token="</s>")
NEOX = tokenizer("GPTNeoXTokenizer", made("bytes"), bos_token="<s>", eos_token="</s>", unk_token="<unk>")

BERT_KEYS = {"hidden_act": "gelu", "type_vocab_size": 2, "layer_norm_eps": 1e-12, "position_embedding_type": "absolute"}
ROBERTA_KEYS = {"type_vocab_size": 1, "layer_norm_eps": 1e-5, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
DEBERTA_KEYS = {
    "relative_attention": True,
    "position_buckets": 8,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "pos_att_type": "p2c|c2p",
    "max_relative_positions": -1,
    "position_biased_input": False,
    "type_vocab_size": 0,
    "pooler_dropout": 0,
    "pooler_hidden_act": "gelu",
}
BART_KEYS = {"activation_function": "gelu", "normalize_before": False, "add_final_layer_norm": False}
MBART_KEYS = {"activation_function": "relu", "normalize_before": True, "add_final_layer_norm": True}
MBART_KEYS |= {"scale_embedding": True, "static_position_embeddings": False, "normalize_embedding": True}
PEGASUS_KEYS = {**MBART_KEYS, "static_position_embeddings": True, "normalize_embedding": False, "eos_token_id": 1}
FLAN_KEYS = {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}
NEOX_KEYS = {"rotary_pct": 0.25, "rotary_emb_base": 10000, "use_parallel_residual": True, "hidden_act": "gelu"}
MODERN_KEYS = {"global_attn_every_n_layers": 3, "local_attention": 128, "classifier_pooling": "mean"}
NLI = {"id2label": {"0": "contradiction", "1": "neutral", "2": "entailment"}, "num_labels": 3}
TWO = {"id2label": {"0": "NEGATIVE", "1": "POSITIVE"}}
FIVE = {"id2label": {str(i): f"{i + 1} stars" for i in range(5)}}
TAGS = {"id2label": {"0": "O", "1": "B-PER", "2": "I-PER"}}
MANY = {"problem_type": "multi_label_classification", "id2label": {"0": "joy", "1": "anger", "2": "fear"}}

POOLED, CLS = ({"pooling_mode_mean_tokens": True},), ({"pooling_mode_cls_token": True},)
NORMALIZED: tuple[Any, ...] = ("Normalize",)


@dataclass(frozen=True)
class Checkpoint:
    """A published checkpoint, or several of one layout."""

    name: str
    model_type: str
    tokenizer: Layout
    architecture: str = ""
    config: Config = field(default_factory=dict)
    modules: tuple[Any, ...] = ()  # what a sentence model has behind its network
    korean: bool = False


def of(model_type: str, layout: Layout, architecture: str, keys: Config, *names: str, **more: Any) -> list[Checkpoint]:
    """Checkpoints that differ in nothing but their name."""
    config = {**keys, **more.pop("config", {})}
    return [Checkpoint(name, model_type, layout, architecture, config, **more) for name in names]


def sentence(
    model_type: str, layout: Layout, architecture: str, keys: Config, *names: str, **more: Any
) -> list[Checkpoint]:
    modules = more.pop("modules", (*POOLED, *NORMALIZED))
    return of(model_type, layout, architecture, keys, *names, modules=modules, **more)


DENSE = {"in_features": 32, "out_features": 16, "bias": True, "activation_function": "torch.nn.modules.activation.Tanh"}
MINILM = tokenizer(FAST, made("xlm-r"), bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="<pad>")
XLMR_KIND = ("xlm-roberta", XLM_R, "XLMRobertaModel", ROBERTA_KEYS)
BERT_KIND = ("bert", BERT, "BertModel", BERT_KEYS)

TASKS: dict[str, list[Checkpoint]] = {
    "embeddings, reranking": [
        *sentence(*BERT_KIND, "all-MiniLM-L6-v2", "all-MiniLM-L12-v2", "multi-qa-MiniLM"),
        *sentence("bert", MINILM, "BertModel", BERT_KEYS, "paraphrase-multilingual-MiniLM", modules=POOLED),
        *sentence(*BERT_KIND, "bge-*-en", "mxbai-large", "arctic-embed-m", modules=(*CLS, *NORMALIZED)),
        *sentence(*BERT_KIND, "e5-*-v2", "gte-base"),
        *sentence("bert", XLM_R, "BertModel", BERT_KEYS, "multilingual-e5-small"),
        *sentence("distilbert", BERT, "DistilBertModel", {"sinusoidal_pos_embds": False}, "msmarco-distilbert"),
        *of(
            "bert",
            BERT,
            "BertForSequenceClassification",
            BERT_KEYS,
            "ms-marco-MiniLM (cross-encoder)",
            config={"id2label": {"0": "LABEL_0"}},
        ),
        *sentence("mpnet", MPNET, "MPNetForMaskedLM", ROBERTA_KEYS, "all-mpnet-base-v2"),
        *sentence(*XLMR_KIND, "paraphrase-multilingual-mpnet", modules=POOLED),
        *sentence(*XLMR_KIND, "bge-m3", modules=(*CLS, *NORMALIZED)),
        *sentence(*XLMR_KIND, "multilingual-e5-base", "multilingual-e5-large"),
        *of(
            "xlm-roberta",
            XLM_R,
            "XLMRobertaForSequenceClassification",
            ROBERTA_KEYS,
            "bge-reranker-* (cross-encoder)",
            config={"id2label": {"0": "LABEL_0"}},
        ),
        *sentence("distilbert", CASED, "DistilBertModel", {}, "distiluse-base-multilingual", modules=(*POOLED, DENSE)),
        *sentence(
            "t5",
            T5,
            "T5EncoderModel",
            {},
            "sentence-t5/gtr-t5",
            modules=(*POOLED, {**DENSE, "activation_function": "torch.nn.modules.linear.Identity"}, "Normalize"),
        ),
        *sentence("nomic_bert", BERT, "NomicBertModel", {}, "nomic-embed-text"),
        *sentence("new", XLM_R, "NewModel", {}, "gte-multilingual-base"),
    ],
    "fill-mask": [
        *of("bert", BERT, "BertForMaskedLM", BERT_KEYS, "bert-*"),
        *of("bert", CASED, "BertForMaskedLM", BERT_KEYS, "bert-base-multilingual", "SciBERT/BioBERT/FinBERT"),
        *of("roberta", ROBERTA, "RobertaForMaskedLM", ROBERTA_KEYS, "roberta-*", "distilroberta-base"),
        *of("distilbert", BERT, "DistilBertForMaskedLM", {"tie_weights_": True}, "distilbert-base-*"),
        *of(
            "albert",
            tokenizer("AlbertTokenizer", fixture("albert/spiece.model")),
            "AlbertForMaskedLM",
            {"inner_group_num": 1, "num_hidden_groups": 1},
            "albert-*-v2",
        ),
        *of("electra", BERT, "ElectraForMaskedLM", BERT_KEYS, "electra-*-generator"),
        *of("xlm-roberta", XLM_R_PIECES, "XLMRobertaForMaskedLM", ROBERTA_KEYS, "xlm-roberta-*"),
        *of("camembert", CAMEMBERT, "CamembertForMaskedLM", ROBERTA_KEYS, "camembert-base"),
        *of("deberta-v2", DEBERTA, "DebertaV2ForMaskedLM", DEBERTA_KEYS, "deberta-v3-*"),
        *of(
            "modernbert",
            tokenizer(
                FAST,
                made("deberta-v2"),
                mask_token="[MASK]",
                cls_token="[CLS]",
                sep_token="[SEP]",
                pad_token="[PAD]",
                unk_token="[UNK]",
            ),
            "ModernBertForMaskedLM",
            MODERN_KEYS,
            "ModernBERT-*",
        ),
    ],
    "text-classification": [
        *of("distilbert", BERT, "DistilBertForSequenceClassification", TWO, "distilbert-sst-2", "emotion-distilbert"),
        *of("roberta", ROBERTA, "RobertaForSequenceClassification", ROBERTA_KEYS | TWO, "twitter-roberta-sentiment"),
        *of("bert", BERT, "BertForSequenceClassification", BERT_KEYS | FIVE, "nlptown sentiment"),
        *of("roberta", ROBERTA, "RobertaForSequenceClassification", ROBERTA_KEYS | MANY, "go_emotions"),
        *of(
            "xlm-roberta",
            XLM_R_PIECES,
            "XLMRobertaForSequenceClassification",
            ROBERTA_KEYS | TWO,
            "twitter-xlm-roberta-sentiment",
        ),
        *of(
            "xlm-roberta",
            XLM_R,
            "XLMRobertaForSequenceClassification",
            ROBERTA_KEYS | FIVE,
            "xlm-roberta-language-detection",
        ),
        *of(
            "deberta-v2", DEBERTA, "DebertaV2ForSequenceClassification", DEBERTA_KEYS | TWO, "deberta prompt-injection"
        ),
    ],
    "token-classification": [
        *of("bert", CASED, "BertForTokenClassification", BERT_KEYS | TAGS, "dslim/bert-base-NER", "bert-large-conll03"),
        *of("distilbert", CASED, "DistilBertForTokenClassification", TAGS, "distilbert NER with BertTokenizer"),
        *of("xlm-roberta", XLM_R_PIECES, "XLMRobertaForTokenClassification", ROBERTA_KEYS | TAGS, "xlm-roberta NER"),
        *of("camembert", CAMEMBERT, "CamembertForTokenClassification", ROBERTA_KEYS | TAGS, "camembert-ner"),
    ],
    "zero-shot-classification": [
        *of("bart", BART, "BartForSequenceClassification", BART_KEYS | NLI, "bart-large-mnli", "distilbart-mnli"),
        *of(
            "deberta-v2",
            DEBERTA,
            "DebertaV2ForSequenceClassification",
            DEBERTA_KEYS | NLI,
            "deberta-v3-mnli",
            "mDeBERTa-v3-xnli",
        ),
        *of("xlm-roberta", XLM_R_PIECES, "XLMRobertaForSequenceClassification", ROBERTA_KEYS | NLI, "xlm-roberta-xnli"),
    ],
    "question-answering": [
        *of("distilbert", CASED, "DistilBertForQuestionAnswering", {"qa_dropout": 0.1}, "distilbert-squad"),
        *of("roberta", ROBERTA, "RobertaForQuestionAnswering", ROBERTA_KEYS, "roberta-squad2"),
        *of("xlm-roberta", XLM_R_PIECES, "XLMRobertaForQuestionAnswering", ROBERTA_KEYS, "xlm-roberta-squad2"),
        *of("deberta-v2", DEBERTA, "DebertaV2ForQuestionAnswering", DEBERTA_KEYS, "mdeberta-v3-squad2"),
    ],
    "translation": [
        *of(
            "marian",
            MARIAN,
            "MarianMTModel",
            {"static_position_embeddings": True, "scale_embedding": True, "activation_function": "swish"},
            "opus-mt-*",
        ),
        *of(
            "t5",
            T5,
            "T5ForConditionalGeneration",
            {"task_specific_params": {"translation_en_to_de": {"prefix": ""}}},
            "t5-*",
        ),
        *of("m2m_100", NLLB, "M2M100ForConditionalGeneration", {"activation_function": "relu"}, "nllb-200-*"),
        *of("m2m_100", M2M, "M2M100ForConditionalGeneration", {"activation_function": "relu"}, "m2m100-*"),
        *of("mbart", MBART50, "MBartForConditionalGeneration", MBART_KEYS, "mbart-large-50-*"),
    ],
    "summarization": [
        *of("bart", BART, "BartForConditionalGeneration", BART_KEYS, "bart-large-cnn", "distilbart-cnn"),
        *of("t5", T5, "T5ForConditionalGeneration", FLAN_KEYS, "flan-t5-*"),
        *of(
            "pegasus",
            tokenizer("PegasusTokenizer", SPIECE),
            "PegasusForConditionalGeneration",
            PEGASUS_KEYS,
            "pegasus-*",
        ),
        *of("mt5", T5, "MT5ForConditionalGeneration", FLAN_KEYS, "mT5-XLSum"),
        *of("led", tokenizer("LEDTokenizer", BYTE_LEVEL), "LEDForConditionalGeneration", {}, "led-*"),
    ],
    "text-generation": [
        *of("gpt2", GPT2, "GPT2LMHeadModel", {"activation_function": "gelu_new"}, "gpt2/distilgpt2", "DialoGPT-*"),
        *of("opt", GPT2, "OPTForCausalLM", {"activation_function": "relu", "do_layer_norm_before": True}, "opt-*"),
        *of("gpt_neo", GPT2, "GPTNeoForCausalLM", {"activation_function": "gelu_new"}, "gpt-neo-*"),
        *of("gpt_neox", NEOX, "GPTNeoXForCausalLM", NEOX_KEYS, "pythia-*"),
        *of("bloom", tokenizer("BloomTokenizerFast", made("bytes")), "BloomForCausalLM", {}, "bloom-*"),
        *of("phi", tokenizer("CodeGenTokenizer", BYTE_LEVEL), "PhiForCausalLM", {}, "phi-*"),
    ],
}
KOREAN_TASKS: dict[str, list[Checkpoint]] = {
    "fill-mask": [
        *of("bert", CASED, "BertForMaskedLM", BERT_KEYS, "klue/bert-base", "KcBERT", "KR-FinBERT"),
        *of(
            "roberta",
            tokenizer("BertTokenizer", {"vocab.txt": "vocabulary", "tokenizer.json": "saved"}),
            "RobertaForMaskedLM",
            ROBERTA_KEYS,
            "klue/roberta-*",
        ),
        *of("roberta", CASED, "RobertaForMaskedLM", ROBERTA_KEYS, "klue/roberta-* (vocab.txt alone)"),
        *of("electra", CASED, "ElectraForMaskedLM", BERT_KEYS, "KoELECTRA", "KcELECTRA"),
        *of("bert", tokenizer("XLNetTokenizer", fixture("xlnet/spiece.model")), "BertForMaskedLM", BERT_KEYS, "KoBERT"),
        *of("deberta-v2", DEBERTA, "DebertaV2ForMaskedLM", DEBERTA_KEYS, "mdeberta-v3-kor"),
        *of(
            "deberta-v2",
            tokenizer("BertTokenizer", {"vocab.txt": "vocabulary"}),
            "DebertaV2ForMaskedLM",
            DEBERTA_KEYS,
            "kf-deberta-base",
        ),
    ],
    "embeddings, reranking": [
        *sentence("bert", CASED, "BertModel", BERT_KEYS, "KR-SBERT", modules=POOLED),
        *sentence("roberta", CASED, "RobertaModel", ROBERTA_KEYS, "ko-sroberta-multitask", modules=POOLED),
        *sentence(*XLMR_KIND, "KoE5"),
        *sentence(*XLMR_KIND, "bge-m3-ko", modules=(*CLS, *NORMALIZED)),
        *of(
            "xlm-roberta",
            XLM_R,
            "XLMRobertaForSequenceClassification",
            ROBERTA_KEYS,
            "ko-reranker (cross-encoder)",
            config={"id2label": {"0": "LABEL_0"}},
        ),
    ],
    "text-classification": [
        *of("bert", CASED, "BertForSequenceClassification", BERT_KEYS | MANY, "korean_unsmile"),
    ],
    "summarization": [
        *of("bart", KO_FAST, "BartForConditionalGeneration", BART_KEYS, "KoBART", "KoBART summarization"),
        *of("t5", T5, "T5ForConditionalGeneration", FLAN_KEYS, "ke-t5-*"),
        *of("t5", tokenizer("T5TokenizerFast", made("t5")), "T5ForConditionalGeneration", FLAN_KEYS, "pko-t5-*"),
    ],
    "translation": [*of("mbart", MBART50, "MBartForConditionalGeneration", MBART_KEYS, "mbart-large-50 (ko_KR)")],
    "text-generation": [
        *of("gpt2", KO_JSON, "GPT2LMHeadModel", {}, "KoGPT2"),
        *of("gpt2", KO_FAST, "GPT2LMHeadModel", {}, "KoGPT2 (PreTrainedTokenizerFast)", "ko-gpt-trinity"),
        *of(
            "gpt_neox",
            tokenizer(FAST, made("bytes"), eos_token="<|endoftext|>", pad_token="<|endoftext|>"),
            "GPTNeoXForCausalLM",
            NEOX_KEYS | {"tie_word_embeddings": False},
            "polyglot-ko-*",
        ),
        *of("gptj", KO_FAST, "GPTJForCausalLM", {}, "kogpt"),
    ],
}


def build(checkpoint: Checkpoint, folder: Path) -> None:
    """The folder as it is published, with small sizes and random weights."""
    layout = checkpoint.tokenizer
    files = {name: source for name, source in layout.files.items() if ":" in source}
    model = {"model_type": checkpoint.model_type, "architectures": [checkpoint.architecture], **checkpoint.config}
    write(folder, Layout("", layout.stated, files, layout.config, more={"config.json": model}), _no_asset)
    if layout.files.get("vocab.txt") == "vocabulary":
        (folder / "vocab.txt").write_text("\n".join([*BRACKETS, *dict.fromkeys(FORMS)]) + "\n", encoding="utf-8")
    if layout.files.get("tokenizer.json") == "saved":
        lamina.BertTokenizer.from_pretrained(folder).save_pretrained(folder)
    if checkpoint.model_type not in MODULES:
        return
    words = lamina.AutoTokenizer.from_pretrained(folder)
    sizes = {**TINY[checkpoint.model_type], "vocab_size": len(words)}
    special = {f"{role}_token_id": getattr(words, f"{role}_token_id") for role in ("pad", "bos", "eos")}
    special = {key: number for key, number in special.items() if number is not None}
    if family(checkpoint.model_type).paired:
        first = "pad" if checkpoint.model_type in ("t5", "mt5", "umt5", "marian", "pegasus") else "eos"
        special |= {"decoder_start_token_id": special[f"{first}_token_id"], "forced_eos_token_id": None}
    kind = getattr(lamina, checkpoint.architecture)
    torch.manual_seed(0)
    kind(kind.config_class(**{**sizes, **checkpoint.config, **special})).save_pretrained(folder)
    if checkpoint.modules:
        put_modules(checkpoint.modules, folder)


def put_modules(modules: tuple[Any, ...], folder: Path) -> None:
    """modules.json and the folders of a sentence model, as sentence-transformers writes them."""
    listed = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}]
    for module in modules:
        name = module if isinstance(module, str) else "Pooling" if "in_features" not in module else "Dense"
        path, width = f"{len(listed)}_{name}", 32
        listed.append({"idx": len(listed), "name": str(len(listed)), "path": path,
                       "type": f"sentence_transformers.models.{name}"})  # fmt: skip
        (folder / path).mkdir()
        if name == "Pooling":
            config = {"word_embedding_dimension": width, **module}
            (folder / path / "config.json").write_text(json.dumps(config), encoding="utf-8")
        elif name == "Dense":
            (folder / path / "config.json").write_text(json.dumps(module), encoding="utf-8")
            layer = torch.nn.Linear(module["in_features"], module["out_features"])
            torch.save({f"linear.{k}": v for k, v in layer.state_dict().items()}, folder / path / "pytorch_model.bin")
    (folder / "modules.json").write_text(json.dumps(listed), encoding="utf-8")
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 32, "do_lower_case": false}')


def _no_asset(name: str) -> Path:
    raise ValueError(f"{name} would have to be fetched: rows here need no network")


def embed(folder: str, text: str) -> Any:
    if not (Path(folder) / "modules.json").is_file():
        return lamina.CrossEncoder(folder).predict([(text, OTHER)])
    return lamina.SentenceTransformer(folder).encode([text, OTHER])


def ask(task: str, folder: str, text: str, **options: Any) -> Any:
    return lamina.pipeline(task, model=folder)(text, **options)


def fill(folder: str, text: str) -> Any:
    pipe = lamina.pipeline("fill-mask", model=folder)
    return pipe(f"{text} {pipe.tokenizer.mask_token}")


def translate(folder: str, text: str) -> Any:
    stated = json.loads((Path(folder) / "tokenizer_config.json").read_text(encoding="utf-8"))["tokenizer_class"]
    languages = {f"{side}_lang": code for side, code in zip(("src", "tgt"), LANGUAGES.get(stated, ()), strict=False)}
    return ask("translation", folder, text, max_new_tokens=4, **languages)


TRIES: dict[str, Callable[[str, str], Any]] = {
    "embeddings, reranking": embed,
    "fill-mask": fill,
    "text-classification": lambda folder, text: ask("text-classification", folder, text),
    "token-classification": lambda folder, text: ask("token-classification", folder, text),
    "zero-shot-classification": lambda folder, text: ask(
        "zero-shot-classification", folder, text, candidate_labels=["cats", "dogs"]
    ),
    "question-answering": lambda folder, text: lamina.pipeline("question-answering", model=folder)(
        question="Who was here?", context=text
    ),
    "translation": translate,
    "summarization": lambda folder, text: ask("summarization", folder, text, max_new_tokens=4),
    "text-generation": lambda folder, text: ask("text-generation", folder, text, max_new_tokens=4),
}


def numbers(answer: Any) -> list[float]:
    """Every score in an answer, which is to be finite."""
    if isinstance(answer, Mapping):
        return [number for value in answer.values() for number in numbers(value)]
    if isinstance(answer, str) or answer is None:
        return []
    return [float(answer)] if not hasattr(answer, "__len__") else [n for value in answer for n in numbers(value)]


def problem(task: str, checkpoint: Checkpoint, korean: bool) -> str | None:
    """Why a checkpoint does not run, None where it does."""
    with tempfile.TemporaryDirectory() as place:
        try:
            build(checkpoint, Path(place))
            answer = TRIES[task](place, KOREAN if korean else TEXT)
        except LaminaError as error:
            return str(error).replace(place, "FOLDER")
    found = numbers(answer)
    return None if all(map(math.isfinite, found)) else "a score that is not finite"


def tried() -> dict[bool, dict[str, dict[str, str | None]]]:
    """By language and task: each checkpoint and why it does not run."""
    return {
        korean: {task: {c.name: problem(task, c, korean) for c in rows} for task, rows in tasks.items()}
        for korean, tasks in ((False, TASKS), (True, KOREAN_TASKS))
    }


def table(found: dict[bool, dict[str, dict[str, str | None]]]) -> str:
    parts = []
    for korean, tasks in found.items():
        every = [why for rows in tasks.values() for why in rows.values()]
        runs = sum(why is None for why in every)
        parts.append(f"{runs} of {len(every)} {'Korean checkpoints' if korean else 'checkpoints'} run:\n")
        lines = ["| task | run | do not |", "|---|---|---|"]
        for task, rows in tasks.items():
            yes, no = ([name for name, why in rows.items() if (why is None) == fine] for fine in (True, False))
            lines.append(f"| {task} ({len(yes)}/{len(rows)}) | {', '.join(yes)} | {', '.join(no)} |")
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def page(text: str, written: str) -> str:
    """The page with a new table in the place of the old one."""
    return re.sub(f"(?<={re.escape(START)}\n).*?(?={re.escape(END)})", lambda _: written, text, flags=re.DOTALL)


def main() -> None:
    logging.disable(logging.WARNING)
    found = tried()
    for tasks in found.values():
        for task, rows in tasks.items():
            for name, why in rows.items():
                if why is not None:
                    print(f"{task}: {name}: {why}", file=sys.stderr)
    print(table(found))
    if "--write" in sys.argv:
        PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), table(found)), encoding="utf-8")


if __name__ == "__main__":
    main()
