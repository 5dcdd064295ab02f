"""The `lamina` command: one file per subcommand, and nothing heavy imported before a subcommand needs it."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; every error of ours is one line on standard error and exit status 1."""
    try:
        from ..errors import LaminaError
        from .app import app

        try:
            app(prog_name="lamina")
        except LaminaError as error:
            print(f"lamina: {' '.join(str(error).split())}", file=sys.stderr)
            sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
