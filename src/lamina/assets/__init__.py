"""Models that come inside the package, each a checkpoint folder like any other."""

from __future__ import annotations

from pathlib import Path

SENTIMENT = Path(__file__).parent / "sentiment"  # English sentiment, see the card in its README.md
