"""Vectors with the concepts of the sound, and how what is read from them is judged and shown."""
