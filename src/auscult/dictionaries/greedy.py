"""Matching pursuit: the encoding rule of dictionaries whose atoms are given and not learned."""

from jaxtyping import Float
from torch import Tensor


def matching_pursuit(
    vectors: Float[Tensor, "n d_in"],
    atoms: Float[Tensor, "n_features d_in"],
    k: int,
    signed: bool = False,
) -> Float[Tensor, "n n_features"]:
    """Code every vector greedily with at most ``k`` unit atoms (Mallat and Zhang 1993).

    Each step takes the atom that explains most of what is left and subtracts its share. Unlike
    :func:`auscult.dictionaries.pursuit.omp` earlier shares are not changed by later picks.

    Args:
        vectors: Preprocessed vectors.
        atoms: Rows of unit length.
        k: Most picks of a vector; an atom may be picked twice.
        signed: Whether an atom may also stand for its opposite.
    """
    acts = vectors.new_zeros(len(vectors), len(atoms))
    residual = vectors.clone()
    for _ in range(k):
        products = residual @ atoms.T
        picks = (products.abs() if signed else products).argmax(1, keepdim=True)
        shares = products.gather(1, picks)
        if not signed:
            shares = shares.clamp_min(0)
        acts.scatter_add_(1, picks, shares)
        residual -= shares * atoms[picks.squeeze(1)]
    return acts
