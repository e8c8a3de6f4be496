"""Pairs of notes through a codec, edited at one tap and read on the sound that comes out."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from auscult.analyses.base import Context
from auscult.core.errors import NothingToMeasureError
from auscult.core.rng import named_rng
from auscult.core.timebase import TimeBase
from auscult.interventions.resynthesis import Resynthesis
from auscult.measures.code_hearing import note_wave
from auscult.measures.partial_levels import level_db, own_partials_hz
from auscult.models.base import AudioModel
from auscult.sounds.synthetic import hz_of

EditFunction = Callable[[Tensor, TimeBase], Tensor]
_LOWEST, _HIGHEST = 48, 84


@dataclass(frozen=True)
class Pair:
    """Two notes (MIDI) that sound together, and the partials that are one's alone."""

    first: int
    second: int
    waves: tuple[np.ndarray, np.ndarray]
    own_hz: np.ndarray
    other_hz: np.ndarray


@dataclass(frozen=True)
class Heard:
    """What an edit did to every pair, in dB against the same sound without it.

    Attributes:
        meant: Change of the partials that are the first note's alone.
        other: Change of those that are the second's alone.
        loudness: Change of the whole sound's level.
    """

    meant: Float[np.ndarray, " pair"]
    other: Float[np.ndarray, " pair"]
    loudness: Float[np.ndarray, " pair"]

    @property
    def gap(self) -> Float[np.ndarray, " pair"]:
        """How much further the meant note moved down than the other did."""
        return np.asarray(self.other - self.meant)

    @property
    def isolation(self) -> float:
        """Share of the change that is the meant note's, 0 to 1 (METHODS 8.4); 0.5 for both alike.

        NaN where nothing moves.
        """
        own, other = float(np.abs(self.meant).mean()), float(np.abs(self.other).mean())
        return own / (own + other) if own + other > 0 else float("nan")


class NoteTrials:
    """Pairs of notes at one tap, wherever on the way from sound to sound it lies.

    Args:
        context: Holds the model.
        tap: Address.
        n_pairs: Pairs of notes; each is one trial.
        n_companies: Notes in whose company a direction is measured.
        seconds: Length of the sounds, for models that do not ask for one.
        span_s: The part of the sounds that is edited and read.

    Raises:
        NothingToMeasureError: The model has no decoder, or the span lies outside of the sounds.
    """

    def __init__(
        self,
        context: Context,
        tap: str,
        n_pairs: int,
        n_companies: int,
        seconds: float,
        span_s: tuple[float | None, float | None] = (None, None),
    ) -> None:
        self.model, self.tap, self.span_s = context.model(), tap, span_s
        if self.model.codec is None:
            raise NothingToMeasureError(f"{self.model.name} has no decoder to hear changes through")
        self.rate = self.model.sample_rate
        n_samples = self.model.probe_samples or round(seconds * self.rate)
        self.inside = _samples(span_s, n_samples, self.rate)
        self.rng = named_rng(context.seed, "note interventions")
        self.pairs = _pairs(n_pairs, n_samples, self.rate, self.rng)
        self.waves = {
            "both": np.stack([np.add(*pair.waves) for pair in self.pairs]),
            "second": np.stack([pair.waves[1] for pair in self.pairs]),
        }
        self._ways = {
            name: Resynthesis(self.model, tap, _channels(waves, self.model))
            for name, waves in self.waves.items()
        }
        self.directions, self.rest = self._measured(n_companies, n_samples)
        self.floor = {name: self.sound(None, name) for name in self.waves}
        self.values = {name: self.responses(waves) for name, waves in self.waves.items()}

    def sound(self, edit: EditFunction | None, of: str = "both") -> Float[np.ndarray, "pair time"]:
        """Every pair (or its second note) decoded under one edit."""
        told: np.ndarray = self._ways[of](edit).mean(1).numpy()
        return told

    def responses(self, waves: Float[np.ndarray, "sound time"]) -> Float[Tensor, "sound frame d"]:
        """What the tap says to some sounds on their way through the codec."""
        seen: list[Tensor] = []

        def look(values: Tensor, time: TimeBase) -> Tensor:
            del time
            seen.append(values.clone())
            return values

        Resynthesis(self.model, self.tap, _channels(waves, self.model))(look)
        return seen[-1]

    def heard(self, waves: Float[np.ndarray, "pair time"], of: str = "both") -> Heard:
        """What changed within the span, against the round trip."""
        rows = [
            [
                level_db(after[self.inside], f_hz, self.rate)
                - level_db(before[self.inside], f_hz, self.rate)
                for f_hz in (pair.own_hz, pair.other_hz)
            ]
            for pair, before, after in zip(self.pairs, self.floor[of], waves, strict=True)
        ]
        meant, other = np.array(rows).T
        loudness = _level(waves[:, self.inside]) - _level(self.floor[of][:, self.inside])
        return Heard(meant, other, loudness)

    def round_trip_db(self) -> float:
        """How far the codec alone moves the partials of either note, mean over pairs."""
        told = []
        for pair, before, after in zip(
            self.pairs, self.waves["both"], self.floor["both"], strict=True
        ):
            for f_hz in (pair.own_hz, pair.other_hz):
                levels = [level_db(wave[self.inside], f_hz, self.rate) for wave in (before, after)]
                told.append(abs(levels[1] - levels[0]))
        return float(np.mean(told))

    def _measured(
        self, n_companies: int, n_samples: int
    ) -> tuple[Float[Tensor, "pair d"], Float[Tensor, "pair d"]]:
        """Mean move that a pair's first note makes among strangers, and the mean without it."""
        moves, rest = [], []
        for pair in self.pairs:
            others = [m for m in range(_LOWEST, _HIGHEST) if m not in (pair.first, pair.second)]
            drawn = self.rng.choice(others, n_companies, replace=False)
            company, note = (
                np.stack([note_wave(int(m), timbre, n_samples, self.rate, self.rng) for m in which])
                for which, timbre in ((drawn, "dull"), ([pair.first] * n_companies, "bright"))
            )
            without = self.responses(company).mean(1)
            moves.append((self.responses(company + note).mean(1) - without).mean(0))
            rest.append(without.mean(0))
        return torch.stack(moves), torch.stack(rest)


def _level(waves: Float[np.ndarray, "pair time"]) -> Float[np.ndarray, " pair"]:
    return np.asarray(10 * np.log10(np.square(waves, dtype=np.float64).mean(1) + 1e-12))


def _samples(span_s: tuple[float | None, float | None], n_samples: int, rate: int) -> slice:
    start, stop = span_s
    inside = slice(round((start or 0.0) * rate), n_samples if stop is None else round(stop * rate))
    if min(inside.stop, n_samples) - inside.start < rate // 20:
        raise NothingToMeasureError(
            f"the span from {start or 0:g} s lies outside of a sound of {n_samples / rate:g} s"
        )
    return inside


def _channels(waves: np.ndarray, model: AudioModel) -> Float[Tensor, "sound channel time"]:
    batch = torch.from_numpy(np.ascontiguousarray(waves, dtype=np.float32))
    return batch[:, None].expand(-1, model.n_channels, -1).contiguous()


def _pairs(n: int, n_samples: int, rate: int, rng: np.random.Generator) -> list[Pair]:
    found: list[Pair] = []
    for _ in range(20 * n):
        first, second = (int(m) for m in rng.choice(np.arange(_LOWEST, _HIGHEST), 2, replace=False))
        try:
            own = own_partials_hz(hz_of(first), hz_of(second), rate)
            other = own_partials_hz(hz_of(second), hz_of(first), rate)
        except NothingToMeasureError:
            continue
        waves = (
            note_wave(first, "bright", n_samples, rate, rng),
            note_wave(second, "bright", n_samples, rate, rng),
        )
        found.append(Pair(first, second, waves, own, other))
        if len(found) == n:
            break
    return found
