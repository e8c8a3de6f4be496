"""Dictionaries that nobody learned, to read a learned one against (METHODS §1.3, 2)."""

from typing import Literal

import numpy as np
import torch
from jaxtyping import Float

from auscult.dictionaries.base import Dictionary
from auscult.dictionaries.pca import PcaDictionary
from auscult.dictionaries.random import RandomDictionary
from auscult.measures.geometry import nearest_atom
from auscult.measures.matching import drawing_like
from auscult.measures.reuse import spherical_centres
from auscult.store.source import ArraySource

SUBSPACE = "random directions within the data's subspace"
AMBIENT = "random directions"
SHAPED = "random vectors of the same covariance"
PRINCIPAL = "principal directions (PCA)"

_AT_ONCE = 1 << 22
"""Activations held at once: 16 MiB."""


def atoms_of(dictionary: Dictionary) -> Float[np.ndarray, "m d"]:
    """The directions of any dictionary as an array."""
    with torch.no_grad():
        return np.asarray(dictionary.atoms.numpy(), dtype=np.float32)


@torch.no_grad()
def written_by(dictionary: Dictionary) -> Float[np.ndarray, "m d"]:
    """What each feature adds to a reconstruction with an activation of 1.

    In the dictionary's own coordinates, as its activations are. Its atoms but for their lengths,
    which :attr:`Dictionary.atoms` does not always tell: those of ``rms-norm`` are short, and those
    of dictionaries from elsewhere may be of any length.
    """
    n = dictionary.n_features
    nothing = dictionary.preprocess.mean.new_zeros(1, n)
    still, parts = dictionary.reconstruct(nothing), []
    for start in range(0, n, size := max(1, _AT_ONCE // n)):
        one = nothing.new_zeros(min(size, n - start), n)
        one[torch.arange(len(one)), torch.arange(start, start + len(one))] = 1.0
        parts.append(dictionary.reconstruct(one) - still)
    return np.asarray(torch.cat(parts).numpy(), dtype=np.float32)


def random_dictionary(
    x: Float[np.ndarray, "n d"],
    n_features: int,
    k: int,
    signed: bool,
    rng: np.random.Generator,
    space: Literal["ambient", "subspace"] = "subspace",
) -> Dictionary:
    """Random directions, all or within the vectors' principal subspace (METHODS §1.3, 2).

    Args:
        x: Vectors that a learned dictionary would be fitted to.
        n_features: How many directions.
        k: At most so many are on at a time: the mean of the dictionary it is the control of.
        signed: Whether a direction may be used backwards.
        rng: Draws them.
        space: Where they are drawn.
    """
    source = ArraySource(x)
    params = RandomDictionary.Params(n_features=n_features, k=max(k, 1), signed=signed, space=space)
    dictionary = RandomDictionary.build(params, x.shape[1], statistics=source.statistics)
    dictionary.fit_from(source, rng)
    return dictionary


def principal_dictionary(x: Float[np.ndarray, "n d"], k: int) -> Dictionary:
    """All principal directions, of which the ``k`` largest activations are kept."""
    source = ArraySource(x)
    params = PcaDictionary.Params(n_features=x.shape[1], k=max(1, min(k, x.shape[1])))
    dictionary = PcaDictionary.build(params, x.shape[1], statistics=source.statistics)
    dictionary.fit_from(source, np.random.default_rng(0))
    return dictionary


def unlearned(
    x: Float[np.ndarray, "n d"], n_features: int, k: int, signed: bool, rng: np.random.Generator
) -> dict[str, Dictionary]:
    """The controls of a learned dictionary by name, as large and as sparse (METHODS §1.3, 2).

    Principal directions are at most as many as channels.
    """
    return {
        SUBSPACE: random_dictionary(x, n_features, k, signed, rng),
        AMBIENT: random_dictionary(x, n_features, k, signed, rng, "ambient"),
        PRINCIPAL: principal_dictionary(x, k),
    }


def gaussian_centres(
    x: Float[np.ndarray, "n d"], n_features: int, rng: np.random.Generator, n_drawn: int = 10_000
) -> Float[np.ndarray, "m d"]:
    """Directions learned from Gaussian vectors of the same covariance, the most used first.

    Learning spreads directions evenly, and sets that are evenly spread agree better than random
    ones: this is what remains of agreement where there is nothing to find.

    Args:
        x: Vectors whose covariance counts.
        n_features: How many directions.
        rng: Draws vectors and starting values.
        n_drawn: Vectors to learn from.
    """
    covariance = np.atleast_2d(np.cov(x.T.astype(np.float64)))
    drawn = drawing_like(covariance)(n_drawn, rng)
    centres = spherical_centres(drawn, n_features, rng, n_rounds=10)
    nearest = nearest_atom(drawn, centres)[0]
    counts = np.bincount(nearest[nearest >= 0], minlength=n_features)
    ordered: np.ndarray = centres[np.argsort(-counts, kind="stable")]
    return ordered
