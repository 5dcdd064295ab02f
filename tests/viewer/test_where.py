"""The filter parser: what it accepts means what DuckDB takes it to mean, and nothing else gets through."""

from __future__ import annotations

from functools import cache
from time import thread_time
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lamina.viewer.errors import InvalidParameter
from lamina.viewer.where import parse_orderby, parse_where

TABLE = """CREATE TABLE data AS SELECT * FROM (VALUES
    (1, 'alpha', 0.5, true, DATE '2020-01-01', ['a', 'b'], {'name': 'x', 'deep': {'n': 1}}, 0, 'q'),
    (2, 'BETA', -1.25, false, DATE '2021-06-01', [], {'name': 'y', 'deep': {'n': 2}}, 1, 'r'),
    (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    (40, 'it''s 100%', 1e300, true, DATE '1999-12-31', ['c'], {'name': NULL, 'deep': {'n': NULL}}, 1, ''),
    (-5, '한국어 alphabet', 'nan'::DOUBLE, false, DATE '2020-01-01', ['a'], {'name': 'x', 'deep': {'n': 5}}, -1, 'é')
) t(id, text, score, flag, day, tags, who, label, "odd ""name; DROP")"""
FEATURES = {"label": {"names": ["neg", "pos"], "_type": "ClassLabel"}}


@cache
def made() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute(TABLE)
    return connection


@pytest.fixture
def connection() -> duckdb.DuckDBPyConnection:
    return made()


@pytest.fixture
def types(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    return {name: kind for name, kind, *_ in connection.execute("DESCRIBE data").fetchall()}


def ours(connection: duckdb.DuckDBPyConnection, types: dict[str, str], text: str) -> list[int]:
    condition = parse_where(text, types, {})
    sql = f"SELECT id FROM data WHERE {condition.sql} ORDER BY id"
    return [row[0] for row in connection.execute(sql, list(condition.values)).fetchall()]


def theirs(connection: duckdb.DuckDBPyConnection, text: str) -> list[int]:
    return [row[0] for row in connection.execute(f"SELECT id FROM data WHERE {text} ORDER BY id").fetchall()]


@pytest.mark.parametrize(
    "text",
    [
        '"id" = 1',
        "id<>1 and id != 2 AND NOT id == 3",
        "\"text\" = 'it''s 100%'",
        "\"text\" like '%alpha%' or \"text\" ilike 'be_a'",
        "text not like '%a%'",
        "text glob '*a' or text GLOB 'B?TA'",
        "text similar to '[a-z]+'",
        "text is null",
        "text is not null and flag is true",
        "flag or not flag",
        "not (id > 1 and id < 40)",
        "id in (1, 2, -5) and id not in (2)",
        "id between 1 and 3",
        "id not between 1 and 3",
        "score >= .5 and score < 1e10",
        "score = 0.5",
        "score > -1.5",
        "day >= '2020-01-01'",
        "day < DATE '2020-06-01'",
        '"who"."name" = \'x\'',
        '"who"."deep"."n" >= 2',
        '"text".length() >= 5',
        '"tags".len() = 2',
        "length(lower(text)) = 5",
        "year(day) = 2020",
        "list_contains(tags, 'a')",
        '"odd ""name; DROP" = \'q\'',
        "contains(text, '''s')",
        "regexp_matches(text, '^[a-z]+$')",
        "id = '2'",
        "text > 'b'",
        "coalesce(text, 'none') = 'none'",
        "((((id = 1))))",
        "1 = 1",
        "id = id",
        "null is null",
    ],
)
def test_what_is_accepted_means_the_same(connection: duckdb.DuckDBPyConnection, types: dict[str, str], text: str):
    assert ours(connection, types, text) == theirs(connection, text)


NUMBERS = st.one_of(st.integers(-(10**20), 10**20).map(str), st.decimals(-99, 99, places=3).map(str), st.just("1e3"))
TEXTS = st.text("abetlph%_'é한 ", max_size=6).map(lambda text: "'" + text.replace("'", "''") + "'")
SIGNS = st.sampled_from(["=", "<>", "!=", "<", "<=", ">", ">="])
LIKES = st.sampled_from(["like", "not like", "ilike", "NOT ILIKE"])
ATOMS = st.one_of(
    st.tuples(st.sampled_from(['"id"', "score", "label"]), SIGNS, NUMBERS).map(" ".join),
    st.tuples(st.sampled_from(['"text"', '"odd ""name; DROP"', '"who"."name"']), SIGNS, TEXTS).map(" ".join),
    st.tuples(st.just("text"), LIKES, TEXTS).map(" ".join),
    st.tuples(st.just("text"), st.just("glob"), TEXTS).map(" ".join),
    st.tuples(NUMBERS, NUMBERS).map(lambda pair: f"id between {pair[0]} and {pair[1]}"),
    st.lists(NUMBERS, min_size=1, max_size=3).map(lambda given: f"id in ({', '.join(given)})"),
    st.sampled_from(["text is null", "flag", "flag is not false", '"text".length() > 4', "who is not null"]),
)
FILTERS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["and", "OR"]), inner).map(" ".join),
        inner.map(lambda text: f"({text})"),
        inner.map(lambda text: f"not {text}"),
    ),
    max_leaves=8,
)


@settings(max_examples=300)
@given(FILTERS)
def test_any_filter_means_what_duckdb_takes_it_to_mean(text: str):
    types = {name: kind for name, kind, *_ in made().execute("DESCRIBE data").fetchall()}
    try:
        expected = theirs(made(), text)
    except duckdb.Error:
        return
    assert ours(made(), types, text) == expected


@settings(max_examples=300)
@given(st.text("'\"();-/*idtext=<>.,? \n\\0andr", max_size=40))
def test_any_text_is_a_filter_or_a_clear_error(text: str):
    types = {"id": "INTEGER", "text": "VARCHAR", "and": "INTEGER"}
    try:
        condition = parse_where(text, types, {})
    except InvalidParameter as error:
        assert "Parameter 'where' is invalid" in str(error)
        return
    bare = condition.sql.replace('"id"', "").replace('"text"', "").replace('"and"', "")
    assert ";" not in bare and "'" not in bare and "--" not in bare and bare.count("?") == len(condition.values)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected a column or a value, at character 1, before the end"),
        ("id", "expected an operator"),
        ("id =", "before the end"),
        ("id = 'open", "not closed with '"),
        ('"id = 1', 'not closed with "'),
        ("other = 1", "no column 'other', but: id, text"),
        ("id = 1; DROP TABLE data", "';' is not expected at character 7"),
        ("id = 1 -- comment", "expected the end"),
        ("id = 1 /* x */", "'/' is not expected"),
        ("id = (SELECT 1)", "expected a column or a value"),
        ("id in (SELECT id FROM data)", "no column 'SELECT'"),
        ("read_csv('/etc/passwd') = 1", "function 'read_csv' cannot be used"),
        ("getenv('HOME') = 'x'", "cannot be used"),
        ("pg_sleep(1) = 1", "cannot be used"),
        ("id = 1 union select 1", "expected the end"),
        ("text like", "expected a column or a value"),
        ("id between 1", "expected AND"),
        ("id is 5", "expected null, true or false"),
        ("id in ()", "expected a column or a value"),
        ("(id = 1", "expected ')'"),
        ("id = ?", "'?' is not expected"),
        ("id = $1", "'$' is not expected"),
        ("id = 1\0", "null character"),
        ("(" * 60 + "id = 1" + ")" * 60, "nested too deeply"),
        ("not " * 60 + "flag", "nested too deeply"),
        ("x" * 30_000, "longer than"),
        ("id = " + "9" * 50, "too many digits"),
    ],
)
def test_what_is_refused_says_why_and_where(types: dict[str, str], text: str, said: str):
    with pytest.raises(InvalidParameter) as refused:
        parse_where(text, types, {})
    assert said in str(refused.value)


def test_names_of_classes(types: dict[str, str]):
    assert parse_where("label = 'pos'", types, FEATURES).values == (1,)
    assert parse_where("label in ('neg', 1)", types, FEATURES).values == (0, 1)
    assert parse_where("'pos' = label", types, FEATURES).values == (1,)
    with pytest.raises(InvalidParameter, match="no class 'good', but: neg, pos"):
        parse_where("label = 'good'", types, FEATURES)


@pytest.mark.parametrize(
    "hostile", ['"a".f(' + "1" * 5000 + "x", "'" * 19_999, '"' * 19_999, "(" * 19_999, "id." * 6_000]
)
def test_time_is_linear(types: dict[str, str], hostile: str):
    start = thread_time()
    with pytest.raises(InvalidParameter):
        parse_where(hostile, types, {})
    assert thread_time() - start < 1


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ('"id"', ['"id" ASC NULLS LAST']),
        ('"id" desc, text', ['"id" DESC NULLS LAST', '"text" ASC NULLS LAST']),
        ('"who"."name" ASC nulls first', ["struct_extract(\"who\", 'name') ASC NULLS FIRST"]),
    ],
)
def test_orders(types: dict[str, str], text: str, keys: list[str]):
    assert [each.sql for each in parse_orderby(text, types, {})] == keys


@pytest.mark.parametrize("text", ["", "1", "id; drop", "id desc asc", "other", "id,", "id nulls", "length('x')"])
def test_orders_that_are_refused(types: dict[str, Any], text: str):
    with pytest.raises(InvalidParameter, match="orderby"):
        parse_orderby(text, types, {})
