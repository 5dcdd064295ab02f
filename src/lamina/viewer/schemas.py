"""What the endpoints answer, as models: the OpenAPI document is made from them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class Answer(BaseModel):
    """JSON with at least these members."""

    model_config = ConfigDict(extra="allow")


class ErrorBody(Answer):
    """Every error; its code is in the X-Error-Code header."""

    error: str


class SplitName(Answer):
    """One split."""

    dataset: str
    config: str
    split: str


class FailedPart(Answer):
    """A part of the data set that could not be read."""

    dataset: str
    config: str | None
    split: str | None
    error: ErrorBody


class Splits(Answer):
    """GET /splits."""

    splits: list[SplitName]
    pending: list[SplitName]
    failed: list[FailedPart]


class Feature(Answer):
    """A column."""

    feature_idx: int
    name: str
    type: dict[str, Any] | list[Any]


class Row(Answer):
    """A row; cells named in truncated_cells are the beginning of their JSON."""

    row_idx: int
    row: dict[str, Any]
    truncated_cells: list[str]


class Rows(Answer):
    """GET /rows, /search and /filter."""

    features: list[Feature]
    rows: list[Row]
    num_rows_total: int
    num_rows_per_page: int
    partial: bool


class FirstRows(Answer):
    """GET /first-rows."""

    dataset: str
    config: str
    split: str
    features: list[Feature]
    rows: list[Row]
    truncated: bool


class IsValid(Answer):
    """GET /is-valid."""

    preview: bool
    viewer: bool
    search: bool
    filter: bool
    statistics: bool


class ColumnStatistics(Answer):
    """The statistics of a column."""

    column_name: str
    column_type: str
    column_statistics: dict[str, Any]


class Statistics(Answer):
    """GET /statistics."""

    num_examples: int
    statistics: list[ColumnStatistics]
    partial: bool


class StatisticsProgress(Answer):
    """GET /statistics/progress: ours."""

    state: str
    done: int
    total: int
    column: str
    num_examples: int
    statistics: list[ColumnStatistics]


class Info(Answer):
    """GET /info."""

    dataset_info: dict[str, Any]
    pending: list[SplitName]
    failed: list[FailedPart]
    partial: bool


class Size(Answer):
    """GET /size."""

    size: dict[str, Any]
    pending: list[SplitName]
    failed: list[FailedPart]
    partial: bool


class ParquetFile(Answer):
    """One Parquet file."""

    dataset: str
    config: str
    split: str
    url: str
    filename: str
    size: int


class Parquet(Answer):
    """GET /parquet."""

    parquet_files: list[ParquetFile]
    pending: list[SplitName]
    failed: list[FailedPart]
    partial: bool


class Croissant(Answer):
    """GET /croissant: JSON-LD."""


ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorBody, "description": words}
    for status, words in (
        (404, "No such data set, config or split"),
        (422, "A parameter is missing or invalid"),
        (500, "Data that cannot be read, is not ready, or is too big"),
        (504, "The query ran past its deadline"),
    )
}


def documented(model: type[Answer], **more: str) -> dict[int | str, dict[str, Any]]:
    """The answers of an endpoint: one on success, errors in one shape; `more` names further statuses, as s400."""
    extra: dict[int | str, dict[str, Any]] = {
        int(status[1:]): {"model": ErrorBody, "description": words} for status, words in more.items()
    }
    return {200: {"model": model}, **ERRORS, **extra}
