"""Sounds through a codec's quantiser, frame by frame (METHODS B-9)."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise, product

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from auscult.core.errors import NothingToMeasureError
from auscult.core.rng import named_rng
from auscult.core.timebase import TimeBase
from auscult.models.base import AudioModel
from auscult.models.stimulus import harmonic_noise
from auscult.sounds.notes import harmonic_tone
from auscult.sounds.synthetic import fade, hz_of
from auscult.taps.probe import time_base

TIMBRES = ("dull", "bright", "odd")
OCTAVES = (3, 4, 5)
_AMPLITUDE = 0.1
_BATCH = 8
_BANDS_PER_OCTAVE = 3


class CodeReader:
    """A codec that tells its codes, and what they stand for level by level.

    Args:
        model: Its ``codec`` must give codes and take them back.

    Raises:
        NothingToMeasureError: It has no codec, or one without codes, or with codes of which the
            first so many stand for nothing by themselves.
    """

    def __init__(self, model: AudioModel) -> None:
        codec = model.codec
        if codec is None or codec.codes is None or codec.from_codes is None:
            raise NothingToMeasureError(
                f"{model.name} tells no codes: a codec with a quantiser does, one of your own when "
                "model.quantise names two methods, to codes and back"
            )
        self.model = model
        self._encode, self._decode = codec.encode, codec.decode
        self._codes, self._from_codes = codec.codes, codec.from_codes
        self._books = list(codec.codebooks.values())
        self._check_levels()

    @cached_property
    def time(self) -> TimeBase:
        """Where the frames of the codes lie."""
        return time_base(self.model, "latent")

    def _check_levels(self) -> None:
        n_samples = self.model.probe_samples or self.model.sample_rate
        latents = self.latents(harmonic_noise(self.model.sample_rate, 1, n_samples)[:, 0].numpy())
        codes = self.codes(latents)
        try:
            alone = tuple(self.sums(codes, 1).shape)
        except (RuntimeError, ValueError, LookupError):
            alone = ()
        if alone != latents.shape:
            raise NothingToMeasureError(
                f"{self.model.name} has {codes.shape[1]} codes a frame, and the first of them "
                "alone stands for no latents: they are not levels that add up"
            )

    def latents(self, waves: Float[np.ndarray, "sound time"]) -> Float[Tensor, "sound d frame"]:
        """Latents of mono sounds at the model's rate."""
        parts = []
        with torch.no_grad():
            for start in range(0, len(waves), _BATCH):
                batch = torch.from_numpy(np.asarray(waves[start : start + _BATCH], np.float32))
                sound = batch[:, None].expand(-1, self.model.n_channels, -1).contiguous()
                parts.append(self._encode(sound))
        return torch.cat(parts)

    def codes(self, latents: Float[Tensor, "sound d frame"]) -> Int[Tensor, "sound level frame"]:
        """Indices of every level."""
        with torch.no_grad():
            return self._codes(latents).long()

    def sums(
        self, codes: Int[Tensor, "sound level frame"], n_levels: int
    ) -> Float[Tensor, "sound d frame"]:
        """What the first so many levels stand for."""
        with torch.no_grad():
            return self._from_codes(codes[:, :n_levels].contiguous())

    def decode(self, latents: Float[Tensor, "sound d frame"]) -> Float[np.ndarray, "sound time"]:
        """Sound of latents, its channels averaged."""
        with torch.no_grad():
            sounds: np.ndarray = self._decode(latents).mean(1).float().numpy()
        return sounds

    def n_codes(self, level: int, seen: Int[np.ndarray, " frame"]) -> int:
        """Entries of a level; where the model shows no tables, one more than the highest seen."""
        if level < len(self._books):
            return int(self._books[level].shape[0])
        return int(seen.max()) + 1


@dataclass(frozen=True)
class Notes:
    """Steady notes with exact labels.

    Attributes:
        waves: Sounds.
        pitch_class: Of each, 0 for C.
        octave: Of each.
        timbre: Of each, by number in :data:`TIMBRES`.
    """

    waves: Float[np.ndarray, "note time"]
    pitch_class: Int[np.ndarray, " note"]
    octave: Int[np.ndarray, " note"]
    timbre: Int[np.ndarray, " note"]


def note_wave(
    midi: int, timbre: str, n_samples: int, sample_rate: int, rng: np.random.Generator
) -> Float[np.ndarray, " time"]:
    """A steady note at -20 dB re full scale."""
    tone = harmonic_tone(hz_of(midi), timbre, n_samples, sample_rate, rng)
    return np.asarray(_AMPLITUDE * tone * fade(n_samples, sample_rate), dtype=np.float32)


def steady_notes(sample_rate: int, n_samples: int, seed: int) -> Notes:
    """Every pitch class in three octaves and three timbres, once each."""
    grid = list(product(range(12), OCTAVES, range(len(TIMBRES))))
    waves = [
        note_wave(
            12 * (octave + 1) + pitch,
            TIMBRES[timbre],
            n_samples,
            sample_rate,
            named_rng(seed, "code notes", pitch, octave, timbre),
        )
        for pitch, octave, timbre in grid
    ]
    pitch, octave, timbre = np.array(grid).T
    return Notes(np.stack(waves), pitch, octave, timbre)


def steady_frames(time: TimeBase, n_samples: int, n_frames: int) -> slice:
    """Frames that hear nothing but the sound; the middle third where none does."""
    inside = time.frames_within(0, n_samples)
    start, stop = max(inside.start, 0), min(inside.stop, n_frames)
    if time.unbounded_past or stop - start < 2:
        return slice(n_frames // 3, max(n_frames // 3 + 1, 2 * n_frames // 3))
    return slice(start, stop)


def frame_spectra_db(
    wave: Float[np.ndarray, " time"], time: TimeBase, n_frames: int
) -> tuple[Float[np.ndarray, "frame band"], Float[np.ndarray, " band"]]:
    """Level in third-octave bands around each frame, in dB re full scale, and the bands' centres.

    The window is two hops long, at least 1,024 samples: short enough to be the frame's own sound.
    """
    n = max(1024, 2 * int(time.hop))
    hz = np.fft.rfftfreq(n, 1 / time.sample_rate)
    lowest = 2 * time.sample_rate / n
    n_bands = int(_BANDS_PER_OCTAVE * np.log2(0.5 * time.sample_rate / lowest))
    edges = lowest * 2 ** (np.arange(n_bands + 1) / _BANDS_PER_OCTAVE)
    bands = [(hz >= low) & (hz < high) for low, high in pairwise(edges)]
    kept = [i for i, band in enumerate(bands) if band.any()]
    weights = np.stack([bands[i] for i in kept], 1).astype(np.float64)
    padded = np.pad(wave.astype(np.float64), (n, n))
    middles = [round(float(time.centre(i))) + n - n // 2 for i in range(n_frames)]
    starts = np.clip(middles, 0, len(padded) - n)
    window = np.hanning(n)
    power = np.abs(np.fft.rfft(padded[starts[:, None] + np.arange(n)] * window, axis=1)) ** 2
    power *= 2 / (n * np.square(window).sum())
    decibels = 10 * np.log10(power @ weights + 1e-10)
    centres = np.sqrt(edges[:-1] * edges[1:])[kept]
    return decibels, centres


def pairs_of_notes(
    n_pairs: int, sample_rate: int, n_samples: int, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Two notes of different pitch that will sound together."""
    for pair in range(n_pairs):
        rng = named_rng(seed, "code pairs", pair)
        midis = rng.choice(np.arange(48, 84), 2, replace=False)
        first, second = (
            note_wave(int(m), str(rng.choice(TIMBRES)), n_samples, sample_rate, rng) for m in midis
        )
        yield first, second


def steady_codes(
    reader: CodeReader, waves: Float[np.ndarray, "sound time"]
) -> Int[np.ndarray, "sound level frame"]:
    """Codes of the frames that hear nothing but the sounds."""
    heard = reader.codes(reader.latents(waves)).numpy()
    steady: np.ndarray = heard[..., steady_frames(reader.time, waves.shape[1], heard.shape[-1])]
    return steady
