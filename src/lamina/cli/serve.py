"""`lamina serve`: models behind HTTP, with a page for each."""

from __future__ import annotations

import logging
import os
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import ServingError
from .options import DEVICE, THREADS, browsable, listening, model_name, option, our_words, with_options

if TYPE_CHECKING:
    from ..serving import ServeSettings
    from ..serving.state import Serving

limit = partial(option, min=0, rich_help_panel="Limits")
scale = partial(option, rich_help_panel="Many machines")
LIMITS = (
    limit("queue_requests", int, "Inputs waiting or being computed."),
    limit("queue_tokens", int, "Their tokens."),
    limit("batch_inputs", int, "Inputs of one request."),
    limit("batch_tokens", int, "Tokens of one pass; left out, what suits this machine."),
    limit("body_bytes", int, "Bytes of a body."),
    limit("input_tokens", int, "Tokens of one input."),
    limit("new_tokens", int, "Tokens written for one input."),
    limit("sequences", int, "Texts written together."),
    limit("deadline", float, "Seconds from a request to its answer."),
    limit("drain", float, "Seconds that work in flight has after SIGTERM."),
)
PRECISIONS = (
    "What linear layers compute in: fp32-packed, bf16, int8-accurate, auto, ... "
    "With int8, an answer depends a little on the texts that share its batch."
)


@with_options(
    option("task", str, "Of all models; left out, what each is for.", "-t"),
    option("host", str, "The address to listen on; 0.0.0.0 for all of this machine.", default="127.0.0.1"),
    option("port", int, "0 takes any free one.", "-p", default=8080),
    option("api_key", str, "What clients must send; said here, others can see it.", envvar="LAMINA_API_KEY"),
    option("cors", list[str], "An origin whose pages may call; may be repeated.", envvar="LAMINA_CORS"),
    DEVICE,
    option("precision", str, PRECISIONS),
    THREADS,
    *LIMITS,
    scale("on", str, "ray: as replicas on Ray Serve."),
    scale("replicas", str, "How many, or as 1-8 the least and the most.", default="1"),
)
def serve(
    models: Annotated[
        list[str] | None,
        typer.Argument(metavar="MODEL", help="Folders or names on the Hub, ID=FOLDER to choose an id; none: built in."),
    ] = None,
    **said: Any,
) -> None:
    """Serve MODELs over HTTP until SIGTERM or Ctrl+C."""
    _require_packages()
    from ..serving import Limits, ServeSettings
    from ..serving.models import named_models

    limits = Limits(**{each.name: said[each.name] for each in LIMITS if said[each.name] is not None})
    place = {name: said[name] for name in ("task", "host", "port", "api_key", "device", "precision")}
    settings = ServeSettings(tuple(models or ()), cors=tuple(said["cors"] or ()), limits=limits, **place)
    for source in settings.models:
        model_name(source.partition("=")[2] or source)
    with our_words():
        named_models(settings)
    if said["on"] is None:
        _serve_here(settings, said["threads"])
    elif said["on"] == "ray":
        _serve_on_ray(settings, said["replicas"], said["threads"])
    else:
        raise typer.BadParameter(
            f"{said['on']!r} is nothing to serve on; leave it out for this process, or say ray", param_hint="--on"
        )


def _require_packages() -> None:
    """Say what to install where the extra is missing."""
    for package in ("fastapi", "orjson", "prometheus_client", "uvicorn"):
        if find_spec(package) is None:
            raise ServingError(f"serving needs the package {package}; run pip install 'lamina[serve]'")


def _serve_here(settings: ServeSettings, threads: int | None) -> None:
    """One process: bind before anything is loaded, say what is served, run until a signal."""
    import torch

    from ..serving import create_app
    from ..serving.lifecycle import make_server, set_up_logging

    if threads is not None:
        torch.set_num_threads(threads)
    set_up_logging()
    app = create_app(settings)
    bound = listening(settings.host, [settings.port], ServingError)
    server = make_server(app, settings)
    _show(app.state.serving, bound.getsockname()[1])
    server.run(sockets=[bound])
    if not server.started:
        raise ServingError("the server could not be started; the lines above say why")


def _serve_on_ray(settings: ServeSettings, replicas: str, threads: int | None) -> None:
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
    root = f"http://{browsable(settings.host).replace('127.0.0.1', 'localhost')}:{port}"
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
