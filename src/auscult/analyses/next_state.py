"""Does a layer behave like a dynamical system: is the next state more than overlap?"""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from auscult.analyses.base import (
    ANALYSES,
    BASE,
    NOISE,
    RANDOM,
    Analysis,
    Condition,
    Context,
    Judgement,
    Measurement,
    Result,
    Split,
)
from auscult.analyses.parts.answering import (
    NOTHING_TO_MEASURE,
    OWN,
    Gathered,
    page,
    untested,
    verdict_of,
)
from auscult.analyses.parts.reading import KindsParams, named_by_kind, sample
from auscult.blocks import Axis, Block, Histogram, Scatter, Table
from auscult.core.config import Config
from auscult.core.errors import ConfigError, NothingToMeasureError
from auscult.core.rng import named_rng
from auscult.measures.cycles import cycle_sounds, path_retrieval
from auscult.measures.dynamics import principal_axes
from auscult.measures.one_step import Tellers, dynamics_of

_SIDES: tuple[Split, Split] = ("train", "test")
_PHASES = Condition(sounds="phase-randomised")
_WAVE = "the waveform itself"
_OVERLAP = "noise, same weights (overlap only)"
_SKILL = "variance of the next state explained, linear step"
_PATHS = "probability that paths of one shape are nearer than those of different shapes"


class NextStateParams(KindsParams):
    """Settings of the analysis of dynamics."""

    dictionary: str | None = None
    """Which dictionary labels states; none: the first one fitted to response vectors."""
    archetypes: str | None = None
    """Which dictionary labels moves, and with its lag; none: the first one fitted to generators."""
    most_vectors: int = Field(30_000, ge=100)
    """Frames looked at on each side of the split under each condition."""
    n_directions: int = Field(128, ge=2)
    """Principal directions through which wide taps are seen."""


@ANALYSES.register("next-state")
class NextState(Analysis):
    """One-step models, the modes of the best linear one, and whether equal shapes repeat a path.

    Persistence, a linear step, Markov chains of features and the mean move after an archetype are
    judged on held-out recordings against noise through the same weights, which shows what
    overlapping windows alone predict, against random weights, and against the same sounds with
    random phases.
    """

    Params: ClassVar[type[Config]] = NextStateParams
    title: ClassVar[str] = "The next state"
    question: ClassVar[str] = (
        "Does the layer behave like a low-dimensional dynamical system, beyond what overlapping "
        "windows predict?"
    )
    source: ClassVar[str] = "METHODS A-21 ii and iii (Cosme-Clifford, Post 1, §1.4 and §1.6)"
    version: ClassVar[int] = 3

    @classmethod
    def controls(cls, params: NextStateParams) -> tuple[Condition, ...]:  # noqa: ARG003
        """White noise, random weights, and the sounds with random phases."""
        return NOISE, RANDOM, _PHASES

    def run(self, context: Context, params: NextStateParams) -> Result:
        """Look at every recorded tap in turn."""
        names = named_by_kind(context, params)
        found = Gathered()
        skills: list[tuple[Any, ...]] = []
        for step, tap in enumerate(context.taps):
            try:
                skills += _dynamics(context, params, names, tap, found)
            except NOTHING_TO_MEASURE as error:
                told = f"{tap}: the {_SKILL} cannot be told."
                found.add(untested(told, str(error), "P1-17", _SKILL, tap, [_OVERLAP]))
            context.advance((step + 0.5) / len(context.taps))
            try:
                _repetition(context, tap, found)
            except NOTHING_TO_MEASURE as error:
                told = f"{tap}: the {_PATHS} cannot be told."
                found.add(untested(told, str(error), "", _PATHS, tap, [_WAVE]))
            context.advance((step + 1) / len(context.taps))
        return found.result({"taps": list(context.taps), "skills": skills})

    def view(self, result: Result) -> list[Block]:
        """Findings, then models, modes and repeated paths."""
        pictures: list[Block] = []
        for tap in result.facts["taps"]:
            if f"{tap}/modes/own/hz" in result.arrays:
                pictures += _dynamics_pictures(result, tap)
            if f"{tap}/paths/own/same" in result.arrays:
                pictures.append(_path_picture(result, tap))
        return page(result, _READING, pictures)


_READING = (
    "A layer whose windows overlap is predictable on white noise. Only what is predicted beyond "
    "noise through the same weights says something of the sounds, beyond sounds with random phases "
    "something of their shapes, and beyond random weights something of training.\n\nModes are the "
    "eigenvalues of the best linear step: their angle is a frequency, their size the growth in a "
    "frame. Repeated paths: eight shapes of one period sound at other phases and gains and "
    "between other shapes; the layer's path while they sound is compared by time warping. P1 (§1.4 "
    "and §1.6) has no picture of any of this."
)


def _dynamics(
    context: Context, params: NextStateParams, names: Mapping[str, str], tap: str, found: Gathered
) -> list[tuple[Any, ...]]:
    """One-step models and modes (METHODS A-21 ii); a row of every model's share by condition."""
    if "features" not in names:
        raise ConfigError("the spec fits no dictionary to response vectors")
    lag = max(1, context.lag(names["archetypes"])) if "archetypes" in names else 1
    # Each weights' vectors are seen through directions of their own, as each has dictionaries.
    axes = {
        whose: principal_axes(
            sample(context.store(tap, whose, "train"), 20_000).values, params.n_directions
        )
        for whose in (BASE, RANDOM)
    }
    skills: dict[str, dict[str, float]] = {}
    intervals: dict[str, tuple[float, float]] = {}
    for condition in (BASE, NOISE, RANDOM, _PHASES):
        label = {BASE: "own", NOISE: _OVERLAP}.get(condition, str(condition))
        whose = condition if condition == RANDOM else BASE
        fitted = {kind: context.dictionaries(name, tap, whose)[0] for kind, name in names.items()}
        train, test = (context.store(tap, condition, side) for side in _SIDES)
        tellers = Tellers(
            fitted["features"], fitted.get("archetypes"), axes[whose], lag, params.most_vectors
        )
        rng = named_rng(context.seed, "next-state", tap, str(condition))
        told = dynamics_of(train, test, tellers, rng)
        skills[label], modes = told.skill, told.modes
        intervals = told.intervals if condition == BASE else intervals
        rate = float(context.time(tap).frame_rate) / test.step
        found.arrays[f"{tap}/modes/{label}/hz"] = np.abs(np.angle(modes)) * rate / (2 * np.pi)
        found.arrays[f"{tap}/modes/{label}/growth"] = np.abs(modes)
    own = skills.pop("own")
    measured = [
        Measurement(
            f"variance of the next state explained, {model}, lag {lag}",
            value,
            "",
            {label: skill[model] for label, skill in skills.items()},
            intervals[model],
            tap=tap,
        )
        for model, value in own.items()
        if "archetypes" in names or "archetype" not in model
    ]
    linear = next(one for one in measured if "linear" in one.name)
    others = [one for one in measured if one is not linear]
    found.add(_skill_judgement(linear, lag), *others)
    return [(tap, one.name.split(", ")[1], one.value, *one.controls.values()) for one in measured]


def _skill_judgement(one: Measurement, lag: int) -> Judgement:
    # What is worse than the mean predicts nothing: there is nothing more to exceed.
    excess = one.value - max(one.controls[_OVERLAP], 0.0)
    verdict = verdict_of(one.value, list(one.controls.values()), "more", 0.02, one.interval)
    if verdict == "does not hold" and excess > 0.02:
        verdict = "explained by control"
    return Judgement(
        f"{one.tap}: at lag {lag} a linear step explains {one.value:.0%} of the next state, "
        f"{excess:+.0%} against noise through the same weights.",
        one,
        verdict,
        "It holds when it exceeds noise, random weights and random phases by 2 points, and with "
        "the whole interval over recordings; above noise alone it is explained by what the sounds' "
        "spectra or any weights predict.",
        "P1-17",
    )


def _repetition(context: Context, tap: str, found: Gathered) -> None:
    """Do equal shapes trace equal paths? (METHODS A-21 iii)."""
    time = context.time(tap)
    rate, hop = time.sample_rate, float(time.hop)
    period = int(max(16 * hop, rate / 200))
    if period > rate / 50:
        raise NothingToMeasureError("a cycle of sound is shorter than sixteen frames of this tap")
    around = max(round(0.1 * rate), int(2 * time.span), context.model().probe_samples // 2)
    rng = named_rng(context.seed, "reuse", "cycles")
    drawn = cycle_sounds(period, around, rng)
    paths: dict[str, np.ndarray] = {}
    for condition, label in ((BASE, "own"), (RANDOM, str(RANDOM))):
        parts = []
        for i in range(0, len(drawn.waves), 8):
            values = context.hear(tap, drawn.waves[i : i + 8], condition.weights).values
            frames = [
                t for t in range(values.shape[1]) if drawn.start <= time.centre(t) < drawn.stop
            ]
            parts.append(values[:, frames].float().numpy())
        paths[label] = np.concatenate(parts)
    if paths["own"].shape[1] < 8 or not np.isfinite(paths["own"]).all():
        raise NothingToMeasureError(
            "a shape gives fewer than eight frames, or frames that are not finite"
        )
    paths[_WAVE] = drawn.waves[:, drawn.start : drawn.stop, None]
    areas = {}
    for label, path in paths.items():
        areas[label], same, other = path_retrieval(path, drawn.shape)
        found.arrays[f"{tap}/paths/{label}/same"] = same
        found.arrays[f"{tap}/paths/{label}/other"] = other
    own = areas.pop("own")
    one = Measurement(
        _PATHS,
        own,
        "",
        {**areas, "chance": 0.5},
        published="asked, not answered (P1 §1.4)",
        tap=tap,
    )
    judged = Judgement(
        f"{tap}: two paths of one shape, at other phase, gain and in other company, are nearer "
        f"than two of different shapes with probability {own:.2f}.",
        one,
        verdict_of(own, list(one.controls.values()), "more", 0.03),
        f"Of {len(drawn.waves)} sounds of {rate / period:.0f} Hz with 8 shapes, made up and the "
        "same for every network, so that there are no recordings to draw an interval from; it "
        "holds when it exceeds random weights and the waveform itself by 0.03.",
    )
    found.add(judged)


def _dynamics_pictures(result: Result, tap: str) -> list[Block]:
    rows = tuple(tuple(row[1:]) for row in result.facts["skills"] if row[0] == tap)
    names = {"own": OWN, **{name: name for name in (_OVERLAP, str(RANDOM), str(_PHASES))}}
    hz = [result.arrays[f"{tap}/modes/{label}/hz"] for label in names]
    growth = [result.arrays[f"{tap}/modes/{label}/growth"] for label in names]
    return [
        Table(
            f"{tap}: share of the variance of the next state that each model explains",
            ("model", *names.values()),
            rows,
            note="On held-out recordings; 0 is as good as the mean, 1 perfect.",
        ),
        Scatter(
            f"{tap}: modes of the linear step",
            np.concatenate(hz),
            np.concatenate(growth),
            Axis("frequency", "Hz"),
            Axis("growth a frame"),
            groups=tuple(n for n, each in zip(names.values(), hz, strict=True) for _ in each),
            note="All but the first group are controls. Noise pulls growth below 1.",
        ),
    ]


def _path_picture(result: Result, tap: str) -> Histogram:
    part = f"{tap}/paths"
    values = {
        "two paths of one shape": result.arrays[f"{part}/own/same"],
        "paths of different shapes": result.arrays[f"{part}/own/other"],
        f"{RANDOM}, one shape": result.arrays[f"{part}/{RANDOM}/same"],
    }
    top = max(float(each.max(initial=0.1)) for each in values.values())
    axis, share = Axis("distance by time warping, of the paths' size"), Axis("share of pairs")
    title = f"{tap}: distance between paths"
    return Histogram.of(title, values, np.linspace(0, top, 41), axis, share)
