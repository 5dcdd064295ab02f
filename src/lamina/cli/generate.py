"""`lamina generate`: a text written on, shown while it is being written."""

from __future__ import annotations

import json as json_format
import sys
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import InputError, PipelineError
from .asking import PRECISIONS, load, model_name
from .inputs import read_text

if TYPE_CHECKING:
    from .streaming import Shown


def generate(
    model: Annotated[str, typer.Argument(help="A folder or a name on the Hub, of a model that writes.")],
    prompt: Annotated[str | None, typer.Argument(help="What to go on from; left out, standard input.")] = None,
    max_new_tokens: Annotated[int | None, typer.Option("--max-new-tokens", "-n", min=1, help="Most tokens.")] = None,
    temperature: Annotated[float | None, typer.Option(min=0, help="How daring; 0: always the likeliest.")] = None,
    top_k: Annotated[int | None, typer.Option(min=1, help="Choose among so many tokens.")] = None,
    top_p: Annotated[float | None, typer.Option(min=0, max=1, help="Choose among those of this share.")] = None,
    beams: Annotated[int, typer.Option(min=1, help="Search with so many beams; more than 1 cannot stream.")] = 1,
    stop: Annotated[list[str] | None, typer.Option(help="End before this text; may be given repeatedly.")] = None,
    seed: Annotated[
        int | None, typer.Option(min=-(2**63), max=2**64 - 1, help="The same text again for the same number.")
    ] = None,
    truncation: Annotated[
        bool, typer.Option("--truncation", help="Leave out what does not fit: a prompt's beginning, a source's end.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object, when all is written.")] = False,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, mps; left out, the best there is.")] = None,
    precision: Annotated[str | None, typer.Option(help=PRECISIONS)] = None,
    revision: Annotated[str | None, typer.Option(help="A branch, tag or commit of a model on the Hub.")] = None,
) -> None:
    """Go on from PROMPT with a MODEL, word by word.

    A terminal shows the prompt too, a pipe gets only what was written; how fast it was stands on standard error.
    Models with an encoder (T5, BART, Marian) read PROMPT and write a text for it.
    """
    options = sampling_options({"temperature": temperature, "top_k": top_k, "top_p": top_p}) | {"num_beams": beams}
    if max_new_tokens is not None:
        options["max_new_tokens"] = max_new_tokens
    if stop:
        if "" in stop:
            raise typer.BadParameter("a text to end before cannot be empty", param_hint="--stop")
        options["stop_strings"] = stop
    text = read_prompt() if prompt is None else prompt
    pipe = load_writer(model, device=device, precision=precision, revision=revision)
    if truncation:
        options |= {"handle_long_generation": "hole"} if pipe.task == "text-generation" else {"truncation": True}
    if seed is not None:
        import torch

        torch.manual_seed(seed)
    write(pipe, text, options, json)


def sampling_options(asked: dict[str, Any]) -> dict[str, Any]:
    """Options of sampling, any of which turns it on; a temperature of 0 is the search for the likeliest token."""
    given = {name: value for name, value in asked.items() if value is not None}
    if given.get("temperature") != 0:
        return given | ({"do_sample": True} if given else {})
    if len(given) > 1:
        raise typer.BadParameter("0 leaves --top-k and --top-p nothing to choose", param_hint="--temperature")
    return {"do_sample": False}


def read_prompt() -> str:
    """All of standard input, which a person ends with Ctrl-D."""
    if sys.stdin.isatty():
        print("Type a prompt; Ctrl-D on a line of its own ends it.", file=sys.stderr)
    return read_text(sys.stdin.buffer, "standard input").rstrip("\r\n")


def load_writer(model: str, **options: Any) -> Any:
    """The pipeline of a model that writes."""
    from ..pipelines.generating import GeneratingPipeline

    found = load(None, None, model_name(model), **options)
    if not isinstance(found, GeneratingPipeline):
        raise InputError(f"{model} does not write: it is for {found.task}; try lamina run {found.task} -m {model}")
    return found


def write(pipe: Any, prompt: str, options: dict[str, Any], as_json: bool) -> None:
    """The answer of `pipe`, while it comes where there is one beam, and how fast it came."""
    from ..pipelines.rows import AdvisedError
    from .streaming import Shown

    continued = pipe.task == "text-generation"
    shown = Shown(pipe.tokenizer, quiet=as_json, prompted=continued and sys.stdout.isatty())
    began = time.perf_counter()
    try:
        if options["num_beams"] == 1:
            pipe(prompt, streamer=shown, **options)
        else:
            (ids,) = pipe(prompt, return_tensors=True, **options)[0].values()
            start = len(pipe.encode([prompt], pipe.settings)[0][0]) if continued else 1
            shown.take(ids, start, options.get("stop_strings", ()))
    except KeyboardInterrupt:
        print(file=sys.stderr)
        raise
    except AdvisedError as error:
        option = "handle_long_generation" if continued else "truncation"
        raise PipelineError(error.said(lambda name, value: "--truncation" if name == option else None)) from None
    report(shown, prompt, shown.seconds or time.perf_counter() - began, as_json)


def report(shown: Shown, prompt: str, seconds: float, as_json: bool) -> None:
    """How much was written and how fast, for people or programs."""
    speed = shown.tokens / seconds
    if as_json:
        facts = {"tokens": shown.tokens, "seconds": round(seconds, 3), "tokens_per_second": round(speed, 1)}
        print(json_format.dumps({"prompt": prompt, "text": shown.text, **facts}, ensure_ascii=False))
    else:
        print(f"{shown.tokens} tokens in {seconds:.1f} s, {speed:.1f} tokens/s", file=sys.stderr)
