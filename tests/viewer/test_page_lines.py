"""The page's own arithmetic, asked for in a browser: marks, conditions, lengths, and integers beyond 2^53."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from lamina.viewer.app import create_app
from lamina.viewer.settings import Settings

from . import reviews


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("data")
    (folder / "train.csv").write_text("a\n1\n")
    with reviews.serving(create_app(folder, Settings(cache=folder / "c", hub_cache=folder / "h"))) as found:
        yield found


@pytest.fixture
def call(page: Any, address: str) -> Any:
    """Calls a function of a module of the page."""
    page.goto(f"{address}/?view=sql")

    def function(module: str, name: str, *arguments: Any) -> Any:
        script = "async ([module, name, given]) => (await import(`/static/${module}.js`))[name](...given)"
        return page.evaluate(script, [module, name, list(arguments)])

    return function


def test_marks(call: Any):
    assert call("marking", "termsOf", "Crème  brûlée's the THE") == ["creme", "brulee", "s", "the"]
    assert call("marking", "hits", "The other: the end", ["the"]) == [[0, 3], [11, 14]]
    assert call("marking", "hits", "otherwise", ["the"]) == []
    assert call("marking", "hits", "He filmed two films, filmy", ["film"]) == [[3, 9], [14, 19], [21, 26]]
    assert call("marking", "hits", "running, runs; runner", ["running"]) == [[0, 7], [15, 21]]
    assert call("marking", "hits", "🎬 naïve 🎬", ["naive"]) == [[3, 8]]
    assert call("marking", "hits", "재미있는 영화는", ["영화"]) == [[5, 7]]
    assert call("marking", "hits", "a+b (c)", ["a", "b", "c"]) == [[0, 1], [2, 3], [5, 6]]


def test_conditions_read_well(call: Any):
    features = [{"name": "label", "type": {"_type": "ClassLabel", "names": ["bad", "good"]}}]
    cases = {
        '"label"=1': "label = good",
        '"n">=3 and "n"<=5.5': "n 3 – 5.5",
        '"text".length()>=3 and "text".length()<9': "length of text 3 – 9",
        '"n" is not null': "n is not null",
        "\"a\"\"b\"<>'it''s'": "a\"b ≠ it's",
        '"a"=1 or "b"=2': '"a"=1 or "b"=2',
    }
    for clause, wanted in cases.items():
        assert call("clauses", "readable", clause, features) == wanted


def test_conditions_are_quoted(call: Any):
    assert call("clauses", "compose", 'a"b', "text", "=", "it's") == "\"a\"\"b\"='it''s'"
    assert call("clauses", "compose", "n", "number", ">=", " 1e3 ") == '"n">=1e3'
    for kind, operator, value in (("number", "=", "1; DROP"), ("number", "=", ""), ("text", "contains", "50%")):
        with pytest.raises(Exception, match=r"number|pattern"):
            call("clauses", "compose", "n", kind, operator, value)


def test_lengths(call: Any):
    counts = [[1, 10], [2, 80], [3, 5], [100, 4], [5000, 1]]
    assert call("lengths", "quantile", counts, 0.5) == 2
    assert call("lengths", "quantile", counts, 1) == 5000
    assert call("lengths", "fitting", counts, 3) == 95
    found = call("lengths", "bins", counts)
    assert sum(found["bars"]) + found["beyond"] == 100
    assert found["longest"] == 5000
    assert call("lengths", "bins", [[0, 3]])["bars"][0] == 3


def test_large_integers_stay_exact(call: Any, page: Any):
    text = '{"a": 9007199254740993, "b": [-9223372036854775808, 1.5, 12345678901234567890123], "c": "9007199254740993"}'
    script = """async (text) => {
        const [{ parse }, { jsonText }] = [await import("/static/api.js"), await import("/static/values.js")];
        return jsonText(parse(text));
    }"""
    assert page.evaluate(script, text) == text.replace(" ", "")


def test_numbers_in_words(call: Any):
    assert [call("format", "percent", share) for share in (0, 0.0001, 0.05, 0.5, 0.9999, 1)] == [
        "0%",
        "<0.1%",
        "5.0%",
        "50%",
        ">99.9%",
        "100%",
    ]
    assert call("format", "bytes", 1_234_567) == "1.2 MB"
    assert (
        call("format", "typeName", {"feature": {"dtype": "string", "_type": "Value"}, "_type": "List"})
        == "list<string>"
    )
