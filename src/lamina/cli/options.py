"""Options of the commands: rows of tables that become parameters, and the words in which messages speak of them."""

from __future__ import annotations

import inspect
import json
import os
import re
import socket
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from inspect import Parameter
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import HubError, InputError, LaminaError
from ..files.paths import bounded_text
from ..files.shown import cause, shown
from ..files.tables import LONGEST

if TYPE_CHECKING:
    from ..pipelines.inputs import Spelling

BUILT_IN = "builtin"
ALWAYS = ("model", "device", "batch_size", "precision", "revision")  # what every pipeline takes
ARGUMENT = re.compile(r"\b(pass|or|and) ([a-z_]+)=(?:(\"[^\"]*\"|'[^']*'|\w+)|(?=[\s,;]|$))")
TYPED: dict[str, str] = {}  # how parameters are typed, of all tables


def option(name: str, kind: Any, help: str, *flags: str, default: Any = None, **rules: Any) -> Parameter:
    """A row: `--name` and short `flags` beside it, or the long ones in its stead; required with the default `...`."""
    long = next((flag for flag in flags if flag.startswith("--")), "--" + name.replace("_", "-"))
    TYPED[name] = long.partition("/")[0]
    made = typer.Option(*dict.fromkeys((long, *flags)), help=help, **rules)
    wide = kind | None if default is None else kind
    default = Parameter.empty if default is ... else default
    return Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[wide, made])


def switch(name: str, help: str, *flags: str, **rules: Any) -> Parameter:
    return option(name, bool, help, *flags, default=False, **rules)


def with_options(*rows: Parameter) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Gives a command the parameters of `rows` beside its own; they come together as its keyword arguments."""

    def widened(command: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(command)
        def call(**given: Any) -> Any:
            return command(**given)

        own = inspect.signature(command, eval_str=True).parameters.values()
        every = [*(each for each in own if each.kind is not Parameter.VAR_KEYWORD), *rows]
        call.__signature__ = inspect.Signature(every)  # type: ignore[attr-defined]
        call.__annotations__ = {each.name: each.annotation for each in every}
        return call

    return widened


AS_JSON = switch("json", "The same as JSON.")
DEVICE = option("device", str, "cpu, cuda, cuda:1, mps; left out, the best there is.")
LOADING = (
    DEVICE,
    option("precision", str, "What linear layers compute in: fp32-packed, bf16, int8, int8-accurate, ..."),
    option("revision", str, "A branch, tag or commit of a model on the Hub."),
)
THREADS = option("threads", int, "Threads to compute with; left out, one per core.", min=1)


def setting(help: str) -> Parameter:
    return option("setting", list[str], help, "--set", metavar="NAME=VALUE")


def spelled(name: str) -> str:
    """A parameter as it is typed."""
    return TYPED.get(name, "--" + name.replace("_", "-"))


def read_settings(pairs: Sequence[str], taken: Mapping[str, str] = MappingProxyType({})) -> dict[str, Any]:
    """The values of `--set NAME=VALUE`: JSON where it is, else text. `taken` has the names that an option gives."""
    settings: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.isidentifier():
            raise typer.BadParameter(f"{shown(pair)} is not NAME=VALUE", param_hint="--set")
        if name in settings or name in taken:
            raise typer.BadParameter(f"{name} is given by {taken.get(name, '--set')} already", param_hint="--set")
        try:
            settings[name] = json.loads(value)
        except (ValueError, RecursionError):
            settings[name] = value
    return settings


def text_or_file(value: str | None) -> str | None:
    """An option's text, read from FILE where it is written `@FILE`."""
    if value is None or not value.startswith("@"):
        return value
    if value == "@":
        raise InputError("@ needs the name of a file after it")
    return bounded_text(value[1:], value[1:], LONGEST, InputError)


def model_name(name: str | None, task: str | None = None) -> str | None:
    """The model to load: a folder, a name on the Hub, or the folder of the one inside the package for BUILT_IN.

    InputError for a path that is not there.
    """
    if name is None:
        return None
    if name == BUILT_IN and not os.path.exists(name):
        from ..pipelines.create import ALIASES, EMBEDDED

        if task is not None and ALIASES.get(task, task) not in EMBEDDED:
            raise InputError(f"the built-in model is for {', '.join(EMBEDDED)}, not for {task}; choose another --model")
        return str(next(iter(EMBEDDED.values())))
    path = os.path.expanduser(name)
    if os.path.isfile(path):
        raise InputError(f"{name} is a file: give the folder that holds the model")
    if not os.path.exists(path) and (name.startswith((".", "/", "~")) or name.endswith("/") or name.count("/") > 1):
        raise InputError(f"there is no folder {name}")
    return path


def model_class(config: Any) -> Any:
    """The class that a config names, or the body of its family."""
    from ..auto import find
    from ..auto.classes import architectures

    named = next((name for name in config.architectures or [] if name in architectures()), None)
    return find(named) if named else find("AutoModel").class_for(config)


def load(known: Collection[str], name: str | None, model: str | None, **options: Any) -> Any:
    """The pipeline for the task `name`, whose options are `known`, or for what the model is for."""
    from ..pipelines import pipeline
    from ..pipelines.base import refuse_untrained

    with our_words(known):
        pipe = pipeline(name, model=model, **{key: value for key, value in options.items() if value is not None})
    refuse_untrained(pipe)
    return pipe


@contextmanager
def our_words(known: Collection[str] = (), pipe: Any = None) -> Iterator[None]:
    """Refusals of what is called here name the options of the command line, `known` and those of `pipe`."""
    try:
        yield
    except HubError:
        raise
    except LaminaError as error:
        raise InputError(in_our_words(error, spelling(known, pipe))) from None


def spelling(options: Collection[str], pipe: Any = None) -> Spelling:
    """How an option of a pipeline is typed: by its own name, or with --set where the pipeline alone knows it."""
    known = pipe.options if pipe is not None else {}
    open_ended = pipe is not None and pipe.open_ended

    def typed(name: str, value: Any) -> str | None:
        if name in (*options, *ALWAYS):
            flag = value in (True, None) or name == "chunk"
            return spelled(name) if flag else f"{spelled(name)} {value}"
        if name not in known and not open_ended:
            return None
        return f"--set {name}={json.dumps(value) if not isinstance(value, str) else value}"

    return typed


def in_our_words(error: LaminaError, typed: Spelling) -> str:
    """What a pipeline says, with the options of the command line where it names Python's arguments."""
    from ..pipelines.inputs import AdvisedError

    def advised(found: re.Match[str]) -> str:
        verb, name, value = found.groups()
        option = typed(name, value.strip("\"'") if value else None)
        return f"{verb} {option}" if option else found[0]

    message = error.said(typed) if isinstance(error, AdvisedError) else str(error)
    for name in TYPED:
        if typed(name, None) == spelled(name):
            message = re.sub(rf"^{name}=", f"{spelled(name)} ", message)
            if "_" in name:
                message = re.sub(rf"(?<![\w.='\"-]){name}(?= is | must | needs )", spelled(name), message)
    message = message.replace("; several texts go in a list", "").replace("pass token=... or set", "set")
    return ARGUMENT.sub(advised, message)


def listening(host: str, ports: Sequence[int], error: type[LaminaError]) -> socket.socket:
    """A socket that listens on the first of `ports` which is free; `error` where none is."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for port in ports:
        try:
            return socket.create_server((host, port), family=family, backlog=2048)
        except (OSError, OverflowError) as problem:
            reason = cause(problem)
    tried = f"port {ports[0]}" if len(ports) == 1 else f"ports {ports[0]} to {ports[-1]}"
    raise error(f"cannot listen on {host}, {tried}: {reason}; choose another --port or --host")


def browsable(host: str) -> str:
    """A host as a browser on this machine writes it."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"[{host}]" if ":" in host else host


def beginning(names: Sequence[str]) -> Callable[[str], list[str]]:
    return lambda incomplete: [name for name in names if name.startswith(incomplete)]


def known_name(name: str, names: Sequence[str], what: str) -> str:
    """`name`, if it is one of `names`; a usage error with the nearest where it is not."""
    from difflib import get_close_matches

    if name in names:
        return name
    near = [each for each in names if name and each.startswith(name)] or get_close_matches(name[:99], names, n=2)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(names)}"
    raise typer.BadParameter(f"no {what.lower()} {shown(name)}; {hint}", param_hint=what)
