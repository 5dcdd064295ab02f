"""The kinds that are built from one SentencePiece file, as the reference's fast classes build them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers
from tokenizers import Tokenizer as Backend

from lamina.errors import TokenizerError
from lamina.tokenizers.files import TokenizerFolder, backend_errors
from lamina.tokenizers.recipe import BERT_INPUTS, Assembly, Languages, Options, Recipe, Template, Tokens, list_sentinels
from lamina.tokenizers.recipes.languages import FIFTY, LANGUAGES, NLLB_CODES, list_codes, speak, speak_nllb
from lamina.tokenizers.sentencepiece import (
    BPE,
    CONTROL,
    SPACE,
    UNIGRAM,
    USER_DEFINED,
    SentencePieceModel,
    merges_of,
    read_sentencepiece,
)

Scores = list[tuple[str, float]]
Pieces = Callable[[SentencePieceModel, Options], tuple[Scores, int]]  # with the place of the unknown piece
Steps = Callable[[SentencePieceModel, Options], list[normalizers.Normalizer]]
# Which texts get a mark at their start, and what cuts them before spaces do.
Words = Callable[[Options], tuple[str, pre_tokenizers.PreTokenizer | None]]


def build(file: str, pieces: Pieces, steps: Steps, words: Words, folder: TokenizerFolder, options: Options) -> Assembly:
    """Put a SentencePiece file's model behind steps of normalization and the way that words are told apart."""
    path = folder.require(file)
    model = read_sentencepiece(path)
    scores, unknown = pieces(model, options)
    with backend_errors(f"Building a tokenizer from {path}"):
        backend = Backend(rust_model(model, scores, unknown, path))
        added = [piece for piece in model.pieces if piece.kind in (CONTROL, USER_DEFINED)]
        backend.add_tokens([AddedToken(p.text, normalized=False, special=p.kind == CONTROL) for p in added])
        backend.normalizer = normalizers.Sequence(steps(model, options))
    scheme, first = words(options)
    mark_spaces(backend, scheme)
    if first is not None:
        backend.pre_tokenizer = pre_tokenizers.Sequence([first, backend.pre_tokenizer])
    return Assembly(backend)


def rust_model(model: SentencePieceModel, scores: Scores, unknown: int, where: object) -> models.Model:
    if model.algorithm == UNIGRAM:
        return models.Unigram(scores, unk_id=unknown, byte_fallback=False)
    if model.algorithm != BPE:
        raise TokenizerError(
            f"{where} was trained with algorithm {model.algorithm}; Unigram (1) and BPE (2) are known."
        )
    vocab = {text: index for index, (text, _) in enumerate(scores)}
    return models.BPE(vocab, merges_of(model, dict(scores)), unk_token=model.pieces[model.unk_id].text, fuse_unk=True)


def mark_spaces(backend: Backend, scheme: str = "always") -> None:
    """Write spaces as marks at the start of words, and back; `scheme` says where a text that has none gets one."""
    backend.pre_tokenizer = pre_tokenizers.Metaspace(replacement=SPACE, prepend_scheme=scheme)
    backend.decoder = decoders.Metaspace(replacement=SPACE, prepend_scheme=scheme)


def charsmap(model: SentencePieceModel) -> list[normalizers.Normalizer]:
    return [normalizers.Precompiled(model.charsmap)] if model.charsmap else []


def trimmed(model: SentencePieceModel, options: Options) -> list[normalizers.Normalizer]:
    return [*charsmap(model), normalizers.Strip(left=False), normalizers.Replace(Regex(" {2,}"), SPACE)]


def folded(model: SentencePieceModel, options: Options) -> list[normalizers.Normalizer]:
    """Plain quotes, and no accents and capitals where these are not wanted."""
    steps: list[normalizers.Normalizer] = [normalizers.Replace("``", '"'), normalizers.Replace("''", '"')]
    if not options["keep_accents"]:
        steps += [normalizers.NFKD(), normalizers.StripAccents()]
    if options["do_lower_case"]:
        steps.append(normalizers.Lowercase())
    return [*steps, *charsmap(model), normalizers.Replace(Regex(" {2,}"), " ")]


def stripped(model: SentencePieceModel, options: Options) -> list[normalizers.Normalizer]:
    lower = [normalizers.Lowercase()] if options["do_lower_case"] else []
    return [*lower, normalizers.Strip(), *charsmap(model), normalizers.Replace(Regex(" {2,}"), " ")]


def marked(options: Options) -> tuple[str, None]:
    return "always", None


def t5_words(options: Options) -> tuple[str, None]:
    if options["add_prefix_space"] is False:
        return "never", None
    return "first" if options["legacy"] is False else "always", None


def pegasus_words(options: Options) -> tuple[str, pre_tokenizers.PreTokenizer]:
    return "always", pre_tokenizers.WhitespaceSplit()


def deberta_words(options: Options) -> tuple[str, pre_tokenizers.PreTokenizer | None]:
    return "always", pre_tokenizers.Punctuation("isolated") if options["split_by_punct"] else None


def stored_pieces(model: SentencePieceModel, options: Options) -> tuple[Scores, int]:
    return [(piece.text, piece.score) for piece in model.pieces], model.unk_id


def deberta(model: SentencePieceModel, options: Options) -> tuple[Scores, int]:
    """The pieces as they are; the unknown token is looked for in normalized text, unlike that of a tokenizer.json."""
    if type(options.get("unk_token")) is str:
        options["unk_token"] = AddedToken(options["unk_token"], normalized=True, special=True)
    return stored_pieces(model, options)


def fairseq(last: tuple[str, ...], model: SentencePieceModel, options: Options) -> tuple[Scores, int]:
    """Fairseq's four special tokens first, the pieces moved by one, and `last` behind them."""
    first = [(token, 0.0) for token in ("<s>", "<pad>", "</s>", "<unk>")]
    return [*first, *stored_pieces(model, options)[0][3:], *((token, 0.0) for token in last)], 3


def camembert(model: SentencePieceModel, options: Options) -> tuple[Scores, int]:
    """Five special tokens first, the last of them the file's own unknown piece, and `<mask>` behind the pieces."""
    first = [(token, 0.0) for token in ("<s>NOTUSED", "<pad>", "</s>NOTUSED", "<unk>")]
    return [*first, ("<unk>NOTUSED", -100.0), *stored_pieces(model, options)[0][1:], ("<mask>", 0.0)], 3


def barthez(model: SentencePieceModel, options: Options) -> tuple[Scores, int]:
    return stored_pieces(model, options)[0], 3


def parted_commas(model: SentencePieceModel, options: Options) -> tuple[Scores, int]:
    """A piece such as "0," is made unlikely, so that digits and their comma part."""
    scores, unknown = stored_pieces(model, options)
    return [(text, score - 100 if digit_comma(text) else score) for text, score in scores], unknown


def digit_comma(piece: str) -> bool:
    return len(piece) > 1 and piece[-1] == "," and piece[-2].isdigit()


def with_sentinels(model: SentencePieceModel, options: Options) -> tuple[Scores, int]:
    """T5's sentinels follow the vocabulary in reverse."""
    scores, unknown = stored_pieces(model, options)
    return scores + [(f"<extra_id_{i}>", 0.0) for i in range(options["extra_ids"] - 1, -1, -1)], unknown


def moved_pieces(model: SentencePieceModel, options: Options) -> tuple[Scores, int]:
    """PEGASUS's: two masks and some unused tokens stand before the pieces, which `offset` moves."""
    masks = [options[role] for role in ("pad_token", "eos_token", "mask_token_sent", "mask_token")]
    first = [(str(token), 0.0) for token in masks if token is not None]
    unused = [(f"<unk_{i}>", -100.0) for i in range(2, options["offset"])]
    return [*first, *unused, *stored_pieces(model, options)[0][2:]], model.unk_id + options["offset"]


def complete_t5(options: Options) -> None:
    """List the sentinels; as in the reference, a stated `add_prefix_space` means the SentencePiece file is read."""
    list_sentinels(options)
    if options["add_prefix_space"] is not None:
        options["from_slow"] = f"add_prefix_space={options['add_prefix_space']}"


def complete_nllb(options: Options) -> None:
    if options.get("additional_special_tokens") is None:
        list_codes(NLLB_LANGUAGES, True, options)


def complete_pegasus(options: Options) -> None:
    stated, sentence, offset = options.get("additional_special_tokens"), options["mask_token_sent"], options["offset"]
    tokens = list(stated or [])
    if sentence is not None and str(sentence) not in map(str, tokens):
        tokens.insert(0, str(sentence))
    unused = range(2, offset) if stated is None else range(len(tokens), offset - 1)
    options["additional_special_tokens"] = [*tokens, *(f"<unk_{i}>" for i in unused)]


def mask(content: str, normalized: bool = False) -> AddedToken:
    """A mask token that takes the space before it."""
    return AddedToken(content, lstrip=True, rstrip=False, normalized=normalized, special=True)


def kind(
    name: str,
    stem: str,
    file: str,
    special_tokens: Tokens,
    template: Template | None,
    pieces: Pieces = stored_pieces,
    steps: Steps = trimmed,
    words: Words = marked,
    **more: Any,
) -> Recipe:
    made = partial(build, file, pieces, steps, words)
    return Recipe(name, f"{stem}Tokenizer", (file,), made, special_tokens, template=template, **more)


FAIRSEQ_FILE, FILE = "sentencepiece.bpe.model", "spiece.model"
ALBERT_BRACKETS = ("[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1")
XLM_R_BRACKETS = ("<s> $A </s>", "<s> $A </s> </s> $B </s>")

T5_TOKENS: Tokens = {"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
XLM_R_TOKENS: Tokens = {
    **T5_TOKENS,
    "bos_token": "<s>",
    "sep_token": "</s>",
    "cls_token": "<s>",
    "mask_token": mask("<mask>"),
}
MBART50_TOKENS: Tokens = {role: token for role, token in XLM_R_TOKENS.items() if role != "bos_token"}
DEBERTA_TOKENS: Tokens = {
    **{"bos_token": "[CLS]", "eos_token": "[SEP]", "unk_token": "[UNK]", "sep_token": "[SEP]", "pad_token": "[PAD]"},
    **{"cls_token": "[CLS]", "mask_token": "[MASK]"},
}
ALBERT_TOKENS: Tokens = {**DEBERTA_TOKENS, "unk_token": "<unk>", "pad_token": "<pad>", "mask_token": mask("[MASK]")}
XLNET_TOKENS: Tokens = {**XLM_R_TOKENS, "sep_token": "<sep>", "cls_token": "<cls>"}
FOLDING = {"do_lower_case": True, "remove_space": True, "keep_accents": False}

MBART_LANGUAGES, MBART50_LANGUAGES = Languages(FIFTY[:25], "en_XX"), Languages(FIFTY, "en_XX")
NLLB_LANGUAGES = Languages(NLLB_CODES, "eng_Latn")


def mbart(name: str, stem: str, tokens: Tokens, languages: Languages, before: bool) -> Recipe:
    """A kind with the languages' codes among the pieces: `before` the text, else behind it."""
    return kind(
        name,
        stem,
        FAIRSEQ_FILE,
        tokens,
        None,
        partial(fairseq, (*languages.codes, "<mask>")),
        options=LANGUAGES,
        languages=languages,
        switch=partial(speak, languages, before),
        complete=partial(list_codes, languages, not before),
    )


ALBERT = kind(
    "albert",
    "Albert",
    FILE,
    ALBERT_TOKENS,
    ALBERT_BRACKETS,
    parted_commas,
    folded,
    model_input_names=BERT_INPUTS,
    options=FOLDING,
    fixed=FOLDING,
)
T5 = kind(
    "t5",
    "T5",
    FILE,
    T5_TOKENS,
    ("$A </s>", "$A </s> $B </s>"),
    with_sentinels,
    words=t5_words,
    options={"extra_ids": 100, "add_prefix_space": None, "legacy": True},
    fixed=("add_prefix_space", "legacy"),
    complete=complete_t5,
)
MBART = mbart("mbart", "MBart", XLM_R_TOKENS, MBART_LANGUAGES, before=False)
MBART50 = mbart(
    "mbart50", "MBart50", {**MBART50_TOKENS, "mask_token": mask("<mask>", True)}, MBART50_LANGUAGES, before=True
)
NLLB = kind(
    "nllb",
    "Nllb",
    FAIRSEQ_FILE,
    {**XLM_R_TOKENS, "mask_token": mask("<mask>", True)},
    None,
    partial(fairseq, ()),
    options={**LANGUAGES, "legacy_behaviour": False},
    languages=NLLB_LANGUAGES,
    switch=partial(speak_nllb, NLLB_LANGUAGES),
    complete=complete_nllb,
)
XLM_R = kind("xlm_roberta", "XLMRoberta", FAIRSEQ_FILE, XLM_R_TOKENS, XLM_R_BRACKETS, partial(fairseq, ("<mask>",)))
CAMEMBERT = kind(
    "camembert",
    "Camembert",
    FAIRSEQ_FILE,
    {**XLM_R_TOKENS, "additional_special_tokens": ["<s>NOTUSED", "</s>NOTUSED", "<unk>NOTUSED"]},
    XLM_R_BRACKETS,
    camembert,
)
BARTHEZ = kind("barthez", "Barthez", FAIRSEQ_FILE, XLM_R_TOKENS, XLM_R_BRACKETS, barthez)
DEBERTA_V2 = kind(
    "deberta_v2",
    "DebertaV2",
    "spm.model",
    DEBERTA_TOKENS,
    ALBERT_BRACKETS,
    deberta,
    stripped,
    words=deberta_words,
    model_input_names=BERT_INPUTS,
    options={"do_lower_case": False, "split_by_punct": False},
    fixed=("do_lower_case", "split_by_punct"),
)
PEGASUS = kind(
    "pegasus",
    "Pegasus",
    FILE,
    {**T5_TOKENS, "mask_token": "<mask_2>"},
    ("$A eos_token", "$A $B eos_token"),
    moved_pieces,
    words=pegasus_words,
    options={"mask_token_sent": "<mask_1>", "offset": 103},
    fixed=("mask_token_sent", "offset"),
    complete=complete_pegasus,
)
XLNET = kind(
    "xlnet",
    "XLNet",
    FILE,
    {**XLNET_TOKENS, "additional_special_tokens": ["<eop>", "<eod>"]},
    ("$A <sep> <cls>:2", "$A <sep> $B:1 <sep>:1 <cls>:2"),
    parted_commas,
    folded,
    model_input_names=BERT_INPUTS,
    fixed=FOLDING,
    options={**FOLDING, "do_lower_case": False, "padding_side": "left", "pad_token_type_id": 3},
)
KINDS = (ALBERT, BARTHEZ, CAMEMBERT, DEBERTA_V2, MBART, MBART50, NLLB, PEGASUS, T5, XLM_R, XLNET)
