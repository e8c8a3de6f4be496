"""How a number grows with size and data over a set of networks (METHODS B-11)."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from auscult.core.errors import NothingToMeasureError


@dataclass(frozen=True)
class Slope:
    """What one factor does to a number, the others held still.

    Attributes:
        per_doubling: Change of the number for twice the factor.
        interval: 95 % of resamplings of what the fit leaves over: what other networks of the same
            sizes and amounts would give. Bias: with few networks it is as narrow as their noise is
            even.
        p: Share of exchanges of the numbers among the networks whose slope is as steep, both ways.
    """

    per_doubling: float
    interval: tuple[float, float]
    p: float


def slopes(
    values: Float[np.ndarray, " network"],
    factors: Float[np.ndarray, "network factor"],
    rng: np.random.Generator,
    n_resamples: int = 2000,
) -> list[Slope]:
    """Fit ``value = c + Σ slope log2 factor`` by least squares, with resampled residuals.

    Residuals are widened by √(n / (n - k)), k the number of coefficients, since a fit takes up
    some of the noise (Davison & Hinkley 1997, section 6.2).

    Args:
        values: One a network; those that are no number are left out.
        factors: Sizes, amounts of data: positive.
        rng: Resamples and exchanges.
        n_resamples: Of each.

    Raises:
        NothingToMeasureError: There are too few networks, or a factor does not vary.
    """
    known = np.isfinite(values)
    y, x = values[known], np.log2(factors[known])
    n, k = len(y), 1 + x.shape[1]
    if n <= k or np.any(np.ptp(x, axis=0) == 0):
        raise NothingToMeasureError(
            f"{n} networks are too few for slopes over {x.shape[1]} factors, or one does not vary"
        )
    design = np.concatenate([np.ones((n, 1)), x], 1)
    solve = np.linalg.pinv(design)
    fitted = solve @ y
    left = (y - design @ fitted) * np.sqrt(n / (n - k))
    drawn = design @ fitted + left[rng.integers(0, n, (n_resamples, n))]
    resampled = drawn @ solve.T
    exchanged = np.stack([solve @ rng.permutation(y) for _ in range(n_resamples)])
    found = []
    for i in range(1, k):
        low, high = np.quantile(resampled[:, i], [0.025, 0.975])
        steeper = np.abs(exchanged[:, i]) >= abs(fitted[i]) - 1e-12
        p = (1 + int(steeper.sum())) / (1 + n_resamples)
        found.append(Slope(float(fitted[i]), (float(low), float(high)), p))
    return found
