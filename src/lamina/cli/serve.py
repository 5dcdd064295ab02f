"""`lamina serve`: models behind HTTP, with a page for each."""

from __future__ import annotations

import logging
import os
import socket
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import ServingError

if TYPE_CHECKING:
    from ..serving import ServeSettings
    from ..serving.state import Serving

KEY = "LAMINA_API_KEY"
ORIGINS = "LAMINA_CORS"
LIMITS = "Limits"
SCALE = "Many machines"


def _limit(help: str) -> Any:
    """An option for one of the limits."""
    return typer.Option(min=0, help=help, rich_help_panel=LIMITS)


def serve(
    models: Annotated[
        list[str] | None,
        typer.Argument(metavar="MODEL", help="Folders or names on the Hub, ID=FOLDER to choose an id; none: built in."),
    ] = None,
    task: Annotated[str | None, typer.Option("--task", "-t", help="Of all models; left out, what each is for.")] = None,
    host: Annotated[str, typer.Option(help="The address to listen on; 0.0.0.0 for all of this machine.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", "-p", help="0 takes any free one.")] = 8080,
    api_key: Annotated[
        str | None,
        typer.Option(envvar=KEY, help="What clients must send; said here, others can see it."),
    ] = None,
    cors: Annotated[
        list[str] | None, typer.Option(envvar=ORIGINS, help="An origin whose pages may call; may be repeated.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, mps; left out, the best there is.")] = None,
    precision: Annotated[
        str | None,
        typer.Option(
            help="What linear layers compute in: fp32-packed, bf16, int8-accurate, auto, ... "
            "With int8, an answer depends a little on the texts that share its batch."
        ),
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads to compute with; left out, one per core.")] = None,
    queue_requests: Annotated[int | None, _limit("Inputs waiting or being computed.")] = None,
    queue_tokens: Annotated[int | None, _limit("Their tokens.")] = None,
    batch_inputs: Annotated[int | None, _limit("Inputs of one request.")] = None,
    batch_tokens: Annotated[int | None, _limit("Tokens of one pass; left out, what suits this machine.")] = None,
    body_bytes: Annotated[int | None, _limit("Bytes of a body.")] = None,
    input_tokens: Annotated[int | None, _limit("Tokens of one input.")] = None,
    new_tokens: Annotated[int | None, _limit("Tokens written for one input.")] = None,
    sequences: Annotated[int | None, _limit("Texts written together.")] = None,
    deadline: Annotated[float | None, _limit("Seconds from a request to its answer.")] = None,
    drain: Annotated[float | None, _limit("Seconds that work in flight has after SIGTERM.")] = None,
    on: Annotated[str | None, typer.Option(help="ray: as replicas on Ray Serve.", rich_help_panel=SCALE)] = None,
    replicas: Annotated[
        str, typer.Option(help="How many, or as 1-8 the least and the most.", rich_help_panel=SCALE)
    ] = "1",
) -> None:
    """Serve MODELs over HTTP until SIGTERM or Ctrl+C."""
    _require_packages()
    from ..serving import Limits, ServeSettings

    said = {
        "queue_requests": queue_requests,
        "queue_tokens": queue_tokens,
        "batch_inputs": batch_inputs,
        "batch_tokens": batch_tokens,
        "body_bytes": body_bytes,
        "input_tokens": input_tokens,
        "new_tokens": new_tokens,
        "sequences": sequences,
        "deadline": deadline,
        "drain": drain,
    }
    limits = Limits(**{name: value for name, value in said.items() if value is not None})  # type: ignore[arg-type]
    place = {"task": task, "host": host, "port": port, "device": device, "precision": precision}
    settings = ServeSettings(tuple(models or ()), api_key=api_key, cors=tuple(cors or ()), limits=limits, **place)  # type: ignore[arg-type]
    if on is None:
        _serve_here(settings, threads)
    elif on == "ray":
        _serve_on_ray(settings, replicas, threads)
    else:
        raise typer.BadParameter(
            f"{on!r} is nothing to serve on; leave it out for this process, or say ray", param_hint="--on"
        )


def _require_packages() -> None:
    """Say what to install where the extra is missing."""
    try:
        import fastapi  # noqa: F401
        import orjson  # noqa: F401
        import prometheus_client  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise ServingError(f"serving needs the package {error.name}; run pip install 'lamina[serve]'") from None


def _serve_here(settings: ServeSettings, threads: int | None) -> None:
    """One process: bind, say what is served, run until a signal."""
    import torch

    from ..serving import create_app
    from ..serving.lifecycle import make_server, set_up_logging

    if threads is not None:
        torch.set_num_threads(threads)
    set_up_logging()
    app = create_app(settings)
    bound = _bind(settings)
    server = make_server(app, settings)
    _show(app.state.serving, bound.getsockname()[1])
    server.run(sockets=[bound])
    if not server.started:
        raise ServingError("the server could not be started; the lines above say why")


def _bind(settings: ServeSettings) -> socket.socket:
    """The address, taken before anything is loaded; raises ServingError where somebody else has it."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=2048)
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or error
        raise ServingError(f"cannot listen on {settings.host}, port {settings.port}: {why}; choose another") from None


def _serve_on_ray(settings: ServeSettings, replicas: str, threads: int | None) -> None:
    """Replicas of the same application."""
    from ..scale import ray_serve
    from ..serving import create_app

    limits = settings.limits
    cpus = float(threads or os.cpu_count() or 1)
    scaling = ray_serve.Scaling.parse(replicas, ongoing=limits.queue_requests, cpus=cpus, drain=limits.drain)
    ray_serve.run(partial(create_app, settings), scaling, settings.host, settings.port)


def _show(serving: Serving, port: int) -> None:
    """A table of what is served and where."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    settings = serving.settings
    host = "localhost" if settings.host in ("0.0.0.0", "::", "127.0.0.1") else settings.host
    root = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    console = Console(stderr=True, highlight=False)
    table = Table(box=None, padding=(0, 2), header_style="dim")
    for column in ("model", "task", "answers at", "page"):
        table.add_column(column, overflow="fold")
    for served in serving.models.values():
        task = served.task or "its own"
        table.add_row(Text(served.id, style="bold"), task, f"/models/{served.id}", f"/ui/models/{served.id}")
    console.print(Text.assemble("\n  ", ("Lamina", "bold"), " serves at ", (root, "bold cyan"), "\n"))
    console.print(table)
    console.print(f"\n  Playground     {root}/\n  Documentation  {root}/docs")
    console.print(f"  OpenAI         {root}/v1", markup=False)
    key = "every request needs the API key" if settings.api_key else "anyone who can reach this address may ask"
    console.print(f"  Access         {key}\n", markup=False)
    if settings.precision == "int8":
        console.print("  Precision      int8: an answer depends a little on the texts that share its batch;")
        console.print("                 with --precision int8-accurate it does not\n")
    if settings.api_key is None and settings.host not in ("127.0.0.1", "::1", "localhost"):
        logging.getLogger("lamina.serving").warning("listening on %s without an API key", settings.host)
