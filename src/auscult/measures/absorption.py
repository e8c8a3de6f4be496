"""Whether a general feature goes silent where a more specific one speaks (Chanin et al. 2024)."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from auscult.measures.geometry import unit_rows
from auscult.measures.probe_families import Linear
from auscult.measures.probe_targets import categories
from auscult.measures.probes import ProbeSettings, fit_probe

_MOST_MAIN = 10
_LEAST_GAIN = 0.03
_LEAST_F1 = 0.6
_FULL_COSINE = 0.025
_FULL_SHARE = 0.4
_NEAR_COSINE = 0.1
_MOST_ABSORBERS = 3


@dataclass(frozen=True)
class GeneralDirection:
    """A general class as a direction of the tap.

    Attributes:
        direction: Unit vector along which the probe's evidence for the class grows.
        mean: Of the training vectors.
        found: Test rows of the class that the probe recognises.
        f1: Of the probe on the test rows; below 0.6 the class is not there to be absorbed.
    """

    direction: Float[np.ndarray, " d"]
    mean: Float[np.ndarray, " d"]
    found: Bool[np.ndarray, " n"]
    f1: float

    @property
    def readable(self) -> bool:
        """Whether the class can be read well enough to ask on."""
        return self.f1 >= _LEAST_F1 and bool(self.found.any())


def general_direction(
    x: Float[np.ndarray, "n d"],
    positive: Bool[np.ndarray, " n"],
    recording_ids: Shaped[np.ndarray, " n"],
    test: Bool[np.ndarray, " n"],
    rng: np.random.Generator,
) -> GeneralDirection:
    """Fit the ground truth of a class: a dense linear probe on the tap itself.

    Raises:
        ConfigError: One side of the class is empty.
    """
    target = categories(["yes" if one else "no" for one in positive], ("no", "yes"))
    train = ~test
    settings = ProbeSettings(balanced=True)
    probe = fit_probe(x[train], target.rows(train), recording_ids[train], rng, settings)
    weights = probe.readout.weights  # type: ignore[attr-defined]
    answered = probe.answers(x).classes == 1
    direction = unit_rows((weights[1] - weights[0])[None])[0]
    found = test & positive & answered
    return GeneralDirection(
        direction, x[train].mean(0, dtype=np.float64), found, _f1(answered[test], positive[test])
    )


@dataclass(frozen=True)
class Absorption:
    """How far other features speak for a class in place of its main ones.

    Attributes:
        main: The main features, in the order in which they were added.
        full: Of each recognised test row, whether all main features are silent and one other, with
            a cosine of at least 0.025 to the probe, carries at least 0.4 of its projection.
        absorbers: Of each such row, that feature; -1 elsewhere.
        fraction: Of each recognised test row, share of the evidence for the class that at most
            three other features with a cosine of at least 0.1 carry, beside what the main ones do.
    """

    main: Int[np.ndarray, " k"]
    full: Bool[np.ndarray, " n"]
    absorbers: Int[np.ndarray, " n"]
    fraction: Float[np.ndarray, " n"]

    @property
    def full_rate(self) -> float:
        """Share of recognised rows that are fully absorbed, in [0, 1], lower is better.

        Bias: dictionaries that spread a class over many features by chance count as absorbing; read
        it against one whose decoder stayed random.
        """
        return float(self.full.mean()) if len(self.full) else float("nan")

    @property
    def mean_fraction(self) -> float:
        """Mean share of the evidence carried by absorbers, in [0, 1], lower is better."""
        known = self.fraction[np.isfinite(self.fraction)]
        return float(known.mean()) if len(known) else float("nan")


def absorption(
    general: GeneralDirection,
    x: Float[np.ndarray, "n d"],
    acts: Float[np.ndarray, "n m"],
    atoms: Float[np.ndarray, "m d"],
    positive: Bool[np.ndarray, " n"],
    test: Bool[np.ndarray, " n"],
    scale: float = 1.0,
) -> Absorption:
    """Measure absorption of one class in one dictionary (METHODS §8.2, after SAEBench 0.6.0).

    Main features are added by the distance of their class means, while a logistic regression on
    them gains 0.03 in F1 on the training rows, up to ten.

    Args:
        general: From :func:`general_direction`, on the same rows.
        x: The tap's vectors.
        acts: Activations.
        atoms: What each feature adds with an activation of 1, in the tap's coordinates up to
            ``scale``; directions alone are not enough where lengths differ.
        positive: Rows of the class.
        test: Rows to judge on.
        scale: Length in the tap of an atom of length 1.
    """
    main = _main_features(acts[~test], positive[~test])
    rows = np.flatnonzero(general.found)
    cosines = unit_rows(atoms.astype(np.float64)) @ general.direction
    carried = acts[rows].astype(np.float64) * (atoms @ general.direction) * scale
    projection = (x[rows] - general.mean) @ general.direction
    others = carried.copy()
    others[:, main] = -np.inf
    top = others.argmax(1)
    strongest = others[np.arange(len(rows)), top]
    silent = ~(acts[rows][:, main] != 0).any(1)
    full = silent & (cosines[top] >= _FULL_COSINE) & (projection > 0)
    full &= strongest >= _FULL_SHARE * projection
    near = np.where(cosines >= _NEAR_COSINE, np.maximum(others, 0.0), 0.0)
    absorbed = np.sort(near, axis=1)[:, -_MOST_ABSORBERS:].sum(1)
    total = absorbed + np.maximum(carried[:, main].sum(1), 0.0)
    fraction = np.divide(absorbed, total, np.full(len(rows), np.nan), where=total > 0)
    return Absorption(main, full, np.where(full, top, -1), fraction)


def _main_features(
    acts: Float[np.ndarray, "n m"], positive: Bool[np.ndarray, " n"]
) -> Int[np.ndarray, " k"]:
    """Features that tell the class best, one by one while F1 rises."""
    apart = acts[positive].mean(0) - acts[~positive].mean(0)
    order = np.argsort(-apart, kind="stable")[:_MOST_MAIN]
    target = categories(["yes" if one else "no" for one in positive], ("no", "yes"))
    rng = np.random.default_rng(0)  # a linear fit draws nothing
    best, chosen = 0.0, 1
    for k in range(1, len(order) + 1):
        part = acts[:, order[:k]]
        readout = Linear(balanced=True, n_steps=50).fit(part, target, 1.0, rng)
        score = _f1(readout.answers(part).classes == 1, positive)
        if k > 1 and score < best + _LEAST_GAIN:
            break
        best, chosen = score, k
    return np.asarray(order[:chosen])


def _f1(answered: Bool[np.ndarray, " n"], positive: Bool[np.ndarray, " n"]) -> float:
    right = int((answered & positive).sum())
    both = int(answered.sum()) + int(positive.sum())
    return 2 * right / both if both else float("nan")


def specificity(
    acts: Float[np.ndarray, "n m"],
    absorbers: Int[np.ndarray, " k"],
    specific: Int[np.ndarray, " n"],
    of_rows: Int[np.ndarray, " k"],
) -> float:
    """How much more often an absorbing feature is on in the row's own sub-class than elsewhere.

    Mean over absorbed rows of the share of its activity within the general class that falls on the
    row's own sub-class, over the sub-class's share of the rows: 1 for a feature that knows no
    sub-class, higher for one that is specific. NaN where nothing is absorbed.

    Args:
        acts: Activations of the rows of the general class.
        absorbers: Feature of each absorbed row; -1 where none is.
        specific: Sub-class of the rows of the general class.
        of_rows: Sub-class of each absorbed row.
    """
    lifts = []
    for feature, own in zip(absorbers, of_rows, strict=True):
        if feature < 0:
            continue
        on = acts[:, feature] != 0
        share = float((specific == own).mean())
        if on.any() and share > 0:
            lifts.append(float((specific[on] == own).mean()) / share)
    return float(np.mean(lifts)) if lifts else float("nan")


def determines(specific: Shaped[np.ndarray, " n"], general: Shaped[np.ndarray, " n"]) -> bool:
    """Whether each value of one label comes with one value of the other, and is finer.

    >>> determines(np.array(["C4", "C5", "D4"]), np.array(["C", "C", "D"]))
    True
    >>> determines(np.array(["C", "C", "D"]), np.array(["C4", "C5", "D4"]))
    False
    """
    pairs = {(str(a), str(b)) for a, b in zip(specific, general, strict=True)}
    n_specific, n_general = len({a for a, _ in pairs}), len({b for _, b in pairs})
    return len(pairs) == n_specific and n_specific > n_general > 1
