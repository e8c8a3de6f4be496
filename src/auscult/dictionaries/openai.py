"""The one file of openai/sparse_autoencoder: a ``state_dict`` that ``torch.save`` wrote.

::

    z = activation(W_e (x - pre_bias) + latent_bias)        x̂ = W_d z + pre_bias

with ``encoder.weight [n_features, d_in]`` and ``decoder.weight [d_in, n_features]``. Beside tensors
it holds names: ``activation``, ReLU where it is missing, and of a TopK its ``k`` and what becomes
of the k values. Three tensors of statistics are left out. Nothing of the file is executed.

The package layer-normalises what goes into every TopK, and undoes it behind the decoder::

    u = (x - E x) / (s + 1e-5)        x̂ = s (W_d z + pre_bias) + E x

with mean and standard deviation s (over d_in - 1) of the one vector. No type here does that, as a
decoder would have to know the vector that it gives back. With ``normed`` it is read as a ``topk``
of u, and :func:`layer_norm` makes u.
"""

from pathlib import Path
from typing import Any, NamedTuple

from jaxtyping import Float
from torch import Tensor

from auscult.core.errors import CheckpointError
from auscult.dictionaries.base import Dictionary
from auscult.dictionaries.foreign import blank, count, expect_names, filled
from auscult.dictionaries.provenance import Provenance
from auscult.dictionaries.relu import ReluDictionary
from auscult.dictionaries.topk import TopKDictionary
from auscult.models.weights import read_foreign

_NAMES = {"pre_bias": "b_dec", "latent_bias": "b_enc", "encoder.weight": "W_enc"}
_DECODER = "decoder.weight"
_STATISTICS = ("stats_last_nonzero", "latents_activation_frequency", "latents_mean_square")
_EPSILON = 1e-5


class LayerNorm(NamedTuple):
    """A vector as the package's TopK sees it, and what undoes that: ``u s + mean``."""

    u: Float[Tensor, "*n d_in"]
    mean: Float[Tensor, "*n 1"]
    deviation: Float[Tensor, "*n 1"]


def layer_norm(x: Float[Tensor, "*n d_in"]) -> LayerNorm:
    """Centre and scale each vector by itself, as the package does before a TopK.

    The small number that keeps silence from dividing by zero is not undone, as it is not there.
    """
    mean = x.mean(-1, keepdim=True)
    centred = x - mean
    deviation = centred.std(-1, keepdim=True)
    return LayerNorm(centred / (deviation + _EPSILON), mean, deviation)


def load_openai(path: Path, *, normed: bool = False) -> Dictionary:
    """Read an autoencoder of the package as ``relu``, or as a ``topk`` of layer-normalised vectors.

    Args:
        path: The file.
        normed: The vectors that it will be given come from :func:`layer_norm`.

    Raises:
        CheckpointError: The file cannot be read, holds other tensors or another activation, or
            layer-normalises its input and ``normed`` was not said, or the other way round.
    """
    said = read_foreign(path)
    tensors = {name: value for name, value in said.items() if isinstance(value, Tensor)}
    expect_names([name for name in tensors if name not in _STATISTICS], [*_NAMES, _DECODER], path)
    activation = said.get("activation", "ReLU")
    if activation not in ("ReLU", "TopK"):
        raise CheckpointError(f"{path} has the activation {activation!r}; ReLU and TopK are known")
    if normed != (activation == "TopK"):
        raise CheckpointError(_otherwise(path, normed))
    n_features, d_in = tensors["encoder.weight"].shape
    if normed:
        dictionary = blank(TopKDictionary, d_in, n_features, path, k=_k(said, path))
    else:
        dictionary = blank(ReluDictionary, d_in, n_features, path, norm="weighted")
    own = {ours: tensors[theirs] for theirs, ours in _NAMES.items()}
    own |= {"W_enc": own["W_enc"].t(), "W_dec": tensors[_DECODER].t()}
    return filled(dictionary, own, Provenance(), path)


def _k(said: dict[str, Any], path: Path) -> int:
    settings = said.get("activation_state_dict", {})
    if settings.get("postact_fn") != "ReLU":
        raise CheckpointError(
            f"{path} does not rectify what its TopK keeps ({settings.get('postact_fn')!r}), which "
            "is not known here"
        )
    return count(settings, "k", path)


def _otherwise(path: Path, normed: bool) -> str:
    if normed:
        return f"{path} is no TopK and sees vectors as they are: read it without normed"
    return (
        f"{path} layer-normalises every vector by itself before its TopK, and no type here does: "
        "from Python, read it with auscult.dictionaries.openai.load_openai(path, normed=True) and "
        "give it what layer_norm makes of vectors"
    )
