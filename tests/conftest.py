"""What every test shares: the repository root on the path, one thread, Ctrl-C, repeatable examples."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
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


@pytest.fixture(autouse=True)
def threads_of_torch() -> Iterator[None]:
    """The next test computes with as many threads as this one found: another number may change a last bit."""
    before = sys.modules["torch"].get_num_threads() if "torch" in sys.modules else int(os.environ["OMP_NUM_THREADS"])
    yield
    if "torch" in sys.modules and sys.modules["torch"].get_num_threads() != before:
        sys.modules["torch"].set_num_threads(before)
