"""`lamina generate`: a text written on, shown while it is being written."""

from __future__ import annotations

import json as json_format
import sys
import time
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

from ..errors import InputError, PipelineError
from ..files.paths import bounded_text
from ..files.shown import visible
from ..files.tables import LONGEST
from .options import LOADING, load, model_name, option, switch, with_options

DIM, PLAIN = "\x1b[2m", "\x1b[0m"


@with_options(
    option("max_new_tokens", int, "Most tokens.", "-n", min=1),
    option("temperature", float, "Sampling temperature; 0: always the likeliest token.", min=0),
    option("top_k", int, "Choose among so many tokens.", min=1),
    option("top_p", float, "Choose among the likeliest tokens that together have this share.", min=0, max=1),
    option("beams", int, "Search with so many beams; with more than 1 the text comes whole.", default=1, min=1),
    option("stop", list[str], "End before this text; may be given repeatedly."),
    option("seed", int, "The same text again for the same number.", min=-(2**63), max=2**64 - 1),
    switch("truncation", "Leave out what does not fit: a prompt's beginning, a source's end."),
    switch("json", "One JSON object, when all is written."),
    *LOADING,
)
def generate(
    model: Annotated[str, typer.Argument(help="A folder or a name on the Hub, of a model that generates text.")],
    prompt: Annotated[str | None, typer.Argument(help="What to go on from; left out, standard input.")] = None,
    **said: Any,
) -> None:
    """Go on from PROMPT with a MODEL, word by word.

    A terminal shows the prompt too, a pipe gets only what was written; how fast it was stands on standard error.
    Models with an encoder (T5, BART, Marian) read PROMPT and write a text for it.
    """
    options = sampling_options({name: said[name] for name in ("temperature", "top_k", "top_p")})
    options |= {"num_beams": said["beams"]}
    if said["max_new_tokens"] is not None:
        options["max_new_tokens"] = said["max_new_tokens"]
    if stop := said["stop"]:
        if "" in stop:
            raise typer.BadParameter("a text to end before cannot be empty", param_hint="--stop")
        options["stop_strings"] = stop
    text = read_prompt() if prompt is None else prompt
    pipe = load_writer(model, **{each.name: said[each.name] for each in LOADING})
    if said["truncation"]:
        options |= {"handle_long_generation": "hole"} if pipe.task == "text-generation" else {"truncation": True}
    if said["seed"] is not None:
        import torch

        torch.manual_seed(said["seed"])
    write(pipe, text, options, said["json"])


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
    return bounded_text(sys.stdin.buffer, "standard input", LONGEST, InputError).rstrip("\r\n")


def load_writer(model: str, **options: Any) -> Any:
    from ..pipelines.generating import GeneratingPipeline

    found = load((), None, model_name(model), **options)
    if not isinstance(found, GeneratingPipeline):
        raise InputError(f"{model} does not write: it is for {found.task}; try lamina run {found.task} -m {model}")
    return found


class Shown:
    """A streamer that prints what is written and keeps it: `text`, `tokens`, and `seconds` since the prompt was read.

    `quiet` prints nothing; `prompted` shows the prompt before the text, faintly where the terminal can.
    """

    def __init__(self, tokenizer: Any, quiet: bool = False, prompted: bool = False):
        from ..generation.streaming import TextStreamer

        streamer = TextStreamer(tokenizer, skip_prompt=not prompted, skip_special_tokens=True)
        streamer.on_finalized_text = self._show  # type: ignore[method-assign]
        self._pass_on = streamer.put
        self.hold_back: Callable[[Sequence[str]], None] = streamer.hold_back
        self.end: Callable[[], None] = streamer.end
        self.quiet, self.terminal = quiet, sys.stdout.isatty()
        self.text, self.tokens, self.seconds = "", 0, 0.0
        self._began: float | None = None
        self._prompt = False

    def put(self, value: Any) -> None:
        """Take the ids of the prompt, then those of the text."""
        self._prompt = self._began is None
        if self._began is None:
            self._began = time.perf_counter()
        else:
            self.tokens += value.numel()
            self.seconds = time.perf_counter() - self._began
        self._pass_on(value)

    def _show(self, text: str, stream_end: bool = False) -> None:
        if not self._prompt:
            self.text += text
        if not self.quiet:
            shown = visible(text) if self.terminal else text
            faint = self._prompt and self.terminal
            print(f"{DIM}{shown}{PLAIN}" if faint else shown, end="\n" if stream_end else "", flush=True)


def write(pipe: Any, prompt: str, options: dict[str, Any], as_json: bool) -> None:
    """The answer of `pipe`, while it comes where there is one beam, and how fast it came."""
    from ..pipelines.inputs import AdvisedError

    continued = pipe.task == "text-generation"
    shown = Shown(pipe.tokenizer, quiet=as_json, prompted=continued and sys.stdout.isatty())
    began = time.perf_counter()
    try:
        if options["num_beams"] == 1:
            pipe(prompt, streamer=shown, **options)
            seconds = shown.seconds or time.perf_counter() - began
        else:
            import torch

            (ids,) = pipe(prompt, return_tensors=True, **options)[0].values()
            seconds = time.perf_counter() - began
            start = len(pipe.encode([prompt], pipe.settings)[0][0]) if continued else 1
            shown.hold_back(options.get("stop_strings", ()))
            for part in (ids[:start], ids[start:]):
                shown.put(torch.as_tensor(part))
            shown.end()
    except KeyboardInterrupt:
        print(file=sys.stderr)
        raise
    except AdvisedError as error:
        option = "handle_long_generation" if continued else "truncation"
        raise PipelineError(error.said(lambda name, value: "--truncation" if name == option else None)) from None
    speed = shown.tokens / seconds
    if as_json:
        facts = {"tokens": shown.tokens, "seconds": round(seconds, 3), "tokens_per_second": round(speed, 1)}
        print(json_format.dumps({"prompt": prompt, "text": shown.text, **facts}, ensure_ascii=False))
    else:
        print(f"{shown.tokens} tokens in {seconds:.1f} s, {speed:.1f} tokens/s", file=sys.stderr)
