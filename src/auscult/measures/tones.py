"""Tones alone and in company, and a bank of narrow filters that hears them (METHODS A-8)."""

import numpy as np
from jaxtyping import Bool, Float

from auscult.measures.fragment_spectra import bandwidth_octaves

COMPANY = (
    "alone",
    "with harmonics",
    "with one other tone",
    "with three other tones",
    "in pink noise",
)
"""The contexts in which a tone is played."""

_RMS = 0.1  # of the tone that is asked about: -20 dB re full scale


def tones_in_company(
    company: str,
    tones_hz: Float[np.ndarray, " tone"],
    sample_rate: int,
    n_samples: int,
    rng: np.random.Generator,
) -> Float[np.ndarray, "tone time"]:
    """One sound for each tone, at a random phase, in one of the contexts :data:`COMPANY`.

    The tone itself has -20 dB re full scale; what joins it comes on top.
    """
    t = np.arange(n_samples) / sample_rate

    def sine(hz: Float[np.ndarray, " tone"]) -> np.ndarray:
        phase = rng.uniform(0, 2 * np.pi, (len(hz), 1))
        wave = np.sin(2 * np.pi * hz[:, None] * t + phase) * (hz[:, None] < sample_rate / 2)
        return np.asarray(wave)

    waves = sine(tones_hz)
    if company == "with harmonics":
        waves = waves + sum(sine(tones_hz * h) / h for h in range(2, 9))
    elif company in ("with one other tone", "with three other tones"):
        low, high = np.log(tones_hz[0]), np.log(tones_hz[-1])
        for _ in range(1 if "one" in company else 3):
            waves = waves + sine(np.exp(rng.uniform(low, high, len(tones_hz))))
    elif company == "in pink noise":
        spectrum = np.fft.rfft(rng.standard_normal((len(tones_hz), n_samples)), axis=1)
        spectrum /= np.sqrt(np.maximum(np.arange(spectrum.shape[1]), 1))
        noise = np.fft.irfft(spectrum, n_samples, axis=1)
        waves = waves + 0.5 * noise / noise.std(1, keepdims=True)
    return np.asarray(_RMS * np.sqrt(2) * waves, dtype=np.float32)


def narrow_bank(
    waves: Float[np.ndarray, "sound time"],
    centres_hz: Float[np.ndarray, " unit"],
    sample_rate: int,
    octaves: float = 1 / 6,
) -> Float[np.ndarray, "unit sound"]:
    """Magnitude in Gaussian bands of constant width in octaves, read from each sound's spectrum.

    The positive control of the narrow-band test: if these units do not pass, none can.

    Args:
        waves: Sounds.
        centres_hz: Centre of each band.
        sample_rate: In Hz.
        octaves: Width of a band at half of its height.
    """
    n_samples = waves.shape[1]
    hz = np.fft.rfftfreq(n_samples, 1 / sample_rate)
    distance = np.log2(np.maximum(hz, 1e-3) / centres_hz[:, None])
    bands = np.exp(-0.5 * np.square(distance / (octaves / 2.355)))
    power = np.square(np.abs(np.fft.rfft(waves * np.hanning(n_samples), axis=1)))
    return np.asarray(np.sqrt(bands @ power.T))


def gammatone_centres_hz(lowest_hz: float, highest_hz: float, n: int) -> Float[np.ndarray, " unit"]:
    """Centres evenly spaced on the scale of equivalent rectangular bandwidths.

    Glasberg & Moore 1990: the scale is 21.4 log10(1 + 0.00437 f).

    >>> gammatone_centres_hz(200.0, 6000.0, 3).round().tolist()
    [200.0, 1406.0, 6000.0]
    """
    low, high = (np.log10(1 + 0.00437 * hz) for hz in (lowest_hz, highest_hz))
    return np.asarray((10 ** np.linspace(low, high, n) - 1) / 0.00437)


def gammatone_bank(
    waves: Float[np.ndarray, "sound time"],
    centres_hz: Float[np.ndarray, " unit"],
    sample_rate: int,
) -> Float[np.ndarray, "sound time unit"]:
    """Filter sounds by gammatone filters of fourth order (Slaney 1993), causally.

    The positive control of the mixture test (METHODS A-20): filters as narrow as those of an ear.
    """
    from scipy.signal import gammatone

    n_samples, n_taps = waves.shape[1], round(0.06 * sample_rate)
    n_fft = 1 << int(np.ceil(np.log2(n_samples + n_taps)))
    filters = [
        gammatone(hz, "fir", order=4, numtaps=n_taps, fs=sample_rate)[0] for hz in centres_hz
    ]
    gain = np.fft.rfft(np.stack(filters), n_fft, axis=1)
    spectrum = np.fft.rfft(waves.astype(np.float64), n_fft, axis=1)
    filtered = np.empty((len(waves), n_samples, len(centres_hz)), dtype=np.float32)
    for unit, response in enumerate(gain):
        filtered[:, :, unit] = np.fft.irfft(spectrum * response, n_fft, axis=1)[:, :n_samples]
    return filtered


def widths_octaves(
    tones_hz: Float[np.ndarray, " tone"], curves: Float[np.ndarray, "context unit tone"]
) -> Float[np.ndarray, "context unit"]:
    """Width in octaves at half height of each tuning curve; NaN for features that no tone moves."""
    widths = np.full(curves.shape[:2], np.nan)
    for i, context in enumerate(curves):
        for j, curve in enumerate(context):
            if curve.max() > 0:
                width = bandwidth_octaves(tones_hz, np.square(curve), level_db=-6.02)
                # Of a peak at the end of the range only one half is seen.
                widths[i, j] = width * (2 if curve.argmax() in (0, len(curve) - 1) else 1)
    return widths


def stays(
    tones_hz: Float[np.ndarray, " tone"],
    curves: Float[np.ndarray, "context unit tone"],
    octaves: float,
) -> Bool[np.ndarray, "context unit"]:
    """Whether a feature's peak lies where it lies for a tone alone.

    A feature that hardly ever speaks has narrow peaks by accident, elsewhere in each context.
    """
    peaks = np.log2(tones_hz[curves.argmax(2)])
    stays: np.ndarray = np.abs(peaks - peaks[0]) <= octaves
    return stays
