"""Control networks whose first layer was not trained, on the same sounds (METHODS A-14)."""

from collections.abc import Iterable
from typing import get_args

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from auscult.analyses.base import ControlWeights
from auscult.core.errors import ConfigError
from auscult.core.rng import named_rng
from auscult.measures.handcrafted import (
    match_singular_values,
    patch_covariance,
    rare_filters,
    tail_filters,
)
from auscult.models.base import AudioModel, Weights
from auscult.models.initial import recalibrate_norms
from auscult.models.weights import effective_weight, first_conv, set_effective_weight

_N_PATCHES = 100_000


def is_first_layer_only(weights: ControlWeights) -> bool:
    """Whether only the first layer differs from the trained network."""
    return weights not in get_args(Weights)


def redraw_first_layer(
    model: AudioModel,
    weights: ControlWeights,
    sounds: Iterable[Float[np.ndarray, "channel time"]],
    seed: int,
) -> None:
    """Give a trained model another first convolution, in place.

    A batch norm directly behind it gets the statistics of its new input, or it would undo nothing
    but its old one's.

    Args:
        model: With its trained weights.
        weights: ``random-matched``, ``rare``, ``rare-matched`` or ``tail``.
        sounds: At the model's rate; as many are taken as the patches need.
        seed: Of all that is drawn.

    Raises:
        TapError: The model has no convolution on the waveform.
        ConfigError: There are too few sounds to take patches from.
    """
    found = first_conv(model)
    trained = effective_weight(found.conv)
    shape = tuple(trained.shape)
    reference = trained.reshape(len(trained), -1).double().numpy()
    rng = named_rng(seed, "first layer", weights)
    patches, heard = _patches(sounds, shape[2], rng)
    filters = _filters(weights, reference, patches, rng)
    set_effective_weight(found.conv, torch.from_numpy(filters).reshape(shape).to(trained.dtype))
    if found.norm is not None:
        recalibrate_norms(found.norm, lambda: model.forward(heard))


def _filters(
    weights: ControlWeights,
    reference: Float[np.ndarray, "n k"],
    patches: Float[np.ndarray, "m k"],
    rng: np.random.Generator,
) -> Float[np.ndarray, "n k"]:
    norms = np.linalg.norm(reference, axis=1)
    if weights == "random-matched":
        return match_singular_values(rng.standard_normal(reference.shape), reference)
    if weights == "tail":
        return tail_filters(patches, norms, rng)
    rare = rare_filters(patch_covariance(patches), norms, rng)
    if weights == "rare":
        return rare
    # A bank that spans half the directions cannot have the singular values of one that spans all.
    full = rare + 1e-3 * norms.mean() * rng.standard_normal(rare.shape) / np.sqrt(rare.shape[1])
    return match_singular_values(full, reference)


def _patches(
    sounds: Iterable[Float[np.ndarray, "channel time"]], kernel: int, rng: np.random.Generator
) -> tuple[Float[np.ndarray, "m k"], Tensor]:
    """Stretches as long as a filter from random places, and some sounds as the model is fed."""
    taken: list[np.ndarray] = []
    heard: list[np.ndarray] = []
    each = 2048
    for sound in sounds:
        if sound.shape[1] < kernel:
            continue
        starts = rng.integers(0, sound.shape[1] - kernel + 1, each)
        windows = np.lib.stride_tricks.sliding_window_view(sound, kernel, axis=1)
        taken.append(windows[:, starts].transpose(1, 0, 2).reshape(each, -1))
        if len(heard) < 4 and (not heard or sound.shape == heard[0].shape):
            heard.append(sound)
        if len(taken) * each >= _N_PATCHES:
            break
    if not taken:
        raise ConfigError(f"no sound is as long as a filter of {kernel} samples")
    return np.concatenate(taken), torch.from_numpy(np.stack(heard))
