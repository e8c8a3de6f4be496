"""What a probe reads without any network: log-mel spectra, and their cepstrum."""

import numpy as np
from jaxtyping import Float

from auscult.concepts.framing import grid, spectra, window_length
from auscult.core.audio import Audio
from auscult.core.timebase import TimeBase

_FLOOR_DB = -100.0
_KNEE_HZ, _KNEE_MEL = 1000.0, 15.0


def log_mel(
    audio: Audio, time: TimeBase, n_bands: int = 40, window_s: float = 0.046
) -> Float[np.ndarray, "frame band"]:
    """Power in bands of the mel scale for the frames of a tap, in dB, at least -100.

    Slaney's scale: linear below 1 kHz, logarithmic above; triangles of unit area, from 0 Hz to half
    the rate. Frames are measured where every labeler measures (see :func:`grid`).
    """
    points = grid(audio, time)
    n = window_length(window_s, audio.sample_rate)
    bank = mel_bank(audio.sample_rate, n, n_bands).T.astype(np.float32)
    parts = [
        np.square(magnitudes) @ bank
        for magnitudes in spectra(audio.samples.mean(0), points.centres, n)
    ]
    power = np.concatenate(parts)[points.points].mean(axis=1)
    return np.asarray(np.maximum(10 * np.log10(np.maximum(power, 1e-10)), _FLOOR_DB))


def mfcc(
    log_mels: Float[np.ndarray, "frame band"], n_coefficients: int = 20
) -> Float[np.ndarray, "frame coefficient"]:
    """Mel-frequency cepstrum: orthonormal DCT-II over bands, the first coefficients."""
    from scipy.fft import dct

    return np.asarray(dct(log_mels, axis=1, norm="ortho")[:, :n_coefficients])


def mel_bank(sample_rate: int, n: int, n_bands: int) -> Float[np.ndarray, "band bin"]:
    """Triangular filters over the bins of a transform of ``n`` samples."""
    top = _mel(np.array([sample_rate / 2]))[0]
    corners = _hz(np.linspace(0, top, n_bands + 2))
    hz = np.fft.rfftfreq(n, 1 / sample_rate)
    rising = (hz - corners[:-2, None]) / np.diff(corners)[:-1, None]
    falling = (corners[2:, None] - hz) / np.diff(corners)[1:, None]
    area = 2 / (corners[2:] - corners[:-2])
    return np.asarray(np.maximum(0, np.minimum(rising, falling)) * area[:, None])


def _mel(hz: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    above = np.log(np.maximum(hz, _KNEE_HZ) / _KNEE_HZ) / (np.log(6.4) / 27)
    return np.asarray(np.where(hz < _KNEE_HZ, hz / _KNEE_HZ * _KNEE_MEL, _KNEE_MEL + above))


def _hz(mel: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    above = _KNEE_HZ * np.exp(np.log(6.4) / 27 * (np.maximum(mel, _KNEE_MEL) - _KNEE_MEL))
    return np.asarray(np.where(mel < _KNEE_MEL, mel / _KNEE_MEL * _KNEE_HZ, above))
