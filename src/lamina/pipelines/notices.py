"""What users should know once, and not again with every call."""

from __future__ import annotations

import logging
from functools import cache

logger = logging.getLogger(__name__)


@cache
def announce(message: str) -> None:
    """Says it once in a process, on standard error unless logging is set up otherwise."""
    logger.warning(message)
