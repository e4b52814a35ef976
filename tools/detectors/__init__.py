"""Detectors over windows: one module each, found by walking this folder."""
