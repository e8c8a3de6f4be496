"""How far the seeds of a dictionary find the same directions, beside what chance would give."""

import numpy as np

from auscult.analyses.base import BASE, Context, Measurement, Spread
from auscult.core.rng import named_rng
from auscult.dictionaries.spectrum import covariance_of
from auscult.measures.geometry import effective_dimension
from auscult.measures.matching import chance_cosine, matched_cosine, shaped_chance_cosine
from auscult.measures.null_dictionaries import SHAPED, atoms_of

AGREEMENT = "agreement between seeds"


def agreement_of_seeds(context: Context, name: str, tap: str) -> Measurement:
    """Mean cosine between the features of two seeds after one-to-one matching.

    It has no interval over recordings, as atoms are compared and not sounds: what recordings leave
    open is part of how far seeds differ only in so far as each was trained on the same. Beside it
    stand the least and the largest pair of seeds, where there are several. The controls are random
    vectors in as many dimensions as the data has, counted in two ways, and random vectors of the
    same covariance. NaN where the spec trains one seed.
    """
    seeds = context.dictionaries(name, tap)
    covariance = covariance_of(context.store(tap, BASE, "train"))
    participation, rank = effective_dimension(covariance)
    pairs = [(a, b) for i, a in enumerate(seeds) for b in seeds[i + 1 :]]
    values = [matched_cosine(atoms_of(a), atoms_of(b), a.signed) for a, b in pairs]
    n, signed = seeds[0].n_features, seeds[0].signed
    rng = named_rng(context.seed, "features", tap, "chance")
    dimensions = {"participation": max(1, round(participation)), "rank": rank}
    controls = {
        f"chance in {d} dimensions ({kind})": chance_cosine(
            d, n, n, rng=rng, repeats=5, signed=signed
        )
        for kind, d in dimensions.items()
    }
    controls[SHAPED] = shaped_chance_cosine(covariance, n, rng, signed)
    value = float(np.mean(values)) if values else float("nan")
    spread = Spread.over(values, "pairs of seeds")
    published = "about 0.7 (P1, archetypes)"
    return Measurement(AGREEMENT, value, "", controls, None, published, tap, spread)
