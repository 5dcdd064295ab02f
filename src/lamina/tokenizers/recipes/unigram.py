"""The Unigram kinds: ALBERT, T5, mBART and mBART-50, built from SentencePiece files as the reference's fast ones."""

from __future__ import annotations

from functools import partial

from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers
from tokenizers import Tokenizer as Backend

from lamina.errors import TokenizerError
from lamina.files.shown import shown
from lamina.tokenizers.files import TokenizerFolder, backend_errors
from lamina.tokenizers.recipe import (
    BERT_INPUTS,
    PLAIN_INPUTS,
    Assembly,
    Options,
    Recipe,
    bracket,
    end,
    list_sentinels,
    surround,
)
from lamina.tokenizers.sentencepiece import CONTROL, UNIGRAM, USER_DEFINED, SentencePieceModel, read_sentencepiece

# mBART's languages, in the order of their ids; mBART-50 has them and more.
TWENTY_FIVE = tuple(
    """
    ar_AR cs_CZ de_DE en_XX es_XX et_EE fi_FI fr_XX gu_IN hi_IN it_IT ja_XX kk_KZ ko_KR lt_LT lv_LV my_MM
    ne_NP nl_XX ro_RO ru_RU si_LK tr_TR vi_VN zh_CN
    """.split()  # noqa: SIM905
)
MBART50_NEW = tuple(
    """
    af_ZA az_AZ bn_IN fa_IR he_IL hr_HR id_ID ka_GE km_KH mk_MK ml_IN mn_MN mr_IN pl_PL ps_AF pt_XX sv_SE
    sw_KE ta_IN te_IN th_TH tl_XX uk_UA ur_PK xh_ZA gl_ES sl_SI
    """.split()  # noqa: SIM905
)
SPACE = "▁"
Scores = list[tuple[str, float]]


def unigram(model: SentencePieceModel, scores: Scores, unk_id: int, where: object) -> Backend:
    """The Rust model of a SentencePiece file, with its control and user-defined pieces as added tokens."""
    if model.algorithm != UNIGRAM:
        raise TokenizerError(f"{where} was trained with algorithm {model.algorithm}; only Unigram (1) is known here.")
    with backend_errors(f"Building Unigram from {where}"):
        backend = Backend(models.Unigram(scores, unk_id=unk_id, byte_fallback=False))
    backend.add_tokens(
        [
            AddedToken(piece.text, normalized=False, special=piece.kind == CONTROL)
            for piece in model.pieces
            if piece.kind in (CONTROL, USER_DEFINED)
        ]
    )
    return backend


def charsmap(model: SentencePieceModel) -> list[normalizers.Normalizer]:
    if not model.charsmap:
        return []
    with backend_errors("Reading the character map of the SentencePiece file"):
        return [normalizers.Precompiled(model.charsmap)]


def mark_spaces(backend: Backend, scheme: str = "always") -> None:
    """Write spaces as marks at the start of words, and back; `scheme` says where a text that has none gets one."""
    backend.pre_tokenizer = pre_tokenizers.Metaspace(replacement=SPACE, prepend_scheme=scheme)
    backend.decoder = decoders.Metaspace(replacement=SPACE, prepend_scheme=scheme)


def plain_normalizer(model: SentencePieceModel) -> normalizers.Normalizer:
    return normalizers.Sequence(
        [
            *charsmap(model),
            normalizers.Strip(left=False, right=True),
            normalizers.Replace(Regex(" {2,}"), SPACE),
        ]
    )


def build_albert(folder: TokenizerFolder, options: Options) -> Assembly:
    """Build ALBERT's: lower case, no accents, plain quotes; `[CLS] A [SEP] B [SEP]` with token types 0 and 1."""
    path = folder.require("spiece.model")
    model = read_sentencepiece(path)
    # A piece such as "0," is made unlikely, so that digits and their comma part.
    scores = [(p.text, p.score - 100 if digit_comma(p.text) else p.score) for p in model.pieces]
    backend = unigram(model, scores, model.unk_id, path)
    steps: list[normalizers.Normalizer] = [normalizers.Replace("``", '"'), normalizers.Replace("''", '"')]
    if not options["keep_accents"]:
        steps += [normalizers.NFKD(), normalizers.StripAccents()]
    if options["do_lower_case"]:
        steps.append(normalizers.Lowercase())
    backend.normalizer = normalizers.Sequence([*steps, *charsmap(model), normalizers.Replace(Regex(" {2,}"), " ")])
    mark_spaces(backend)
    return Assembly(backend, originals=[path])


def digit_comma(piece: str) -> bool:
    return len(piece) > 1 and piece[-1] == "," and piece[-2].isdigit()


def bracket_albert(assembly: Assembly, options: Options) -> None:
    """Put `[CLS] A [SEP] B [SEP]` around texts: these tokens, whatever the roles are, as the reference does."""
    bracket(assembly.backend, "[CLS]", "[SEP]")


def build_t5(folder: TokenizerFolder, options: Options) -> Assembly:
    """Build T5's: the sentinels follow the vocabulary in reverse, and every text ends in `</s>`."""
    path = folder.require("spiece.model")
    model = read_sentencepiece(path)
    scores = [(p.text, p.score) for p in model.pieces]
    scores += [(f"<extra_id_{i}>", 0.0) for i in range(options["extra_ids"] - 1, -1, -1)]
    backend = unigram(model, scores, model.unk_id, path)
    backend.normalizer = plain_normalizer(model)
    first = "first" if options["legacy"] is False else "always"
    mark_spaces(backend, "never" if options["add_prefix_space"] is False else first)
    return Assembly(backend, originals=[path])


def complete_t5(options: Options) -> None:
    """List the sentinels; as in the reference, a stated `add_prefix_space` means the SentencePiece file is read."""
    list_sentinels(options)
    if options["add_prefix_space"] is not None:
        options["from_slow"] = f"add_prefix_space={options['add_prefix_space']}"


def complete_codes(codes: tuple[str, ...], options: Options, before: bool) -> None:
    """List every language code among the special tokens, before or after those of the files."""
    stated = list(options.get("additional_special_tokens") or [])
    names = [str(token) for token in stated]
    if before:
        options["additional_special_tokens"] = [*codes, *(token for token in stated if str(token) not in codes)]
    else:
        options["additional_special_tokens"] = [*stated, *(code for code in codes if code not in names)]


def end_t5(assembly: Assembly, options: Options) -> None:
    """Put `</s>` after every text: this token, whatever the end token is, as the reference does."""
    end(assembly, {"eos_token": "</s>"})


def build_mbart(codes: tuple[str, ...], folder: TokenizerFolder, options: Options) -> Assembly:
    """Build mBART's: fairseq's four special tokens first, the pieces moved by one, language codes and `<mask>` last."""
    path = folder.require("sentencepiece.bpe.model")
    model = read_sentencepiece(path)
    scores: Scores = [(token, 0.0) for token in ("<s>", "<pad>", "</s>", "<unk>")]
    scores += [(p.text, p.score) for p in model.pieces[3:]]
    scores += [(code, 0.0) for code in codes]
    scores.append(("<mask>", 0.0))
    backend = unigram(model, scores, 3, path)
    backend.normalizer = plain_normalizer(model)
    mark_spaces(backend)
    return Assembly(backend, originals=[path])


def speak(assembly: Assembly, options: Options, target: bool, before: bool, usual: str = "en_XX") -> None:
    """Put the language's code after the text (mBART) or before it (mBART-50); `usual` is the code where none is set."""
    code = (options["tgt_lang"] if target else options["src_lang"]) or usual
    backend, eos = assembly.backend, str(options["eos_token"])
    if backend.token_to_id(code) is None:
        raise TokenizerError(
            f"{shown(code)} is not a language of this tokenizer. It knows codes such as 'en_XX', 'ro_RO'."
        )
    first, last = ([code], [eos]) if before else ([], [eos, code])
    surround(backend, [*first, "$A", *last], [*first, "$A", "$B", *last], code, eos)


def speak_after(assembly: Assembly, options: Options, target: bool) -> None:
    speak(assembly, options, target, before=False)


def speak_before(assembly: Assembly, options: Options, target: bool) -> None:
    speak(assembly, options, target, before=True)


LANGUAGES = {"src_lang": None, "tgt_lang": None}
FIFTY = (*TWENTY_FIVE, *MBART50_NEW)
MBART_SPECIAL: dict[str, str | AddedToken] = {
    "bos_token": "<s>",
    "eos_token": "</s>",
    "unk_token": "<unk>",
    "sep_token": "</s>",
    "pad_token": "<pad>",
    "cls_token": "<s>",
    "mask_token": AddedToken("<mask>", lstrip=True, rstrip=False, special=True, normalized=False),
}
MBART50_SPECIAL = {role: token for role, token in MBART_SPECIAL.items() if role != "bos_token"}
MBART50_SPECIAL["mask_token"] = AddedToken("<mask>", lstrip=True, rstrip=False, special=True, normalized=True)

ALBERT = Recipe(
    name="albert",
    class_name="AlbertTokenizer",
    files=("spiece.model",),
    build=build_albert,
    special_tokens={
        "bos_token": "[CLS]",
        "eos_token": "[SEP]",
        "unk_token": "<unk>",
        "sep_token": "[SEP]",
        "pad_token": "<pad>",
        "cls_token": "[CLS]",
        "mask_token": AddedToken("[MASK]", lstrip=True, rstrip=False, normalized=False, special=True),
    },
    model_input_names=BERT_INPUTS,
    options={"do_lower_case": True, "remove_space": True, "keep_accents": False},
    template=bracket_albert,
)
T5 = Recipe(
    name="t5",
    class_name="T5Tokenizer",
    files=("spiece.model",),
    build=build_t5,
    special_tokens={"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"},
    model_input_names=PLAIN_INPUTS,
    options={"extra_ids": 100, "add_prefix_space": None, "legacy": True},
    template=end_t5,
    complete=complete_t5,
    adjustable=frozenset({"extra_ids"}),
)
MBART = Recipe(
    name="mbart",
    class_name="MBartTokenizer",
    files=("sentencepiece.bpe.model",),
    build=partial(build_mbart, TWENTY_FIVE),
    special_tokens=MBART_SPECIAL,
    complete=partial(complete_codes, TWENTY_FIVE, before=True),
    model_input_names=PLAIN_INPUTS,
    options=LANGUAGES,
    adjustable=frozenset(LANGUAGES),
    switch=speak_after,
)
MBART50 = Recipe(
    name="mbart50",
    class_name="MBart50Tokenizer",
    files=("sentencepiece.bpe.model",),
    build=partial(build_mbart, FIFTY),
    special_tokens=MBART50_SPECIAL,
    complete=partial(complete_codes, FIFTY, before=False),
    model_input_names=PLAIN_INPUTS,
    options=LANGUAGES,
    adjustable=frozenset(LANGUAGES),
    switch=speak_before,
)
