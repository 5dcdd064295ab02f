"""Tests of lamina.sentences."""

from pathlib import Path

GOLDEN = Path(__file__).resolve().parent / "golden"
MODELS = GOLDEN / "models.json"
