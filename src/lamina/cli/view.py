"""`lamina view`: a data set on disk as a page in the browser, and as the official dataset-viewer API."""

from __future__ import annotations

import os
import re
import threading
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import LaminaError
from ..files.shown import shown
from .options import browsable, listening, option, with_options

if TYPE_CHECKING:
    from ..viewer.settings import Settings

PORT = 7861
TRIED = 20  # ports after it, where it is taken and none was asked for
UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


@with_options(
    option("port", int, "Left out, 7861 or the next free one; 0 for any free one.", min=0, max=65535),
    option("open_browser", bool, "Open the page in the browser.", "--open/--no-open", default=True),
    option("host", str, "0.0.0.0 lets the whole network read the data.", default="127.0.0.1"),
    option("memory", str, "What queries may hold in memory; beyond it they go to disk.", default="1G"),
    option("threads", int, "Threads of the query engine.", default=2, min=1, max=256),
    option("timeout", float, "Seconds after which a query is interrupted.", default=30.0, min=0.1),
    option("cache", Path, "Where search indexes and statistics are kept; ~/.cache/lamina/viewer."),
    option("tokenizer", list[Path], "A folder with a tokenizer, to count tokens with; may be repeated."),
    option("origin", list[str], "A web site whose pages may use the API, or *; may be repeated."),
)
def view(
    data: Annotated[
        str,
        typer.Argument(
            metavar="PATH_OR_NAME", help="A folder, a file, a pattern, a data set of the Hub, or an address."
        ),
    ],
    **said: Any,
) -> None:
    """Look at the data in PATH_OR_NAME: page, sort, filter, search, statistics, SQL.

    Reads Parquet, CSV, TSV, JSON, JSONL, text and Arrow where they lie, what save_to_disk wrote, and data sets in the
    Hub's cache; Parquet also elsewhere, at https:// or hf://datasets/owner/name, where DuckDB has httpfs. Nothing is
    written but the cache, and no file outside PATH_OR_NAME is read.
    """
    settings = settings_of(**said)
    try:
        import uvicorn

        from ..viewer.app import create_app
    except ImportError as problem:
        raise LaminaError(f"the viewer needs {problem.name}, which is not here: pip install 'lamina[view]'") from None
    app = create_app(data, settings)
    host, port = said["host"], said["port"]
    opened = listening(host, range(PORT, PORT + TRIED) if port is None else [port], LaminaError)
    address = f"http://{browsable(host)}:{opened.getsockname()[1]}/"
    dataset = app.state.viewer.dataset
    typer.echo(f"{dataset.name} at {address}  (Ctrl+C stops)")
    for failure in dataset.failures[:10]:
        typer.echo(f"left out: {failure.message}", err=True)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=3, server_header=False))
    if said["open_browser"]:
        threading.Thread(target=open_when_ready, args=(server, address), daemon=True).start()
    try:
        server.run(sockets=[opened])
    finally:
        opened.close()


def settings_of(memory: str, threads: int, timeout: float, cache: Path | None, host: str, **said: Any) -> Settings:
    """The viewer's settings: the options, and what the environment says of the Hub."""
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
        origins=tuple(said["origin"] or ()),
        tokenizers=tuple(path.expanduser().absolute() for path in said["tokenizer"] or ()),
    )


def size_of(text: str) -> int:
    """Bytes from a number with a unit, such as 512M or 1.5G."""
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,3})?)\s*([kmgt]?)i?b?", text.strip().lower(), re.ASCII)
    size = int(float(found[1]) * UNITS[found[2]]) if found else 0
    if size < 64 << 20:
        raise typer.BadParameter(f"{shown(text)} is not a size of at least 64M, such as 512M", param_hint="--memory")
    return size


def open_when_ready(server: object, address: str) -> None:
    """Open the page once the server answers."""
    for _ in range(200):
        if getattr(server, "started", False):
            webbrowser.open(address)
            return
        threading.Event().wait(0.05)
