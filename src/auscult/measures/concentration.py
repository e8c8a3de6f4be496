"""How concentrated the use of a dictionary is on a sample of vectors (METHODS A-12, A-14, A-15)."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped

from auscult.dictionaries.base import Dictionary
from auscult.measures.geometry import effective_dimension
from auscult.measures.null_dictionaries import written_by
from auscult.measures.statistics import smallest_covering
from auscult.measures.usage import Usage, UsageSummary, measure_usage, usage_summary

_BATCH = 8192


@dataclass(frozen=True)
class Encoded:
    """A sample of vectors as a dictionary encodes it.

    Attributes:
        top: The atom with the greatest activation of each vector; -1 where none is on.
        usage: The three definitions of usage (METHODS A-12).
        l0: Mean number of atoms that are on.
        error: Σ‖x − x̂‖² / Σ‖x‖², NaN for vectors of zeros.
        fvu: The same about the sample's mean.
    """

    top: Int[np.ndarray, " n"]
    usage: Usage
    l0: float
    error: float
    fvu: float


@torch.no_grad()
def encoded(
    dictionary: Dictionary, values: Float[np.ndarray, "n d"], strong_share: float = 0.25
) -> Encoded:
    """Encode a sample that fits in memory, at least one vector.

    Shares of a vector's norm are taken in the dictionary's own coordinates, where activations live.

    Args:
        dictionary: Fitted to vectors of this width.
        values: The vectors.
        strong_share: See :func:`auscult.measures.usage.measure_usage`.
    """
    atoms = written_by(dictionary)
    mean = values.mean(axis=0, dtype=np.float64)
    tops, parts, n_on = [], [], 0
    left = energy = variance = 0.0
    for start in range(0, len(values), _BATCH):
        x = torch.from_numpy(np.ascontiguousarray(values[start : start + _BATCH]))
        acts = dictionary.encode(x)
        decoded = dictionary.decode(acts).double().numpy()
        z, raw = acts.numpy(), x.double().numpy()
        strength = np.abs(z)
        tops.append(np.where(strength.max(axis=1) > 0, strength.argmax(axis=1), -1))
        seen = dictionary.preprocess(x.to(dictionary.preprocess.mean.dtype)).numpy()
        parts.append(measure_usage(z, atoms, seen, strong_share))
        n_on += int(np.count_nonzero(z))
        left += float(np.square(raw - decoded).sum())
        energy += float(np.square(raw).sum())
        variance += float(np.square(raw - mean).sum())
    return Encoded(
        np.concatenate(tops),
        sum(parts[1:], parts[0]),
        n_on / len(values),
        left / energy if energy > 0 else float("nan"),
        left / variance if variance > 0 else float("nan"),
    )


def resampled_n90(
    top: Int[np.ndarray, " n"],
    recording_ids: Shaped[np.ndarray, " n"],
    n_atoms: int,
    rng: np.random.Generator,
    n_resamples: int = 500,
) -> Float[np.ndarray, " n_resamples"]:
    """N90 of the atoms on top, over resamplings of the recordings (METHODS A-12, §1.4).

    Bias: with fewer than about ten recordings the spread is too narrow; with one it is none.

    Args:
        top: The atom on top of each vector; -1 counts for none.
        recording_ids: The recording of each vector.
        n_atoms: Size of the dictionary.
        rng: Draws recordings with replacement.
        n_resamples: How often.
    """
    _, which = np.unique(recording_ids, return_inverse=True)
    n = int(which.max()) + 1
    counts = np.zeros((n, n_atoms))
    used = top >= 0
    np.add.at(counts, (which[used], top[used]), 1.0)
    drawn = rng.multinomial(n, np.full(n, 1 / n), n_resamples) @ counts
    return np.array([float(smallest_covering(shares, 0.9)) for shares in drawn])


@dataclass(frozen=True)
class Concentration:
    """How a dictionary is used on a sample, with what that must be read beside.

    Attributes:
        coded: Usage, l0 and fidelity.
        n90: Smallest number of atoms on top of 90 % of the vectors.
        n90_resampled: The same over resamplings of the recordings.
        summaries: Of usage by each definition: ``top``, ``strong``, ``energy`` (METHODS A-12).
        participation: Effective dimension of the vectors, by participation of eigenvalues.
        rank: Directions that hold 99.99 % of their variance.
        n: Number of vectors.
    """

    coded: Encoded
    n90: float
    n90_resampled: Float[np.ndarray, " n_resamples"]
    summaries: dict[str, UsageSummary]
    participation: float
    rank: int
    n: int

    def figures(self) -> dict[str, float]:
        """What there is to compare, by name."""
        top, strong, energy = (self.summaries[name] for name in ("top", "strong", "energy"))
        return {
            "N90, archetype on top": self.n90,
            "N90, highly active": float(strong.n90),
            "N90, energy": float(energy.n90),
            "Gini coefficient": top.gini,
            "effective number": top.effective_number,
            "share never on top": top.unused_share,
            "l0": self.coded.l0,
            "fvu": self.coded.fvu,
            "effective dimension (participation)": self.participation,
            "rank (99.99 % of the variance)": float(self.rank),
        }

    @property
    def n90_interval(self) -> tuple[float, float]:
        """95 % of the resamplings lie within."""
        low, high = np.quantile(self.n90_resampled, (0.025, 0.975))
        return float(low), float(high)


def concentration(
    dictionary: Dictionary,
    values: Float[np.ndarray, "n d"],
    recording_ids: Shaped[np.ndarray, " n"],
    rng: np.random.Generator,
) -> Concentration:
    """Measure how concentrated a dictionary's use is on a sample of at least one vector."""
    coded = encoded(dictionary, values)
    usage = coded.usage
    summaries = {
        "top": usage_summary(usage.top),
        "strong": usage_summary(usage.strong),
        "energy": usage_summary(usage.energy_share),
    }
    centred = values - values.mean(axis=0, dtype=np.float64)
    participation, rank = effective_dimension(centred.T @ centred / len(values))
    resampled = resampled_n90(coded.top, recording_ids, dictionary.n_features, rng)
    n90 = float(summaries["top"].n90)
    return Concentration(coded, n90, resampled, summaries, participation, rank, len(values))


def root_mean_square(values: Float[np.ndarray, "n d"], still_share: float = 0.0) -> float:
    """Root mean square norm of vectors of which a share that does not move was left out."""
    if not len(values):
        return 0.0
    return float(
        np.sqrt(np.square(values, dtype=np.float64).sum(axis=1).mean() * (1 - still_share))
    )


def ratio_interval(
    above: Float[np.ndarray, " n"], below: Float[np.ndarray, " n"]
) -> tuple[float, float] | None:
    """95 % interval of a quotient of two resampled numbers; None where the lower one is 0."""
    if not np.all(below > 0):
        return None
    low, high = np.quantile(above / below, (0.025, 0.975))
    return float(low), float(high)
