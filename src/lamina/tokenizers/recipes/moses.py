"""English words as the Moses toolkit cuts and joins them, which Transformer-XL's vocabulary was counted with.

The rules are those of Moses' tokenizer.perl, normalize-punctuation.perl and detokenizer.perl in the order sacremoses
runs them. Every expression is linear in the text.
"""

from __future__ import annotations

import re
from functools import cache

from lamina.tokenizers.recipes.moses_letters import LETTERS_AND_DIGITS, NUMBERS, character_class

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
CJK_BLOCKS = (
    (0x1100, 0x11FF),
    (0x2E80, 0xA4CF),
    (0xA840, 0xA87F),
    (0xAC00, 0xD7AF),
    (0xF900, 0xFAFF),
    (0xFE30, 0xFE4F),
    (0xFF65, 0xFFDC),
    (0x16FE0, 0x16FFF),
    (0x17000, 0x18AFF),
    (0x1B000, 0x1B12F),
    (0x1B170, 0x1B2FF),
    (0x20000, 0x2FFFF),
)


@cache
def punctuation_rules() -> list[tuple[re.Pattern[str], str]]:
    """The rules of punctuation, compiled on first use."""
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
    """Plain quotes, dashes and spaces."""
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
    """One letter, compiled on first use."""
    return re.compile(rf"(?!\d)[{WORD}]")


def is_letter(char: str) -> bool:
    """Whether Moses takes a character for a letter."""
    return letter_pattern().match(char) is not None


def is_cjk(char: str) -> bool:
    """Whether a character is of the scripts that are written without spaces."""
    return any(first <= ord(char) <= last for first, last in CJK_BLOCKS)


UNESCAPED = [
    ("&bar;", "|"),
    ("&#124;", "|"),
    ("&lt;", "<"),
    ("&gt;", ">"),
    ("&bra;", "["),
    ("&ket;", "]"),
    ("&quot;", '"'),
    ("&apos;", "'"),
    ("&#91;", "["),
    ("&#93;", "]"),
    ("&amp;", "&"),
]
OPENING = re.compile(r"^[$¢-¥֏؋৲৳৻૱௹฿៛₠-₽﷼﹩＄￠￡￥￦(\[{¿¡]+$")
CLOSING = re.compile(r"^[,.?!:;\\%}\])]+$")
QUOTES = re.compile("^['\"„“`]+$")


def join_words(words: list[str]) -> str:
    """The text that words and signs make up, with spaces where English has them."""
    text = f" {' '.join(words)} ".replace(" @-@ ", "-")
    for escaped, plain in UNESCAPED:
        text = text.replace(escaped, plain)
    tokens = text.split()
    out: list[str] = []
    space = " "
    quotes: dict[str, int] = {}
    for index, token in enumerate(tokens):
        before = tokens[index - 1] if index else ""
        lead, after = space, " "
        if is_cjk(token[0]):
            lead = "" if before and is_cjk(before[-1]) else space
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
