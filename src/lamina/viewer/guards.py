"""Who may ask: this machine's own names, so that no web page elsewhere reads local data through the browser."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from .errors import ViewerError
from .responses import failure

LOCAL = ("localhost", "127.0.0.1", "::1", "testserver")
ORIGINS = r"https?://([\w-]+\.)*(localhost|127\.0\.0\.1|\[::1\])(:\d+)?"


class WrongHost(ViewerError):
    """The Host header names another machine."""

    code = "ForbiddenHost"
    status = 403


class KnownHosts:
    """Refuses requests whose Host header is not ours, such as a name made to point here (DNS rebinding)."""

    def __init__(self, app: ASGIApp, hosts: Sequence[str] = ()) -> None:
        self._app = app
        self._hosts = {*LOCAL, *(host.lower().strip("[]") for host in hosts)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self._known(Headers(scope=scope).get("host", "")):
            wrong = WrongHost("this viewer answers to localhost only: start it with --host to name another address")
            await failure(wrong)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _known(self, header: str) -> bool:
        host = header.lower()
        name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
        return "*" in self._hosts or name in self._hosts or name.endswith(".localhost")
