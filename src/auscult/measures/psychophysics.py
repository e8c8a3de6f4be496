"""What units answer to when a parameter is swept: tuning, thresholds, equal response."""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float

from auscult.core.errors import ConfigError


@final
@dataclass(frozen=True)
class Tuning:
    """How units depend on a swept parameter.

    Attributes:
        curves: Mean response over repeats.
        deviation: Standard deviation between repeats of a step, pooled over steps.
        explained: Share of a unit's variance that lies between steps, 0 to 1; NaN for a silent
            unit. Bias: with r repeats of s steps it is (s - 1) / (s r - 1) for a unit without any
            tuning; read it against permuted steps.
        p_values: Of the one-way F test that all steps are alike; 1 for a silent unit.
    """

    curves: Float[np.ndarray, "step unit"]
    deviation: Float[np.ndarray, " unit"]
    explained: Float[np.ndarray, " unit"]
    p_values: Float[np.ndarray, " unit"]


def tuning(responses: Float[np.ndarray, "step repeat unit"]) -> Tuning:
    """Curves and one-way analysis of variance of every unit.

    Raises:
        ConfigError: There are fewer than two steps or repeats.
    """
    from scipy.stats import f as f_distribution

    n_steps, n_repeats, _ = responses.shape
    if n_steps < 2 or n_repeats < 2:
        raise ConfigError("tuning needs at least two steps and two repeats of each")
    values = responses.astype(np.float64)
    curves = values.mean(axis=1)
    within = np.square(values - curves[:, None]).sum(axis=(0, 1))
    between = n_repeats * np.square(curves - curves.mean(axis=0)).sum(axis=0)
    total = within + between
    alive = total > 1e-12 * np.maximum(np.square(values).sum(axis=(0, 1)), 1e-30)
    free = n_steps * (n_repeats - 1)
    ratio = (between / (n_steps - 1)) / np.maximum(within / free, 1e-30)
    p_values = np.where(alive, f_distribution.sf(ratio, n_steps - 1, free), 1.0)
    explained = np.where(alive, between / np.where(alive, total, 1.0), np.nan)
    return Tuning(curves, np.sqrt(within / free), explained, p_values)


def permuted_steps(
    responses: Float[np.ndarray, "step repeat unit"], rng: np.random.Generator
) -> Float[np.ndarray, "step repeat unit"]:
    """The same responses as if to other steps: the null of tuning."""
    n_steps, n_repeats, n_units = responses.shape
    order = rng.permutation(n_steps * n_repeats)
    flat = responses.reshape(n_steps * n_repeats, n_units)[order]
    return np.asarray(flat.reshape(n_steps, n_repeats, n_units))


def thresholds(
    found: Tuning, steps: Float[np.ndarray, " step"], d_prime: float = 1.0
) -> Float[np.ndarray, " unit"]:
    """Smallest change from the first step that a unit tells apart with a d' of 1.

    d' is the change of the mean over the deviation between repeats; between steps it is
    interpolated. NaN where no step reaches it; 0 deviation tells any change apart.
    """
    change = np.abs(found.curves - found.curves[0])
    scale = np.maximum(found.deviation, 1e-12 * np.maximum(np.abs(found.curves).max(axis=0), 1e-30))
    heard = change / scale
    result = np.full(heard.shape[1], np.nan)
    for unit in range(heard.shape[1]):
        over = np.flatnonzero(heard[:, unit] >= d_prime)
        if len(over):
            i = int(over[0])
            low, high = heard[i - 1, unit], heard[i, unit]
            share = (d_prime - low) / max(high - low, 1e-12)
            result[unit] = abs(steps[i - 1] - steps[0] + share * (steps[i] - steps[i - 1]))
    return result


def iso_response(
    responses: Float[np.ndarray, "across level"],
    levels: Float[np.ndarray, " level"],
    criterion: float,
) -> Float[np.ndarray, " across"]:
    """Level at which a response first reaches a criterion, for every value of another parameter.

    Interpolated between levels; NaN where the response stays below, the lowest level where it
    starts above.

    >>> iso_response(np.array([[0.0, 1.0, 2.0]]), np.array([-40.0, -30.0, -20.0]), 0.5)
    array([-35.])
    """
    found = np.full(len(responses), np.nan)
    for i, row in enumerate(responses):
        over = np.flatnonzero(row >= criterion)
        if not len(over):
            continue
        j = int(over[0])
        if j == 0:
            found[i] = levels[0]
        else:
            share = (criterion - row[j - 1]) / max(row[j] - row[j - 1], 1e-30)
            found[i] = levels[j - 1] + share * (levels[j] - levels[j - 1])
    return found
