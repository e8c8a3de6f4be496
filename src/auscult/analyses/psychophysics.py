"""What single units answer to, when one parameter of a sound is swept."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from pydantic import Field, field_validator

from auscult.analyses.base import (
    ANALYSES,
    RANDOM,
    Analysis,
    Condition,
    Context,
    Judgement,
    MadeSound,
    Measurement,
    Result,
)
from auscult.analyses.parts.answering import (
    DRAWN,
    NOTHING_TO_MEASURE,
    Gathered,
    missing_blocks,
    page,
)
from auscult.analyses.parts.concepts.labelling import features_of
from auscult.analyses.parts.concepts.tuning_pictures import tuning_pictures
from auscult.blocks import Block, Verdict
from auscult.core.config import Config
from auscult.core.errors import UnknownNameError
from auscult.core.rng import named_rng
from auscult.measures.psychophysics import Tuning, iso_response, permuted_steps, thresholds, tuning
from auscult.measures.statistics import holm
from auscult.measures.sweeps import SWEEPS, sweep_sounds

CHANNELS = "channels"


class PsychophysicsParams(Config):
    """Settings of the sweeps."""

    sweeps: tuple[str, ...] = Field(tuple(SWEEPS), min_length=1)
    """Which parameters are swept."""
    dictionary: str | None = None
    """Whose features are looked at beside the channels; none: no dictionary's."""
    n_steps: int = Field(12, ge=3)
    """Values of a parameter."""
    n_repeats: int = Field(4, ge=2)
    """Sounds of each value, with other phases."""
    seconds: float = Field(0.5, ge=0.05)
    """Length of each sound; longer where the model needs more."""
    n_shown: int = Field(6, ge=1)
    """Units whose curves are drawn: those with the most explained variance."""
    level: float = Field(0.01, gt=0, lt=1)
    """Of significance, after Holm's correction over the units of a sweep."""

    @field_validator("sweeps")
    @classmethod
    def _exist(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if name not in SWEEPS:
                raise UnknownNameError("sweep", name, SWEEPS)
        return value


@ANALYSES.register("psychophysics")
class Psychophysics(Analysis):
    """Tuning curves, thresholds and contours of equal response of channels and features.

    Sounds are heard whole; a unit's response is its mean magnitude over frames. A unit is tuned
    when an analysis of variance over steps is significant after Holm's correction. The nulls are
    the same responses as if to other steps, and the same network under random weights: a unit of a
    random network is tuned too, by its architecture.
    """

    Params: ClassVar[type[Config]] = PsychophysicsParams
    title: ClassVar[str] = "Psychophysics of units"
    question: ClassVar[str] = (
        "Which units answer to pitch, level, brightness, attack, inharmonicity and modulation, how "
        "finely, and would they without training?"
    )
    source: ClassVar[str] = "METHODS A-8, C-9"
    version: ClassVar[int] = 2

    @classmethod
    def controls(cls, params: PsychophysicsParams) -> tuple[Condition, ...]:  # noqa: ARG003
        """Random weights."""
        return (RANDOM,)

    def run(self, context: Context, params: PsychophysicsParams) -> Result:
        """Sweep every parameter at every recorded tap."""
        found = Gathered()
        facts: dict[str, Any] = {"taps": {}, "missing": found.missing}
        model = context.model()
        rate, seconds = (
            model.sample_rate,
            max(params.seconds, model.probe_samples / model.sample_rate),
        )
        sounds: list[MadeSound] = []
        for step, tap in enumerate(context.taps):
            facts["taps"][tap] = {}
            for name in params.sweeps:
                rng = named_rng(context.seed, "psychophysics", name)
                steps, stimuli = sweep_sounds(
                    SWEEPS[name], params.n_steps, params.n_repeats, seconds, rate, rng
                )
                if step == 0:
                    sounds += _examples(name, steps, stimuli, rate)
                try:
                    known = _sweep(context, params, tap, name, steps, stimuli, found)
                except NOTHING_TO_MEASURE as error:
                    found.missing.append((tap, name, str(error)))
                    continue
                facts["taps"][tap][name] = known
            _contours(context, tap, (rate, seconds), facts, found)
            context.advance((step + 1) / len(context.taps))
        facts["clips"] = [[one.clip_id, one.label, one.duration_s] for one in sounds]
        if found.judgements:
            found.judgements.insert(0, _overall(found.judgements, context.taps))
        else:
            found.judgements += [_nothing(tap, found.missing) for tap in context.taps]
        return replace(found.judged_first(facts), sounds=tuple(sounds))

    def view(self, result: Result) -> list[Block]:
        """The answer, shares by tap and parameter, the stimuli, and a card of curves for each."""
        return page(result, _HOW_TO_READ, [*missing_blocks(result), *tuning_pictures(result)])


_HOW_TO_READ = (
    "Only one parameter of the sounds changes along a curve; the phases of their partials are "
    "drawn anew for every repeat, which is what bands and thresholds are measured against. The "
    "explained share of a unit without tuning is not 0: see the permuted steps. A threshold is the "
    "smallest change from the first step with a d' of 1. That a unit is tuned says nothing about "
    "training until it stands beside random weights."
)


def _responses(
    context: Context, tap: str, stimuli: np.ndarray, weights: Any, dictionary: Any
) -> np.ndarray:
    """Mean magnitude over frames, ``[step repeat unit]``."""
    n_steps, n_repeats, n_samples = stimuli.shape
    batch = stimuli.reshape(-1, n_samples).astype(np.float32)
    rows = []
    for some in np.array_split(batch, max(1, len(batch) // 16)):
        values = context.hear(tap, some, weights).values.float().numpy()
        if dictionary is not None:
            flat = features_of(dictionary, values.reshape(-1, values.shape[-1]))
            values = flat.reshape(*values.shape[:2], -1)
        rows.append(np.abs(values).mean(axis=1))
    return np.concatenate(rows).reshape(n_steps, n_repeats, -1).astype(np.float64)


@dataclass(frozen=True)
class _Units:
    """Which units a row of numbers is about."""

    told: str
    own: Tuning
    permuted: Tuning
    random: Tuning | None

    def share(self, found: Tuning | None, level: float) -> float:
        """Share of units that are tuned."""
        if found is None:
            return float("nan")
        return float(np.mean(holm(found.p_values) < level))


def _sweep(
    context: Context,
    params: PsychophysicsParams,
    tap: str,
    name: str,
    steps: np.ndarray,
    stimuli: np.ndarray,
    found: Gathered,
) -> dict[str, Any]:
    responses = _responses(context, tap, stimuli, "trained", None)
    rng = named_rng(context.seed, "psychophysics", "permuted", tap, name)
    random = tuning(_responses(context, tap, stimuli, "random", None))
    groups = [_Units(CHANNELS, tuning(responses), tuning(permuted_steps(responses, rng)), random)]
    if params.dictionary is not None:
        dictionary = context.dictionaries(params.dictionary, tap)[0]
        acts = _responses(context, tap, stimuli, "trained", dictionary)
        told = f"features of {params.dictionary}"
        groups.append(_Units(told, tuning(acts), tuning(permuted_steps(acts, rng)), None))
    for units in groups:
        _count(units, tap, name, steps, params.level, found)
    best = np.argsort(-np.nan_to_num(groups[0].own.explained), kind="stable")[: params.n_shown]
    found.arrays |= {
        f"{tap}/{name}/steps": steps,
        f"{tap}/{name}/curves": groups[0].own.curves[:, best],
        f"{tap}/{name}/deviation": groups[0].own.deviation[best],
        f"{tap}/{name}/random": random.curves[:, best],
    }
    return {
        "unit": SWEEPS[name].unit,
        "log": SWEEPS[name].log,
        "best": best.tolist(),
        "explained": groups[0].own.explained[best].tolist(),
        "thresholds": thresholds(groups[0].own, steps)[best].tolist(),
        "tuned": {
            "trained": groups[0].share(groups[0].own, params.level),
            "random": groups[0].share(random, params.level),
            "permuted": groups[0].share(groups[0].permuted, params.level),
        },
    }


def _count(
    units: _Units, tap: str, name: str, steps: np.ndarray, level: float, found: Gathered
) -> None:
    """Shares of tuned units, and the finest threshold, beside their nulls."""
    own, null = units.share(units.own, level), units.share(units.permuted, level)
    random = units.share(units.random, level)
    controls = {"steps permuted": null}
    if np.isfinite(random):
        controls[DRAWN] = random
    measured = Measurement(
        f"{name}: share of {units.told} that are tuned to it", own, "", controls, tap=tap
    )
    explained = float(np.nanmedian(units.own.explained)) if units.own.explained.size else 0.0
    nulls = {"steps permuted": float(np.nanmedian(units.permuted.explained))}
    if units.random is not None:
        nulls[DRAWN] = float(np.nanmedian(units.random.explained))
    found.measurements.append(
        Measurement(
            f"{name}: variance that it explains of {units.told}, median", explained, "", nulls,
            tap=tap,
        )
    )  # fmt: skip
    sweep = SWEEPS[name]
    if np.isfinite(finest := _finest(units.own, steps)):
        others = {"steps permuted": _finest(units.permuted, steps)}
        if units.random is not None:
            others[DRAWN] = _finest(units.random, steps)
        found.measurements.append(
            Measurement(
                f"{name}: change from {steps[0]:,.4g} that half of {units.told} tell apart",
                finest, sweep.unit, others, tap=tap,
            )
        )  # fmt: skip
    if units.told != CHANNELS:
        found.measurements.append(measured)
        return
    found.judgements.append(
        Judgement(
            f"{tap}: {own:.0%} of {units.told} are tuned to {name}, {random:.0%} under random "
            f"weights.",
            measured,
            _against(own, null, random),
            _RULE,
        )
    )


_RULE = (
    "More units must be tuned than when steps are permuted, and by five points more than under "
    "random weights."
)


def _against(own: float, permuted: float, random: float) -> Verdict:
    if own <= permuted:
        return "does not hold"
    return "holds" if own > random + 0.05 else "explained by control"


def _overall(judged: list[Judgement], taps: Sequence[str]) -> Judgement:
    """One answer before those of every tap and parameter: what training adds, on the whole."""
    ones = [one.measurement for one in judged]
    own = float(np.mean([one.value for one in ones]))
    names = ("steps permuted", "random weights")
    nulls = {
        name: float(np.mean([one.controls.get(name, np.nan) for one in ones])) for name in names
    }
    gains = [one.value - one.controls.get("random weights", np.nan) for one in ones]
    most, least = ones[int(np.nanargmax(gains))], ones[int(np.nanargmin(gains))]

    def told(one: Measurement, gain: float) -> str:
        return f"{one.name.partition(':')[0]} at {one.tap} ({100 * gain:+.0f} points)"

    return Judgement(
        f"Over {len(taps)} taps and all parameters {own:.0%} of {CHANNELS} are tuned, "
        f"{nulls['random weights']:.0%} under random weights; training adds most to "
        f"{told(most, np.nanmax(gains))}, least to {told(least, np.nanmin(gains))}.",
        Measurement(
            f"share of {CHANNELS} that are tuned, mean over taps and parameters", own, "", nulls,
            tap=", ".join(taps),
        ),
        _against(own, nulls["steps permuted"], nulls["random weights"]),
        _RULE,
    )  # fmt: skip


def _finest(found: Tuning, steps: np.ndarray) -> float:
    """Threshold that half of all units reach; NaN where fewer do."""
    values = np.where(np.isnan(t := thresholds(found, steps)), np.inf, t)
    middle = float(np.median(values)) if len(values) else float("inf")
    return middle if np.isfinite(middle) else float("nan")


def _nothing(tap: str, missing: list[tuple[str, str, str]]) -> Judgement:
    reason = next((why for where, _, why in missing if where == tap), "nothing was swept")
    nan = float("nan")
    measured = Measurement("share of tuned units", nan, "", {"steps permuted": nan}, tap=tap)
    return Judgement(
        f"{tap}: what units answer to cannot be told.", measured, "cannot be tested here", reason
    )


def _contours(
    context: Context,
    tap: str,
    sounds: tuple[int, float],
    facts: dict[str, Any],
    found: Gathered,
) -> None:
    """Level that brings the best units to half of their range, over pitch."""
    known = facts["taps"][tap].get("pitch")
    if known is None:
        return
    rng = named_rng(context.seed, "psychophysics", "contours")
    hz, tones = sweep_sounds(SWEEPS["pitch"], 8, 1, sounds[1], sounds[0], rng)
    levels = SWEEPS["level"].steps(9)
    gains = 10 ** ((levels + 20) / 20)
    grid = (tones[:, 0, None, :] * gains[:, None]).astype(np.float32)
    values = _responses(context, tap, grid, "trained", None)[:, :, known["best"]]
    lines = []
    for unit in range(values.shape[2]):
        span = values[:, :, unit]
        lines.append(iso_response(span, levels, float(span.min() + span.max()) / 2))
    found.arrays |= {f"{tap}/contour/hz": hz, f"{tap}/contour/levels": np.array(lines)}


def _examples(name: str, steps: np.ndarray, stimuli: np.ndarray, rate: int) -> list[MadeSound]:
    """The first, middle and last sound of a sweep."""
    unit = SWEEPS[name].unit
    return [
        MadeSound(stimuli[i, 0].astype(np.float32), rate, f"{name} {steps[i]:,.4g} {unit}".strip())
        for i in (0, len(steps) // 2, len(steps) - 1)
    ]
