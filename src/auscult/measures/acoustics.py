"""How alike classes sound: distances of their mean log-mel spectra (METHODS D-4)."""

import numpy as np
import torch
from jaxtyping import Float, Int

from auscult.core.distances import magnitudes, mel_filters

_N_MELS, _WINDOW, _FLOOR = 64, 1024, 1e-10


def clip_spectra(
    waveform: Float[np.ndarray, "clip channel time"],
    sample_rate: int,
    n_valid: tuple[int, ...],
) -> Float[np.ndarray, "clip band"]:
    """Level of each mel band in dB, averaged over the frames of each clip, padding left out."""
    filters = mel_filters(sample_rate, _WINDOW, _N_MELS).float()
    found = []
    for clip, n in zip(waveform, n_valid, strict=True):
        sound = torch.from_numpy(np.ascontiguousarray(clip.mean(0)[: max(n, 1)]))
        power = filters @ magnitudes(sound, _WINDOW).square()
        found.append((10 * torch.log10(power + _FLOOR)).mean(-1).numpy())
    return np.stack(found)


def class_distances(
    spectra: Float[np.ndarray, "clip band"], labels: Int[np.ndarray, " clip"], n_classes: int
) -> Float[np.ndarray, "class class2"]:
    """Root mean square difference in dB of the mean spectra of classes, after levels are equal."""
    shapes = spectra - spectra.mean(axis=1, keepdims=True)
    means = np.stack([shapes[labels == label].mean(axis=0) for label in range(n_classes)])
    return np.asarray(np.sqrt(np.square(means[:, None] - means[None]).mean(-1)))
