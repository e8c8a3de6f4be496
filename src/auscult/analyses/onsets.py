"""Do features mark onsets, more often than random times would?"""

from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Shaped
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
from auscult.analyses.parts.answering import NOTHING_TO_MEASURE, in_turn, verdict_of
from auscult.analyses.parts.reading import chosen_dictionary, spread_over_recordings
from auscult.blocks import Axis, Bars, Block, Clip, ClipGrid, Table, Text
from auscult.core.config import Config
from auscult.core.errors import NothingToMeasureError
from auscult.core.rng import named_rng
from auscult.dictionaries.base import Dictionary
from auscult.measures.events import Lift, lift_over_random, match_events, onset_times_s, peak_times
from auscult.sounds.synthetic import from_list

_LIFT = (
    "highest lift over random times of a feature's peaks at onsets (feature chosen by the low end "
    "of its interval)"
)
_SHUFFLED = "the same peaks against another recording's onsets"

Excerpts = list[tuple[str, float, float]]
"""Clip, time of a peak, and length of the clip, in seconds."""


class OnsetParams(Config):
    """Settings of the onset analysis."""

    dictionary: str | None = None
    """Which dictionary; none: the first one fitted to response vectors."""
    tolerance_s: float = Field(0.02, gt=0)
    """A peak within this distance of an onset belongs to it."""
    min_gap_s: float = Field(0.05, gt=0)
    """Of two peaks closer than this the higher one counts."""
    peak_quantile: float = Field(0.98, gt=0, lt=1)
    """A peak must exceed this quantile of the feature's activations."""
    n_clips: int = Field(24, ge=2)
    """Clips listened to, of as many recordings of the test side as there are."""
    n_features: int = Field(16, ge=1)
    """Features tested, the most active ones."""


@ANALYSES.register("onsets")
class Onsets(Analysis):
    """Peaks of feature activation against onsets.

    Precision, recall and lift over rate-matched random times.

    Onsets are detected by spectral flux; where a clip's labels hold exact onset times
    (``onset_s``), these are taken instead. The control keeps peaks and onsets and takes them from
    different recordings, so that rates and regularities stay as they are.
    """

    Params: ClassVar[type[Config]] = OnsetParams
    title: ClassVar[str] = "Onsets"
    question: ClassVar[str] = "Do features speak when something begins?"
    source: ClassVar[str] = "METHODS A-7 (Cosme-Clifford, Post 1, §1.3)"
    version: ClassVar[int] = 3

    @classmethod
    def controls(cls, params: OnsetParams) -> tuple[Condition, ...]:  # noqa: ARG003
        """None to be recorded: the control pairs recordings anew."""
        return ()

    def run(self, context: Context, params: OnsetParams) -> Result:
        """Test the most active features of every recorded tap."""
        name = chosen_dictionary(context, params.dictionary)
        clip_ids = spread_over_recordings(context.clip_ids("test"), params.n_clips)
        found = [_onsets(context, clip_id) for clip_id in clip_ids]
        onsets = [times for times, _ in found]
        measurements: list[Measurement] = []
        rows: list[tuple[Any, ...]] = []
        judgements: list[Judgement] = []
        excerpts: dict[str, Excerpts] = {}
        for tap in in_turn(context, context.taps):
            try:
                tested, one, excerpts[tap] = _tap(context, params, name, tap, clip_ids, onsets)
                judgements.append(_judgement(one))
            except NOTHING_TO_MEASURE as error:
                tested, one = [], _unknown(tap)
                judgements.append(_judgement(one, str(error)))
            rows += tested
            measurements.append(one)
        blocks = tuple(
            block for tap, places in excerpts.items() for block in _to_hear(context, tap, places)
        )
        n_onsets = sum(len(times) for times in onsets)
        return Result(
            tuple(measurements),
            facts={
                "rows": rows,
                "n_onsets": n_onsets,
                "n_clips": len(clip_ids),
                "labelled": all(labelled for _, labelled in found),
            },
            blocks=blocks,
            judgements=tuple(judgements),
        )

    def view(self, result: Result) -> list[Block]:
        """A finding a tap, lifts of its features, the table, and excerpts to hear."""
        blocks: list[Block] = [judged.finding() for judged in result.judgements]
        facts = result.facts
        told = "taken from labels" if facts["labelled"] else "found by spectral flux"
        blocks.append(
            Text(
                f"{facts['n_onsets']} onsets in {facts['n_clips']} clips, {told}. Lift is the "
                "share of a feature's peaks that lie near an onset over the share of random times "
                "that do; 1 is no association.",
                "How to read this page",
            )
        )
        for tap in dict.fromkeys(row[0] for row in facts["rows"]):
            mine = [row for row in facts["rows"] if row[0] == tap]
            blocks.append(
                Bars(
                    f"{tap}: lift of each feature (P1, §1.3, in words)",
                    tuple(str(row[1]) for row in mine),
                    np.array([row[3] for row in mine]),
                    Axis("feature"),
                    Axis("lift over random times"),
                    np.array([row[4] for row in mine]),
                    np.array([row[5] for row in mine]),
                    "95 % bootstrap over recordings.",
                )
            )
        blocks.append(
            Table(
                "Every tested feature",
                (
                    "tap",
                    "feature",
                    "peaks",
                    "lift",
                    "low",
                    "high",
                    "lift, other recording (control)",
                    "precision",
                    "recall",
                ),
                tuple(tuple(row) for row in facts["rows"]),
            )
        )
        return [*blocks, *result.blocks]


def _to_hear(context: Context, tap: str, places: Excerpts) -> list[Block]:
    """Excerpts around peaks, and as many at random times of the same clips."""
    rng = named_rng(context.seed, "onsets", tap, "random excerpts")
    grids = ("around the peaks of its best feature", "at random times of the same clips (control)")
    told: tuple[list[Clip], list[Clip]] = ([], [])
    for clip_id, at, duration_s in places:
        drawn = float(rng.uniform(0.0, duration_s))
        for clips, middle, what in zip(told, (at, drawn), ("peak", "random"), strict=True):
            label = f"{what} at {middle:.2f} s of {clip_id}"
            clips.append(context.clip(clip_id, middle - 0.1, middle + 0.1, label))
    return [
        ClipGrid(f"{tap}: excerpts of 200 ms {where}", tuple(clips))
        for where, clips in zip(grids, told, strict=True)
        if clips
    ]


def _onsets(context: Context, clip_id: str) -> tuple[np.ndarray, bool]:
    """Onset times of a clip in seconds, and whether its labels told them.

    Labels hold for the recording; a clip that was cut from its middle has none of its own.
    """
    sound = context.sound(clip_id)
    told = sound.labels.get("onset_s")
    if isinstance(told, str) and clip_id.endswith("#0"):
        duration_s = len(sound.waveform) / context.model().sample_rate
        times_s = from_list(told)
        return times_s[times_s < duration_s], True
    return onset_times_s(sound.waveform, context.model().sample_rate), False


def _tap(
    context: Context,
    params: OnsetParams,
    name: str,
    tap: str,
    clip_ids: list[str],
    onsets: list[np.ndarray],
) -> tuple[list[tuple[Any, ...]], Measurement, Excerpts]:
    recordings = np.array([clip_id.rpartition("#")[0] or clip_id for clip_id in clip_ids])
    others = _of_another_recording(recordings)
    dictionary = context.dictionaries(name, tap)[0]
    acts, times = zip(
        *(_activations(context, dictionary, tap, clip_id) for clip_id in clip_ids), strict=True
    )
    rate = context.model().sample_rate
    durations = [len(context.sound(clip_id).waveform) / rate for clip_id in clip_ids]
    mass = np.sum([np.abs(a).sum(0) for a in acts], axis=0)
    order = np.argsort(-mass, kind="stable")[: params.n_features].tolist()
    rows: list[tuple[Any, ...]] = []
    peaks_of: dict[int, list[np.ndarray]] = {}
    for feature in order:
        height = float(
            np.quantile(np.concatenate([a[:, feature] for a in acts]), params.peak_quantile)
        )
        peaks = [
            peak_times(a[:, feature], t, params.min_gap_s, max(height, 1e-12))
            for a, t in zip(acts, times, strict=True)
        ]
        peaks_of[feature] = peaks
        rng = named_rng(context.seed, "onsets", tap, feature)
        lift = lift_over_random(peaks, onsets, durations, recordings, rng, params.tolerance_s)
        crossed = lift_over_random(
            peaks, [onsets[i] for i in others], durations, recordings, rng, params.tolerance_s
        )
        rows.append(_row(tap, feature, peaks, onsets, lift, crossed, params.tolerance_s))
    best = max(rows, key=lambda row: row[4] if np.isfinite(row[4]) else -1.0)
    crossed_lifts = [row[6] for row in rows if np.isfinite(row[6])]
    if not crossed_lifts or not np.isfinite(best[4]):
        raise NothingToMeasureError(
            "no feature has peaks in clips with onsets: listen to more sounds"
        )
    measured = Measurement(
        _LIFT,
        best[3],
        "",
        {_SHUFFLED: max(crossed_lifts), "random times": 1.0},
        (best[4], best[5]),
        "often present, no number (P1 §1.3)",
        tap,
    )
    places = [
        (clip_id, float(at), duration_s)
        for clip_id, ats, duration_s in zip(clip_ids, peaks_of[best[1]], durations, strict=True)
        for at in ats[:1]
    ]
    return rows, measured, places[:8]


def _of_another_recording(recordings: Shaped[np.ndarray, " clip"]) -> list[int]:
    """For each clip the next one, in a circle, that is of another recording.

    Raises:
        NothingToMeasureError: All clips are of one recording, or there are none.
    """
    if len(np.unique(recordings)) < 2:
        raise NothingToMeasureError(
            "the control takes the onsets of another recording: give the test side two or more"
        )
    found = []
    for place, own in enumerate(recordings):
        later = np.roll(np.arange(len(recordings)), -place - 1)
        found.append(int(later[recordings[later] != own][0]))
    return found


def _activations(
    context: Context, dictionary: Dictionary, tap: str, clip_id: str
) -> tuple[np.ndarray, np.ndarray]:
    """Activations ``[frame feature]`` over a whole clip and the frames' centres in seconds.

    At most 1,000 a second.
    """
    values = context.responses(tap, clip_id).values[0].float()
    time = context.time(tap)
    values = values[: len(time.frames_of(0, len(context.sound(clip_id).waveform)))]
    with torch.no_grad():
        acts = dictionary.encode(values).numpy()
    step = max(1, int(time.frame_rate // 1000))
    kept = len(acts) // step * step
    # The highest of each millisecond: a peak of one sample at 24 kHz must not be lost.
    acts = acts[:kept].reshape(-1, step, acts.shape[1]).max(1)
    centres = np.array([time.seconds(i * step + (step - 1) // 2) for i in range(len(acts))])
    return acts, centres


def _row(
    tap: str,
    feature: int,
    peaks: list[np.ndarray],
    onsets: list[np.ndarray],
    lift: Lift,
    crossed: Lift,
    tolerance_s: float,
) -> tuple[Any, ...]:
    pairs = [match_events(p, o, tolerance_s) for p, o in zip(peaks, onsets, strict=True)]
    precision, recall = (float(np.mean([pair[i] for pair in pairs])) for i in (0, 1))
    low, high = lift.interval
    return (tap, feature, lift.n_events, lift.value, low, high, crossed.value, precision, recall)


def _unknown(tap: str) -> Measurement:
    return Measurement(
        _LIFT, float("nan"), "", {_SHUFFLED: float("nan"), "random times": 1.0}, tap=tap
    )


def _judgement(one: Measurement, untested: str = "") -> Judgement:
    """Whether the best feature's lift exceeds 1 and the crossed pairs with its whole interval."""
    if untested:
        sentence = f"{one.tap}: whether features mark onsets cannot be told."
        return Judgement(sentence, one, "cannot be tested here", untested, "P1-04")
    low = one.interval[0] if one.interval else float("nan")
    null = one.controls[_SHUFFLED]
    above = low > 1 and low > null
    return Judgement(
        f"{one.tap}: the peaks of at least one feature "
        + (
            "lie at onsets more often than random times."
            if above
            else "cannot be told from random times."
        ),
        one,
        verdict_of(low, [1.0, null], "more", 0.0),
        "The best of several features is shown; the control is the best of as many. It holds when "
        "the whole interval lies above it.",
        "P1-04",
    )
