"""Directions, how they are fitted, how vectors are encoded by them, and how well that worked."""
