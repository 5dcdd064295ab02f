"""`lamina view`: a data set on disk as a page in the browser, and as the official dataset-viewer API."""

from __future__ import annotations

import os
import re
import socket
import threading
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import LaminaError

if TYPE_CHECKING:
    from ..viewer.settings import Settings

PORT = 7861
TRIED = 20  # ports after it, where it is taken and none was asked for
UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


def view(
    data: Annotated[
        str,
        typer.Argument(
            metavar="PATH_OR_NAME", help="A folder, a file, a pattern, a data set of the Hub, or an address."
        ),
    ],
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Left out, 7861 or the next free one; 0 for any free one.")
    ] = None,
    open_browser: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in the browser.")] = True,
    host: Annotated[str, typer.Option(help="0.0.0.0 lets the whole network read the data.")] = "127.0.0.1",
    memory: Annotated[str, typer.Option(help="What queries may hold in memory; beyond it they go to disk.")] = "1G",
    threads: Annotated[int, typer.Option(min=1, max=256, help="Threads of the query engine.")] = 2,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds after which a query is interrupted.")] = 30.0,
    cache: Annotated[
        Path | None, typer.Option(help="Where search indexes and statistics are kept; ~/.cache/lamina/viewer.")
    ] = None,
    tokenizer: Annotated[
        list[Path] | None, typer.Option(help="A folder with a tokenizer, to count tokens with; may be repeated.")
    ] = None,
    origin: Annotated[
        list[str] | None, typer.Option(help="A web site whose pages may use the API, or *; may be repeated.")
    ] = None,
) -> None:
    """Look at the data in PATH_OR_NAME: page, sort, filter, search, statistics, SQL.

    Reads Parquet, CSV, TSV, JSON, JSONL, text and Arrow where they lie, what save_to_disk wrote, and data sets in the
    Hub's cache; Parquet also elsewhere, at https:// or hf://datasets/owner/name, where DuckDB has httpfs. Nothing is
    written but the cache, and no file outside PATH_OR_NAME is read.
    """
    settings = settings_of(memory, threads, timeout, cache, tokenizer or [], origin or [], host)
    try:
        import uvicorn

        from ..viewer.app import create_app
    except ImportError as problem:
        raise LaminaError(f"the viewer needs {problem.name}, which is not here: pip install 'lamina[view]'") from None
    app = create_app(data, settings)
    listening = listen(host, port)
    address = f"http://{shown_host(host)}:{listening.getsockname()[1]}/"
    name = app.state.viewer.dataset.name
    typer.echo(f"{name} at {address}  (Ctrl+C stops)")
    for failure in app.state.viewer.dataset.failures[:10]:
        typer.echo(f"left out: {failure.message}", err=True)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=3, server_header=False))
    if open_browser:
        threading.Thread(target=open_when_ready, args=(server, address), daemon=True).start()
    try:
        server.run(sockets=[listening])
    finally:
        listening.close()


def settings_of(
    memory: str,
    threads: int,
    timeout: float,
    cache: Path | None,
    tokenizers: list[Path],
    origins: list[str],
    host: str,
) -> Settings:
    """The viewer's settings: the arguments, and what the environment says of the Hub."""
    from ..files.hub import cache_root
    from ..viewer.settings import Settings, default_cache

    switches = (os.environ.get(name, "") for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"))
    return Settings(
        memory=size_of(memory),
        threads=threads,
        timeout=timeout,
        cache=(cache or default_cache()).expanduser().absolute(),
        hub_cache=cache_root(None),
        endpoint=os.environ.get("HF_ENDPOINT") or "https://huggingface.co",
        offline=any(value.upper() in ("1", "ON", "YES", "TRUE") for value in switches),
        token=os.environ.get("HF_TOKEN") or None,
        hosts=("*",) if host in ("0.0.0.0", "::") else (host,),
        origins=tuple(origins),
        tokenizers=tuple(path.expanduser().absolute() for path in tokenizers),
    )


def size_of(text: str) -> int:
    """Bytes from a number with a unit, such as 512M or 1.5G."""
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,3})?)\s*([kmgt]?)i?b?", text.strip().lower(), re.ASCII)
    size = int(float(found[1]) * UNITS[found[2]]) if found else 0
    if size < 64 << 20:
        raise typer.BadParameter(f"{text!r} is no size of at least 64M, such as 512M or 2G", param_hint="--memory")
    return size


def listen(host: str, port: int | None) -> socket.socket:
    """A listening socket; where no port was asked for, the first free one from 7861 on."""
    tried = range(PORT, PORT + TRIED) if port is None else [port]
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for each in tried:
        listening = socket.socket(family, socket.SOCK_STREAM)
        try:
            if os.name == "posix":
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((host, each))
            listening.listen(128)
            return listening
        except OSError as problem:
            listening.close()
            reason = problem.strerror or str(problem)
    place = f"port {port} of {host}" if port is not None else f"{host}, ports {tried[0]} to {tried[-1]},"
    raise LaminaError(f"{place} cannot be used: {reason}; pass another --port or --host")


def shown_host(host: str) -> str:
    """The host as a browser on this machine reaches it."""
    if host in ("0.0.0.0", "::"):
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


def open_when_ready(server: object, address: str) -> None:
    """Open the page once the server answers."""
    for _ in range(200):
        if getattr(server, "started", False):
            webbrowser.open(address)
            return
        threading.Event().wait(0.05)
