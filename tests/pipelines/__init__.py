"""Tests of lamina.pipelines."""
