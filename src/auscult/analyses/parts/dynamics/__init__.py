"""Paths of response vectors from frame to frame, as they are drawn and played."""
