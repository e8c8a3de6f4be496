"""What the fixed length of a code is good for when latents are steered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float
from pydantic import Field

from auscult.analyses.base import (
    ANALYSES,
    Analysis,
    Condition,
    Context,
    Judgement,
    Measurement,
    Result,
)
from auscult.analyses.parts.answering import NOTHING_TO_MEASURE, page, untested
from auscult.analyses.parts.reading import chosen_tap
from auscult.analyses.parts.steering.material import material_of
from auscult.analyses.parts.steering.quality import Quality
from auscult.analyses.parts.steering.trials import Bench, estimators, pieces
from auscult.blocks import Axis, Block, Curve, Series, Table, Verdict
from auscult.core.config import Config
from auscult.core.errors import NothingToMeasureError
from auscult.core.rng import named_rng
from auscult.dictionaries.base import Dictionary
from auscult.interventions.control import ControlProvenance, ControlVector, dictionary_digest
from auscult.interventions.controlled import control
from auscult.interventions.resynthesis import codec_of
from auscult.interventions.splice import Splice, SpliceParams
from auscult.interventions.ways import Maker, Material, Sign
from auscult.measures.concept_directions import isotropic
from auscult.measures.embedding import usual_embedders
from auscult.measures.steering import random_halves
from auscult.models.weights import weights_digest

NORM, PLAIN, MATCHED = "RMSNorm", "no norm", "no norm, steps as long"
_CLAIM = "PK-06"
_HALVES = 200
_SIGNS: tuple[Sign, ...] = ("more", "less")
_L0_MAY_DIFFER = 0.1


class CodeNormParams(Config):
    """Settings of the comparison."""

    tap: str | None = None
    """Where latents are steered; none: the first recorded tap."""
    concepts: tuple[str, ...] = ("loudness", "centroid")
    """What is steered towards more and towards less."""
    strengths: tuple[float, ...] = Field((1.0, 10.0, 30.0), min_length=1)
    """Published strengths α, for codes of root mean square 1, from the smallest on."""
    n_clips: int = Field(12, ge=4)
    """Test clips."""
    n_corpus: int = Field(24, ge=8)
    """Training clips that distances are measured from."""
    n_random: int = Field(4, ge=1)
    """Random directions, at the largest strength."""
    most_vectors: int = Field(20_000, ge=200)
    """Training vectors that directions are made from."""


@ANALYSES.register("code-norm")
class CodeNorm(Analysis):
    """Steers through a dictionary with RMSNorm and through one without it, at one l0 (METHODS C-9).

    The same probes' directions are added to both codes, in units of the code's own length; one is
    given back its length, as published, the other is not. Decoded sounds are judged by how much
    further steering takes them from other recordings. As a renormed step is also a shorter one, the
    code without norm is steered once more, so that latents move just as far.
    """

    Params: ClassVar[type[Config]] = CodeNormParams
    title: ClassVar[str] = "What the norm of a code is good for"
    question: ClassVar[str] = (
        "Does a code of fixed length keep steered latents within what the decoder knows, or are "
        "its steps just shorter?"
    )
    source: ClassVar[str] = "METHODS C-9 (arXiv 2510.23802)"

    @classmethod
    def controls(cls, params: CodeNormParams) -> tuple[Condition, ...]:  # noqa: ARG003
        """None are recorded: random directions and steps of equal length are made on the way."""
        return ()

    def run(self, context: Context, params: CodeNormParams) -> Result:
        """Steer both ways, decode, compare."""
        tap = chosen_tap(context, params.tap)
        try:
            trial = _Trial(context, params, tap)
            rows = trial.rows()
        except NOTHING_TO_MEASURE as error:
            told = untested(
                f"{tap}: what the norm of a code is good for cannot be told.", str(error), _CLAIM,
                "distance added by steering, without norm minus with it", tap,
                ["steps as long", "random directions"], "no published ablation",
            )  # fmt: skip
            return Result((told.measurement,), judgements=(told,))
        judged = judge(rows, tap)
        facts = {
            "tap": tap,
            "l0": trial.l0,
            "strengths": list(params.strengths),
            "rows": [one.told() for one in rows],
        }
        return Result((judged.measurement,), {}, facts, (), (judged,))

    def view(self, result: Result) -> list[Block]:
        """The answer, added distance over strength."""
        return page(result, _HOW_TO_READ, _pictures(result))


_HOW_TO_READ = (
    "Distances are kernel distances of decoded sounds from other recordings, as a share of what "
    "halves of the untouched round trip reach by chance: 1 is as far as chance takes it. What is "
    "drawn is how much steering adds to the distance at strength 0 through the same dictionary, so "
    "that one which rebuilds worse is not blamed twice; a mean over concepts, both sides and the "
    "embeddings. Steps are root mean square moves of latents in units of their spread."
)


@dataclass(frozen=True)
class Row:
    """What one rule does at one strength.

    Attributes:
        rule: Which.
        strength: α.
        random: Whether directions were drawn.
        added: Distance that steering adds, for every half of the clips.
        step: How far latents move, in units of their spread.
    """

    rule: str
    strength: float
    random: bool
    added: Float[np.ndarray, " half"]
    step: float

    def told(self) -> dict[str, Any]:
        """As a fact."""
        low, high = np.quantile(self.added, [0.025, 0.975])
        return {
            "rule": self.rule, "strength": self.strength, "random": self.random,
            "added": float(self.added.mean()), "low": float(low), "high": float(high),
            "step": self.step,
        }  # fmt: skip


class _Trial:
    """Both dictionaries, the clips, and the directions."""

    def __init__(self, context: Context, params: CodeNormParams, tap: str) -> None:
        model = context.model()
        codec_of(model)
        self.context, self.params, self.tap = context, params, tap
        normed = _of_type(context, "rms-norm")
        plain = _of_type(context, "topk")
        self.materials: dict[str, Material] = {
            rule: material_of(context, tap, params.concepts, params.most_vectors, name)
            for rule, name in ((NORM, normed), (PLAIN, plain))
        }
        self.l0 = {
            rule: float((one.acts() != 0).sum(1).mean()) for rule, one in self.materials.items()
        }
        if abs(self.l0[NORM] / self.l0[PLAIN] - 1) > _L0_MAY_DIFFER:
            raise NothingToMeasureError(
                f"{normed} has {self.l0[NORM]:.1f} features on at once and {plain} "
                f"{self.l0[PLAIN]:.1f}: give both the same n_features and k"
            )
        measuring = estimators(params.concepts)
        self.bench = Bench(context, tap, pieces(context, "test", params.n_clips), measuring)
        corpus = pieces(context, "train", params.n_corpus)
        self.quality = Quality(usual_embedders(), model.sample_rate, corpus)
        self.halves = random_halves(len(self.bench.clips), _HALVES, self._rng("halves"))
        self.plain = self.bench.sounds()
        self.bounds = self.quality.bounds(self.plain, self._rng("bounds"))
        self.digest = weights_digest(model.module)

    def _rng(self, *names: str) -> np.random.Generator:
        return named_rng(self.context.seed, "code-norm", self.tap, *names)

    def rows(self) -> list[Row]:
        """Every rule at every strength, then random directions at the largest."""
        vectors = {rule: self._vectors(rule) for rule in self.materials}
        drawn = {rule: self._drawn(rule, vectors[rule][0]) for rule in self.materials}
        floors = {rule: self._scores(self._at_zero(rule)) for rule in self.materials}
        found, largest = [], max(self.params.strengths)
        todo = [(a, False, vectors) for a in self.params.strengths] + [(largest, True, drawn)]
        for done, (strength, random, some) in enumerate(todo):
            normed = self._row(NORM, strength, random, some[NORM], floors[NORM])
            free = self._row(PLAIN, strength, random, some[PLAIN], floors[PLAIN])
            as_long = strength * normed.step / max(free.step, 1e-12)
            matched = self._row(PLAIN, as_long, random, some[PLAIN], floors[PLAIN])
            found += [normed, free, replace(matched, rule=MATCHED, strength=strength)]
            self.context.advance((done + 1) / len(todo))
        return found

    def _vectors(self, rule: str) -> list[ControlVector]:
        """Published directions; without norm in units of the code's length, and not renormed."""
        material = self.materials[rule]
        told = ControlProvenance(
            model=self.context.model().name, weights=self.digest, tap=self.tap,
            time=self.context.time(self.tap), concept="", towards="", made="",
            dictionary=dictionary_digest(_spoken(material)),
            recordings=tuple(np.unique(material.recordings).tolist()),
        )  # fmt: skip
        maker = Maker(material, told, lambda: self._rng("probe"))
        found = []
        for which in range(len(self.params.concepts)):
            for sign in _SIGNS:
                one = maker.make("published", which, sign)
                found.append(one if rule == NORM else self._freed(one, material))
        return found

    @staticmethod
    def _freed(vector: ControlVector, material: Material) -> ControlVector:
        level = float(np.sqrt(np.square(material.acts()).mean(1)).mean())
        return replace(
            vector, direction=(level * vector.direction).astype(np.float32), renorm="none"
        )

    def _drawn(self, rule: str, like: ControlVector) -> list[ControlVector]:
        length = float(np.linalg.norm(like.direction))
        drawn = isotropic(len(like.direction), self.params.n_random, self._rng("random", rule))
        return [replace(like, direction=(length * one).astype(np.float32)) for one in drawn]

    def _at_zero(self, rule: str) -> Float[np.ndarray, "clip time"]:
        return self.bench.sounds(Splice(SpliceParams(), _spoken(self.materials[rule])))

    def _scores(self, sounds: Float[np.ndarray, "clip time"]) -> Float[np.ndarray, " half"]:
        """Distance of every half over its bound, a mean over embeddings."""
        found = self.quality.of_halves(sounds, self.plain, self.halves)
        return np.asarray(np.mean([x / max(self.bounds[k], 1e-9) for k, x in found.items()], 0))

    def _row(
        self,
        rule: str,
        strength: float,
        random: bool,
        vectors: list[ControlVector],
        floor: Float[np.ndarray, " half"],
    ) -> Row:
        scores = [self._scores(self.bench.sounds(control(one, strength))) for one in vectors]
        step = float(np.mean([self._step(rule, one, strength) for one in vectors]))
        return Row(rule, strength, random, np.mean(scores, 0) - floor, step)

    def _step(self, rule: str, vector: ControlVector, strength: float) -> float:
        """Root mean square move of training vectors against strength 0, in their spread."""
        material = self.materials[rule]
        values = torch.from_numpy(np.ascontiguousarray(material.x[:2000]))[None]
        time = self.context.time(self.tap)
        with torch.no_grad():
            moved = control(vector, strength)(values, time)
            still = Splice(SpliceParams(), _spoken(material))(values, time)
        return float((moved - still).square().sum(-1).mean().sqrt()) / material.spread


def judge(rows: Sequence[Row], tap: str) -> Judgement:
    """PK-06, at the largest strength of some rows."""
    largest = max(one.strength for one in rows)
    at = {(one.rule, one.random): one for one in rows if one.strength == largest}
    apart = at[PLAIN, False].added - at[NORM, False].added
    as_long = at[MATCHED, False].added - at[NORM, False].added
    random = at[PLAIN, True].added - at[NORM, True].added
    low, high = (float(x) for x in np.quantile(apart, [0.025, 0.975]))
    still = float(np.quantile(as_long, 0.025))
    verdict: Verdict = "does not hold"
    if low > 0:
        verdict = "holds" if still > 0 else "explained by control"
    measured = Measurement(
        f"distance that steering at strength {largest:g} adds, without norm minus with it",
        float(apart.mean()),
        "bounds",
        {
            "the same, steps as long": float(as_long.mean()),
            "random directions": float(random.mean()),
        },
        (low, high),
        "RMSNorm prevents out-of-distribution artefacts, no ablation (arXiv 2510.23802)",
        tap,
    )
    return Judgement(
        f"{tap}: steered at {largest:g}, sounds leave the range of other recordings by "
        f"{abs(apart.mean()):.2f} bounds {_sided(apart)} without RMSNorm than with it, and by "
        f"{abs(as_long.mean()):.2f} {_sided(as_long)} when latents move as far.",
        measured,
        verdict,
        "The distance must be larger without the norm, with the whole interval over halves of "
        "the clips, and still when steps are as long; else the norm only shortens steps.",
        _CLAIM,
    )


def _sided(difference: Float[np.ndarray, " half"]) -> str:
    return "further" if difference.mean() > 0 else "less"


def _of_type(context: Context, kind: str) -> str:
    names = context.dictionary_names("responses")
    tap = context.taps[0]
    found = [n for n in names if context.dictionaries(n, tap)[0].registered_name == kind]
    if not found:
        raise NothingToMeasureError(f"there is no dictionary of type {kind} to steer through")
    return found[0]


def _spoken(material: Material) -> Dictionary:
    if material.dictionary is None:
        raise NothingToMeasureError("there is no dictionary to steer through")
    return material.dictionary


def _pictures(result: Result) -> list[Block]:
    rows: list[Mapping[str, Any]] = result.facts.get("rows", [])
    if not rows:
        return []
    series = []
    for rule in (NORM, PLAIN, MATCHED):
        own = [one for one in rows if one["rule"] == rule and not one["random"]]
        low, high = (np.array([one[end] for one in own]) for end in ("low", "high"))
        added = np.array([one["added"] for one in own])
        series.append(Series(rule, added, control=rule == MATCHED, low=low, high=high))
    curve = Curve(
        "Distance that steering adds",
        np.array(result.facts["strengths"]),
        tuple(series),
        Axis("strength α", "", "log"),
        Axis("added distance", "share of what chance reaches"),
        "Bands: 95 % of halves of the test clips.",
    )
    columns = ("rule", "directions", "strength", "step", "added distance", "from", "to")
    table = Table(
        "Every rule and strength",
        columns,
        tuple(
            (
                one["rule"], "random" if one["random"] else "of concepts", one["strength"],
                one["step"], one["added"], one["low"], one["high"],
            )
            for one in rows
        ),
        ("", "", "", "spreads", "", "", ""),
    )  # fmt: skip
    return [curve, table]
