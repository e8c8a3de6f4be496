"""Measures that several analyses share: pure functions on NumPy arrays, no torch, no files."""
