"""Vectors that stand for all of a source: some of them, or the centres of their clusters."""

import numpy as np
from jaxtyping import Float

from auscult.dictionaries.preprocessing import Preprocessing
from auscult.store.source import VectorSource


def sampled(
    source: VectorSource, preprocess: Preprocessing, n: int, rng: np.random.Generator
) -> Float[np.ndarray, "m d_in"]:
    """Preprocessed vectors drawn without replacement; all of them if there are not so many."""
    chosen = rng.permutation(source.n_vectors)[:n]
    return preprocess.of_array(source.rows(np.sort(chosen)))


def centroids(
    source: VectorSource, preprocess: Preprocessing, n: int, rng: np.random.Generator
) -> Float[np.ndarray, "n d_in"]:
    """Centres of clusters of preprocessed vectors, by k-means in mini-batches, four passes.

    Where there are fewer vectors than centres, they are repeated.
    """
    from sklearn.cluster import MiniBatchKMeans

    model = MiniBatchKMeans(n, n_init=1, random_state=int(rng.integers(1 << 31)))
    batch = max(4096, 10 * n)
    for _ in range(4):
        for values in source.vectors(batch, rng):
            if len(values) >= n:
                model.partial_fit(preprocess.of_array(values))
    if hasattr(model, "cluster_centers_"):
        centres: np.ndarray = np.asarray(model.cluster_centers_)
        return centres
    every = preprocess.of_array(source.rows(np.arange(source.n_vectors)))
    return every[np.arange(n) % len(every)]
