"""Transformer-XL's words: Moses' rules for English, numbers parted at their signs, one id a word.

The rules are those of the Moses toolkit's tokenizer.perl, normalize-punctuation.perl and detokenizer.perl in the order
sacremoses runs them. Every expression is linear in the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

from tokenizers import Tokenizer as Backend
from tokenizers import models

from lamina.errors import TokenizerError
from lamina.files.shown import shown
from lamina.tokenizers.files import TokenizerFolder, backend_errors, read_lines, read_vocab_json
from lamina.tokenizers.recipe import Assembly, Options, Recipe

# The characters that Moses takes for letters and for numbers: Unicode's as of Moses' day, without Han and Hangul.
# Ranges in base 36: the distance from the end of the range before, then `+` and the length less one; made by a script
# from the Perl property lists that sacremoses carries.
LETTERS_AND_DIGITS = (
    "1c+9 8+p 7+p 1c b 5 6+m 2+u 2+cp 5+b f+4 8 2 2f 17+4 2+1 3+3 2 7 2+2 2 2+j 2+2a 2+3u 9+4l 2+11 3 8+12 15+d 2 "
    "2+1 2+1 2 9+q 6+2 u+a 6+1j 2+g 5+2t 2+7 5+7 5+f 3 h+1b e+2s f+16 a+1 5 6+n 3+i k+o 20+i 1e+5 7+2o 5+e 3+9 "
    "2+i 2+7 3+1 3+l 2+6 2 4+3 3+8 3+1 3+3 9 5+1 2+4 3+b g+2 2+5 5+1 3+l 2+6 2+1 2+1 2+1 3 2+4 5+1 3+2 4 8+3 2 "
    "8+f c+2 2+8 2+2 2+l 2+6 2+1 2+4 3+9 2+2 2+2 3 g+3 3+9 e+2 2+2 2+7 3+1 3+l 2+6 2+1 2+4 3+8 3+1 3+2 9+1 5+1 "
    "2+4 3+9 2 h+1 2+5 4+2 2+3 4+1 2 2+1 4+1 4+2 4+b 5+4 4+2 2+3 3 7 f+9 h+3 2+7 2+2 2+m 2+f 4+7 2+2 2+3 8+1 2+1 "
    "7+3 3+9 i+2 2+7 2+2 2+m 2+9 2+4 3+8 2+2 2+3 8+1 8 2+3 3+9 2+1 f+2 2+7 2+2 2+1e 2+2 2+4 9 9+3 3+9 b+5 3+1 2+h "
    "4+n 2+8 2 3+6 4 5+5 2 2+7 7+9 3+1 e+1l 6+6 7 3+9 14+1 2 3+1 2 3 7+3 2+6 2+2 2 2 3+1 2+g 3+4 2 7 3+9 3+3 x "
    "w+9 n+7 2+z 5+g 7+f 2+z 1w+1i 2+1 2+e 7+i 3+3 6+o 8 2+9 3+1 3+11 2 6 3+16 2+98 2+3 3+6 2 2+3 3+14 2+3 3+w "
    "2+3 3+6 2 2+3 3+e 2+1k 2+3 3+1u 5 x+f h+2c d+h7 3+g 2+p 6+22 4+a 8+c 2+6 c+j d+j d+c 2+2 2+1 d+1f 3+i f 5 "
    "4+9 13+9 7+2f 9+16 6+1x b+u 2+b 5+8 e+13 3+4 c+17 5+p 7+9 13+r 5+1q 3+j c+9 7+9 e 2h+1f 2+e 2+6 5+9 13+15 "
    "2+1m 2+a f+1h 2 9+9 4+1c 30+3 2+5 2+1 a+5b 14+d c+7p 3+5 3+11 3+5 3+7 2 2 2 2+u 3+1g 2+6 2 4+2 2+6 4+3 3+5 "
    "5+c 6+2 2+6 39 e h+c 2u 5 3+9 2 4+4 7 2 2 2+3 2+a 3+3 6+4 5 i+14 mm+1f 6b 184+1a 2+1a 2+3o 7+3 4+1 d+11 2 6 "
    "3+1j 8 h+m a+6 2+6 2+6 2+6 2+6 2+6 2+6 2+6 2+v 1c d3 17+4 7 5+2d 7+2 2+2h 2+3 6+14 4+2l i+q 1i+f lq9+wc "
    "1w+19 3+7g 4+r l+1a 6+7 4+u 2+28 14+8 3+2u 3+3 2+t 3+1 1y+a 2+2 2+3 2+r p+1f d+1w c+9 p+5 4 5+16 6+z d+s "
    "4+1e 2+b g+a 7+4 2+o 2+1i a+d 3+9 7+m 4 4+1s 2 2 p+2 3+f 3+4 b+5 3+5 3+5 a+6 2+6 2+16 2+3 5+1 2j+16 6+9 "
    "8mv+m 5+1c 6x1+6 d+4 6+b 2+c 2+4 2 2+1 2+1 2+2z y+a2 j+1r 3+1h 15+b 39+4 2+3q k+9 8+p 7+p c+2g 4+5 3+5 3+5 "
    "3+2 21v 16v 37+1 3d 1s 25 a 2z+1 4z+1 2a h 6t 4 3g+1 70+1 3j 3b+1 aq+1 bq 2c ej 77 3 2a 148j "
)
NUMBERS = (
    "1c+9 3d+1 6 3+2 142+9 3r+9 5j+9 bh+9 3b+9 5+5 31+9 3b+9 3b+9 3+5 33+c 38+9 9+6 2w+9 3b+f 35+9 2p+9 3b+9 1z+j "
    "7h+9 1z+9 k0+j oi+2 6o+9 7+9 n+9 8d+9 3l+a 4m+9 7+9 53+9 2f+9 3r+9 7+9 t3 4+5 7+9 5j+1e 3+4 k7+1n 27+l hj+t "
    "12i wl+3 3v+9 v+7 2+e x+9 14+e msh+9 59+9 8x+5 4b+9 13+9 5j+9 n+9 2f+9 bb+9 gev+9 "
)


def character_class(ranges: str) -> str:
    parts = []
    end = 0
    for item in ranges.split():
        gap, _, length = item.partition("+")
        start = end + int(gap, 36)
        end = start + (int(length, 36) if length else 0)
        parts.append(f"\\U{start:08x}-\\U{end:08x}" if end > start else f"\\U{start:08x}")
    return "".join(parts)


WORD, NUMBER = character_class(LETTERS_AND_DIGITS), character_class(NUMBERS)
NOBREAK = "\u00a0"

PUNCTUATION_RULES = [
    # Spaces around brackets and before signs.
    ("\r", ""),
    (r"\(", " ("),
    (r"\)", ") "),
    (" +", " "),
    (r"\) ([.!:?;,])", r")\1"),
    (r"\( ", "("),
    (r" \)", ")"),
    (r"(\d) %", r"\1%"),
    (" :", ":"),
    (" ;", ";"),
    # Quotes, dashes and dots to their ASCII forms.
    ("`", "'"),
    ("''", ' " '),
    ("[„“”]", '"'),
    ("–", "-"),
    ("—", " - "),
    (" +", " "),
    ("´", "'"),
    ("([a-zA-Z])‘([a-zA-Z])", r"\1'\2"),
    ("([a-zA-Z])’([a-zA-Z])", r"\1'\2"),
    ("[‘‚’]", "'"),
    ("''", '"'),
    ("…", "..."),
    (f"{NOBREAK}«{NOBREAK}|«{NOBREAK}|«", '"'),
    (f"{NOBREAK}»{NOBREAK}|{NOBREAK}»|»", '"'),
    # Spaces that do not break.
    (f"{NOBREAK}%", "%"),
    (f"nº{NOBREAK}", "nº "),
    (f"{NOBREAK}:", ":"),
    (f"{NOBREAK}ºC", " ºC"),
    (f"{NOBREAK}cm", " cm"),
    (rf"{NOBREAK}\?", "?"),
    (f"{NOBREAK}!", "!"),
    (f"{NOBREAK};", ";"),
    (f",{NOBREAK}", ", "),
    (" +", " "),
    ('"([,.]+)', r'\1"'),
    (rf"(\d){NOBREAK}(\d)", r"\1.\2"),
]

# Words that a full stop belongs to.
ABBREVIATIONS = frozenset(
    """
    A B C D E F G H I J K L M N O P Q R S T U V W X Y Z Adj Adm Adv Asst Bart Bldg Brig Bros Capt Cmdr Col Comdr Con
    Corp Cpl DR Dr Drs Ens Gen Gov Hon Hr Hosp Insp Lt MM MR MRS MS Maj Messrs Mlle Mme Mr Mrs Ms Msgr Op Ord Pfc Ph
    Prof Pvt Rep Reps Res Rev Rt Sen Sens Sfc Sgt Sr St Supt Surg v vs i.e rev e.g Rs Nos Nr Jan Feb Mar Apr Jun Jul Aug
    Sep Oct Nov Dec
    """.split()  # noqa: SIM905
)
BEFORE_NUMBERS = frozenset({"No", "Art", "pp"})

# The CJK blocks of the Basic and Supplementary planes: such words are joined without a space.
CJK = re.compile(
    "[\u1100-\u11ff\u2e80-\ua4cf\ua840-\ua87f\uac00-\ud7af\uf900-\ufaff\ufe30-\ufe4f\uff65-\uffdc"
    "\U00016fe0-\U00018aff\U0001b000-\U0001b12f\U0001b170-\U0001b2ff\U00020000-\U0002ffff]"
)


@cache
def punctuation_rules() -> list[tuple[re.Pattern[str], str]]:
    return [(re.compile(pattern), replacement) for pattern, replacement in PUNCTUATION_RULES]


@cache
def word_rules() -> list[tuple[re.Pattern[str], str]]:
    """The rules that set signs, hyphens, commas and apostrophes apart, compiled on first use."""
    letter = rf"(?:(?!\d)[{WORD}])"
    dots = (r"\.{2,}", "")  # the place of a step written in code
    rules = [
        (rf"([^{WORD}\s.'`,\-])", r" \1 "),
        (rf"([{WORD}])-(?=[{WORD}])", r"\1 @-@ "),
        dots,
        (f"([^{NUMBER}]),", r"\1 , "),
        (f",([^{NUMBER}])", r" , \1"),
        (f"([{NUMBER}]),$", r"\1 , "),
        (rf"((?!{letter})[\s\S])'((?!{letter})[\s\S])", r"\1 ' \2"),
        (rf"((?!{letter})[^{NUMBER}])'({letter})", r"\1 ' \2"),
        (rf"({letter})'((?!{letter})[\s\S])", r"\1 ' \2"),
        (rf"({letter})'({letter})", r"\1 '\2"),
        (f"([{NUMBER}])'(s)", r"\1 '\2"),
    ]
    return [(re.compile(pattern), replacement) for pattern, replacement in rules]


def normalize_punctuation(text: str) -> str:
    for pattern, replacement in punctuation_rules():
        text = pattern.sub(replacement, text)
    return text.strip()


def split_words(text: str, protected: list[str]) -> list[str]:
    """Cut a text into words and signs; `protected` strings stay whole, in whatever case."""
    text = re.sub(r"[\000-\037]", "", re.sub(r"\s+", " ", text))
    # One X more than any such word in the text has, so that the text cannot speak of what is kept.
    marker = "THISISPROTECTED"
    marker += "X" * max((len(run) + 1 for run in re.findall(f"{marker}(X*)", text)), default=0)
    kept: list[str] = []

    def keep(match: re.Match[str]) -> str:
        kept.append(match.group())
        return f"{marker}{len(kept) - 1:06d}"

    if protected:
        text = re.sub("|".join(map(re.escape, protected)), keep, text, flags=re.IGNORECASE)
    text = text.strip()
    for pattern, replacement in word_rules():
        text = pattern.sub(replacement, text) if replacement else mark_dots(text)
    text = " ".join(part_full_stops(text.split()))
    text = re.sub(r"\.' ?$", " . ' ", text)
    text = re.sub(f"{marker}(\\d{{6}})", lambda match: kept[int(match.group(1))], text)
    return re.sub("(?:DOT)+MULTI", lambda match: "." * ((len(match.group()) - 5) // 3), text).split()


def mark_dots(text: str) -> str:
    """Write runs of dots as words, so that no rule takes them apart."""

    def mark(match: re.Match[str]) -> str:
        word = " " + "DOT" * len(match.group()) + "MULTI"
        return word + " " if match.end() < len(text) else word

    return re.sub(r"\.{2,}", mark, text)


def part_full_stops(words: list[str]) -> list[str]:
    """Set full stops apart from the words before, unless they belong to an abbreviation or the sentence goes on."""
    parted = list(words)
    for index, word in enumerate(words):
        if len(word) < 2 or not word.endswith("."):
            continue
        stem = word[:-1]
        following = words[index + 1] if index + 1 < len(words) else ""
        belongs = (
            ("." in stem and any(is_letter(char) for char in stem))
            or stem in ABBREVIATIONS
            or (following[:1].islower())
            or (stem in BEFORE_NUMBERS and following[:1] in tuple("0123456789"))
        )
        if not belongs:
            parted[index] = f"{stem} ."
    return parted


@cache
def letter_pattern() -> re.Pattern[str]:
    return re.compile(rf"(?!\d)[{WORD}]")


def is_letter(char: str) -> bool:
    return letter_pattern().match(char) is not None


UNESCAPED = {"&bar;": "|", "&#124;": "|", "&lt;": "<", "&gt;": ">", "&bra;": "[", "&ket;": "]", "&quot;": '"'}
UNESCAPED |= {"&apos;": "'", "&#91;": "[", "&#93;": "]", "&amp;": "&"}
OPENING = re.compile(r"^[$¢-¥֏؋৲৳৻૱௹฿៛₠-₽﷼﹩＄￠￡￥￦(\[{¿¡]+$")
CLOSING = re.compile(r"^[,.?!:;\\%}\])]+$")
QUOTES = re.compile("^['\"„“`]+$")


def join_words(words: list[str]) -> str:
    """The text that words and signs make up, with spaces where English has them."""
    text = f" {' '.join(words)} ".replace(" @-@ ", "-")
    for escaped, plain in UNESCAPED.items():
        text = text.replace(escaped, plain)
    tokens = text.split()
    out: list[str] = []
    space = " "
    quotes: dict[str, int] = {}
    for index, token in enumerate(tokens):
        before = tokens[index - 1] if index else ""
        lead, after = space, " "
        if CJK.match(token):
            lead = "" if before and CJK.match(before[-1]) else space
        elif OPENING.match(token):
            after = ""
        elif CLOSING.match(token) or (before and token[0] == "'" and len(token) > 1 and is_letter(token[1])):
            lead = ""
        elif QUOTES.match(token):
            lead, after = place_quote(token, before, space, quotes)
        out += [lead, token]
        space = after
    return re.sub(" {2,}", " ", "".join(out)).strip()


def place_quote(token: str, before: str, space: str, seen: dict[str, int]) -> tuple[str, str]:
    """The spaces before and after a quotation mark: the first of two opens, the second closes."""
    kind = '"' if set(token) <= set("„“”") else token
    if seen.get(kind, 0) % 2 == 0:
        if token == "'" and before.endswith("s"):
            return "", " "
        seen[kind] = seen.get(kind, 0) + 1
        return space, ""
    seen[kind] += 1
    return "", " "


FORBIDDEN = ("vocab.pkl", "vocab.bin")


class MosesWords:
    """Cuts text into words and joins them, as Moses does for English."""

    def __init__(self, words: list[str], protected: list[str], plain: bool) -> None:
        self.words = words
        self.protected = protected
        self.plain = plain  # characters instead of words: an empty delimiter says so

    def split(self, text: str) -> list[str]:
        text = text.strip()
        if self.plain:
            return list(text)
        words = split_words(normalize_punctuation(text), self.protected)
        return [part for word in words for part in re.sub(r"(?<=\d)[,.](?=\d)", r" @\g<0>@ ", word).split()]

    def join(self, tokens: list[str], special_tokens: set[str], source: bool = False) -> str:
        return join_words(tokens).replace(" @,@ ", ",").replace(" @.@ ", ".").strip()

    def save(self, new: Callable[[str], Path]) -> None:
        """Write `vocab.txt`, which takes the place of the reference's pickle."""
        new("vocab.txt").write_text("\n".join(self.words) + "\n", encoding="utf-8", newline="\n")


def read_words(folder: TokenizerFolder) -> dict[str, int]:
    path = folder.find("vocab.json")
    if path is not None:
        return read_vocab_json(path)
    if folder.find("vocab.txt") is None and folder.find(*FORBIDDEN):
        raise TokenizerError(
            f"{folder.path} holds its words as a pickle ({' or '.join(FORBIDDEN)}), which could run code "
            "and is not read. Convert it once to vocab.txt: lamina convert."
        )
    path = folder.require("vocab.txt", "vocab.json")
    words: dict[str, int] = {}
    for line in read_lines(path, "words"):
        for word in line.split(None, 1)[:1]:
            words.setdefault(word, len(words))
    return words


def build(folder: TokenizerFolder, options: Options) -> Assembly:
    words = read_words(folder)
    unknown = next((token for token in ("<UNK>", "<unk>", str(options["unk_token"])) if token in words), None)
    if unknown is None:
        raise TokenizerError(f"The vocabulary in {folder.path} has no <unk> to stand for unknown words.")
    if options["language"] != "en":
        raise TokenizerError(
            f"language={shown(options['language'])}: only Moses' rules for English ('en') are known here."
        )
    with backend_errors("Building the word tokenizer"):
        backend = Backend(models.WordLevel(words, unk_token=unknown))
    special = [str(options[role]) for role in ("unk_token", "eos_token") if options.get(role)]
    protected = options["never_split"] or special + [str(t) for t in options.get("additional_special_tokens") or []]
    ordered = sorted(words, key=words.__getitem__)
    return Assembly(backend, MosesWords(ordered, protected, options["delimiter"] == ""))


TRANSFO_XL = Recipe(
    name="transfo_xl",
    class_name="TransfoXLTokenizer",
    files=("vocab.txt",),
    build=build,
    special_tokens={"eos_token": "<eos>", "unk_token": "<unk>", "additional_special_tokens": ["<formula>"]},
    model_input_names=("input_ids",),
    options={"lower_case": False, "delimiter": None, "language": "en", "never_split": None},
    reads_json=False,
)
