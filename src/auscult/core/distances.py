"""How far one waveform is from another: batched, differentiable, and in units one can say.

Each takes ``(reference, estimate)`` in that order, both ``[*batch time]`` at one rate and of one
length, and returns one value a waveform. They differ in what they forgive: the decibel ratio
compares samples, so a delay of one sample or a turned phase counts as noise; the spectral ones
compare magnitudes, so they hear neither. None models hearing: quote several, and beside a control.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from auscult.core.errors import AudioError

WINDOWS = (512, 1024, 2048)
"""Window lengths in samples, of the multi-resolution spectral distance."""

FLOOR_DB = -60.0
"""Spectra are compared down to this level re the reference's strongest bin."""

LIMIT_DB = 120.0
"""Ratios end here on both sides: beyond it float32 samples hold rounding alone."""

_TINY = 10.0 ** (-LIMIT_DB / 10.0)


def si_sdr_db(
    reference: Float[Tensor, "*batch time"], estimate: Float[Tensor, "..."]
) -> Float[Tensor, "*batch"]:
    """Scale-invariant signal-to-distortion ratio in decibels; higher is nearer.

    With both means removed and ``α = <ŝ, s> / |s|²`` it is ``10 log10(|α s|² / |α s - ŝ|²)`` (Le
    Roux et al. 2019, "SDR - half-baked or well done?", eq. 4). Range: -120 dB (orthogonal, or a
    silent estimate) to 120 dB, where it ends. Bias: any gain, also a negative one, is forgiven;
    white noise of as many samples as the sound has would score about ``-10 log10 n``, not -120.

    Raises:
        AudioError: Shapes differ, a value is not finite, or a reference is silent (or constant).
    """
    _checked(reference, estimate)
    truth = reference - reference.mean(-1, keepdim=True)
    heard = estimate - estimate.mean(-1, keepdim=True)
    power = truth.square().sum(-1)
    _refuse_silence(power / truth.shape[-1])
    target = ((heard * truth).sum(-1) / power)[..., None] * truth
    heard_power = heard.square().sum(-1)
    audible = heard_power > 0
    whole = torch.where(audible, heard_power, 1.0)
    kept = target.square().sum(-1) / whole
    lost = torch.where(audible, (target - heard).square().sum(-1) / whole, 1.0)
    return 10.0 * torch.log10((kept + _TINY) / (lost + _TINY))


@dataclass(frozen=True)
class StftDistance:
    """Two distances between magnitude spectrograms, mean over several windows.

    Attributes:
        convergence: Length of the difference over the length of the reference's spectrogram; 0 for
            equal ones, 1 for silence. Loud bins decide it.
        log_magnitude: Mean difference of the natural logarithm of magnitudes; 0 for equal ones.
            Quiet bins count as much as loud ones, down to the floor.
    """

    convergence: Float[Tensor, "*batch"]
    log_magnitude: Float[Tensor, "*batch"]

    @property
    def total(self) -> Float[Tensor, "*batch"]:
        """Their sum, as it is trained on (Yamamoto et al. 2020, eq. 6)."""
        return self.convergence + self.log_magnitude


def stft_distance(
    reference: Float[Tensor, "*batch time"],
    estimate: Float[Tensor, "..."],
    windows: Sequence[int] = WINDOWS,
    order: Literal[1, 2] = 2,
) -> StftDistance:
    """Multi-resolution distance between magnitude spectrograms; lower is nearer.

    Spectral convergence and log magnitude (Arik et al. 2018, eqs. 3 and 4; several resolutions:
    Yamamoto et al. 2020, "Parallel WaveGAN"). Magnitudes are raised by a floor 60 dB below the
    reference's strongest bin before the logarithm, so that what nobody hears does not count.

    Range: 0 upwards, without unit. Bias: phases do not count, a click and noise of the same
    spectrum may be near; the floor follows the reference, so the two are not interchangeable; a
    gain of ``g`` adds at most ``|ln g|`` to the second.

    Args:
        reference: What it should be.
        estimate: What it is.
        windows: Lengths of the Hann windows in samples; the hop is a quarter of each.
        order: Of the norm in the convergence: 2 as in the sources, 1 for ``Σ|X - Y| / Σ|X|``, which
            weighs loud bins less.

    Raises:
        AudioError: Shapes differ, a value is not finite, or a reference is silent.
    """
    _checked(reference, estimate)
    convergences, logarithms = [], []
    for window in windows:
        a, b = magnitudes(reference, window), magnitudes(estimate, window)
        floor = 10.0 ** (FLOOR_DB / 20.0) * a.amax((-2, -1), keepdim=True)
        if order == 2:
            share = (a - b).square().sum((-2, -1)) / a.square().sum((-2, -1))
            convergences.append((share + 1e-12).sqrt())  # the root has no slope at zero
        else:
            convergences.append((a - b).abs().sum((-2, -1)) / a.sum((-2, -1)))
        logarithms.append(((a + floor).log() - (b + floor).log()).abs().mean((-2, -1)))
    return StftDistance(torch.stack(convergences).mean(0), torch.stack(logarithms).mean(0))


def log_mel_distance_db(
    reference: Float[Tensor, "*batch time"],
    estimate: Float[Tensor, "..."],
    sample_rate: int,
    n_mels: int = 64,
    window: int = 2048,
) -> Float[Tensor, "*batch"]:
    """Mean absolute level difference of mel bands in decibels; lower is nearer.

    Levels are compared down to 60 dB below the reference's strongest band. The L1 distance of log
    mel spectrograms is what neural codecs are trained and judged by (Kumar et al. 2023, "High
    Fidelity Audio Compression with Improved RVQGAN", section 3.4); in decibels it can be read.

    Range: 0 dB upwards; a gain of ``g`` dB reads ``|g|`` where nothing lies near the floor. Bias:
    phases and detail finer than a band do not count; bands narrower than a bin repeat each other.

    Args:
        reference: What it should be.
        estimate: What it is.
        sample_rate: Of both, in hertz.
        n_mels: Bands, up to half the sample rate.
        window: Length of the Hann window in samples; the hop is a quarter of it.

    Raises:
        AudioError: Shapes differ, a value is not finite, or a reference is silent.
    """
    _checked(reference, estimate)
    filters = mel_filters(sample_rate, window, n_mels).to(reference)
    a = filters @ magnitudes(reference, window).square()
    b = filters @ magnitudes(estimate, window).square()
    floor = 10.0 ** (FLOOR_DB / 10.0) * a.amax((-2, -1), keepdim=True)
    levels = 10.0 * torch.log10((a + floor) / (b + floor))
    return levels.abs().mean((-2, -1))


def magnitudes(
    waveform: Float[Tensor, "*batch time"], window: int
) -> Float[Tensor, "*batch bin frame"]:
    """Magnitudes of a Hann short-time Fourier transform with a quarter window of hop.

    Frames are centred on multiples of the hop; beyond the ends there is silence.
    """
    taper = torch.hann_window(window, dtype=waveform.dtype, device=waveform.device)
    flat = waveform.reshape(-1, waveform.shape[-1])
    transformed = torch.stft(
        flat, window, window // 4, window=taper, return_complex=True, pad_mode="constant"
    )
    power = transformed.real.square() + transformed.imag.square()
    spectrogram = (power + 1e-12).sqrt()  # the root has no slope at zero
    return spectrogram.reshape(*waveform.shape[:-1], *spectrogram.shape[1:])


@lru_cache(maxsize=16)
def mel_filters(sample_rate: int, window: int, n_mels: int) -> Float[Tensor, "n_mels bin"]:
    """Triangular bands, equally wide on the mel scale, of equal area.

    From 0 Hz to half the sample rate, as in Slaney 1998, "Auditory Toolbox".
    """
    edges = _hertz(torch.linspace(0.0, _mel(sample_rate / 2.0), n_mels + 2, dtype=torch.float64))
    bins = torch.linspace(0.0, sample_rate / 2.0, window // 2 + 1, dtype=torch.float64)
    low, centre, high = (edges[i : i + n_mels, None] for i in range(3))
    triangles = torch.minimum((bins - low) / (centre - low), (high - bins) / (high - centre))
    return triangles.clamp_min(0.0) * (2.0 / (high - low))


_BREAK_HZ, _BREAK_MEL = 1000.0, 15.0
_STEP = 6.4 ** (1.0 / 27.0)  # 27 mel from 1 kHz to 6.4 kHz


def _mel(frequency_hz: float) -> float:
    """Slaney's mel scale: a line up to 1 kHz, a logarithm above."""
    if frequency_hz < _BREAK_HZ:
        return frequency_hz * _BREAK_MEL / _BREAK_HZ
    ratio = torch.tensor(frequency_hz / _BREAK_HZ, dtype=torch.float64)
    return _BREAK_MEL + float(ratio.log() / torch.tensor(_STEP, dtype=torch.float64).log())


def _hertz(mel: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    return torch.where(
        mel < _BREAK_MEL, mel * _BREAK_HZ / _BREAK_MEL, _BREAK_HZ * _STEP ** (mel - _BREAK_MEL)
    )


def _checked(reference: Tensor, estimate: Tensor) -> None:
    if reference.shape != estimate.shape:
        raise AudioError(
            f"a distance needs two sounds of one shape, got {list(reference.shape)} and "
            f"{list(estimate.shape)}: trim them to one length"
        )
    for name, waveform in (("reference", reference), ("estimate", estimate)):
        if not bool(torch.isfinite(waveform).all()):
            raise AudioError(f"the {name} holds samples that are not finite numbers")
    _refuse_silence(reference.detach().square().mean(-1))


def _refuse_silence(power: Tensor) -> None:
    silent = (power.reshape(-1) <= 0).nonzero().flatten().tolist()
    if silent:
        raise AudioError(
            f"reference {silent[0]} of {power.numel()} is silent, so nothing has a distance to it: "
            "leave silent clips out"
        )
