"""Pictures of a sound: a spectrogram as a small paletted PNG, the outline of its waveform."""

import struct
import zlib

import numpy as np
from jaxtyping import Float, Int8, UInt8

from auscult.report.colour import tables

LOWEST_HZ = 50.0
RANGE_DB = 80.0
_ROWS = 128
_COLUMNS_PER_S = 200
_MOST_COLUMNS = 8000
_WINDOW_S = 0.032
_POINTS_PER_S = 400
_MOST_POINTS = 40_000
_BATCH = 512
_STEPS = (
    4  # levels are kept in steps of 1.25 dB, which the eye does not see and the file shrinks by
)
_QUIETEST_DB = -80.0  # a clip whose maximum lies below this is shown as silence


def spectrogram(
    samples: Float[np.ndarray, " time"], sample_rate: int
) -> UInt8[np.ndarray, "row column"]:
    """Level on a grid of log frequency and time; 252 is the clip's maximum, 0 is 80 dB below it.

    Column ``j`` is centred at ``(j + 1/2) / n_columns`` of the sound, so that the picture spans the
    sound exactly. Rows run from the Nyquist frequency (top) down to 50 Hz, equally spaced in log
    frequency.
    """
    n_columns = int(np.clip(round(len(samples) / sample_rate * _COLUMNS_PER_S), 1, _MOST_COLUMNS))
    window = 1 << max(5, round(np.log2(_WINDOW_S * sample_rate)))
    n_fft = 2 * window
    centres = np.round((np.arange(n_columns) + 0.5) * len(samples) / n_columns).astype(int)
    # Mirrored at the ends: an edge is not an onset.
    padded = np.pad(samples, window, mode="reflect" if len(samples) > window else "constant")
    shape = np.hanning(window + 1)[:-1].astype(np.float32)
    low, high, share = _rows_between_bins(sample_rate, n_fft)
    picture = np.empty((_ROWS, n_columns), dtype=np.float32)
    for begin in range(0, n_columns, _BATCH):
        starts = centres[begin : begin + _BATCH] + window - window // 2
        frames = padded[starts[:, None] + np.arange(window)] * shape
        amplitude = np.abs(np.fft.rfft(frames, n_fft)) * (2 / shape.sum())
        level = 20 * np.log10(np.maximum(amplitude, 1e-8)).T
        picture[:, begin : begin + _BATCH] = level[low] * (1 - share) + level[high] * share
    top = max(float(picture.max()), _QUIETEST_DB)
    steps = np.round((picture - top + RANGE_DB) * (256 / _STEPS - 1) / RANGE_DB)
    return (np.clip(steps, 0, 256 // _STEPS - 1) * _STEPS).astype(np.uint8)


def _rows_between_bins(sample_rate: int, n_fft: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each row, the two bins of the transform around it and the share of the upper one."""
    rows_hz = np.geomspace(sample_rate / 2, min(LOWEST_HZ, sample_rate / 8), _ROWS)
    place = rows_hz * n_fft / sample_rate
    low = np.floor(place).astype(int)
    high = np.minimum(low + 1, n_fft // 2)
    return low, high, (place - low)[:, None].astype(np.float32)


def png(
    levels: UInt8[np.ndarray, "row column"], colours: UInt8[np.ndarray, "256 3"] | None = None
) -> bytes:
    """Encode 8-bit levels as a PNG that carries its palette (magma unless given)."""
    palette = tables()["sequential"] if colours is None else colours
    height, width = levels.shape
    # Each row begins with its filter type, 0: none.
    rows = np.concatenate([np.zeros((height, 1), np.uint8), levels], axis=1).tobytes()
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        _chunk(kind, data)
        for kind, data in (
            (b"IHDR", header),
            (b"PLTE", palette.tobytes()),
            (b"IDAT", zlib.compress(rows, 7)),
            (b"IEND", b""),
        )
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def outline(samples: Float[np.ndarray, " time"], sample_rate: int) -> Int8[np.ndarray, "2 point"]:
    """Lowest and highest sample of each short stretch (2.5 ms), full scale at 127."""
    n_points = int(np.clip(round(len(samples) / sample_rate * _POINTS_PER_S), 1, _MOST_POINTS))
    n_points = min(n_points, len(samples))
    edges = np.linspace(0, len(samples), n_points + 1).astype(int)[:-1]
    lowest = np.minimum.reduceat(samples, edges)
    highest = np.maximum.reduceat(samples, edges)
    return np.clip(np.round(np.stack([lowest, highest]) * 127), -127, 127).astype(np.int8)
