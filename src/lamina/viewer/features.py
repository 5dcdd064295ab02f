"""Features: the types of columns as the `datasets` library spells them, from Arrow schemas, metadata and cards."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .dataset import Features

if TYPE_CHECKING:
    import pyarrow as pa

PRECISE = {
    "halffloat": "float16",
    "float": "float32",
    "double": "float64",
    "date32[day]": "date32",
    "date64[ms]": "date64",
}
PLAIN = re.compile(
    r"null|bool|u?int(8|16|32|64)|float(16|32|64)|(large_)?(string|binary)|date(32|64)|time(32|64)\[(s|ms|us|ns)\]"
    r"|timestamp\[(s|ms|us|ns)(, tz=[^\]]+)?\]|duration\[(s|ms|us|ns)\]|decimal(128|256)\(\d+(, ?-?\d+)?\)"
    r"|(string|binary)_view"
)
DEEPEST = 8  # levels of nesting that a feature may have


def of_schema(schema: pa.Schema) -> Features:
    """Features of an Arrow schema: those in its metadata where the library wrote any, else by type."""
    declared = in_metadata(schema.metadata)
    return {field.name: declared.get(field.name) or of_type(field.type) for field in schema}


def in_metadata(metadata: Mapping[bytes, bytes] | None) -> Features:
    """What the `datasets` library left in the metadata of a Parquet or Arrow file; empty where it left nothing."""
    text = (metadata or {}).get(b"huggingface")
    if not text:
        return {}
    try:
        found = json.loads(text)["info"]["features"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}
    return {name: feature for name, feature in found.items() if is_feature(feature)} if isinstance(found, dict) else {}


def of_type(kind: pa.DataType) -> Any:
    """The feature of an Arrow type."""
    import pyarrow as pa

    if isinstance(kind, pa.BaseExtensionType):
        return {"_type": "Json"} if kind.extension_name == "arrow.json" else of_type(kind.storage_type)
    if pa.types.is_dictionary(kind):
        return of_type(kind.value_type)
    if pa.types.is_fixed_size_list(kind):
        return {"feature": of_type(kind.value_type), "length": kind.list_size, "_type": "List"}
    if pa.types.is_large_list(kind):
        return {"feature": of_type(kind.value_type), "_type": "LargeList"}
    if pa.types.is_list(kind) or pa.types.is_list_view(kind) or pa.types.is_large_list_view(kind):
        return {"feature": of_type(kind.value_type), "_type": "List"}
    if pa.types.is_map(kind):
        pair = {"key": of_type(kind.key_type), "value": of_type(kind.item_type)}
        return {"feature": pair, "_type": "List"}
    if pa.types.is_struct(kind):
        return {field.name: of_type(field.type) for field in kind}
    if pa.types.is_fixed_size_binary(kind):
        return {"dtype": "binary", "_type": "Value"}
    name = str(kind)
    return {"dtype": PRECISE.get(name, name), "_type": "Value"}


def listed(features: Features) -> list[dict[str, Any]]:
    """Features as the official API lists them."""
    return [{"feature_idx": place, "name": name, "type": kind} for place, (name, kind) in enumerate(features.items())]


def class_names(feature: Any) -> list[str] | None:
    """The names of a ClassLabel, None for any other feature."""
    if isinstance(feature, dict) and feature.get("_type") == "ClassLabel" and isinstance(feature.get("names"), list):
        return [str(name) for name in feature["names"]]
    return None


def dtype(feature: Any) -> str | None:
    """The dtype of a plain Value, None for any other feature."""
    if isinstance(feature, dict) and feature.get("_type") == "Value" and isinstance(feature.get("dtype"), str):
        return str(feature["dtype"])
    return None


def is_features(given: Any) -> bool:
    """Whether a JSON value maps column names to features."""
    return isinstance(given, dict) and bool(given) and all(is_feature(each) for each in given.values())


def is_feature(given: Any, depth: int = 0) -> bool:
    """Whether a JSON value is a feature, of a depth that can be shown."""
    if depth > DEEPEST:
        return False
    if isinstance(given, list):  # the library's older spelling of a list
        return len(given) == 1 and is_feature(given[0], depth + 1)
    if not isinstance(given, dict):
        return False
    kind = given.get("_type")
    if not isinstance(kind, str):
        return all(is_feature(each, depth + 1) for each in given.values())
    if kind == "Value":
        return isinstance(given.get("dtype"), str)
    if kind == "ClassLabel":
        names = given.get("names")
        return isinstance(names, list) and all(isinstance(name, str) for name in names)
    return "feature" not in given or is_feature(given["feature"], depth + 1)


def from_card(given: object) -> Features:
    """Features from the YAML of a card: a list of {name, dtype | list | struct ...}. Raises ValueError, TypeError."""
    if not isinstance(given, list):
        raise TypeError("features must be a list")
    found = {str(entry["name"]): _of_entry(_unnamed(entry), 0) for entry in given}
    if not is_features(found):
        raise ValueError("one of them is of no known kind")
    return found


def _unnamed(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key != "name"}


def _of_entry(entry: object, depth: int) -> Any:
    if depth > DEEPEST:
        raise ValueError("they are nested too deeply")
    if isinstance(entry, str):
        return _named(entry)
    if isinstance(entry, list):
        return {
            str(each["name"]): _of_entry({k: v for k, v in each.items() if k != "name"}, depth + 1) for each in entry
        }
    if not isinstance(entry, Mapping):
        raise TypeError(f"{entry!r} is not a feature")
    for word, kind in (("large_list", "LargeList"), ("list", "List"), ("sequence", "List")):
        if word in entry:
            inner = _of_entry(entry[word], depth + 1)
            if word == "sequence" and isinstance(entry[word], list):  # a sequence of structs is a struct of lists
                return {name: {"feature": each, "_type": kind} for name, each in inner.items()}
            return {"feature": inner, **({"length": entry["length"]} if "length" in entry else {}), "_type": kind}
    if "struct" in entry:
        return _of_entry(entry["struct"], depth + 1)
    if "class_label" in entry:
        return _label(entry["class_label"])
    return _of_entry(entry["dtype"], depth + 1)


def _named(name: str) -> dict[str, Any]:
    if PLAIN.fullmatch(name):
        return {"dtype": name, "_type": "Value"}
    if not re.fullmatch("[a-z0-9_]+", name):
        raise ValueError(f"{name!r} is not a dtype")
    return {"_type": "".join(word.capitalize() for word in name.split("_"))}


def _label(given: Any) -> dict[str, Any]:
    names = given["names"]
    if isinstance(names, Mapping):
        numbers = sorted(int(key) for key in names)
        if numbers != list(range(len(numbers))):
            raise ValueError("the numbers of a class_label's names have gaps")
        names = [names[key] for key in sorted(names, key=int)]
    return {"names": [str(name) for name in names], "_type": "ClassLabel"}
