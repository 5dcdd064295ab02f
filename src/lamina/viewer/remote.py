"""Parquet files elsewhere: by their address, or of a data set of the Hub. Only the parts looked at are fetched."""

from __future__ import annotations

import email.utils
import http.client
import re
import urllib.error
import urllib.request
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit

from .dataset import DataFile
from .duck import Query, connected, literal, load_httpfs
from .errors import SourceError
from .matching import matching
from .naming import format_of
from .settings import Settings

if TYPE_CHECKING:
    import pyarrow as pa

    from .scans import Groups

WEB = ("http://", "https://")
HUB = "hf://"
PATIENCE = 30.0  # seconds that a server has to say how large a file is
ON_HUB = re.compile(r"hf://datasets/([\w.-]+/[\w.-]+)(?:@([^/@]+))?(/.*)?", re.ASCII)
FOLDER = Path("elsewhere")


def is_remote(text: str) -> bool:
    """Whether an argument is an address."""
    return text.startswith((*WEB, HUB))


def remote_files(address: str, settings: Settings) -> tuple[list[DataFile], str]:
    """The Parquet files that an address means, and a name for them. Raises SourceError."""
    with connected({}) as connection:
        load_httpfs(connection)
    if not address.startswith(HUB):
        file = by_address(address)
        return [file], file.name
    return on_hub(address, settings)


def by_address(address: str) -> DataFile:
    """One file of a web server, which must say its size."""
    name = PurePosixPath(unquote(urlsplit(address).path)).name or "data.parquet"
    if format_of(name) not in ("parquet", None):
        raise SourceError(f"{name} is not Parquet by its name: other files are not read elsewhere, download it")
    try:
        headers = _asked(address)
    except (OSError, ValueError, http.client.HTTPException) as problem:
        raise SourceError(f"{address} cannot be read: {problem}") from None
    size = headers.get("Content-Range", "").rpartition("/")[2] or headers.get("Content-Length", "")
    if not size.isdecimal():
        raise SourceError(f"{address} cannot be read in parts: the server does not say how large it is")
    moment = email.utils.parsedate_tz(headers.get("Last-Modified"))
    modified = int(email.utils.mktime_tz(moment)) * 10**9 if moment else 0
    return DataFile(FOLDER / name, name, "parquet", int(size), modified, address, headers.get("ETag", ""))


def _asked(address: str) -> Any:
    """The headers of a file; servers that refuse HEAD are asked for its first byte."""
    for method, headers in (("HEAD", {}), ("GET", {"Range": "bytes=0-0"})):
        request = urllib.request.Request(address, method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as response:
                return response.headers
        except urllib.error.HTTPError as problem:
            if method == "GET" or problem.code == 404:
                raise
    raise AssertionError


def on_hub(address: str, settings: Settings) -> tuple[list[DataFile], str]:
    """The Parquet files below a path of a data set, or that a pattern matches, at the commit there is now."""
    found = ON_HUB.fullmatch(address)
    if not found:
        raise SourceError(
            f"{address!r} is not hf://datasets/owner/name, with @revision and a path or pattern as wanted"
        )
    name, revision, path = found[1], found[2] and unquote(found[2]), (found[3] or "").strip("/")
    if settings.offline:
        raise SourceError(f"{address} is elsewhere, and the Hub is off")
    from huggingface_hub import HfApi

    api = HfApi(endpoint=settings.endpoint, token=settings.token or False)
    try:
        about = api.dataset_info(name, revision=revision, files_metadata=True)
    except Exception as problem:  # the library's and its HTTP client's errors share no base class
        reason = " ".join(f"{type(problem).__name__}: {problem}".split())[:300]
        raise SourceError(f"{address} cannot be read: {reason}") from None
    place = f"{settings.endpoint}/datasets/{quote(name)}/resolve/{about.sha}"
    files = [
        DataFile(
            FOLDER / each.rfilename, each.rfilename, "parquet", each.size or 0, 0, f"{place}/{quote(each.rfilename)}"
        )
        for each in about.siblings or ()
        if format_of(each.rfilename) == "parquet"
    ]
    if path:
        files = matching(files, [path, f"{path}/**"])
    if not files:
        raise SourceError(f"{address} holds no Parquet; `lamina view {name}` downloads whatever else it holds")
    return files, name


def remote_footer(file: DataFile, query: Query) -> tuple[pa.Schema, Groups]:
    """Schema and row groups of a Parquet file elsewhere, from its footer alone."""
    place = literal(file.place)
    schema = query.table(f"SELECT * FROM read_parquet({place}, hive_partitioning = false) LIMIT 0").schema
    notes = query.execute(f"SELECT key, value FROM parquet_kv_metadata({place})").fetchall()
    groups = query.execute(
        "SELECT any_value(row_group_num_rows), CAST(sum(total_uncompressed_size) AS BIGINT) "
        f"FROM parquet_metadata({place}) GROUP BY row_group_id ORDER BY row_group_id"
    ).fetchall()
    return schema.with_metadata({bytes(key): bytes(value) for key, value in notes}), tuple(groups)
