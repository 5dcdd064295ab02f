"""What `lamina` offers: every name resolves, says what it is for, and is the one that users know."""

from __future__ import annotations

import inspect

import pytest

import lamina
from lamina.families import MODULES, family

NAMES = lamina.__all__
EXPECTED = {
    "AutoConfig",
    "AutoModel",
    "AutoModelForMaskedLM",
    "AutoModelForMultipleChoice",
    "AutoModelForNextSentencePrediction",
    "AutoModelForPreTraining",
    "AutoModelForQuestionAnswering",
    "AutoModelForSequenceClassification",
    "AutoModelForTokenClassification",
    "AutoTokenizer",
    "CrossEncoder",
    "LaminaError",
    "SentenceTransformer",
    "Tokenizer",
    "pipeline",
}


@pytest.mark.parametrize("name", NAMES)
def test_name_resolves_and_is_documented(name: str):
    found = getattr(lamina, name)
    if inspect.isclass(found) or inspect.isfunction(found):
        assert inspect.getdoc(found), f"lamina.{name} has no docstring"
        assert "__doc__" in vars(found) or inspect.isfunction(found)
        assert vars(found).get("__doc__") or inspect.isfunction(found), f"lamina.{name} only inherits its docstring"


def public_members(found: type) -> list[str]:
    """Methods and properties that a class of ours gives a public name, and does not merely override."""
    own = [name for name, member in vars(found).items() if inspect.isfunction(member) or isinstance(member, property)]
    above = [vars(parent) for parent in found.__mro__[1:]]
    return [name for name in own if not name.startswith("_") and not any(name in each for each in above)]


@pytest.mark.parametrize("name", [name for name in NAMES if inspect.isclass(getattr(lamina, name))])
def test_methods_of_public_classes_are_documented(name: str):
    for parent in getattr(lamina, name).__mro__:
        if parent.__module__.partition(".")[0] == "lamina":
            silent = [each for each in public_members(parent) if not getattr(parent, each).__doc__]
            assert not silent, f"{parent.__module__}.{parent.__name__} says nothing about {silent}"


def test_names_are_sorted_and_told_apart():
    assert sorted(set(NAMES)) == sorted(NAMES)
    assert dir(lamina) == sorted(NAMES)


def test_expected_names_are_there():
    assert set(NAMES) >= EXPECTED


@pytest.mark.parametrize("model_type", MODULES)
def test_every_class_of_a_family_is_public(model_type: str):
    heads = {task.architecture for task in family(model_type).tasks}
    assert heads <= set(NAMES)
    for head in heads:
        assert getattr(lamina, head).config_class.__name__ in NAMES


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="BortModel"):
        lamina.BortModel  # noqa: B018 (the access is the test)
    assert not hasattr(lamina, "_private")
