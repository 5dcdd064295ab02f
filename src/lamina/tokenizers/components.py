"""What a tokenizer.json may ask of the Rust library: parts it knows, in bounded number, and no text without end.

The library takes whatever it can read: a rule that doubles a letter, forty times over, costs the memory of a trillion
letters. What each part can make of a text is bounded here, before the library sees the file.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from itertools import chain
from typing import Any

from lamina.errors import TokenizerError
from lamina.files.shown import shown
from lamina.tokenizers.files import MAX_TOKEN_CHARS, MAX_VOCAB, check_added, check_vocab
from lamina.tokenizers.sentencepiece import MAX_REPLACEMENT_BYTES, longest_replacement

# The only patterns that published tokenizers of the supported families hold. Others could be made to run forever.
KNOWN_PATTERNS = frozenset(
    {
        " {2,}",
        r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
        r"\s+",
        r"\w+|[^\w\s]+",
        r"\S+\n?",
        r"[\s\S]",
        " ?[^(\\s|[.,!?…。，、।۔،])]+",
    }
)

MAX_PARTS = 256  # components of one kind
MAX_GROWTH = 2048  # bytes that the rules may make of one byte of text
MAX_TEMPLATE = 64  # special tokens and texts of a template, ids of a special token
MAX_WORD_CHARS = 256  # published ones have 100; the time a word takes grows with the cube of this

# Every component of the library, and by how much its rules of their own may lengthen a text, in bytes: once where
# nothing else is said. The name in the file: the components, and how a Sequence names its own.
PARTS: dict[str, tuple[dict[str, float], str]] = {
    "normalizer": (
        dict.fromkeys(("Nmt", "Prepend", "Replace", "Strip", "StripAccents"), 1.0)
        | {"BertNormalizer": 8, "ByteLevel": 2, "Lowercase": 1.5, "NFC": 3, "NFD": 3, "NFKC": 11, "NFKD": 11}
        | {"Precompiled": MAX_REPLACEMENT_BYTES},
        "normalizers",
    ),
    "pre_tokenizer": (
        dict.fromkeys(("BertPreTokenizer", "CharDelimiterSplit", "Digits", "FixedLength", "Punctuation"), 1.0)
        | dict.fromkeys(("Split", "UnicodeScripts", "Whitespace", "WhitespaceSplit"), 1.0)
        | {"ByteLevel": 2, "Metaspace": 4},
        "pretokenizers",
    ),
    "post_processor": (
        dict.fromkeys(("BertProcessing", "ByteLevel", "RobertaProcessing", "TemplateProcessing"), 1.0),
        "processors",
    ),
    "decoder": (
        dict.fromkeys(("ByteFallback", "Fuse", "Metaspace", "Replace", "Strip"), 1.0)
        | {"BPEDecoder": 3, "ByteLevel": 3, "CTC": 3, "WordPiece": 2},
        "decoders",
    ),
}
# Those that only take away: what later rules make of a letter holds for it before them, too.
REMOVING = {"Fuse", "Strip", "StripAccents"}
MODELS = ("BPE", "Unigram", "WordLevel", "WordPiece")


def check_tokenizer_json(data: Any, where: object) -> None:
    """Refuse what is not a `tokenizer.json`, or whose parts are unknown, too many, or lengthen texts without end."""
    if not isinstance(data, dict) or not isinstance(data.get("model"), dict):
        raise TokenizerError(f"{where} is not a tokenizer.json: it has no model.")
    check_model(data["model"], where)
    for part in PARTS:
        place = f"{where}: its {part}"
        steps = list(steps_of(data.get(part), part, place))
        for step in steps:
            check_step(step, place)
        if (most := growth(steps, PARTS[part][0], place)) > MAX_GROWTH:
            raise TokenizerError(
                f"{place} may make {most:.3g} bytes of one byte of text, more than the {MAX_GROWTH} of its bound: "
                "its rules lengthen what other rules of it have lengthened."
            )
    added = data.get("added_tokens") or []
    if not isinstance(added, list) or not all(isinstance(token, dict) for token in added):
        raise TokenizerError(f"{where}: its added_tokens are not a list of objects.")
    check_added([token["content"] for token in added if isinstance(token.get("content"), str)], where)


def check_model(model: dict[str, Any], where: object) -> None:
    kind = model.get("type")
    if kind not in MODELS:
        raise TokenizerError(f"Reading {where} failed: its model is of type {shown(kind)}, not {', '.join(MODELS)}.")
    for name in ("vocab", "merges"):
        size = len(value) if isinstance(value := model.get(name), list | dict) else 0
        if size > MAX_VOCAB:
            raise TokenizerError(f"{where}: its {name} has {size} entries, more than {MAX_VOCAB}.")
    vocab = model.get("vocab")
    if isinstance(vocab, dict):
        check_vocab(vocab, f"{where}, vocab,")
    elif isinstance(vocab, list) and kind == "Unigram":
        for piece in vocab:
            if isinstance(piece, list) and piece and isinstance(piece[0], str) and len(piece[0]) > MAX_TOKEN_CHARS:
                raise TokenizerError(
                    f"{where}: the piece {shown(piece[0])} has more than {MAX_TOKEN_CHARS} characters."
                )
    check_strings({key: value for key, value in model.items() if key not in ("vocab", "merges")}, f"{where}: its model")
    longest = model.get("max_input_chars_per_word", 100)
    if type(longest) is not int or not 0 <= longest <= MAX_WORD_CHARS:
        raise TokenizerError(
            f"{where}: max_input_chars_per_word is {shown(longest)}, not a number from 0 to {MAX_WORD_CHARS}."
        )


def steps_of(value: Any, part: str, place: str) -> Iterator[dict[str, Any]]:
    """The components of a part in the order they act, those of sequences among them."""
    known, inner = PARTS[part]
    waiting = [] if value is None else [value]
    for _ in range(MAX_PARTS):
        if not waiting:
            return
        step = waiting.pop()
        if not isinstance(step, dict) or not isinstance(step.get("type"), str):
            raise TokenizerError(f"{place} holds {shown(step)}, which has no type.")
        if step["type"] == "Sequence":
            children = step.get(inner)
            if not isinstance(children, list):
                raise TokenizerError(f"{place} holds a Sequence without a list of {inner}.")
            waiting += reversed(children)
        elif step["type"] not in known:
            raise TokenizerError(f"{place} is of the unknown type {shown(step['type'])}. Known: {', '.join(known)}.")
        else:
            yield step
    raise TokenizerError(f"{place} has more than {MAX_PARTS} components.")


def check_step(step: dict[str, Any], place: str) -> None:
    """Refuse a component with an expression we do not know to be harmless, or settings that make no sense."""
    kind = step["type"]
    pattern = step.get("pattern")
    if isinstance(pattern, dict) and "Regex" in pattern:
        if text_of(pattern["Regex"]) not in KNOWN_PATTERNS or len(pattern) > 1:
            raise TokenizerError(
                f"{place} holds the regular expression {shown(pattern['Regex'])}. "
                "Expressions from files can be made to run forever; only those of published tokenizers are read."
            )
    elif kind in ("Replace", "Split") and not (isinstance(pattern, dict) and text_of(pattern.get("String"))):
        raise TokenizerError(f"{place} holds a {kind} whose pattern is {shown(pattern)}, not a text or an expression.")
    if kind == "TemplateProcessing":
        check_template(step, place)
    elif kind == "FixedLength" and (type(step.get("length")) is not int or step["length"] < 1):
        raise TokenizerError(f"{place} holds a FixedLength of {shown(step.get('length'))}.")
    elif kind != "Precompiled":
        check_strings(step, place)


def text_of(value: Any) -> str:
    return value if isinstance(value, str) else ""


def check_strings(settings: dict[str, Any], place: str) -> None:
    inner = chain.from_iterable(value.items() for value in settings.values() if isinstance(value, dict))
    for key, value in chain(settings.items(), inner):
        if isinstance(value, str) and len(value) > MAX_TOKEN_CHARS:
            raise TokenizerError(f"{place} has a {shown(key)} of {len(value)} characters, more than {MAX_TOKEN_CHARS}.")


def longest_precompiled(step: dict[str, Any], place: str) -> int:
    """The bytes of the longest text that a compiled map puts in place of a character."""
    try:
        data = base64.b64decode(text_of(step.get("precompiled_charsmap")) or "?", validate=True)
    except ValueError as error:
        raise TokenizerError(f"{place} holds a precompiled_charsmap that is not base64.") from error
    return max(1, longest_replacement(data[4 + int.from_bytes(data[:4], "little") :], place))


def check_template(step: dict[str, Any], place: str) -> None:
    specials = step.get("special_tokens")
    for name, texts in (("single", ("A",)), ("pair", ("A", "B"))):
        items = step.get(name)
        if not isinstance(items, list) or len(items) > MAX_TEMPLATE or not all(isinstance(i, dict) for i in items):
            raise TokenizerError(f"{place}: {name} is {shown(items)}, not a list of at most {MAX_TEMPLATE} parts.")
        found = [item["Sequence"].get("id") for item in items if isinstance(item.get("Sequence"), dict)]
        if sorted(map(str, found)) != list(texts):
            raise TokenizerError(
                f"{place}: {name} holds the texts {shown(found)}, not each of {', '.join(texts)} once."
            )
        for item in items:
            if "SpecialToken" in item:
                check_declared(item["SpecialToken"], specials, f"{place}: {name}")


def check_declared(item: Any, specials: Any, place: str) -> None:
    """Refuse a special token of a template without ids of its own."""
    name = item.get("id") if isinstance(item, dict) else item
    declared = specials.get(name) if isinstance(specials, dict) and isinstance(name, str) else None
    ids = declared.get("ids") if isinstance(declared, dict) else None
    tokens = declared.get("tokens") if isinstance(declared, dict) else None
    if not isinstance(ids, list) or not isinstance(tokens, list):
        raise TokenizerError(f"{place} names the special token {shown(name)}, which its special_tokens do not declare.")
    if not 0 < len(ids) == len(tokens) <= MAX_TEMPLATE:
        raise TokenizerError(f"{place}: the special token {shown(name)} has {len(ids)} ids and {len(tokens)} tokens.")


def growth(steps: list[dict[str, Any]], own: dict[str, float], place: str) -> float:
    """The most bytes that steps can make of one byte of text.

    Followed from the last step to the first: `after` says what the later steps make of a byte of each character, `rest`
    of all others. A replacement shares what becomes of it among the characters of its pattern.
    """
    after: dict[str, float] = {}
    rest, added = 1.0, 0.0

    def made_of(text: Any) -> float:
        return sum(after.get(char, rest) * size(char) for char in text_of(text))

    for step in reversed(steps):
        kind = step["type"]
        if kind == "Prepend":
            added += made_of(step.get("prepend"))
        elif kind == "Replace":
            pattern = step["pattern"].get("String")
            share = made_of(step.get("content")) / (sum(map(size, pattern)) if pattern else 1)
            if pattern:
                after |= {char: max(after.get(char, rest), share) for char in pattern}
            else:  # an expression may match any character
                rest, after = max(rest, share), {char: max(most, share) for char, most in after.items()}
        elif kind not in REMOVING:  # it may turn any character into any other
            factor = longest_precompiled(step, place) if kind == "Precompiled" else own[kind]
            rest, after = factor * max([rest, *after.values()]), {}
    return max([rest, added, *after.values()])


def size(char: str) -> int:
    return len(char.encode("utf-8", "surrogatepass"))
