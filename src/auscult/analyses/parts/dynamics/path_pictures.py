"""How paths are shown: a moving point beside its sound, close-ups, and angles between steps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from auscult.analyses.base import BASE, NOISE, Condition, Context, ControlWeights, Result
from auscult.analyses.parts.answering import DRAWN, OWN
from auscult.blocks import Animation, Axis, Curve, Histogram, Series, SmallMultiples
from auscult.measures.dynamics import Plane
from auscult.measures.paths import TURNING_EDGES_DEG, Path, Stretch, fitted_width

SINE, REAL, WHITE = "sine", "real sounds", "white noise"
INPUTS = {REAL: BASE, SINE: Condition(sounds="sine"), WHITE: NOISE}
PHASES = "its phases randomised"
WEIGHTS: dict[str, ControlWeights] = {OWN: "trained", DRAWN: "random", PHASES: "trained"}
NULLS = ((REAL, DRAWN), (REAL, PHASES))
_N_LANES = 16
_PLANE = Axis("1st principal axis"), Axis("2nd principal axis")


@dataclass(frozen=True)
class Heard:
    """A stretch and where it is from."""

    clip_id: str
    recording_id: str
    f0_hz: float
    stretch: Stretch


def animations(
    context: Context,
    tap: str,
    stretches: Mapping[str, Sequence[Heard]],
    shown: Mapping[tuple[str, str], Path],
    plane: Plane,
    most_points: int,
) -> list[Animation]:
    """The first stretch of each input as a moving point, over the liveliest channels."""
    real = shown[REAL, OWN].values
    lively = np.sort(np.argsort(-real.var(axis=0), kind="stable")[:_N_LANES])
    found, rate = [], context.time(tap).sample_rate
    for name in (SINE, REAL, WHITE):
        path, one = shown[name, OWN], stretches[name][0]
        every = -(-len(path.values) // most_points)
        drawn = path.values[::every]
        places = plane.project(fitted_width(drawn)).astype(np.float32)
        start_s, stop_s = one.stretch.start / rate, one.stretch.stop / rate
        told = f"{name}: {one.clip_id}"
        clip = context.clip(one.clip_id, start_s, stop_s, told, INPUTS[name])
        found.append(
            Animation(
                f"{tap}: path of {name}",
                clip,
                path.times_s[::every],
                places[:, 0],
                places[:, 1],
                *_PLANE,
                f"P1, Fig. 9 and its animations. One frame in {every} is drawn; below, the "
                "channels that vary most for real sounds.",
                tuple(f"channel {channel}" for channel in lively),
                np.ascontiguousarray(drawn[:, lively].T),
                Axis("response"),
            )
        )
    return found


def closeups(
    tap: str,
    shown: Mapping[tuple[str, str], Path],
    planes: Mapping[ControlWeights, Plane],
    hop_s: float,
    closeup_s: float,
) -> SmallMultiples:
    """The middle of each stretch, every frame of it."""
    curves = []
    n_frames = max(round(closeup_s / hop_s), 32)
    for variant in WEIGHTS:
        for name in (SINE, REAL, WHITE):
            values = shown[name, variant].values
            first = max(0, (len(values) - n_frames) // 2)
            part = fitted_width(values[first : first + n_frames])
            places = planes[WEIGHTS[variant]].project(part).astype(np.float32)
            series = Series("", places[:, 1], control=variant != OWN)
            title = name if variant == OWN else f"{name}, {variant}"
            curves.append(Curve(title, places[:, 0], (series,), *_PLANE))
    note = "P1, Fig. 9. Every frame is drawn. Random weights have their own plane of real sounds."
    title = f"{tap}: {1000 * n_frames * hop_s:.3g} ms of each path"
    return SmallMultiples(title, tuple(curves), note)


def turning(result: Result, tap: str) -> Histogram:
    """Angles between successive steps, of every input and of the nulls."""
    series = []
    for name, variant in ((REAL, OWN), (SINE, OWN), (WHITE, OWN), *NULLS):
        told = name if variant == OWN else f"{name}, {variant}"
        shares = result.arrays[f"{tap}/{name}/{variant}"]
        series.append(Series(told, shares, control=variant != OWN))
    return Histogram(
        f"{tap}: angle between successive steps",
        TURNING_EDGES_DEG,
        tuple(series),
        Axis("turning angle", "degrees"),
        note="P1, Fig. 9 shows paths only. 0° goes straight on, 180° turns back; independent "
        "states turn by 120° on average.",
    )
