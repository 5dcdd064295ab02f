"""Tests of lamina.inference."""
