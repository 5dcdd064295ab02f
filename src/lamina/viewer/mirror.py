"""A mirror of the Hub for one data set: what `datasets` and `huggingface_hub` ask of HF_ENDPOINT, unmodified."""

from __future__ import annotations

import hashlib
import json
from typing import Any
from urllib.parse import parse_qs, quote

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response

from .dataset import DataFile, Dataset
from .errors import InvalidParameter, NotFound
from .responses import answer
from .viewer import Viewer, viewer_of

routes = APIRouter(include_in_schema=False)
LARGEST_BODY = 1 << 20
BRANCHES = ("main", "refs/convert/parquet")


class EntryNotFound(NotFound):
    """There is no such file; huggingface_hub knows this code."""

    code = "EntryNotFound"


class RevisionNotFound(NotFound):
    """There is no such revision."""

    code = "RevisionNotFound"


class RepoNotFound(NotFound):
    """Another data set was asked for."""

    code = "RepoNotFound"


def repository(dataset: Dataset) -> str:
    """The name under which the data set is mirrored; any owner before it is taken too."""
    return dataset.name if dataset.name.count("/") == 1 else f"local/{dataset.name}".replace(" ", "-")


def file_url(request: Request, file: DataFile) -> str:
    """Where a file can be downloaded from this server."""
    dataset = viewer_of(request).dataset
    return f"{request.base_url}datasets/{quote(repository(dataset))}/resolve/main/{quote(file.name)}"


def tag(file: DataFile) -> str:
    """The file's identity, in place of a hash of its content, which would cost reading it."""
    return hashlib.sha1(file.fingerprint.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()


def checked(request: Request, name: str, revision: str = "main") -> Viewer:
    """The viewer, if name and revision are its data set's."""
    viewer = viewer_of(request)
    known = repository(viewer.dataset).rpartition("/")[2]
    if name.rpartition("/")[2] not in (known, viewer.dataset.name):
        raise RepoNotFound(f"data set {name!r} is not open here, {repository(viewer.dataset)!r} is")
    if revision not in (viewer.dataset.revision, *BRANCHES[:1]):
        raise RevisionNotFound(f"revision {revision!r} is not here, only main")
    return viewer


def head(viewer: Viewer) -> dict[str, str]:
    """Headers of every answer about the repository."""
    return {"X-Repo-Commit": viewer.dataset.revision}


@routes.api_route("/datasets/{owner}/{name}/resolve/{revision}/{path:path}", methods=["GET", "HEAD"])
def resolve(request: Request, owner: str, name: str, revision: str, path: str) -> Response:
    """A file's bytes, or parts of them."""
    viewer = checked(request, f"{owner}/{name}", revision)
    file = next((file for file in viewer.dataset.files if file.name == path), None)
    if file is None:
        raise EntryNotFound(f"{path} is not in {repository(viewer.dataset)}")
    if file.address:
        linked = {**head(viewer), "X-Linked-ETag": f'"{tag(file)}"', "X-Linked-Size": str(file.size)}
        return RedirectResponse(file.address, 302, linked)
    try:
        found = file.path.stat()
    except OSError as problem:
        raise EntryNotFound(f"{path} cannot be read: {problem.strerror}") from None
    headers = {**head(viewer), "ETag": f'"{tag(file)}"', "X-Linked-Size": str(found.st_size), "Accept-Ranges": "bytes"}
    return FileResponse(file.path, stat_result=found, media_type="application/octet-stream", headers=headers)


@routes.api_route("/datasets/{name}/resolve/{revision}/{path:path}", methods=["GET", "HEAD"])
def resolve_short(request: Request, name: str, revision: str, path: str) -> Response:
    """The same for a name without an owner."""
    return resolve(request, "local", name, revision, path)


def described(viewer: Viewer, name: str) -> dict[str, Any]:
    """What the Hub says of a data set."""
    dataset = viewer.dataset
    newest = max((file.modified for file in dataset.files), default=0)
    return {
        "_id": dataset.revision[:24],
        "id": name,
        "author": name.partition("/")[0],
        "sha": dataset.revision,
        "lastModified": moment(newest),
        "private": False,
        "gated": False,
        "disabled": False,
        "tags": [],
        "downloads": 0,
        "likes": 0,
        "cardData": {},
        "siblings": [{"rfilename": file.name, "size": file.size} for file in dataset.files],
    }


def moment(nanoseconds: int) -> str:
    """A time as the Hub writes it."""
    import datetime

    found = datetime.datetime.fromtimestamp(nanoseconds / 1e9, datetime.timezone.utc)
    return f"{found:%Y-%m-%dT%H:%M:%S}.000Z"


def entry(file: DataFile) -> dict[str, Any]:
    """A file as an entry of a tree."""
    return {"type": "file", "path": file.name, "size": file.size, "oid": tag(file)}


def tree(dataset: Dataset, folder: str, recursive: bool) -> list[dict[str, Any]]:
    """The entries of a folder, folders first named once; EntryNotFound where there is no such folder."""
    start = f"{folder}/" if folder else ""
    folders: dict[str, dict[str, Any]] = {}
    found = []
    for file in dataset.files:
        if not file.name.startswith(start):
            continue
        inner = file.name[len(start) :].split("/")
        for depth in range(1, len(inner) if recursive else min(len(inner), 2)):
            place = start + "/".join(inner[:depth])
            folders.setdefault(place, {"type": "directory", "path": place, "size": 0, "oid": "0" * 40})
        if recursive or len(inner) == 1:
            found.append(entry(file))
    if folder and not folders and not found:
        raise EntryNotFound(f"folder {folder!r} is not in {repository(dataset)}")
    return [*folders.values(), *found]


@routes.get("/api/datasets/{owner}/{name}")
@routes.get("/api/datasets/{owner}/{name}/revision/{revision:path}")
def about(request: Request, owner: str, name: str, revision: str = "main") -> Response:
    """The data set, its commit and files."""
    viewer = checked(request, f"{owner}/{name}", revision)
    return answer(described(viewer, f"{owner}/{name}"), viewer.dataset.revision, 0, head(viewer))


@routes.get("/api/datasets/{owner}/{name}/tree/{revision}")
@routes.get("/api/datasets/{owner}/{name}/tree/{revision}/{path:path}")
def listing(
    request: Request, owner: str, name: str, revision: str, path: str = "", recursive: bool = False
) -> Response:
    """The files and folders of a folder."""
    viewer = checked(request, f"{owner}/{name}", revision)
    found = tree(viewer.dataset, path.strip("/"), recursive)
    return answer(found, viewer.dataset.revision, 0, head(viewer))


@routes.post("/api/datasets/{owner}/{name}/paths-info/{revision}")
async def paths(request: Request, owner: str, name: str, revision: str) -> Response:
    """What there is at some paths; those that do not exist are left out."""
    viewer = checked(request, f"{owner}/{name}", revision)
    wanted = await _paths(request)
    files = {file.name: entry(file) for file in viewer.dataset.files}
    folders = {each["path"]: each for each in tree(viewer.dataset, "", True) if each["type"] == "directory"}
    found = [{**folders, **files}[path.strip("/")] for path in wanted if path.strip("/") in {**folders, **files}]
    return answer(found, viewer.dataset.revision, 0, head(viewer))


async def _paths(request: Request) -> list[str]:
    """The paths in a body, which clients send as a form or as JSON."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > LARGEST_BODY:
            raise InvalidParameter("the body is larger than 1 MB")
    try:
        text = body.decode("utf-8")
        if "json" not in request.headers.get("content-type", ""):
            return parse_qs(text, max_num_fields=100_000).get("paths", [])
        given = json.loads(text)["paths"]
        return [str(path) for path in ([given] if isinstance(given, str) else given)]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise InvalidParameter('pass paths as a form, or as JSON: {"paths": ["train.csv"]}') from None
