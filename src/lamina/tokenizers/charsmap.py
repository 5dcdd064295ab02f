"""SentencePiece's own normalization, exactly: the longest rule at every place, from the compiled map of its files.

The Rust library's Precompiled applies the same map grapheme by grapheme, which differs on rare combinations of accents.
Fast tokenizers of the reference use that one; its Marian uses SentencePiece itself, and so this.
"""

from __future__ import annotations

import re
import struct
from array import array
from functools import cached_property

from lamina.errors import TokenizerError

MAX_RULE_BYTES = 64
MAX_REPLACEMENT_BYTES = 64  # published maps: 33
MAX_REPLACEMENTS = 500_000


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
        """The replacement at this place of the table."""
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
        """The text with every rule applied from left to right."""
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
