"""What a handful of random draws can say: a rank test, and how many draws it needs."""

import numpy as np
from jaxtyping import Float, Int

FEWEST_DRAWS = 19
"""Draws from which on 95 % of them can be spoken of.

What is itself one more draw exceeds all n others with probability 1 / (n + 1): that is 5 % at 19.
"""


def upper_edge(
    draws: Float[np.ndarray, "draw ..."],
) -> tuple[Float[np.ndarray, "..."], Int[np.ndarray, "..."]]:
    """What must be exceeded to lie beyond 95 % of random draws, by rank (METHODS §1.4).

    It is the k-th largest of n draws, k = ⌊(n + 1) / 20⌋: a value that exceeds it has the rank p
    (1 + number of draws at least as large) / (n + 1) of at most 5 %. Below 19 draws it is the
    largest, and what exceeds that has a p above 5 %. Bias: none in the level; an interpolated
    quantile of so few draws lies lower, and is exceeded by chance more often than it says.

    Args:
        draws: One statistic under each random draw; NaN where it could not be measured.

    Returns:
        The edge, NaN where no draw is known; and how many draws are.

    >>> edge, n = upper_edge(np.arange(39.0))
    >>> float(edge), int(n)
    (37.0, 39)
    """
    n = np.isfinite(draws).sum(axis=0)
    ordered = np.sort(np.where(np.isfinite(draws), draws, -np.inf), axis=0)
    rank = np.clip((n + 1) // (FEWEST_DRAWS + 1), 1, len(draws))
    found = np.take_along_axis(ordered, np.asarray(len(draws) - rank)[None], axis=0)[0]
    return np.asarray(np.where(n > 0, found, np.nan)), np.asarray(n)


def edge_words(n: int, what: str = "random directions") -> str:
    """How the edge of so many draws may be called.

    >>> edge_words(19), edge_words(5), edge_words(1, "other seeds")
    ('95 % of random directions', 'highest of 5 random directions', 'highest of 1 other seeds')
    """
    return f"95 % of {what}" if n >= FEWEST_DRAWS else f"highest of {n} {what}"
