"""What the examples read their data with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from examples import debian, real_data
from examples.before_after import first_scores, told

CATALOG = """Package: libfoo1
Description-md5: 0123
Description-fr: bibliothèque foo
 Première ligne
 suivie d'une autre.
 .
 Second paragraphe.

Package: broken
Description-md5: 4567

Package: bar
Description-md5: 89ab
Description-fr: éditeur
"""


def test_descriptions_of_packages_are_read_from_the_catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(debian, "CACHE", tmp_path)
    (tmp_path / "fr.txt").write_text(CATALOG, encoding="utf-8")
    found = debian.descriptions("fr")
    assert set(found) == {"0123", "89ab"} and found["89ab"].long == ""
    assert found["0123"].synopsis == "bibliothèque foo"
    assert found["0123"].long == "Première ligne suivie d'une autre. Second paragraphe."


@pytest.mark.parametrize("name", ["foo", "libfoo1", "libfoo-dev", "python3-foo", "foo2-doc"])
def test_packages_of_one_family_are_in_one_part(name: str):
    assert debian.Description(name, "", "").tenth == debian.Description("foo", "", "").tenth


def test_the_first_scores_are_those_before_training(tmp_path: Path):
    log = tmp_path / "log.jsonl"
    log.write_text("".join(json.dumps(row) + "\n" for row in ({"loss": 1}, {"eval_loss": 3}, {"eval_loss": 2})))
    assert first_scores(log)["eval_loss"] == 3
    assert told([{"label": "fresh", "score": 0.5}]) == "fresh 0.50"
    assert (
        told([{"word": "Paris", "entity_group": "LOC", "score": 1.0}]) == "Paris LOC 1.00" and told([]) == "(nothing)"
    )


def test_real_data_is_whole():
    tweets, questions, choices = real_data.tagged_tweets(), real_data.questions(), real_data.choices()
    assert len(tweets) > 2300 and sum(len(row["tokens"]) for row in tweets) > 46_000
    assert all(len(row["tokens"]) == len(row["labels"]) for row in tweets)
    assert sum(bool(row["answers"]["text"]) for row in questions) >= 600 and len(questions) == 1000
    assert len(choices) > 1200 and {row["label"] for row in choices} == set(range(5))
    assert len(real_data.messages("fr")) > 500 and len(real_data.messages("ko")) > 500
    assert len(real_data.cases()) > 800
