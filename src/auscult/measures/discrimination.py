"""How well a probe ranks the rows of each class above the rest, whatever it answers (AUC)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float, Int

from auscult.measures.probe_families import Answers
from auscult.measures.probe_targets import Target
from auscult.measures.statistics import auc

AUC = "AUC"


@final
@dataclass(frozen=True)
class PairCounts:
    """Pairs of a row of a class and a row of another, by the recordings that both are from.

    A bootstrap over recordings weighs pairs by how often both recordings were drawn, so it needs
    these sums and no rows.

    Attributes:
        won: Pairs in which the row of the class scores higher for it, ties counting half.
        rows: Rows of each class in each recording.
    """

    won: Float[np.ndarray, "n_classes r r"]
    rows: Float[np.ndarray, "n_classes r"]

    def resampled(self, draws: Float[np.ndarray, "b r"]) -> Float[np.ndarray, " b"]:
        """Macro AUC over draws of the recordings: see :func:`macro_auc`.

        NaN for a draw in which no class stands against another. Bias: a draw takes a recording
        several times and so pairs it with itself, as every bootstrap does.
        """
        every = self.rows.sum(axis=0)
        each = np.full((len(self.won), len(draws)), np.nan)
        for one, (won, rows) in enumerate(zip(self.won, self.rows, strict=True)):
            wins = np.einsum("bi,bi->b", draws @ won, draws)
            pairs = (draws @ rows) * (draws @ (every - rows))
            np.divide(wins, pairs, out=each[one], where=pairs > 0)
        known = np.isfinite(each)
        total = np.where(known, each, 0.0).sum(axis=0)
        out = np.full(len(draws), np.nan)
        return np.asarray(np.divide(total, known.sum(axis=0), out=out, where=known.any(axis=0)))


def macro_auc(scores: Float[np.ndarray, "n n_classes"], labels: Int[np.ndarray, " n"]) -> float:
    """Mean over classes of the AUC of one class against all others (one-vs-rest, macro).

    Range 0 to 1; 0.5 for scores that say nothing, whatever the shares of the classes. Classes that
    no row has, or every row, are left out; NaN when none is left. Rows with a label below 0 are
    passed over.

    >>> macro_auc(np.array([[0.9, 0.1], [0.6, 0.4], [0.7, 0.3]]), np.array([0, 1, 1]))
    1.0
    """
    known = labels >= 0
    scores, labels = scores[known], labels[known]
    each = [
        auc(scores[labels == one, one], scores[labels != one, one])
        for one in range(scores.shape[1])
    ]
    return float(np.mean([one for one in each if np.isfinite(one)] or [np.nan]))


def pair_counts(
    scores: Float[np.ndarray, "n n_classes"],
    labels: Int[np.ndarray, " n"],
    where: Int[np.ndarray, " n"],
    n_recordings: int,
) -> PairCounts:
    """Count the pairs behind :func:`macro_auc` by recording.

    Args:
        scores: Of each row for each class.
        labels: Class of each row, all from 0 on.
        where: Recording of each row, 0 to ``n_recordings - 1``.
        n_recordings: How many there are.
    """
    n_classes = scores.shape[1]
    won = np.zeros((n_classes, n_recordings, n_recordings))
    rows = np.zeros((n_classes, n_recordings))
    np.add.at(rows, (labels, where), 1)
    for one in range(n_classes):
        mine = labels == one
        levels, rank = np.unique(scores[:, one], return_inverse=True)
        others = np.zeros((len(levels) + 1, n_recordings))
        np.add.at(others, (rank[~mine] + 1, where[~mine]), 1)
        up_to = np.cumsum(others, axis=0)
        beaten = (up_to[:-1] + up_to[1:]) / 2
        np.add.at(won[one], where[mine], beaten[rank[mine]])
    return PairCounts(won, rows)


def discrimination(answers: Answers, target: Target) -> Mapping[str, float]:
    """The macro AUC of answers by its name, as a further score of :func:`probes.read`."""
    return {AUC: macro_auc(answers.log_probabilities, target.labels)}
