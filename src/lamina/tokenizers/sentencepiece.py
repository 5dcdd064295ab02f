"""SentencePiece models: the few fields of their protobuf that matter here, and cutting text as that library does."""

from __future__ import annotations

import re
import struct
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from tokenizers import models

from lamina.errors import TokenizerError
from lamina.files.paths import read_bytes
from lamina.tokenizers.files import MAX_FILE_BYTES, MAX_VOCAB, backend_errors

SPACE = "▁"
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
UNIGRAM, BPE = 1, 2

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
MAX_PIECE_BYTES = 1000
MAX_RULE_BYTES = 64
MAX_REPLACEMENT_BYTES = 64  # published maps: 33
MAX_REPLACEMENTS = 500_000
MAX_SPECS = 16  # messages of settings; a later one overrides
MAX_CUTS = 2**30  # characters that are looked at to find the merges of BPE: published models have some 2**26
MAX_SPEC_FIELDS = 100_000  # user-defined symbols among them


@dataclass(frozen=True, slots=True)
class Piece:
    """One entry of the vocabulary; its id is its place in the list."""

    text: str
    score: float
    kind: int


@dataclass
class SentencePieceModel:
    """What a `.model` or `.spm` file says: pieces, the kind of algorithm, and how text is normalized before."""

    pieces: list[Piece] = field(default_factory=list)
    algorithm: int = UNIGRAM
    unk_id: int = 0
    charsmap: bytes = b""
    add_dummy_prefix: bool = True
    remove_extra_whitespaces: bool = True
    escape_whitespaces: bool = True


def read_sentencepiece(path: Path) -> SentencePieceModel:
    """Parse a SentencePiece file, refusing anything that does not add up.

    Format: github.com/google/sentencepiece, sentencepiece_model.proto (1 pieces, 2 trainer_spec, 3 normalizer_spec).
    """
    model = SentencePieceModel()
    data = read_bytes(path, MAX_FILE_BYTES, TokenizerError)
    try:
        numbers = Counter(number for number, _, _ in spans(data, MAX_VOCAB + 100))
        if not 0 < numbers[1] <= MAX_VOCAB or numbers[2] + numbers[3] > MAX_SPECS:
            raise ValueError(f"it holds {numbers[1] or 'no'} pieces and {numbers[2] + numbers[3]} specifications")
        for number, value in fields(data, MAX_VOCAB + 100):
            if number == 1 and isinstance(value, bytes):
                model.pieces.append(parse_piece(value))
            elif number == 2 and isinstance(value, bytes):
                trainer = pick(value, (3, 40))
                model.algorithm = integer(trainer.get(3, UNIGRAM))
                model.unk_id = integer(trainer.get(40, 0))
            elif number == 3 and isinstance(value, bytes):
                read_normalizer(model, pick(value, (2, 3, 4, 5)))
    except (ValueError, struct.error) as error:
        raise TokenizerError(f"{path} is not a SentencePiece model: {error}.") from error
    if not 0 <= model.unk_id < len(model.pieces):
        raise TokenizerError(f"{path}: its unknown piece {model.unk_id} is not one of the {len(model.pieces)} pieces.")
    return model


def read_normalizer(model: SentencePieceModel, spec: dict[int, int | bytes]) -> None:
    charsmap = spec.get(2, b"")
    if not isinstance(charsmap, bytes):
        raise ValueError("its character map is not a byte string")
    model.charsmap = charsmap
    model.add_dummy_prefix = bool(integer(spec.get(3, 1)))
    model.remove_extra_whitespaces = bool(integer(spec.get(4, 1)))
    model.escape_whitespaces = bool(integer(spec.get(5, 1)))


def parse_piece(data: bytes) -> Piece:
    if len(data) > 2 * MAX_PIECE_BYTES:
        raise ValueError(f"a piece of {len(data)} bytes")
    size = data[1] if len(data) > 7 else 0
    if data[:1] == b"\x0a" and 0 < size < 128 and len(data) == size + 7 and data[size + 2] == 0x15:
        values: dict[int, int | bytes] = {1: data[2 : size + 2], 2: data[size + 3 :]}  # nearly all are so, read at once
    else:
        values = pick(data, (1, 2, 3))
    text, score = values.get(1, b""), values.get(2, b"\0\0\0\0")
    if not isinstance(text, bytes) or not isinstance(score, bytes):
        raise ValueError("a piece has no text or score")
    if not 0 < len(text) <= MAX_PIECE_BYTES:
        raise ValueError(f"a piece of {len(text)} bytes")
    number = struct.unpack("<f", score)[0]
    if not abs(number) < 1e30:
        raise ValueError(f"the score of a piece is {number}")
    return Piece(text.decode("utf-8"), number, integer(values.get(3, NORMAL)))


def integer(value: int | bytes) -> int:
    if isinstance(value, bytes):
        raise ValueError("a number is stored as text")
    return value


def pick(data: bytes, wanted: tuple[int, ...]) -> dict[int, int | bytes]:
    return {number: value for number, value in fields(data, MAX_SPEC_FIELDS) if number in wanted}


def fields(data: bytes, most: int) -> Iterator[tuple[int, int | bytes]]:
    """Every field of a protobuf message: its number and an integer or raw bytes."""
    for number, start, value in spans(data, most):
        yield number, value if start is None else data[start:value]


def spans(data: bytes, most: int) -> Iterator[tuple[int, int | None, int]]:
    """Every field, at most so many: its number, and where its bytes start and end, or None and a value."""
    position = count = 0
    while position < len(data):
        count += 1
        if count > most:
            raise ValueError(f"it holds more than {most} fields")
        key = data[position]
        if key < 128:
            position += 1
        else:
            key, position = varint(data, position)
        kind = key & 7
        if kind == VARINT:
            value, position = varint(data, position)
            yield key >> 3, None, value
            continue
        if kind == BYTES:
            size, position = varint(data, position)
        elif kind in (FIXED32, FIXED64):
            size = 4 if kind == FIXED32 else 8
        else:
            raise ValueError(f"unknown field type {kind} at byte {position}")
        if position + size > len(data):
            raise ValueError(f"it ends in the middle of a field at byte {position}")
        yield key >> 3, position, position + size
        position += size


def varint(data: bytes, position: int) -> tuple[int, int]:
    """A number of seven bits a byte, and where it ends."""
    value = shift = 0
    while position < len(data) and shift < 64:
        byte = data[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
        shift += 7
    raise ValueError(f"it ends in the middle of a number at byte {position}")


def merges_of(model: SentencePieceModel, scores: dict[str, float]) -> list[tuple[str, str]]:
    """The pairs of pieces that BPE merges, those of the likeliest piece first, in the order of the reference."""
    ids = {piece.text: index for index, piece in enumerate(model.pieces)}
    if sum(len(text) ** 2 for text in scores) > MAX_CUTS:
        raise TokenizerError(f"Its BPE pieces are too long to be cut in two everywhere: {len(scores)} of them.")
    found = []
    for text, score in scores.items():
        cuts = ((text[:place], text[place:]) for place in range(1, len(text)))
        pairs = [(left, right) for left, right in cuts if left in ids and right in ids]
        found += [(pair, score) for pair in sorted(pairs, key=lambda pair: (ids[pair[0]], ids[pair[1]]))]
    found.sort(key=lambda item: (item[1], len(item[0][0]), len(item[0][1])), reverse=True)
    return [pair for pair, _ in found]


class PieceCutter:
    """One SentencePiece file: cuts text into the pieces that the library of that name does."""

    def __init__(self, path: Path) -> None:
        self.model = model = read_sentencepiece(path)
        self.map = CharacterMap(model.charsmap)
        self.known = {piece.text for piece in model.pieces if piece.kind in (NORMAL, USER_DEFINED)}
        with backend_errors(f"Building the model of {path}"):
            self.cutter = self._unigram() if model.algorithm == UNIGRAM else self._bpe(path)

    def _unigram(self) -> models.Model:
        pieces = self.model.pieces
        best = max((p.score for p in pieces if p.kind == NORMAL), default=0.0)
        scores = []
        for index, piece in enumerate(pieces):
            if piece.kind == NORMAL:
                scores.append((piece.text, piece.score))
            elif piece.kind == USER_DEFINED:
                scores.append((piece.text, len(piece.text) * best - 0.1))
            else:  # pieces that text is never cut into: normalized text holds no two spaces
                scores.append((f"  {index}", best))
        return models.Unigram(scores, unk_id=self.model.unk_id, byte_fallback=False)

    def _bpe(self, path: Path) -> models.Model:
        model = self.model
        odd = sorted({piece.kind for piece in model.pieces} - {NORMAL, UNKNOWN, CONTROL, UNUSED})
        if model.algorithm != BPE or odd:
            what = f"algorithm {model.algorithm}" + (f" and pieces of kind {odd[0]}" if odd else "")
            raise TokenizerError(f"{path} has {what}: only Unigram (1), and BPE (2) of plain pieces, are known here.")
        merges = merges_of(model, {piece.text: piece.score for piece in model.pieces if piece.kind == NORMAL})
        vocab = {piece.text: index for index, piece in enumerate(model.pieces)}
        return models.BPE(vocab, merges, unk_token=model.pieces[model.unk_id].text, fuse_unk=True)

    def cut(self, text: str) -> list[str]:
        """The pieces of a text; what the file does not know stays as it is."""
        text = self.map.apply(text)
        if self.model.remove_extra_whitespaces:
            text = re.sub(" {2,}", " ", text.strip(" "))
        if not text:
            return []
        if self.model.add_dummy_prefix:
            text = " " + text
        if self.model.escape_whitespaces:
            text = text.replace(" ", SPACE)
        data = text.encode("utf-8")
        return [data[slice(*token.offsets)].decode("utf-8") for token in self.cutter.tokenize(text)]


class CharacterMap:
    """A compiled map: a double-array trie of the byte strings to replace, and the strings that replace them.

    Layout: the trie's size in bytes (uint32), its units (uint32 each, as the Darts-clone library lays them out), then
    the replacements, each ended by a zero byte. An empty map changes nothing.
    """

    def __init__(self, data: bytes) -> None:
        self.units = array("I")
        self.replacements = b""
        if not data:
            return
        if len(data) < 4 or self.units.itemsize != 4:
            raise TokenizerError("The character map of the SentencePiece file is cut short.")
        size = struct.unpack_from("<I", data)[0]
        if size % 4 or size == 0 or size > len(data) - 4:
            raise TokenizerError(f"The character map of the SentencePiece file says its trie has {size} bytes.")
        self.units.frombytes(data[4 : 4 + size])
        self.replacements = data[4 + size :]
        longest_replacement(self.replacements, "The character map of the SentencePiece file")

    def longest(self, text: bytes, start: int = 0) -> tuple[int, str] | None:
        """How many bytes the longest rule covers at a place, and what replaces them."""
        units = self.units
        node = offset(units[0])
        found = None
        for position in range(start, min(len(text), start + MAX_RULE_BYTES)):
            node ^= text[position]
            if node >= len(units):
                break
            unit = units[node]
            if unit & 0x800000FF != text[position]:
                break
            node ^= offset(unit)
            if unit >> 8 & 1 and node < len(units):
                found = (position + 1 - start, units[node] & 0x7FFFFFFF)
        return None if found is None else (found[0], self.replacement(found[1]))

    def replacement(self, place: int) -> str:
        stop = self.replacements.find(b"\0", place)
        if place >= len(self.replacements) or stop < 0:
            raise TokenizerError("The character map of the SentencePiece file points outside its replacements.")
        return self.replacements[place:stop].decode("utf-8", errors="replace")

    @cached_property
    def plain(self) -> re.Pattern[str]:
        """Runs of ASCII that no rule touches, up to the letter before an accent."""
        kept = [chr(byte) for byte in range(128) if not self.touches(bytes([byte]))]
        return re.compile("[" + "".join(map(re.escape, kept)) + "]+(?![^\0-\x7f])") if kept else re.compile("(?!)")

    def touches(self, char: bytes) -> bool:
        """Whether a rule is this ASCII character, or begins with it and another one."""
        node = offset(self.units[0]) ^ char[0]
        if node >= len(self.units) or self.units[node] & 0x800000FF != char[0]:
            return False
        if self.longest(char) is not None:
            return True
        return any(self.longest(char + bytes([second])) is not None for second in range(128))

    def apply(self, text: str) -> str:
        if not self.units:
            return text
        out = []
        position = 0
        while position < len(text):
            run = self.plain.match(text, position)
            if run:
                out.append(run.group())
                position = run.end()
                continue
            window = text[position : position + MAX_RULE_BYTES].encode("utf-8")
            found = self.longest(window)
            if found is None:
                out.append(text[position])
                position += 1
            else:
                position += len(window[: found[0]].decode("utf-8", errors="ignore"))
                out.append(found[1])
        return "".join(out)


def longest_replacement(table: bytes, where: object) -> int:
    """The bytes of the longest of a map's replacements; refused where a character would become a long text."""
    if table.count(b"\0") > MAX_REPLACEMENTS:
        raise TokenizerError(f"{where} has more than {MAX_REPLACEMENTS} replacements.")
    longest = max(map(len, table.split(b"\0")))
    if longest > MAX_REPLACEMENT_BYTES:
        raise TokenizerError(f"{where} has a replacement of {longest} bytes, more than {MAX_REPLACEMENT_BYTES}.")
    return longest


def offset(unit: int) -> int:
    """Where a unit's children lie, relative to it."""
    return (unit >> 10) << ((unit & 0x200) >> 6)
