"""A hub of our own on this machine: the few endpoints that a download speaks, and ways to go wrong on demand."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
API = re.compile(r"/api/models/(?P<name>.+)/(?P<what>revision|tree)/(?P<revision>[^/]+)")
RESOLVE = re.compile(r"/(?P<name>.+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)")


@dataclass
class Hub:
    """Repositories by name and files by path, the requests seen, and what to answer instead of the truth."""

    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    revisions: dict[str, str] = field(default_factory=lambda: {"main": COMMIT, COMMIT: COMMIT})
    seen: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    refuse: tuple[int, dict[str, str]] | None = None  # for every request
    refuse_files: tuple[int, dict[str, str]] | None = None  # for files alone
    cut_after: dict[str, int] = field(default_factory=dict)  # the first answer for a path ends there
    wrong: dict[str, bytes] = field(default_factory=dict)  # what a path is really answered with
    url: str = ""

    def requests(self, method: str, part: str = "") -> list[str]:
        """The paths asked for."""
        return [path for verb, path, _ in self.seen if verb == method and part in path]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *_: Any) -> None:
        """Keep quiet."""

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.seen.append((self.command, path, dict(self.headers)))
        if self.hub.refuse:
            self.refuse(*self.hub.refuse)
        elif found := API.fullmatch(path):
            self.describe(found["name"], found["what"], found["revision"])
        elif found := RESOLVE.fullmatch(path):
            self.file(found["name"], found["revision"], found["path"])
        else:
            self.refuse(404, {})

    def refuse(self, status: int, headers: dict[str, str]) -> None:
        self.reply(status, {"Content-Length": "0", **headers}, b"")

    def reply(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def repository(self, name: str, revision: str) -> dict[str, bytes] | None:
        if name not in self.hub.files:
            self.refuse(401, {"X-Error-Code": "RepoNotFound"})
        elif revision not in self.hub.revisions:
            self.refuse(404, {"X-Error-Code": "RevisionNotFound"})
        else:
            return self.hub.files[name]
        return None

    def describe(self, name: str, what: str, revision: str) -> None:
        files = self.repository(name, revision)
        if files is None:
            return
        tree = [
            {"type": "file", "path": path, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
            for path, data in files.items()
        ]
        info = {"id": name, "sha": self.hub.revisions[revision], "siblings": [{"rfilename": path} for path in files]}
        body = json.dumps(info if what == "revision" else tree).encode()
        self.reply(200, {"Content-Type": "application/json", "Content-Length": str(len(body))}, body)

    def file(self, name: str, revision: str, path: str) -> None:
        files = self.repository(name, revision)
        if files is None:
            return
        if self.hub.refuse_files or path not in files:
            self.refuse(*(self.hub.refuse_files or (404, {"X-Error-Code": "EntryNotFound"})))
            return
        data = files[path]
        headers = {
            "ETag": f'"{hashlib.sha1(data).hexdigest()}"',
            "X-Repo-Commit": self.hub.revisions[revision],
            "Accept-Ranges": "bytes",
        }
        if self.command == "GET":
            data = self.hub.wrong.get(path, data)
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        begin = int(asked[1]) if asked else 0
        part = data[begin:]
        headers["Content-Length"] = str(len(part))
        if asked:
            headers["Content-Range"] = f"bytes {begin}-{len(data) - 1}/{len(data)}"
        if self.command == "GET" and (end := self.hub.cut_after.pop(path, None)) is not None:
            part, self.close_connection = part[:end], True
        self.reply(206 if asked else 200, headers, part)


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    """The hub, answering at `hub.url`."""
    handler = type("OurHandler", (Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
