"""Acoustic attributes that a person can name, as labels for the frames of any tap."""
