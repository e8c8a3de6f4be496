"""How do response vectors move for a sine, for the sounds in question and for white noise?"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np
from pydantic import Field

from auscult.analyses.base import (
    ANALYSES,
    BASE,
    Analysis,
    Condition,
    Context,
    ControlWeights,
    Judgement,
    Measurement,
    Result,
)
from auscult.analyses.parts.answering import (
    DRAWN,
    NOTHING_TO_MEASURE,
    OWN,
    Gathered,
    JudgedBy,
    in_turn,
    page,
    untested,
)
from auscult.analyses.parts.dynamics.path_pictures import (
    INPUTS,
    PHASES,
    REAL,
    SINE,
    WEIGHTS,
    WHITE,
    Heard,
    animations,
    closeups,
    turning,
)
from auscult.blocks import (
    Block,
    Missing,
    Verdict,
)
from auscult.core.config import Config
from auscult.core.errors import NothingToMeasureError
from auscult.core.rng import named_rng
from auscult.measures.dynamics import Plane
from auscult.measures.paths import (
    Path,
    PathMeasures,
    common_plane,
    equivalent_sine_hz,
    loudest_stretch,
    measure_paths,
    path_within,
    sine_roughness,
    smoother_than,
)
from auscult.sounds.derived import phase_randomised
from auscult.store.index import ClipRecord

_RATIO = "roughness of real sounds relative to white noise"
_PUBLISHED = "smooth for a sine, mostly for music, jagged for noise (P1, Fig. 9)"
_FORMULA = "closed form of a linear layer"
_MARGIN = 0.02
_STILL = 1e-10
_MEASURED_FRAMES = 20_000


class TrajectoryParams(Config):
    """Settings of the paths."""

    reading: JudgedBy = "sound"
    """Headline: the order of roughness against the nulls, or the order alone."""
    n_clips: int = Field(6, ge=1)
    """Stretches of each input that are measured; the first one is shown."""
    stretch_s: float = Field(1.0, gt=0)
    """Length of a stretch; longer where the frames are few, never longer than the clip."""
    closeup_s: float = Field(0.01, gt=0)
    """Length of the still pictures, in which every frame is drawn."""
    level_db: float = Field(-20.0, le=0)
    """Root-mean-square level, dB re full scale, to which every stretch is brought."""
    most_points: int = Field(3000, ge=2)
    """Points drawn in an animation; of faster frames every second, third, … is drawn."""


@ANALYSES.register("trajectories")
class Trajectories(Analysis):
    """Paths of response vectors, in the principal plane of real sounds, and how smooth they are.

    Every stretch is brought to one level. Path roughness compares the change of the step from
    frame to frame with the step; it is a matter of the spectrum in any linear layer, so it is read
    against random weights and against the same stretches with random phases.
    """

    Params: ClassVar[type[Config]] = TrajectoryParams
    title: ClassVar[str] = "Trajectories"
    question: ClassVar[str] = (
        "How do response vectors move for a sine, for the sounds in question and for white noise?"
    )
    source: ClassVar[str] = "METHODS A-19 (Cosme-Clifford, Post 1, Fig. 9 and its animations)"

    @classmethod
    def controls(cls, params: TrajectoryParams) -> tuple[Condition, ...]:  # noqa: ARG003
        """A sine and white noise; random weights hear the same stretches."""
        return INPUTS[SINE], INPUTS[WHITE]

    def run(self, context: Context, params: TrajectoryParams) -> Result:
        """Follow the paths of the three inputs at every recorded tap."""
        found = Gathered()
        for tap in in_turn(context, context.taps):
            try:
                numbers, measured = _at_tap(context, params, tap, found)
            except NOTHING_TO_MEASURE as error:
                found.add(_untested(tap, str(error)))
                found.blocks.append(Missing(f"{tap}: trajectories", str(error)))
                continue
            found.measurements += numbers
            found.judgements.append(_judgement(params, tap, numbers, measured))
        return found.result({"taps": list(context.taps), **params.model_dump(mode="json")})

    def view(self, result: Result) -> list[Block]:
        """Findings, the three animations, still pictures, turning angles, numbers."""
        how_to_read = (
            "Each frame's response vector is a point; the plane shows the two directions in "
            "which real sounds vary most, the same for every input. Play a sound and watch: a "
            "sine should run round a closed curve, noise should jump. Roughness is 0 when "
            "every step equals the last, 2 when steps, and 3 when states, have nothing to do "
            "with each other, 4 when each step undoes the last. A linear layer gives a sine of "
            "frequency f the roughness 2 − 2 cos(2π f h), h being the time between frames: a "
            "higher pitch alone is rougher. Random weights and random phases keep the spectrum "
            "of the sound; what they share is no discovery of the trained layer.\n\n"
            f"Up to {result.facts['n_clips']} stretches of each input, of "
            f"{result.facts['stretch_s']:g} s or 64 frames, all at "
            f"{result.facts['level_db']:g} dB re full scale; sounds are played as they are."
        )
        known = [tap for tap in result.facts["taps"] if f"{tap}/{REAL}/{OWN}" in result.arrays]
        pictures = [*result.blocks, *(turning(result, tap) for tap in known)]
        return page(result, how_to_read, pictures)


def _at_tap(
    context: Context,
    params: TrajectoryParams,
    tap: str,
    gathered: Gathered,
) -> tuple[list[Measurement], dict[tuple[str, str], PathMeasures]]:
    stretches = {name: _stretches(context, params, tap, name) for name in INPUTS}
    time = context.time(tap)
    apart = max(1, int(np.ceil(float(time.span / time.hop))))
    planes: dict[ControlWeights, Plane] = {}
    power: dict[ControlWeights, float] = {}
    measured: dict[tuple[str, str], PathMeasures] = {}
    shown: dict[tuple[str, str], Path] = {}
    for variant, weights in WEIGHTS.items():
        for name in INPUTS:
            paths = [_path(context, tap, one, variant) for one in stretches[name]]
            shown[name, variant] = paths[0]
            values = [path.values[:_MEASURED_FRAMES] for path in paths]
            if weights not in planes:
                planes[weights] = common_plane(values)
            still = _STILL * power.get(weights, 0.0)
            found = measure_paths(values, planes[weights], apart, still)
            power.setdefault(weights, found.step_power)
            measured[name, variant] = found
            gathered.arrays[f"{tap}/{name}/{variant}"] = found.turning_shares
    gathered.blocks += animations(
        context, tap, stretches, shown, planes["trained"], params.most_points
    )
    hop_s = float(time.hop / time.sample_rate)
    gathered.blocks.append(closeups(tap, shown, planes, hop_s, params.closeup_s))
    return _numbers(context, tap, stretches, measured), measured


def _stretches(context: Context, params: TrajectoryParams, tap: str, name: str) -> list[Heard]:
    """The loudest stretch of each of some clips, brought to the common level.

    Raises:
        NothingToMeasureError: Every clip is silent.
    """
    time, found = context.time(tap), []
    n_samples = max(round(params.stretch_s * time.sample_rate), int(64 * time.hop))
    short = context.model().probe_samples - n_samples
    margin = max(int(time.span) + 1, -(-short // 2))
    for clip in _clips(context, tap, name, params.n_clips):
        waveform = context.sound(clip.clip_id, INPUTS[name]).waveform
        stretch = loudest_stretch(waveform, n_samples, margin, params.level_db)
        if stretch is not None:
            f0_hz = float(clip.labels["f0_hz"] or 0) if name == SINE else 0.0
            found.append(Heard(clip.clip_id, clip.recording_id, f0_hz, stretch))
    if not found:
        raise NothingToMeasureError(f"every clip of {name} is silent")
    return found


def _clips(context: Context, tap: str, name: str, most: int) -> list[ClipRecord]:
    """Clips of different recordings; stimuli of both sides, and noise that is white, if any is."""
    condition = INPUTS[name]
    store = context.store(tap, condition, "test" if condition == BASE else None)
    clips = list({clip.recording_id: clip for clip in reversed(store.clips)}.values())[::-1]
    if name == WHITE:
        clips = [clip for clip in clips if clip.labels.get("colour") == "white"] or clips
    spread = np.linspace(0, len(clips) - 1, min(most, len(clips))).astype(np.int64)
    return [clips[i] for i in spread]


def _path(context: Context, tap: str, one: Heard, variant: str) -> Path:
    piece = one.stretch.piece
    if variant == PHASES:
        rng = named_rng(context.seed, "trajectories", "phases", one.clip_id)
        piece = phase_randomised(piece[None], rng)[0]
    heard = context.hear(tap, piece[None], WEIGHTS[variant])
    return path_within(heard.values[0].float().numpy(), heard.time, one.stretch)


def _numbers(
    context: Context,
    tap: str,
    stretches: Mapping[str, Sequence[Heard]],
    measured: Mapping[tuple[str, str], PathMeasures],
) -> list[Measurement]:
    """The ratio that is judged, then four measures of each input with their nulls."""
    pairs = {name: (measured[REAL, name], measured[WHITE, name]) for name in WEIGHTS}
    ratios = {name: real.roughness / noise.roughness for name, (real, noise) in pairs.items()}
    value, own = ratios.pop(OWN), pairs.pop(OWN)
    ids = np.array([one.recording_id for one in stretches[REAL]])
    rng = named_rng(context.seed, "trajectories", tap, "bootstrap")
    known = np.isfinite(value + sum(ratios.values())) and len(np.unique(ids)) > 1
    interval = smoother_than(own, list(pairs.values()), ids, rng) if known else None
    lowest = min(ratios.values())
    beyond = {SINE: measured[SINE, OWN].roughness / own[1].roughness, **ratios}
    numbers = [
        Measurement(_RATIO, value, "", beyond, published=_PUBLISHED, tap=tap),
        Measurement(
            f"{_RATIO}, beyond the smoother null",
            value - lowest,
            "",
            {name: ratio - lowest for name, ratio in beyond.items()},
            interval,
            tap=tap,
        ),
    ]
    time = context.time(tap)
    hop_s = float(time.hop / time.sample_rate)
    kinds: dict[tuple[str, str], Callable[[PathMeasures], float]] = {
        ("path roughness", ""): lambda one: one.roughness,
        ("frequency of a sine as rough", "Hz"): lambda one: equivalent_sine_hz(
            one.roughness, hop_s
        ),
        ("median turning angle", "degrees"): lambda one: one.turning_deg,
        ("recurrence rate", ""): lambda one: one.recurrence,
        ("variance in the plane", ""): lambda one: one.plane_share,
    }
    closed = float(np.mean([sine_roughness(one.f0_hz, hop_s) for one in stretches[SINE]]))
    for (told, unit), read in kinds.items():
        for source in (SINE, REAL, WHITE):
            nulls = {variant: read(measured[source, variant]) for variant in (DRAWN, PHASES)}
            nulls |= {other: read(measured[other, OWN]) for other in INPUTS if other != source}
            if (told, source) == ("path roughness", SINE):
                nulls[_FORMULA] = closed
            own_value, name = read(measured[source, OWN]), f"{told}, {source}"
            numbers.append(Measurement(name, own_value, unit, nulls, tap=tap))
    return numbers


def _judgement(
    params: TrajectoryParams,
    tap: str,
    numbers: list[Measurement],
    measured: Mapping[tuple[str, str], PathMeasures],
) -> Judgement:
    ratio, beyond = numbers[:2]
    sine, real, noise = (measured[name, OWN].roughness for name in (SINE, REAL, WHITE))
    if not np.isfinite(sine + real + noise):
        return _unjudged(tap, "the paths of one of the inputs stand still", ratio)
    sentence = (
        f"{tap}: roughness is {sine:.3g} for the sine, {real:.3g} for real sounds and "
        f"{noise:.3g} for white noise."
    )
    ordered = sine <= real < noise
    verdict: Verdict = "does not hold"
    reason = "The published order is sine ≤ real sounds < noise."
    if ordered and params.reading == "published":
        verdict = "holds"
    elif ordered and beyond.interval is None:
        return _unjudged(tap, "it takes two recordings, and controls that move", ratio)
    elif ordered and beyond.interval is not None:
        beats = beyond.value < -_MARGIN and beyond.interval[1] < 0
        verdict = "holds" if beats else "explained by control"
        reason += (
            f" Relative to noise, real sounds are to be smoother than through {DRAWN} and than "
            "with random phases, by 0.02 and by more than the 95 % interval over recordings."
        )
    elif sine > real:
        reason += " Pitch decides how rough a sine is: real sounds move as slowly as a lower one."
    return Judgement(sentence, ratio, verdict, reason, "P1-16")


def _untested(tap: str, why: str) -> Judgement:
    sentence = f"{tap}: the order of roughness cannot be judged."
    return untested(sentence, f"{why}.", "P1-16", _RATIO, tap, [DRAWN])


def _unjudged(tap: str, why: str, ratio: Measurement) -> Judgement:
    """What was measured and says nothing of the order."""
    return replace(_untested(tap, why), measurement=ratio)
