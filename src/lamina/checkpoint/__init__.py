"""Weights on disk: reading, checking, giving them to models, writing."""
