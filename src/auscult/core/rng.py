"""Named random number generators.

Every draw has a name, so no draw depends on the order of others.
"""

import hashlib

import numpy as np


def seed_of(seed: int, *names: str | int) -> int:
    """Derive a 63-bit seed from a run's seed and the path of names that says what it is for.

    >>> seed_of(0, "train", "features") == seed_of(0, "train", "features")
    True
    >>> seed_of(0, "train", "features") == seed_of(0, "train", "archetypes")
    False
    """
    text = "\x1f".join([str(seed), *(str(name) for name in names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def named_rng(seed: int, *names: str | int) -> np.random.Generator:
    """Make the random number generator of one purpose; see :func:`seed_of`."""
    return np.random.default_rng(seed_of(seed, *names))
