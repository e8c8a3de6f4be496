"""Latents seen through a bank of Gabor kernels along time, and the way back (METHODS B-8).

Gabor latent refactorisation: each channel of a codec's latents, normalised, is convolved with
complex windowed sinusoids whose width is that of a frame's receptive field; a linear map per
channel, fitted by ridge regression, leads back. Any fixed bank narrows what it is said to narrow:
read every figure beside a random bank of the same number of kernels.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Complex64, Float
from torch import Tensor

from auscult.core.errors import NothingToMeasureError


def gabor_bank(span_frames: float) -> Complex64[np.ndarray, "kernel length"]:
    """Hann-windowed complex sinusoids, centres evenly from 0 to half a cycle a frame.

    With ``δ = 1 / span_frames`` cycles a frame: ``⌊0.5/δ⌋ + 1`` kernels of the odd length nearest
    above ``2/δ``; each has unit gain at its own centre.

    Args:
        span_frames: Receptive field of a frame, in frames.

    Raises:
        NothingToMeasureError: The receptive field is shorter than two frames.
    """
    if span_frames < 2:
        raise NothingToMeasureError("frames that hear less than two hops have no bands along time")
    delta = 1.0 / span_frames
    n_kernels, length = math.floor(0.5 / delta) + 1, math.ceil(2 / delta) | 1
    centres = np.linspace(0.0, 0.5, n_kernels)
    t = np.arange(length) - length // 2
    window = np.hanning(length + 2)[1:-1]
    kernels = window / window.sum() * np.exp(2j * np.pi * centres[:, None] * t)
    return np.asarray(kernels, dtype=np.complex64)


def random_bank(
    like: Complex64[np.ndarray, "kernel length"], rng: np.random.Generator
) -> Complex64[np.ndarray, "kernel length"]:
    """As many kernels of the same length, window and energy, without any frequency of their own."""
    n_kernels, length = like.shape
    drawn = rng.standard_normal((n_kernels, length)) + 1j * rng.standard_normal((n_kernels, length))
    kernels = drawn * np.hanning(length + 2)[1:-1]
    basis = np.linalg.qr(kernels.T)[0].T if n_kernels <= length else kernels
    energy = np.linalg.norm(like, axis=1, keepdims=True)
    unit = basis / np.linalg.norm(basis, axis=1, keepdims=True)
    return np.asarray(unit * energy, dtype=np.complex64)


def width_hz(kernels: Complex64[np.ndarray, "kernel length"], frame_rate: float) -> float:
    """Median width of the kernels' magnitude responses at -3 dB, in Hz."""
    n = 1 << 14
    responses = np.abs(np.fft.fft(kernels, n, axis=1))
    peaks = responses.max(1, keepdims=True)
    return float(np.median((responses >= peaks * 10 ** (-3 / 20)).sum(1)) * frame_rate / n)


@dataclass(frozen=True)
class Refactorisation:
    """A bank and the way back to latents.

    Attributes:
        kernels: The bank.
        mean: Of each channel, over the clips it was fitted to.
        spread: Standard deviation of each channel.
        back: From the ``2 kernel`` real coefficients of a channel to its normalised latent.
    """

    kernels: Complex64[np.ndarray, "kernel length"]
    mean: Float[Tensor, " d"]
    spread: Float[Tensor, " d"]
    back: Float[Tensor, "d coefficient"]

    def into(
        self, latents: Float[Tensor, "sound d frame"]
    ) -> Float[Tensor, "sound d coefficient frame"]:
        """Coefficients: the real parts of every kernel, then the imaginary ones."""
        normal = (latents - self.mean[:, None]) / self.spread[:, None]
        return _coefficients(normal, self.kernels)

    def out(
        self, coefficients: Float[Tensor, "sound d coefficient frame"]
    ) -> Float[Tensor, "sound d frame"]:
        """Latents again."""
        normal = torch.einsum("sdct,dc->sdt", coefficients, self.back)
        return normal * self.spread[:, None] + self.mean[:, None]


def refactorise(
    latents: Float[Tensor, "sound d frame"],
    kernels: Complex64[np.ndarray, "kernel length"],
    ridge: float = 1e-4,
) -> Refactorisation:
    """Fit the way back, channel by channel, on latents of harmonic sounds.

    Args:
        latents: Of the sounds that it is fitted to.
        kernels: The bank.
        ridge: Penalty, as a share of the coefficients' mean power.
    """
    mean = latents.mean((0, 2))
    spread = latents.std((0, 2)).clamp_min(1e-6)
    normal = (latents - mean[:, None]) / spread[:, None]
    told = _coefficients(normal, kernels).double()
    n_coefficients = told.shape[2]
    rows = told.permute(1, 0, 3, 2).reshape(latents.shape[1], -1, n_coefficients)
    target = normal.double().transpose(0, 1).reshape(latents.shape[1], -1, 1)
    gram = rows.transpose(1, 2) @ rows
    power = gram.diagonal(dim1=1, dim2=2).mean(1)[:, None, None]
    penalty = ridge * power * torch.eye(n_coefficients, dtype=torch.float64)
    back = torch.linalg.solve(gram + penalty, rows.transpose(1, 2) @ target)[..., 0]
    return Refactorisation(kernels, mean, spread, back.to(latents.dtype))


def _coefficients(
    normal: Float[Tensor, "sound d frame"], kernels: Complex64[np.ndarray, "kernel length"]
) -> Float[Tensor, "sound d coefficient frame"]:
    """Correlate every channel with every kernel; the ends are padded with their own values."""
    n, d, n_frames = normal.shape
    length = kernels.shape[1]
    taps = torch.from_numpy(np.concatenate([kernels.real, kernels.imag]).astype(np.float32))
    padded = torch.nn.functional.pad(normal.float(), (length // 2, length // 2), mode="replicate")
    flat = torch.nn.functional.conv1d(padded.reshape(n * d, 1, -1), taps[:, None])
    return flat.reshape(n, d, len(taps), n_frames).to(normal.dtype)


def exchanged(
    own: Float[Tensor, "... part frame"],
    other: Float[Tensor, "... part frame"],
    share: float,
    axis: int,
) -> Float[Tensor, "..."]:
    """Give ``own`` the parts of ``other`` that differ most from its own, until a share is taken.

    Args:
        own: Coefficients or latents of the sound that is changed.
        other: Of the sound that it takes from.
        share: Of the parts along ``axis``; at least one is taken.
        axis: Along which parts lie (kernels for coefficients, channels for latents).
    """
    others = [i for i in range(own.ndim) if i != axis]
    gap = (own - other).square().mean(others)
    taken = gap.topk(max(1, round(share * len(gap)))).indices
    mask = torch.zeros(len(gap), dtype=torch.bool)
    mask[taken] = True
    shape = [1] * own.ndim
    shape[axis] = len(gap)
    return torch.where(mask.reshape(shape), other, own)


def cosine(
    a: Float[Tensor, "sound d frame"], b: Float[Tensor, "sound d frame"]
) -> Float[np.ndarray, " sound"]:
    """Mean cosine of the latents of each sound, frame by frame."""
    told: np.ndarray = torch.nn.functional.cosine_similarity(a, b, dim=1).mean(1).double().numpy()
    return told


def moved_towards(
    start: Float[np.ndarray, " trial"],
    end: Float[np.ndarray, " trial"],
    goal: Float[np.ndarray, " trial"],
    least: float = 0.5,
) -> Bool[np.ndarray, " trial"]:
    """Whether a pitch moved at least so many semitones in the direction of its goal.

    A pitch that is lost (NaN) did not move there.
    """
    moved = (end - start) * np.sign(goal - start)
    return np.asarray(np.nan_to_num(moved, nan=-1.0) >= least)
