"""Is there more order in a sequence of codes than chance leaves, one step and two steps back?

METHODS B-9.7. Entropies are corrected for bias (Chao, Wang and Jost 2013): a codebook of a thousand
entries has a million pairs, of which a corpus shows a few; counted plainly, whatever follows such a
code seems certain.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float, Int
from scipy.integrate import quad
from scipy.special import digamma

from auscult.core.errors import NothingToMeasureError

Codes = Int[np.ndarray, " _frame"]

_GROUPS = 20


def entropy_bits(counts: Int[np.ndarray, " n"]) -> float:
    """Entropy of what was counted, in bits, corrected for what was not seen.

    The estimator of Chao, Wang and Jost (2013, eq. 7): a part without bias from each count, and
    what is still missing from the things seen once and twice. Bias: small where every second thing
    was seen twice; with nearly all things seen once it can only say "many".

    >>> round(entropy_bits(np.array([500, 500])), 2)
    1.0
    """
    counts = counts[counts > 0]
    n = int(counts.sum())
    if n == 0:
        return 0.0
    seen = float(np.sum(counts / n * (digamma(n) - digamma(counts))))
    once, twice = int(np.sum(counts == 1)), int(np.sum(counts == 2))
    return (seen + once / n * _unseen(n, once, twice)) / float(np.log(2))


def _unseen(n: int, once: int, twice: int) -> float:
    """(1-A)^(1-n) · Σ_{r ≥ n} (1-A)^r / r, as an integral: the sum would drown in its rounding."""
    if once == 0 or n < 2:
        return 0.0
    least = 2 / ((n - 1) * (once - 1) + 2)
    a = 2 * twice / ((n - 1) * once + 2 * twice) if twice else least
    if a >= 1:
        return 0.0
    # Σ_{j ≥ 1} q^j / (n - 1 + j) = ∫ q e^(-u) / (n (1 - q e^(-u/n))) du over u from 0 on.
    q = 1 - a
    value, _ = quad(
        lambda u: q * np.exp(-u) / (n * (a - q * np.expm1(-u / n))),
        0,
        60,
        points=[min(n * a, 30), 1.0],
        limit=200,
    )
    return float(value)


@final
@dataclass(frozen=True)
class Order:
    """Entropies of the next code, in bits: knowing nothing, the code before, and two before.

    Attributes:
        alone: Of the codes themselves.
        after_one: Given the code before: bigram entropy. At most ``alone`` but for its estimate.
        after_two: Given the two codes before.
        n: Codes counted.
        pairs_once: Share of the different pairs that were seen once: near 1, nothing is known of
            what follows what.
        triples_once: The same of triples. Near 1 there is hardly another order of the same
            transitions.
    """

    alone: float
    after_one: float
    after_two: float
    n: int
    pairs_once: float
    triples_once: float

    @property
    def told(self) -> float:
        """Share of the next code's entropy that the code before removes; 0 where it has none."""
        return (self.alone - self.after_one) / self.alone if self.alone > 0 else 0.0

    @property
    def told_more(self) -> float:
        """Further share that the code before that one removes; 0 where there is no entropy."""
        return (self.after_one - self.after_two) / self.alone if self.alone > 0 else 0.0


def order_of(sequences: Sequence[Codes], n_codes: int) -> Order:
    """Entropies over unbroken sequences; pairs and triples never cross from one to another.

    Raises:
        NothingToMeasureError: No sequence has three codes.
    """
    return _order(_tables(sequences, n_codes))


@dataclass(frozen=True)
class _Counts:
    """Names and numbers of codes, pairs and triples, and of the beginnings of the latter two."""

    singles: np.ndarray
    pairs: np.ndarray
    triples: np.ndarray
    n_codes: int


def _tables(sequences: Sequence[Codes], n_codes: int) -> _Counts:
    long = [one.astype(np.int64) for one in sequences if len(one) >= 3]
    if not long:
        raise NothingToMeasureError("no sequence has three codes")
    pairs = [one[:-1] * n_codes + one[1:] for one in long]
    triples = [a[:-1] * n_codes + b[2:] for a, b in zip(pairs, long, strict=True)]
    return _Counts(np.concatenate(long), np.concatenate(pairs), np.concatenate(triples), n_codes)


def _order(told: _Counts) -> Order:
    pairs = np.unique(told.pairs, return_counts=True)[1]
    beginnings = np.bincount(told.pairs // told.n_codes)
    triples = np.unique(told.triples, return_counts=True)[1]
    firsts = np.unique(told.triples // told.n_codes, return_counts=True)[1]
    return Order(
        alone=entropy_bits(np.bincount(told.singles)),
        after_one=entropy_bits(pairs) - entropy_bits(beginnings),
        after_two=entropy_bits(triples) - entropy_bits(firsts),
        n=len(told.singles),
        pairs_once=float(np.mean(pairs == 1)),
        triples_once=float(np.mean(triples == 1)),
    )


def told_interval(
    sequences: Sequence[Codes], owners: Sequence[str], n_codes: int
) -> tuple[float, float] | None:
    """95 % interval of :attr:`Order.told` over recordings, by the jackknife.

    A bootstrap draws recordings twice, and a pair that was seen once would count as seen twice: the
    correction for what was not seen would be misled. Leaving recordings out, at most 20 groups of
    them in turn, does no such thing. None with fewer than three.

    Args:
        sequences: Of codes.
        owners: Recording of each.
        n_codes: Entries that there are.
    """
    names, which = np.unique(owners, return_inverse=True)
    n_groups = min(len(names), _GROUPS)
    if n_groups < 3:
        return None
    groups = which % n_groups

    def without(group: int) -> float:
        kept = [one for one, own in zip(sequences, groups, strict=True) if own != group]
        try:
            return order_of(kept, n_codes).told
        except NothingToMeasureError:
            return float("nan")

    left = np.array([without(group) for group in range(n_groups)])
    spread = float(np.sqrt((n_groups - 1) * np.mean(np.square(left - left.mean()))))
    whole = order_of(sequences, n_codes).told
    return (whole - 1.96 * spread, whole + 1.96 * spread) if np.isfinite(spread) else None


def shuffled(codes: Codes, rng: np.random.Generator) -> Codes:
    """The same codes in any order: what a recording is made of stays, what follows what goes."""
    return rng.permutation(codes)


def order_one_surrogate(codes: Codes, rng: np.random.Generator) -> Codes:
    """Another order with the very same transitions, each as often, drawn evenly among all such.

    What a code follows from two steps back goes, what follows from one step stays, exactly. It is
    an Eulerian path over the transitions: the last exit from every code is that of a random tree
    towards the last code (Wilson 1996), the others come in any order (Kandel, Matias, Unger and
    Winkler 1996).
    """
    if len(codes) < 3:
        return codes.copy()
    names, path = np.unique(codes, return_inverse=True)
    exits: list[list[int]] = [[] for _ in names]
    for here, there in zip(path[:-1].tolist(), path[1:].tolist(), strict=True):
        exits[here].append(there)
    last = _last_exits(exits, int(path[-1]), rng)
    for here, choices in enumerate(exits):
        order = rng.permutation(len(choices)).tolist()
        if last[here] >= 0:
            order.remove(last[here])
            order.append(last[here])
        exits[here] = [choices[i] for i in reversed(order)]
    walked = [int(path[0])]
    while exits[walked[-1]]:
        walked.append(exits[walked[-1]].pop())
    return np.asarray(names[walked], dtype=codes.dtype)


def _last_exits(exits: list[list[int]], root: int, rng: np.random.Generator) -> list[int]:
    """Number of the exit that each place takes last; -1 for the root, which none is kept for."""
    chosen = [-1] * len(exits)
    reached = {root}
    for start in range(len(exits)):
        here = start
        while here not in reached:
            chosen[here] = int(rng.integers(len(exits[here])))
            here = exits[here][chosen[here]]
        here = start
        while here not in reached:
            reached.add(here)
            here = exits[here][chosen[here]]
    return chosen


@dataclass(frozen=True)
class Common:
    """The commonest transitions of a level.

    Attributes:
        before: Code that is left.
        after: Code that follows.
        share: Of all transitions, each.
        repeats: Share of all transitions at which the code stays.
        covered: Share of all transitions that the listed ones make up.
    """

    before: Int[np.ndarray, " t"]
    after: Int[np.ndarray, " t"]
    share: Float[np.ndarray, " t"]
    repeats: float
    covered: float


def commonest(sequences: Sequence[Codes], n_codes: int, most: int = 20) -> Common:
    """The transitions that are met most often, repeats among them (METHODS B-9.7)."""
    told = _tables(sequences, n_codes)
    pairs, counts = np.unique(told.pairs, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:most]
    share = counts[order] / counts.sum()
    same = told.pairs // n_codes == told.pairs % n_codes
    return Common(
        pairs[order] // n_codes,
        pairs[order] % n_codes,
        share,
        float(np.mean(same)),
        float(share.sum()),
    )


def pair_share(
    sequences: Sequence[Codes], n_codes: int, before: Codes, after: Codes
) -> Float[np.ndarray, " t"]:
    """Share of all transitions that some of them make up."""
    told = _tables(sequences, n_codes)
    wanted = before.astype(np.int64) * n_codes + after
    return np.array([np.mean(told.pairs == one) for one in wanted])
