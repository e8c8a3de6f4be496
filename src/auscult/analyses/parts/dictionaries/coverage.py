"""How near vectors lie to the atoms of a dictionary, beside as many random directions."""

import numpy as np
from jaxtyping import Float

from auscult.analyses.base import BASE, Context
from auscult.core.errors import NothingToMeasureError
from auscult.core.rng import named_rng
from auscult.dictionaries.base import Dictionary
from auscult.dictionaries.spectrum import covariance_of
from auscult.measures.geometry import effective_dimension, loud_rows, nearest_atom
from auscult.measures.matching import random_directions
from auscult.measures.null_dictionaries import AMBIENT, SUBSPACE, atoms_of


def nearest_cosines(
    dictionary: Dictionary,
    values: Float[np.ndarray, "n d"],
    atoms: Float[np.ndarray, "m d"] | None = None,
) -> Float[np.ndarray, " loud"]:
    """Cosine in [-1, 1] of each vector with its nearest atom, about the dictionary's own mean.

    Args:
        dictionary: Whose mean and whose sense of sign count.
        values: The vectors; the quietest 1 % are left out.
        atoms: Directions in place of the dictionary's own.

    Raises:
        NothingToMeasureError: No vector differs from the mean.
    """
    about: np.ndarray = values - dictionary.preprocess.mean.numpy()
    kept: np.ndarray = about[loud_rows(about)]
    if not len(kept):
        raise NothingToMeasureError("no vector differs from the mean: there is nothing to cover")
    which = atoms_of(dictionary) if atoms is None else atoms.astype(np.float32)
    return nearest_atom(kept, which, dictionary.signed)[1]


def random_cosines(
    context: Context, tap: str, dictionary: Dictionary, values: Float[np.ndarray, "n d"]
) -> dict[str, np.ndarray]:
    """As many random directions, anywhere and within the principal subspace (METHODS §1.3, 2)."""
    rng = named_rng(context.seed, "features", tap, "random directions")
    covariance = covariance_of(context.store(tap, BASE, "train"))
    rank = max(1, effective_dimension(covariance)[1])
    basis = np.linalg.eigh(covariance)[1][:, ::-1][:, :rank].T
    n, d = dictionary.n_features, dictionary.d_in
    return {
        AMBIENT: nearest_cosines(dictionary, values, random_directions(n, d, rng)),
        SUBSPACE: nearest_cosines(dictionary, values, random_directions(n, rank, rng, basis)),
    }
