"""Checkpoints and configurations on disk and on the hub: reading, checking, converting, writing."""
