"""Filters and orders of the official API, parsed: what goes to DuckDB is built here, and values are bound."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from .dataset import Features
from .duck import identifier, literal
from .features import class_names
from .lexing import Word, Words, words_in

DEEPEST = 40  # parentheses in parentheses
COMPARISONS = {"=": "=", "==": "=", "<>": "<>", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
PATTERNS = {"like": "LIKE", "ilike": "ILIKE", "glob": "GLOB", "similar": "SIMILAR TO"}
TYPED = ("date", "timestamp", "time", "timestamptz")
FUNCTIONS = words_in(
    "abs ceil floor round isfinite isinf isnan coalesce year month day hour minute second len length strlen "
    "array_length list_contains contains starts_with ends_with prefix suffix left right substring lower upper trim "
    "ltrim rtrim strip_accents regexp_matches"
)
RESERVED = words_in("and or not is in like ilike glob similar between null true false asc desc nulls")


@dataclass(frozen=True)
class Condition:
    """A filter as SQL with question marks, and the values bound to them."""

    sql: str
    values: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Order:
    sql: str


@dataclass(frozen=True)
class Operand:
    sql: str
    values: tuple[Any, ...] = ()
    column: str | None = None  # where it is a column alone
    text: str | None = None  # where it is a text alone


def parse_where(text: str, types: Mapping[str, str], features: Features) -> Condition:
    """A filter over columns of these types. Raises InvalidParameter that says what was expected, and where."""
    parser = Parser(text, "where", types, features)
    sql = parser.any_of(0)
    parser.expect_end()
    return Condition(sql, tuple(parser.values))


def parse_orderby(text: str, types: Mapping[str, str], features: Features) -> list[Order]:
    """Columns to sort by, each with `asc` or `desc`. Raises InvalidParameter."""
    parser = Parser(text, "orderby", types, features)
    found = [parser.order()]
    while parser.take_mark(","):
        found.append(parser.order())
    parser.expect_end()
    return found


class Parser(Words):
    """Recursive descent, one look ahead: linear in the length of the text."""

    def __init__(self, text: str, parameter: str, types: Mapping[str, str], features: Features) -> None:
        super().__init__(text, parameter)
        self._types = types
        self._folded = {name.casefold(): name for name in types}
        self._features = features
        self.values: list[Any] = []

    def any_of(self, depth: int) -> str:
        parts = [self.all_of(depth)]
        while self.take_word("or"):
            parts.append(self.all_of(depth))
        return parts[0] if len(parts) == 1 else "(" + " OR ".join(parts) + ")"

    def all_of(self, depth: int) -> str:
        parts = [self.negation(depth)]
        while self.take_word("and"):
            parts.append(self.negation(depth))
        return parts[0] if len(parts) == 1 else "(" + " AND ".join(parts) + ")"

    def negation(self, depth: int) -> str:
        """NOT, a group, or a comparison."""
        if depth > DEEPEST:
            raise self.error("it is nested too deeply")
        if self.take_word("not"):
            return f"(NOT {self.negation(depth + 1)})"
        if self.take_mark("("):
            inner = self.any_of(depth + 1)
            self.expect_mark(")")
            return inner
        return self.comparison()

    def comparison(self) -> str:
        """One operand alone, or two with an operator between."""
        left = self.operand(0)
        word = self.word
        if word.kind == "mark" and word.text in COMPARISONS:
            self.advance()
            right = self.operand(0)
            return self.joined(left, COMPARISONS[word.text], right)
        if self.take_word("is"):
            return self.test(left)
        negated = "NOT " if self.take_word("not") else ""
        word = self.word
        if self.take_word(*PATTERNS):
            return self.pattern(left, negated, word.text.lower())
        if self.take_word("in"):
            return self.membership(left, negated)
        if self.take_word("between"):
            return self.between(left, negated)
        if negated or not self._true_or_false(left):
            raise self.error("expected an operator, such as = or like")
        self.values += left.values
        return left.sql

    def _true_or_false(self, operand: Operand) -> bool:
        """Whether an operand may stand alone: a boolean column, or a function's answer."""
        return operand.text is None and (operand.column is None or self._types[operand.column] == "BOOLEAN")

    def joined(self, left: Operand, operator: str, right: Operand) -> str:
        """A comparison; the name of a class stands for its number."""
        left, right = self.numbered(left, right), self.numbered(right, left)
        self.values += [*left.values, *right.values]
        return f"({left.sql} {operator} {right.sql})"

    def numbered(self, operand: Operand, other: Operand) -> Operand:
        """A text beside a ClassLabel column as the number of the class."""
        names = class_names(self._features.get(other.column)) if other.column is not None else None
        if names is None or operand.text is None:
            return operand
        if operand.text in names:
            return Operand("?", (names.index(operand.text),))
        if operand.text.lstrip("-").isdecimal():
            return operand
        raise self.error(f"{other.column!r} has no class {operand.text!r}, but: {', '.join(names[:20])}")

    def test(self, left: Operand) -> str:
        """IS [NOT] NULL | TRUE | FALSE."""
        negated = "NOT " if self.take_word("not") else ""
        word = self.word
        if not self.take_word("null", "true", "false"):
            raise self.error("expected null, true or false")
        self.values += left.values
        return f"({left.sql} IS {negated}{word.text.upper()})"

    def pattern(self, left: Operand, negated: str, kind: str) -> str:
        if kind == "similar" and not self.take_word("to"):
            raise self.error("expected TO after SIMILAR")
        if kind == "glob" and negated:
            raise self.error("write not (... glob ...)")
        right = self.operand(0)
        self.values += [*left.values, *right.values]
        return f"({left.sql} {negated}{PATTERNS[kind]} {right.sql})"

    def membership(self, left: Operand, negated: str) -> str:
        self.expect_mark("(")
        listed = [self.numbered(self.operand(0), left)]
        while self.take_mark(","):
            listed.append(self.numbered(self.operand(0), left))
        self.expect_mark(")")
        self.values += [*left.values, *(value for each in listed for value in each.values)]
        return f"({left.sql} {negated}IN ({', '.join(each.sql for each in listed)}))"

    def between(self, left: Operand, negated: str) -> str:
        low = self.operand(0)
        if not self.take_word("and"):
            raise self.error("expected AND")
        high = self.operand(0)
        self.values += [*left.values, *low.values, *high.values]
        return f"({left.sql} {negated}BETWEEN {low.sql} AND {high.sql})"

    def operand(self, depth: int) -> Operand:
        """A value, a column, or a function of such; functions of a column may follow it with dots."""
        if depth > DEEPEST:
            raise self.error("it is nested too deeply")
        word = self.word
        if word.kind == "string":
            self.advance()
            return Operand("?", (word.text,), text=word.text)
        if word.kind == "number" or (word.kind == "mark" and word.text == "-"):
            return self.number()
        if self.take_word("null", "true", "false"):
            return Operand(word.text.upper())
        if word.is_word(*TYPED) and self.next.kind == "string":
            self.advance()
            text = self.word.text
            self.advance()
            return Operand(f"CAST(? AS {word.text.upper()})", (text,))
        if word.kind == "word" and self.next.kind == "mark" and self.next.text == "(":
            self.advance()
            return self.dotted(self.call(word, [], depth), depth)
        return self.dotted(self.column(), depth)

    def number(self) -> Operand:
        """A number with its sign, of the type that DuckDB gives it."""
        sign = "-" if self.take_mark("-") else ""
        word = self.word
        if word.kind != "number":
            raise self.error("expected a number")
        self.advance()
        text = sign + word.text
        if "e" in text.lower():
            return Operand("?", (float(text),))
        if "." in text:
            digits = len(text.strip("-.").replace(".", ""))
            return Operand("?", (Decimal(text) if digits <= 38 else float(text),))
        if len(text) > 38:
            raise self.error(f"{text[:40]} has too many digits")
        return Operand("?", (int(text),))

    def column(self) -> Operand:
        """A column of the split, with the spelling it has there."""
        word = self.word
        if word.kind not in ("name", "word") or (word.kind == "word" and word.text.lower() in RESERVED):
            raise self.error("expected a column or a value")
        name = word.text if word.text in self._types else self._folded.get(word.text.casefold())
        if name is None:
            listed = ", ".join(list(self._types)[:20])
            raise self.error(f"there is no column {word.text!r}, but: {listed}")
        self.advance()
        return Operand(identifier(name), column=name)

    def dotted(self, operand: Operand, depth: int) -> Operand:
        """Fields of a struct and functions, one after the other."""
        while self.take_mark("."):
            word = self.word
            if word.kind not in ("name", "word"):
                raise self.error("expected a field or a function")
            self.advance()
            depth += 1
            if depth > DEEPEST:
                raise self.error("it is nested too deeply")
            if word.kind == "word" and self.word.kind == "mark" and self.word.text == "(":
                operand = self.call(word, [operand], depth)
            else:
                operand = Operand(f"struct_extract({operand.sql}, {literal(word.text)})", operand.values)
        return operand

    def call(self, word: Word, arguments: list[Operand], depth: int) -> Operand:
        """One of the functions that may be used; the opening parenthesis comes next."""
        name = word.text.lower()
        if name not in FUNCTIONS:
            raise self.error(f"function {word.text!r} cannot be used here, these can: {', '.join(sorted(FUNCTIONS))}")
        self.expect_mark("(")
        if not self.take_mark(")"):
            arguments = [*arguments, self.operand(depth + 1)]
            while self.take_mark(","):
                arguments.append(self.operand(depth + 1))
            self.expect_mark(")")
        values = tuple(value for each in arguments for value in each.values)
        return Operand(f"{name}({', '.join(each.sql for each in arguments)})", values)

    def order(self) -> Order:
        """A column or a field of it, ASC or DESC, NULLS FIRST or LAST."""
        operand = self.dotted(self.column(), 0)
        if operand.values:
            raise self.error("sort by columns, not by values")
        word = self.word
        direction = word.text.upper() if self.take_word("asc", "desc") else "ASC"
        nulls = "LAST"
        if self.take_word("nulls"):
            word = self.word
            if not self.take_word("first", "last"):
                raise self.error("expected FIRST or LAST")
            nulls = word.text.upper()
        return Order(f"{operand.sql} {direction} NULLS {nulls}")
