"""Codes of a quantiser, and notes sent through a codec."""
