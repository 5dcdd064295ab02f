"""The `lamina` command: one file per subcommand, and nothing heavy imported before a subcommand needs it."""

from __future__ import annotations

import gc
import io
import os
import sys

PATIENCE = (200_000, 20, 100)  # new objects before the collector looks at them; a start makes hundreds of thousands
LONGEST_SAID = 2000  # characters of an error; what it quotes may be as long as a caller wished


def main() -> None:
    """Run the command line; every error of ours is one line on standard error and its exit status, 1 for most."""
    gc.set_threshold(*PATIENCE)
    try:
        prepare_streams()
        from ..errors import LaminaError
        from .app import app

        try:
            app(prog_name="lamina")
        except LaminaError as error:
            status = getattr(error, "code", 1)
            fail(str(error), status if isinstance(status, int) else 1)  # the codes of some errors are words
        except OSError as error:
            from .output import drop_standard_output

            place = f"{error.filename}: " if error.filename else "standard output cannot be written: "
            drop_standard_output()
            fail(place + (error.strerror or str(error)), 1)
        except MemoryError:
            fail("there is not enough memory", 1)
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        if "torch" in sys.modules:
            gc.freeze()  # or the interpreter would go through all of it on its way out, a third of a second


def fail(message: str, status: int) -> None:
    """Say what is wrong, on one line, and stop."""
    from ..files.shown import visible

    line = visible(" ".join(message.split()))
    print(f"lamina: {line if len(line) <= LONGEST_SAID else line[:LONGEST_SAID] + '...'}", file=sys.stderr)
    sys.exit(status)


def prepare_streams() -> None:
    """UTF-8 into files and pipes, whatever the locale; a stream that is closed fails where it is used."""
    for name, flags in (("stdin", os.O_WRONLY), ("stdout", os.O_RDONLY), ("stderr", os.O_WRONLY)):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, flags), "r" if name == "stdin" else "w"))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding=None if stream.isatty() else "utf-8", errors="backslashreplace")
