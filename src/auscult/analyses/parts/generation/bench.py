"""The bench of steering during generation: prompts, windows of steps, random directions, seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from pydantic import Field

from auscult.analyses.base import Context, MadeSound
from auscult.analyses.parts.concepts.labelling import PUBLISHED
from auscult.analyses.parts.generation.course import make_prompts
from auscult.analyses.parts.steering.trials import estimators, frames_of, measured
from auscult.blocks import Block, Clip, ClipGrid
from auscult.core.audio import Audio
from auscult.core.config import Config
from auscult.core.errors import NothingToMeasureError
from auscult.core.rng import named_rng
from auscult.interventions.steer import Steer
from auscult.measures.concept_directions import isotropic
from auscult.measures.draws import upper_edge
from auscult.measures.embedding import LogMelStatistics
from auscult.measures.fidelity import clipping_share, kernel_distance, median_distance, same_level
from auscult.measures.statistics import joint_intervals, recording_draws
from auscult.measures.steering import Trial, isolation, mean_over_clips
from auscult.models.base import AudioModel
from auscult.models.generation import Generator, Prompt
from auscult.taps.steps import STATE, Seen, StepEdit, trace


class BenchParams(Config):
    """What is steered, where, how far, and beside how much chance."""

    concepts: tuple[str, ...] = Field(PUBLISHED, min_length=2)
    """What is steered, and measured while another is."""
    places: tuple[str, ...] = ()
    """``state``, or taps inside the network; none: the state, and the middle block."""
    n_windows: int = Field(3, ge=1)
    """Stretches that the steps are divided into; each is steered alone."""
    strength: float = Field(0.5, gt=0)
    """Length of what is added, of the spread of the place's vectors: all through a window at a tap
    inside the network, and in all over a window for the state, which keeps what is added."""
    start_s: float | None = None
    """Frames before this time of the sound are left alone."""
    stop_s: float | None = None
    """Frames from this time on are left alone."""
    n_made: int = Field(36, ge=6)
    """Prompts that directions are made from."""
    n_prompts: int = Field(12, ge=4)
    """Other prompts that are steered."""
    n_random: int = Field(19, ge=2)
    """Random directions of the same length in each window; with fewer than 19 nothing can hold."""
    n_seeds: int = Field(3, ge=1)
    """Other seeds of the same prompts: what chance alone moves."""
    texts: tuple[str, ...] = ()
    """What to ask for in words; none: a grid over wishes."""
    wishes: dict[str, list[str | int | float]] = {}
    """Values to ask for, by wish."""
    open: tuple[str, ...] = ()
    """Wishes that are left to the generator, and so to the control."""


@dataclass(frozen=True)
class Heard:
    """Results of a run: sounds, and mean values of each concept."""

    sounds: Float[np.ndarray, "prompt time"]
    values: Float[np.ndarray, "prompt concept"]


class Bench:
    """Prompts that are steered, and what is measured of them."""

    def __init__(
        self,
        context: Context,
        model: AudioModel,
        generator: Generator,
        params: BenchParams,
    ) -> None:
        self.model, self.generator, self.params = model, generator, params
        self.tap, self.seed = generator.latent, context.seed
        n = params.n_made + params.n_prompts
        prompts = make_prompts(generator, n, params.texts, params.wishes, params.open, context.seed)
        self.made, self.prompts = prompts[: params.n_made], prompts[params.n_made :]
        self.names = np.array([one.name for one in self.prompts])
        self.concepts = estimators(params.concepts)
        self.time = frames_of(model.sample_rate)
        edges = np.linspace(0, generator.n_steps, params.n_windows + 1).round().astype(int)
        self.windows = [range(a, b) for a, b in pairwise(edges.tolist()) if b > a]
        self.plain = self.hear(self.prompts)
        self.reseeded = [
            self.hear([_reseeded(one, i) for one in self.prompts]) for i in range(params.n_seeds)
        ]
        values = np.concatenate([self.plain.values, *(one.values for one in self.reseeded)])
        self.spread = np.nanstd(values, axis=0)
        if not np.all(self.spread > 0):
            which = params.concepts[int(np.flatnonzero(~(self.spread > 0))[0])]
            raise NothingToMeasureError(f"{which} is the same in all results, or is in none")
        self.embedder = LogMelStatistics()
        self._reference = self._embed(self.plain.sounds)
        self._width = median_distance(self._reference)
        # Other seeds may lie nearer than chance; what is no farther than the same sounds is intact.
        self.bound = max(0.0, *(self.distance(one.sounds) for one in self.reseeded))

    def hear(self, prompts: Sequence[Prompt], edits: Sequence[StepEdit] = ()) -> Heard:
        """Generate, decode, and measure."""
        codec = self.model.codec
        if codec is None:
            raise NothingToMeasureError(f"{self.model.name} has no decoder")
        parts = []
        for _, latents in trace(self.model, prompts, None, places=(), edits=edits):
            with torch.no_grad():
                parts.append(codec.decode(latents).mean(1))
        sounds = torch.cat(parts).numpy()
        tracks = measured(sounds, self.concepts, self.time)
        known = np.isfinite(tracks)
        sums = np.where(known, tracks, 0.0).sum(2)
        values = np.where(known.any(2), sums / np.maximum(known.sum(2), 1), np.nan)
        return Heard(sounds, values)

    def moved(self, heard: Heard) -> Float[np.ndarray, "prompt concept"]:
        """Changes against the untouched results, in s.d."""
        return np.asarray((heard.values - self.plain.values) / self.spread)

    def distance(self, sounds: Float[np.ndarray, "prompt time"]) -> float:
        """Kernel distance from the untouched results, at their levels: loudness is no quality."""
        levelled = same_level(self.plain.sounds, sounds)
        return kernel_distance(self._reference, self._embed(levelled), self._width)

    def _embed(self, sounds: Float[np.ndarray, "prompt time"]) -> np.ndarray:
        rate = self.model.sample_rate
        audios = [Audio(np.ascontiguousarray(one[None], np.float32), rate) for one in sounds]
        return self.embedder.embed(audios).values

    def steered(self, place: str) -> tuple[list[dict[str, Any]], list[Block], list[MadeSound]]:
        """Every window and concept at one place."""
        vectors, lengths, values = self._material(place)
        versions: dict[str, list[Heard]] = {name: [] for name in self.concepts}
        chance = []
        for number, window in enumerate(self.windows):
            rng = named_rng(self.seed, "generation-steering", place, number)
            length = float(lengths[number])

            def hear(
                direction: np.ndarray, window: range = window, length: float = length
            ) -> Heard:
                return self.hear(self.prompts, [self._edit(place, window, direction, length)])

            drawn = isotropic(vectors.shape[2], self.params.n_random, rng)
            chance.append([mean_over_clips(self.moved(hear(one))) for one in drawn])
            for which, name in enumerate(self.concepts):
                versions[name].append(hear(_difference(vectors[number], values[:, which])))
        rows = [
            row
            for which, name in enumerate(self.concepts)
            for row in self._rows(place, which, versions[name], np.array(chance)[:, :, which])
        ]
        blocks, sounds = self._played(place, versions)
        return rows, blocks, sounds

    def _material(
        self, place: str
    ) -> tuple[
        Float[np.ndarray, "window prompt d"],
        Float[np.ndarray, " window"],
        Float[np.ndarray, "prompt concept"],
    ]:
        """Mean vectors of the made prompts in each window, how far vectors spread, and results.

        Of the state it is the result's: what a concept means there is what it means when decoded.
        """
        seen: dict[tuple[int, str], list[np.ndarray]] = {}
        squares = np.zeros((len(self.windows), 2))
        last = self.generator.n_steps

        def see(batch: Sequence[Prompt], one: Seen) -> None:
            frames = one.values.numpy()
            for number, window in enumerate(self.windows):
                if one.step in window or (place == STATE and one.step == last):
                    apart = frames - frames.mean((0, 1))
                    squares[number] += np.square(apart).sum(2).mean(), 1
                    for prompt, mean in zip(batch, frames.mean(1), strict=True):
                        seen.setdefault((number, prompt.name), []).append(mean)

        steps = [last] if place == STATE else None
        for _ in trace(self.model, self.made, see, places=(place,), steps=steps):
            pass
        vectors = np.array(
            [
                [np.mean(seen[number, one.name], axis=0) for one in self.made]
                for number in range(len(self.windows))
            ]
        )
        return vectors, np.sqrt(squares[:, 0] / squares[:, 1]), self.hear(self.made).values

    def _edit(
        self, place: str, window: range, direction: Float[np.ndarray, " d"], length: float
    ) -> StepEdit:
        size = self.params.strength * length / np.linalg.norm(direction)
        if place == STATE:
            size /= len(window)
        params = Steer.Params.model_validate(
            {
                "direction": tuple(float(x) for x in direction * size),
                "start_s": self.params.start_s,
                "stop_s": self.params.stop_s,
            }
        )
        return StepEdit(place, Steer(params), window, ("conditional",))

    def _rows(
        self,
        place: str,
        which: int,
        heard: Sequence[Heard],
        chance: Float[np.ndarray, "window draw"],
    ) -> list[dict[str, Any]]:
        """One concept in every window, beside nulls that were given the same choice of windows.

        Args:
            place: Where it was steered.
            which: Number of the concept.
            heard: The results, window by window.
            chance: Its mean change under each random direction.
        """
        moved = np.array([self.moved(one) for one in heard])
        lows, highs = self._intervals(place, which, moved[:, :, which])
        edge, n_draws = upper_edge(np.abs(chance).max(axis=0))
        here = upper_edge(np.abs(chance).T)[0]
        seeds = [mean_over_clips(self.moved(one))[which] for one in self.reseeded]
        floor = float(np.max(np.abs(seeds)))
        rows = []
        for number, (window, one) in enumerate(zip(self.windows, heard, strict=True)):
            effects = mean_over_clips(moved[number])
            trial = Trial(
                effect=float(effects[which]),
                interval=(float(lows[number]), float(highs[number])),
                band=max(float(edge), floor),
                n_draws=int(n_draws),
                isolation=isolation(effects, which),
                quality={self.embedder.name: self.distance(one.sounds)},
                bounds={self.embedder.name: self.bound},
                clipping=clipping_share(one.sounds) - clipping_share(self.plain.sounds),
            )
            verdict, reason = trial.judged()
            if verdict == "explained by control" and floor > edge:
                reason = "Another seed moves it as far."
            rows.append(
                {
                    "place": place,
                    "concept": list(self.concepts)[which],
                    "first": window.start,
                    "last": window.stop - 1,
                    "effect": trial.effect,
                    "low": trial.interval[0],
                    "high": trial.interval[1],
                    "random": float(edge),
                    "random here": float(here[number]),
                    "n_random": int(n_draws),
                    "seed": floor,
                    "isolation": trial.isolation,
                    "distance": trial.quality[self.embedder.name],
                    "bound": self.bound,
                    "verdict": verdict,
                    "reason": reason,
                }
            )
        return rows

    def _intervals(
        self, place: str, which: int, moved: Float[np.ndarray, "window prompt"]
    ) -> tuple[Float[np.ndarray, " window"], Float[np.ndarray, " window"]]:
        """Ends of the mean changes over prompts, for all windows at once."""
        rng = named_rng(self.seed, "generation-steering", place, which, "prompts")
        drawn = recording_draws(moved.shape[1], 1000, rng)
        known = np.isfinite(moved)
        sums, counts = drawn @ np.where(known, moved, 0.0).T, drawn @ known.T
        means = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
        return joint_intervals(mean_over_clips(moved[:, :, None])[:, 0], means)

    def _played(
        self, place: str, versions: Mapping[str, list[Heard]]
    ) -> tuple[list[Block], list[MadeSound]]:
        """The first prompt, untouched and steered in each window."""
        rate, sounds, blocks = self.model.sample_rate, [], []
        for name, heard in versions.items():
            made = [MadeSound(self.plain.sounds[0], rate, f"{self.names[0]}: untouched")]
            for window, one in zip(self.windows, heard, strict=True):
                where = f"{name}, {place}, steps {window.start} to {window.stop - 1}"
                made.append(MadeSound(one.sounds[0], rate, f"{self.names[0]}: {where}"))
            told = [f"steps {one.start} to {one.stop - 1}" for one in self.windows]
            pairs = zip(made, ["untouched", *told], strict=True)
            clips: tuple[Clip, ...] = tuple(one.clip(label) for one, label in pairs)
            note = f"{self.names[0]}, the same seed."
            if name == "loudness":
                note += " All play at equal loudness: what was moved is read off the gains."
            blocks.append(ClipGrid(f"More {name}, steered at {place}", clips, note))
            sounds += made
        return list(blocks), sounds


def _reseeded(prompt: Prompt, number: int) -> Prompt:
    return Prompt(prompt.name, prompt.text, prompt.wishes, prompt.seed + 1_000_003 * (number + 1))


def _difference(
    vectors: Float[np.ndarray, "prompt d"], values: Float[np.ndarray, " prompt"]
) -> Float[np.ndarray, " d"]:
    """Mean of the third with most of a concept minus that of the third with least.

    Raises:
        NothingToMeasureError: Fewer than six results have a value.
    """
    known = np.flatnonzero(np.isfinite(values))
    if len(known) < 6:
        raise NothingToMeasureError("fewer than six results have a value of a concept")
    order = known[np.argsort(values[known], kind="stable")]
    third = len(order) // 3
    return np.asarray(vectors[order[-third:]].mean(0) - vectors[order[:third]].mean(0))
