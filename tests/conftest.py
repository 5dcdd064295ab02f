"""What every test shares: the repository root on the path, one thread, Ctrl-C, repeatable examples."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from hypothesis import settings

pytest_plugins = ["tests.browser"]

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

# The tiny models of the tests lose more time to handing work to threads than they gain.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A suite started in the background of a shell is deaf to Ctrl-C, and so would be the programs that tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("steady", derandomize=True, deadline=None, print_blob=True)
settings.load_profile("steady")
