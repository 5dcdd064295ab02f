"""The `lamina` command: one file per subcommand, and nothing heavy imported before a subcommand needs it."""

from __future__ import annotations

import gc
import sys

PATIENCE = (200_000, 20, 100)  # new objects before the collector looks at them; a start makes hundreds of thousands


def main() -> None:
    """Run the command line; every error of ours is one line on standard error and its exit status, 1 for most."""
    gc.set_threshold(*PATIENCE)
    try:
        from ..errors import LaminaError
        from .app import app

        try:
            app(prog_name="lamina")
        except LaminaError as error:
            print(f"lamina: {' '.join(str(error).split())}", file=sys.stderr)
            status = getattr(error, "code", 1)
            sys.exit(status if isinstance(status, int) else 1)  # the codes of some errors are words for programs
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        if "torch" in sys.modules:
            gc.freeze()  # or the interpreter would go through all of it on its way out, a third of a second
