"""The audit of control vectors: every way, strength and null on held-out sounds (METHODS 8.4)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from jaxtyping import Float

from auscult.analyses.parts.steering.quality import Quality, fidelity
from auscult.analyses.parts.steering.trials import Bench, Version
from auscult.core.errors import NothingToMeasureError
from auscult.interventions.control import ControlVector
from auscult.interventions.controlled import control
from auscult.interventions.splice import Splice, SpliceParams
from auscult.interventions.ways import Maker, Sign, WayName, set_feature
from auscult.measures.concept_directions import along_the_data, isotropic
from auscult.measures.fidelity import clipping_share
from auscult.measures.steering import (
    MOST_CLIPPED,
    RandomBand,
    Trial,
    effect_interval,
    isolation,
    isolation_interval,
    mean_over_clips,
    random_band,
)


@dataclass(frozen=True)
class Answer:
    """What one way of moving one concept to one side does on the test clips.

    Attributes:
        which: Number of the concept.
        way: How the vector was made.
        sign: To which side.
        vector: The vector.
        doses: Strengths.
        displacement: How far each moves vectors of the tap, in units of their spread.
        moved: Changes against α = 0.
        chosen: Number of the strength that calibration chose.
        trial: What is judged at it.
        band: How far random controls move each concept, by strength.
        calibrated: Effect and isolation at it on the calibration clips.
        distances: Kernel distances on the calibration clips, by strength.
        floor: Change of each concept from the original to α = 0.
        shuffled: Effect of the vector of shuffled labels at the same strength.
        hits: Share of frames in the corpus's outer quarter of the concept, and at strength 0.
        requantised: Effect through the quantiser, against its own round trip; NaN without one.
        figures: Further measures of quality at it.
    """

    which: int
    way: WayName
    sign: Sign
    vector: ControlVector
    doses: tuple[float, ...]
    displacement: Float[np.ndarray, " dose"]
    moved: Float[np.ndarray, "dose clip concept"]
    chosen: int
    trial: Trial
    calibrated: tuple[float, float]
    band: Float[np.ndarray, "dose concept"]
    distances: tuple[Mapping[str, float], ...]
    floor: Float[np.ndarray, " concept"]
    shuffled: float = float("nan")
    hits: tuple[float, float] = (float("nan"), float("nan"))
    requantised: float = float("nan")
    figures: Mapping[str, float] = field(default_factory=dict)

    @property
    def side(self) -> int:
        """1 towards more, -1 towards less."""
        return 1 if self.sign == "more" else -1

    @property
    def dose(self) -> float:
        """The strength that calibration chose."""
        return self.doses[self.chosen]

    @property
    def effects(self) -> Float[np.ndarray, "dose concept"]:
        """Mean change of each concept over clips."""
        return mean_over_clips(self.moved)


@dataclass
class Audit:
    """Puts vectors on the bench.

    Attributes:
        maker: Makes vectors from training recordings.
        shuffled: Makes them from shuffled labels.
        test: Held-out clips that numbers are of.
        calibration: Training clips that strengths are chosen on.
        quality: Distances from further training clips.
        doses: Strengths of each way.
        n_random: Random directions of each kind.
        quarters: Where the outer quarters of each concept begin in the corpus.
        rng: Makes a generator by name.
    """

    maker: Maker
    shuffled: Maker
    test: Bench
    calibration: Bench
    quality: Quality
    doses: Mapping[WayName, tuple[float, ...]]
    n_random: int
    quarters: Float[np.ndarray, "2 concept"]
    rng: Callable[..., np.random.Generator]
    _zeros: dict[tuple[str, bool, bool], Version] = field(default_factory=dict)
    _bounds: dict[str, dict[str, float]] = field(default_factory=dict)

    def zero(self, bench: str, way: WayName, requantise: bool = False) -> Version:
        """α = 0: the round trip, through the dictionary where the way goes through it."""
        through = way == "published"
        key = (bench, through, requantise)
        if key not in self._zeros:
            dictionary = self.maker.material.dictionary
            edit = Splice(SpliceParams(), dictionary) if through else None
            self._zeros[key] = self._bench(bench).version(edit, requantise)
        return self._zeros[key]

    def bounds(self, bench: str) -> dict[str, float]:
        """What distances may be, from the untouched round trip of these clips."""
        if bench not in self._bounds:
            plain = self.zero(bench, "means").sounds
            self._bounds[bench] = self.quality.bounds(plain, self.rng("halves", bench))
        return self._bounds[bench]

    def _bench(self, name: str) -> Bench:
        return self.test if name == "test" else self.calibration

    def bands(self, way: WayName) -> dict[str, np.ndarray]:
        """Changes under random controls of one way's rule and length, by kind."""
        doses = self.doses[way]
        zero = self.zero("test", way)
        found: dict[str, np.ndarray] = {}
        for kind, vectors in self._random(way).items():
            found[kind] = np.array(
                [
                    [self.test.moved(self.test.steered(one, dose), zero) for dose in doses]
                    for one in vectors
                ]
            )
        return found

    def _random(self, way: WayName) -> dict[str, list[ControlVector]]:
        """Random controls that differ from the way's own in their direction only."""
        material, rng = self.maker.material, self.rng("random", way)
        like = self._example(way)
        told = replace(like.provenance, concept="none", towards="anywhere", made="at random")
        n = self.n_random
        if way == "feature":
            most = self.maker.acts.max(0)
            on = np.flatnonzero(most > 0)
            chosen = rng.choice(on, min(2 * n, len(on)), replace=False)
            return {
                "random features": [
                    set_feature("random", told, int(j), float(most[j]), material.dictionary)
                    for j in chosen
                ]
            }
        vectors = material.x if like.space == "responses" else self.maker.acts
        length = float(np.linalg.norm(like.direction))
        kinds = {
            "any direction": isotropic(vectors.shape[1], n, rng),
            "directions as the data's": along_the_data(vectors, n, rng),
        }
        return {
            kind: [
                replace(like, direction=(length * one).astype(np.float32), provenance=told)
                for one in drawn
            ]
            for kind, drawn in kinds.items()
        }

    def _example(self, way: WayName) -> ControlVector:
        """A vector of the way, of the first concept that has one."""
        for which in range(len(self.maker.material.names)):
            try:
                return self.maker.make(way, which, "more")
            except NothingToMeasureError as error:
                reason = str(error)
        raise NothingToMeasureError(reason)

    def answer(self, way: WayName, which: int, sign: Sign, band: RandomBand) -> Answer:
        """One way, concept and side: choose a strength on calibration clips, judge on test clips.

        Raises:
            NothingToMeasureError: The concept has no direction by this way.
        """
        vector = self.maker.make(way, which, sign)
        doses, side = self.doses[way], 1 if sign == "more" else -1
        chosen, distances, calibrated = self._calibrate(way, vector, which, side)
        zero = self.zero("test", way)
        versions = [self.test.steered(vector, dose) for dose in doses]
        moved = np.stack([self.test.moved(one, zero) for one in versions])
        spread = self.maker.material.spread
        displacement = np.array(
            [self.test.displacement(control(vector, dose), spread) for dose in doses]
        )
        plain = self.zero("test", "means")
        own, recordings = side * moved[chosen, :, which], self.test.recordings
        effects = mean_over_clips(moved[chosen])
        clipping = clipping_share(versions[chosen].sounds) - clipping_share(plain.sounds)
        trial = Trial(
            effect=float(side * effects[which]),
            interval=effect_interval(own, recordings, self.rng("interval", way, which, sign)),
            band=float(band.edge[chosen, which]),
            n_draws=int(band.n_draws[chosen, which]),
            isolation=isolation(effects, which),
            isolated=isolation_interval(
                moved[chosen], which, recordings, self.rng("isolated", way, which, sign)
            ),
            quality=self.quality.distances(versions[chosen].sounds, plain.sounds),
            bounds=self.bounds("test"),
            clipping=max(0.0, clipping),
        )
        told = Answer(
            which, way, sign, vector, doses, displacement, moved, chosen, trial, calibrated,
            band.edge, distances, mean_over_clips(self.test.moved(zero, self.test.original)),
        )  # fmt: skip
        return replace(told, **self._at_chosen(told, versions[chosen], zero))

    def _calibrate(
        self, way: WayName, vector: ControlVector, which: int, side: int
    ) -> tuple[int, tuple[dict[str, float], ...], tuple[float, float]]:
        """The strength with the largest effect within the bounds of quality; else the least."""
        zero, plain = self.zero("calibration", way), self.zero("calibration", "means")
        bounds = self.bounds("calibration")
        distances, effects, isolations, clips = [], [], [], []
        for dose in self.doses[way]:
            version = self.calibration.steered(vector, dose)
            moved = mean_over_clips(self.calibration.moved(version, zero))
            distances.append(self.quality.distances(version.sounds, plain.sounds))
            effects.append(float(side * moved[which]))
            isolations.append(isolation(moved, which))
            clips.append(clipping_share(version.sounds) - clipping_share(plain.sounds))
        within = [
            all(one[name] <= bounds[name] for name in bounds) and clipped <= MOST_CLIPPED
            for one, clipped in zip(distances, clips, strict=True)
        ]
        allowed = [e if ok else -np.inf for e, ok in zip(effects, within, strict=True)]
        chosen = int(np.nanargmax(allowed)) if np.isfinite(allowed).any() else 0
        return chosen, tuple(distances), (effects[chosen], isolations[chosen])

    def _at_chosen(self, answer: Answer, version: Version, zero: Version) -> dict[str, Any]:
        """The nulls and the further figures at the strength that was chosen."""
        which, side, dose = answer.which, answer.side, answer.dose
        try:
            null = self.shuffled.make(answer.way, which, answer.sign)
            moved = self.test.moved(self.test.steered(null, dose), zero)
            shuffled = float(side * mean_over_clips(moved)[which])
        except NothingToMeasureError:
            shuffled = float("nan")
        requantised = float("nan")
        if self.test.model.codec is not None and self.test.model.codec.quantise is not None:
            coded = self.test.steered(answer.vector, dose, requantise=True)
            moved = self.test.moved(coded, self.zero("test", answer.way, requantise=True))
            requantised = float(side * mean_over_clips(moved)[which])
        plain = self.zero("test", "means")
        frechet = self.quality.frechet(version.sounds, plain.sounds, self.rng("frechet"))
        figures = {
            **fidelity(version.sounds, zero.sounds),
            **{f"frechet {name}": value for name, value in frechet.items()},
        }
        edge = float(self.quarters[1 if side > 0 else 0, which])
        hits = tuple(self.test.hits(one, which, side, edge) for one in (version, zero))
        return {
            "shuffled": shuffled, "hits": hits, "requantised": requantised, "figures": figures,
        }  # fmt: skip


def bands_of(
    audit: Audit, ways: Sequence[WayName], on_step: Callable[[], None]
) -> dict[WayName, RandomBand]:
    """The random band of every way; ways of one rule share one."""
    shared: dict[str, RandomBand] = {}
    found: dict[WayName, RandomBand] = {}
    for way in ways:
        group = way if way in ("published", "published-kept", "feature") else "responses"
        if group not in shared:
            shared[group] = random_band(audit.bands(way))
            on_step()
        found[way] = shared[group]
    return found
