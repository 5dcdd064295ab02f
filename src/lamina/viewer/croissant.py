"""Croissant: a data set described as JSON-LD, for search engines and the mlcroissant library."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .dataset import Dataset
from .engine import Table
from .features import class_names, dtype

CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataBiases": "cr:dataBiases",
    "dataCollection": "cr:dataCollection",
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "personalSensitiveInformation": "cr:personalSensitiveInformation",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
    "examples": {"@id": "cr:examples", "@type": "@json"},
}
MEDIA = {
    "parquet": "application/x-parquet",
    "csv": "text/csv",
    "json": "application/jsonlines",
    "text": "text/plain",
    "arrow": "application/vnd.apache.arrow.file",
}


def croissant_of(dataset: Dataset, tables: Sequence[Table], base: str) -> dict[str, Any]:
    """The description of every config whose columns are known; `base` is this server's address."""
    groups: dict[str, list[Table]] = {}
    for table in tables:
        groups.setdefault(table.split.config, []).append(table)
    names = {config: f"config-{place}" for place, config in enumerate(groups)}
    repository = {
        "@type": "cr:FileObject",
        "@id": "repo",
        "name": "repo",
        "description": "The folder that this server shows.",
        "contentUrl": base,
        "encodingFormat": "git+https",
        "sha256": dataset.revision,
    }
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": dataset.name,
        "description": f"{dataset.name}: {len(groups)} subsets, {sum(table.num_rows for table in tables):,} rows",
        "url": base,
        **({"license": str(dataset.info["license"])} if dataset.info.get("license") else {}),
        "distribution": [repository, *(_files(names[config], group) for config, group in groups.items())],
        "recordSet": [_records(config, names[config], group) for config, group in groups.items()],
    }


def _files(name: str, group: Sequence[Table]) -> dict[str, Any]:
    return {
        "@type": "cr:FileSet",
        "@id": name,
        "containedIn": {"@id": "repo"},
        "encodingFormat": MEDIA[group[0].split.format],
        "includes": [file.name for table in group for file in table.split.files],
    }


def _records(config: str, files: str, group: Sequence[Table]) -> dict[str, Any]:
    fields = [_field(files, config, name, kind) for name, kind in group[0].features.items()]
    return {
        "@type": "cr:RecordSet",
        "@id": config,
        "description": f"{config}: splits {', '.join(table.split.name for table in group)}",
        "field": [field for field in fields if field is not None],
    }


def _field(files: str, config: str, column: str, feature: Any) -> dict[str, Any] | None:
    """A column, None where Croissant has no type for it."""
    repeated = isinstance(feature, dict) and feature.get("_type") in ("List", "LargeList")
    kind = _data_type(feature["feature"] if repeated else feature)
    if kind is None:
        return None
    field = {
        "@type": "cr:Field",
        "@id": f"{config}/{column}",
        "dataType": kind,
        "source": {"fileSet": {"@id": files}, "extract": {"column": column}},
    }
    names = class_names(feature)
    described = {"description": f"Classes: {', '.join(names)}"} if names else {}
    return {**field, **described, **({"repeated": True} if repeated else {})}


def _data_type(feature: Any) -> str | None:
    if class_names(feature) is not None:
        return "sc:Integer"
    name = dtype(feature) or ""
    for start, kind in (
        (("string", "large_string"), "sc:Text"),
        (("int", "uint"), "sc:Integer"),
        (("float", "decimal"), "sc:Float"),
        (("bool",), "sc:Boolean"),
        (("date", "timestamp"), "sc:Date"),
    ):
        if name.startswith(start):
            return kind
    return None
