"""A quantiser's table as a dictionary of which one atom is on at a time."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from auscult.core.errors import CheckpointError
from auscult.dictionaries.base import DICTIONARIES, Dictionary, DictionaryParams
from auscult.dictionaries.sampling import centroids
from auscult.store.source import VectorSource


@DICTIONARIES.register("codebook")
class CodebookDictionary(Dictionary):
    """Vector quantisation: ``z`` is 1 for the codeword nearest to ``v``, else 0; ``v̂ = z C``.

    :meth:`from_table` takes the table of a codec's quantiser, so that codes can be studied as
    features are. :meth:`fit_from` fits a table of its own by k-means (Lloyd 1982, in mini-batches),
    the control of a codec's. Atoms are the codewords as they are, **not** of unit length: codewords
    may point the same way and differ in length alone.
    """

    class Params(DictionaryParams):
        """Settings of a codebook."""

        centre: bool = False
        """Subtract the mean of the training vectors first; a codec's quantiser does not."""
        scale: bool = False
        """Divide by the root mean square length of the training vectors."""

    trainable = False
    unit_atoms = False
    params: Params
    table: Tensor

    def __init__(self, params: Params, d_in: int) -> None:
        super().__init__(params, d_in)
        self.register_buffer("table", torch.zeros(self.n_features, d_in))

    @classmethod
    def from_table(cls, table: Float[Tensor, "n_codes d_code"]) -> "CodebookDictionary":
        """Take over a quantiser's table.

        Raises:
            CheckpointError: All codewords are equal (a codec without trained weights has a table of
                zeros, and would agree with everything), or values are not finite.
        """
        if not bool(torch.isfinite(table).all()):
            raise CheckpointError("the codebook holds values that are not finite")
        if bool((table == table[0]).all()):
            raise CheckpointError(
                "all codewords of the codebook are equal: load trained weights, or fit a table"
            )
        n_codes, d_code = table.shape
        dictionary = cls(cls.Params(n_features=n_codes), d_code)
        dictionary.table.copy_(table.detach())
        dictionary.ready = True
        return dictionary

    @property
    def atoms(self) -> Float[Tensor, "n_features d_in"]:
        """The codewords, of whatever length they have."""
        return self.table

    @property
    def unshared(self) -> str:
        """No package encodes like this."""
        return "its activations are 1 or 0, however long the vector is"

    def activate(self, vectors: Float[Tensor, "n d_in"]) -> Float[Tensor, "n n_features"]:
        """One-hot rows; of codewords equally near the first."""
        products = vectors @ self.table.T
        nearest = (products - self.table.square().sum(1) / 2).argmax(1, keepdim=True)
        return torch.zeros_like(products).scatter_(1, nearest, 1.0)

    def reconstruct(self, acts: Float[Tensor, "n n_features"]) -> Float[Tensor, "n d_in"]:
        """``v̂ = z C``."""
        return acts @ self.table

    def fit_from(self, source: VectorSource, rng: np.random.Generator) -> None:
        """Fit a table by k-means in mini-batches, four passes.

        Where there are fewer vectors than codewords, they are repeated.
        """
        self._expect(source.d_in, "vectors")
        rows = torch.from_numpy(centroids(source, self.preprocess, self.n_features, rng))
        self.table.copy_(rows)
        self.ready = True
