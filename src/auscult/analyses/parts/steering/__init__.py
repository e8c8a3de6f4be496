"""Control vectors: what they are made from, what they do to a sound, and how that is heard."""
