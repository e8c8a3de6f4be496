"""What a quantiser's codes are used for, stand for and keep (METHODS B-9)."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Shaped

from auscult.core.errors import NothingToMeasureError
from auscult.measures.statistics import split_by_recording


@dataclass(frozen=True)
class CodeUsage:
    """How a level spreads over its entries.

    Attributes:
        entropy_bits: Of the codes' shares; at most ``log2(n_codes)``.
        perplexity_share: ``2^entropy / n_codes``, in (0, 1]: 1 when all are used alike.
        dead_share: Entries that no frame took.
        zipf_slope: Slope of log share over log rank of the used codes; 0 when all are used alike,
            NaN with fewer than three.
        shares: Share of frames, descending.
    """

    entropy_bits: float
    perplexity_share: float
    dead_share: float
    zipf_slope: float
    shares: Float[np.ndarray, " code"]


def code_usage(codes: Int[np.ndarray, " frame"], n_codes: int) -> CodeUsage:
    """Usage of one level's entries.

    Bias: entropy and dead share of few frames say that fewer codes are in use than are; compare
    with as many frames of the control.

    >>> round(code_usage(np.array([0, 1, 2, 3]), 8).entropy_bits, 3)
    2.0
    """
    if not len(codes):
        raise NothingToMeasureError("there are no codes to count")
    counts = np.bincount(codes, minlength=n_codes).astype(np.float64)
    shares = np.sort(counts / counts.sum())[::-1]
    used = shares[shares > 0]
    entropy = float(-(used * np.log2(used)).sum())
    slope = float("nan")
    if len(used) >= 3:
        slope = float(np.polyfit(np.log(np.arange(1, len(used) + 1)), np.log(used), 1)[0])
    return CodeUsage(entropy, 2**entropy / n_codes, float(np.mean(counts == 0)), slope, shares)


@dataclass(frozen=True)
class CodeSpectra:
    """What frames of one code sound like.

    Attributes:
        codes: The codes with enough frames, commonest first.
        means: Mean log-magnitude spectrum of the frames of each, in decibels.
        counts: Frames of each.
        explained: Share of the spectra's variance between codes (of those codes), in [0, 1].
        flatness: Spectral flatness of each code's mean power, in (0, 1]: 1 for white.
    """

    codes: Int[np.ndarray, " code"]
    means: Float[np.ndarray, "code band"]
    counts: Int[np.ndarray, " code"]
    explained: float
    flatness: Float[np.ndarray, " code"]


def code_spectra(
    codes: Int[np.ndarray, " frame"], spectra_db: Float[np.ndarray, "frame band"], fewest: int = 8
) -> CodeSpectra:
    """Mean spectra by code, and how much the codes explain of all.

    Bias: many codes with few frames each explain something by chance; compare with shuffled codes.

    Raises:
        NothingToMeasureError: Fewer than two codes have enough frames.
    """
    found, counts = np.unique(codes, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    chosen = [int(found[i]) for i in order if counts[i] >= fewest]
    if len(chosen) < 2:
        raise NothingToMeasureError(f"fewer than two codes have {fewest} frames each")
    kept = np.isin(codes, chosen)
    values, labels = spectra_db[kept], codes[kept]
    means = np.stack([values[labels == code].mean(0) for code in chosen])
    sizes = np.array([int((labels == code).sum()) for code in chosen])
    total = float(np.square(values - values.mean(0)).sum())
    between = float((sizes[:, None] * np.square(means - values.mean(0))).sum())
    power = 10 ** (means / 10)
    flatness = np.exp(np.log(power).mean(1)) / power.mean(1)
    explained = between / total if total > 0 else float("nan")
    return CodeSpectra(np.array(chosen), means, sizes, explained, flatness)


def information(codes: Int[np.ndarray, " frame"], labels: Shaped[np.ndarray, " frame"]) -> float:
    """Adjusted mutual information of codes and labels, in (-∞, 1]: 0 by chance (Vinh et al. 2010).

    The correction for chance holds for independent frames; neighbouring frames of one sound are
    none, so labels shuffled among whole recordings are the control.
    """
    from sklearn.metrics import adjusted_mutual_info_score

    if len(np.unique(labels)) < 2:
        return float("nan")
    return float(adjusted_mutual_info_score(labels, codes))


def shuffled_by_recording(
    labels: Shaped[np.ndarray, " frame"],
    recording_ids: Shaped[np.ndarray, " frame"],
    rng: np.random.Generator,
) -> Shaped[np.ndarray, " frame"]:
    """Give each recording the labels of another one, in order, repeated or cut to its length."""
    names, which = np.unique(recording_ids, return_inverse=True)
    if len(names) < 2:
        raise NothingToMeasureError("labels are shuffled between recordings: give two or more")
    order = rng.permutation(len(names))
    given = np.empty(len(names), dtype=np.int64)
    given[order] = np.roll(order, 1)
    shuffled = np.empty_like(labels)
    for own, other in enumerate(given):
        rows = np.flatnonzero(which == own)
        shuffled[rows] = np.resize(labels[which == other], len(rows))
    return shuffled


@dataclass(frozen=True)
class Agreement:
    """Whether the same note gets the same codes, wherever it falls between frames.

    Attributes:
        shifts: Delays in samples.
        same: Share of equal codes with the undelayed note, by level and delay.
        other: The same with another note at the same delay: what equal codes are worth.
    """

    shifts: Int[np.ndarray, " shift"]
    same: Float[np.ndarray, "level shift"]
    other: Float[np.ndarray, "level shift"]


def agreement(
    codes: Int[np.ndarray, "note shift level frame"], shifts: Int[np.ndarray, " shift"]
) -> Agreement:
    """Compare the codes of notes that begin a few samples later, frame by frame.

    Args:
        codes: Of every note at every delay; the first delay is 0.
        shifts: The delays in samples.

    Raises:
        NothingToMeasureError: There is only one note.
    """
    if len(codes) < 2:
        raise NothingToMeasureError("agreement needs at least two notes")
    undelayed = codes[:, :1]
    same = (codes == undelayed).mean((0, 3)).T
    other = (codes == np.roll(undelayed, 1, axis=0)).mean((0, 3)).T
    return Agreement(shifts, same, other)


@dataclass(frozen=True)
class MixtureCodes:
    """Whether a mixture's code follows from its parts' codes.

    Attributes:
        accuracy: Of a decision tree on unseen mixtures.
        shuffled: The same when parts belong to another mixture.
        majority: Share of the commonest code.
    """

    accuracy: float
    shuffled: float
    majority: float


def mixture_codes(
    first: Int[np.ndarray, " frame"],
    second: Int[np.ndarray, " frame"],
    both: Int[np.ndarray, " frame"],
    mixture_ids: Shaped[np.ndarray, " frame"],
    rng: np.random.Generator,
) -> MixtureCodes:
    """Predict the code of ``a + b`` from the codes of ``a`` and ``b`` (METHODS B-9.6).

    Codes are names, not numbers: each is one-hot for the tree. Mixtures are split, not frames.
    """
    from sklearn.preprocessing import OneHotEncoder
    from sklearn.tree import DecisionTreeClassifier

    test = split_by_recording(mixture_ids, rng)

    def accuracy(a: np.ndarray, b: np.ndarray) -> float:
        encoder = OneHotEncoder(handle_unknown="ignore")
        parts = np.stack([a, b], 1)
        encoder.fit(parts[~test])
        tree = DecisionTreeClassifier(min_samples_leaf=3, random_state=0)
        tree.fit(encoder.transform(parts[~test]), both[~test])
        return float(tree.score(encoder.transform(parts[test]), both[test]))

    crossed = [shuffled_by_recording(one, mixture_ids, rng) for one in (first, second)]
    counts = np.bincount(both[~test])
    majority = float(np.mean(both[test] == counts.argmax()))
    return MixtureCodes(accuracy(first, second), accuracy(*crossed), majority)
