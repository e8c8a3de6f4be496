"""Are the same directions used in all sounds, and do vectors cluster along them?"""

from collections.abc import Mapping
from typing import ClassVar

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
    Spread,
)
from auscult.analyses.parts.answering import (
    NOTHING_TO_MEASURE,
    OWN,
    Gathered,
    JudgedBy,
    in_turn,
    page,
    untested,
    verdict_of,
)
from auscult.analyses.parts.reading import (
    KINDS,
    KindsParams,
    Moves,
    Sample,
    named_by_kind,
    sample,
    sample_moves,
)
from auscult.blocks import Axis, Bars, Block, Heatmap, Verdict
from auscult.core.config import Config
from auscult.core.errors import ConfigError
from auscult.core.rng import named_rng
from auscult.measures.one_step import strongest
from auscult.measures.reuse import ResampledReuse, Reuse, gap_statistic, hopkins, measure_reuse
from auscult.measures.statistics import ends_of
from auscult.store.reader import ActivationStore

_FLOOR = "frames dealt out at random (floor)"
_CEILING = "directions of each recording's own (ceiling)"
_HALVES = "two halves of one recording"
_GAUSSIAN = "Gaussian of the same covariance"


class ReuseParams(KindsParams):
    """Settings of the analysis of reuse and dynamics."""

    reading: JudgedBy = "sound"
    """Which rule judges reuse: place between floor and ceiling, or METHODS' own (below the floor).
    """
    group: str | None = None
    """Label whose values are compared too; none: the first that two values share out."""
    most_vectors: int = Field(30_000, ge=100)
    """Vectors looked at under each condition."""
    most_recordings: int = Field(40, ge=2)
    """Recordings compared with one another."""


@ANALYSES.register("reuse")
class ReuseOfDirections(Analysis):
    """Usage of directions from recording to recording, and clustering along directions.

    Distances between recordings stand between a floor (frames dealt out at random) and a ceiling
    (as concentrated a usage, but of directions of each recording's own).
    """

    Params: ClassVar[type[Config]] = ReuseParams
    title: ClassVar[str] = "Reuse of directions"
    question: ClassVar[str] = (
        "Are the same directions used in all sounds, and do vectors cluster along directions?"
    )
    source: ClassVar[str] = "METHODS A-21 i and iv (Cosme-Clifford, Post 1, §1.3 and §1.4)"
    version: ClassVar[int] = 3

    @classmethod
    def controls(cls, params: ReuseParams) -> tuple[Condition, ...]:  # noqa: ARG003
        """White noise and random weights."""
        return NOISE, RANDOM

    def run(self, context: Context, params: ReuseParams) -> Result:
        """Look at every recorded tap in turn."""
        names = named_by_kind(context, params)
        found = Gathered()
        for tap in in_turn(context, context.taps):
            for kind in KINDS:
                try:
                    _reuse(kind, context, params, names, tap, found)
                except NOTHING_TO_MEASURE as error:
                    name = _distance(kind)
                    told = f"{tap}: {name} cannot be told."
                    found.add(untested(told, str(error), "P1-17", name, tap, [_FLOOR]))
            try:
                _clusters(context, params, tap, found)
            except NOTHING_TO_MEASURE as error:
                told = f"{tap}: {_CLUSTERS} cannot be told."
                found.add(untested(told, str(error), "", _CLUSTERS, tap, [_GAUSSIAN]))
        return found.result({"taps": list(context.taps)})

    def view(self, result: Result) -> list[Block]:
        """Findings, then usage by recording and distances between recordings."""
        pictures: list[Block] = []
        for tap in result.facts["taps"]:
            for kind in KINDS:
                if f"{tap}/{kind}/usage" in result.arrays:
                    pictures += _usage_pictures(result, tap, kind)
        return page(result, _READING, pictures)


_READING = (
    "The Jensen–Shannon distance between the usage histograms of two recordings is 0 when they use "
    "directions alike and 1 when they share none. Frames dealt out at random give the lowest "
    "distance that so many frames allow, so that hardly any real recordings lie below it; METHODS' "
    "pass rule asks for just that, and the setting reading = published applies it. The sound "
    "reading asks whether recordings lie nearer to this floor than to the ceiling, where each "
    "recording uses directions of its own. P1 (§1.3) has no picture of it."
)
_CLUSTERS = "clustering of directions (Hopkins statistic)"


def _distance(kind: str) -> str:
    return f"distance between the recordings' usage of {kind}"


def _untaught(names: Mapping[str, str], kind: str) -> None:
    if kind not in names:
        raise ConfigError(f"the spec fits no dictionary to {KINDS[kind]}")


def _drawn(
    context: Context, params: ReuseParams, tap: str, condition: Condition, lag: int
) -> Sample | Moves:
    # Stimuli are few: both sides of them count. Recordings are those of the test side under any
    # weights, or the number of frames of each would differ between the two.
    store = context.store(tap, condition, "test" if condition.sounds == BASE.sounds else None)
    return (
        sample_moves(store, lag, params.most_vectors) if lag else sample(store, params.most_vectors)
    )


def _reuse(
    kind: str,
    context: Context,
    params: ReuseParams,
    names: Mapping[str, str],
    tap: str,
    found: Gathered,
) -> None:
    """Usage histograms from recording to recording (METHODS A-21 i)."""
    _untaught(names, kind)
    name = names[kind]
    measured: dict[Condition, Reuse] = {}
    drawn_anew: dict[Condition, ResampledReuse] = {}
    groups: np.ndarray | None = None
    for condition in (BASE, RANDOM):
        drawn = _drawn(context, params, tap, condition, context.lag(name))
        chosen = np.unique(drawn.recording_ids)[: params.most_recordings]
        rows = np.isin(drawn.recording_ids, chosen)
        dictionary = context.dictionaries(name, tap, condition)[0]
        labels, ids = strongest(dictionary, drawn.values[rows]), drawn.recording_ids[rows]
        rng = named_rng(context.seed, "reuse", tap, kind, str(condition))
        if condition == BASE:
            groups = _groups(params, context.store(tap), ids)
        told = groups if condition == BASE else None
        measured[condition] = measure_reuse(labels, ids, dictionary.n_features, rng, told)
        # The same stream for both: draws are paired where both weights heard as many recordings.
        anew = named_rng(context.seed, "reuse", tap, kind, "recordings")
        drawn_anew[condition] = measured[condition].resampled(anew)
    own, random = measured[BASE], measured[RANDOM]
    again = drawn_anew[BASE]
    found.arrays[f"{tap}/{kind}/usage"] = own.histograms
    nulls = {_FLOOR: own.floor, _CEILING: own.ceiling, _HALVES: own.halves}
    nulls[str(RANDOM)] = random.distance
    ends, published = ends_of(again.distance), "none (P1 §1.3)"
    one = Measurement(_distance(kind), own.distance, "", nulls, ends, published, tap)
    place = {_FLOOR: 1.0, _CEILING: 0.0, str(RANDOM): random.place}
    shares = {_FLOOR: own.floor_shared, str(RANDOM): random.shared}
    more = [
        Measurement(
            f"{kind}: place between ceiling (0) and floor (1)",
            own.place,
            "",
            place,
            ends_of(again.place),
            tap=tap,
        ),
        Measurement(f"{kind} used in nine of ten recordings", own.shared, "", shares, tap=tap),
    ]
    if np.isfinite(own.group_distance):
        null = {"labels dealt out at random": own.group_floor}
        label = f"distance between groups' usage of {kind}"
        more.append(Measurement(label, own.group_distance, "", null, tap=tap))
    intervals = {
        "place": ends_of(again.place),
        "beyond floor": ends_of(again.beyond_floor),
        "beyond random": ends_of(_beyond(again.place, drawn_anew[RANDOM].place, random.place)),
    }
    found.add(_reuse_judgement(params, kind, one, own, random, intervals), *more)


def _beyond(own: np.ndarray, drawn: np.ndarray, random: float) -> np.ndarray:
    """Draws of a difference; from the number itself where controls are of too few recordings."""
    return own - (drawn if len(drawn) == len(own) else random)


def _reuse_judgement(
    params: ReuseParams,
    kind: str,
    one: Measurement,
    own: Reuse,
    random: Reuse,
    intervals: Mapping[str, tuple[float, float]],
) -> Judgement:
    if not np.isfinite(own.place):
        verdict: Verdict = "cannot be tested here"
        reason = "All recordings would be alike, or different, whatever they used."
    elif not np.isfinite(intervals["place"]).all():
        verdict = "cannot be tested here"
        reason = "Fewer than three recordings leave no interval: give more sounds."
    elif params.reading == "published":
        gap = own.distance - own.floor
        verdict = verdict_of(gap, [0.0], "less", 0.0, intervals["beyond floor"])
        reason = (
            "METHODS' rule: it holds below the distance of frames dealt out at random, with the "
            "whole interval of the difference over recordings."
        )
    else:
        margin = 0.05
        verdict = "holds" if intervals["place"][0] > 0.5 else "does not hold"
        apart = own.place - random.place
        if verdict == "holds" and not (apart > margin and intervals["beyond random"][0] > 0):
            verdict = "explained by control"
        reason = (
            "It holds when recordings lie nearer to the floor than to the ceiling with the whole "
            f"interval, here at {own.place:.2f} of the way ({_ends(intervals['place'])}), and "
            f"farther than under random weights ({random.place:.2f}) by {margin:g} and with the "
            f"whole interval of the difference ({_ends(intervals['beyond random'])}), over "
            "recordings."
        )
    alike = "much the same" if own.place > 0.5 else "different"
    sentence = f"{one.tap}: recordings use {alike} {kind}: their distance is {own.distance:.2f}."
    return Judgement(sentence, one, verdict, reason, "P1-17")


def _ends(interval: tuple[float, float]) -> str:
    if not np.isfinite(interval).all():
        return "no interval"
    return f"{interval[0]:.2f} to {interval[1]:.2f}"


def _groups(params: ReuseParams, store: ActivationStore, ids: np.ndarray) -> np.ndarray | None:
    """The group of every row by a label that shares the recordings out, or None."""
    labels = {clip.recording_id: clip.labels for clip in store.clips}
    shown = np.unique(ids)
    candidates = [params.group] if params.group else sorted({k for i in shown for k in labels[i]})
    for label in candidates:
        values = {i: str(labels[i].get(label, "")) for i in shown}
        counts = np.unique(list(values.values()), return_counts=True)[1]
        if len(counts) >= 2 and counts.min() >= 2 and "" not in values.values():
            return np.array([values[i] for i in ids])
    return None


def _clusters(context: Context, params: ReuseParams, tap: str, found: Gathered) -> None:
    """Do vectors cluster along directions? (METHODS A-21 iv)."""
    statistics, gaps = {}, {}
    for condition in (BASE, NOISE, RANDOM):
        values = _drawn(context, params, tap, condition, 0).values
        about = values - values.mean(0)
        rng = named_rng(context.seed, "reuse", tap, "clusters", str(condition))
        statistics[condition] = hopkins(about, rng)
        few = about[rng.permutation(len(about))[:1500]]
        gaps[condition] = gap_statistic(few, min(16, len(few) // 4), rng, 5, 10)
    others = (NOISE, RANDOM)
    nulls = {_GAUSSIAN: 0.5, **{str(c): statistics[c] for c in others}}
    one = Measurement(_CLUSTERS, statistics[BASE], "", nulls, tap=tap)
    gap, error = gaps[BASE]
    beside = {_GAUSSIAN: 0.0, **{str(c): gaps[c][0] for c in others}}
    spread = Spread(gap - 2 * error, gap + 2 * error, "two standard errors of the Gaussian draws")
    name = "gap statistic of 16 clusters of directions"
    more = Measurement(name, gap, "", beside, tap=tap, spread=spread)
    judged = Judgement(
        f"{tap}: response vectors are {'more' if one.value > 0.53 else 'no more'} clustered along "
        "directions than Gaussian vectors.",
        one,
        verdict_of(one.value, list(nulls.values()), "more", 0.03),
        "0.5 is a Gaussian of the same covariance; it holds when it exceeds this, noise and random "
        "weights by 0.03, which is how far 300 probes scatter. There is no interval over "
        "recordings: vectors of a recording drawn twice would be each other's nearest.",
    )
    found.add(judged, more)


def _usage_pictures(result: Result, tap: str, kind: str) -> list[Block]:
    usage = result.arrays[f"{tap}/{kind}/usage"]
    order = np.argsort(-usage.mean(0), kind="stable")[:64]
    one = next(m for m in result.measurements if m.tap == tap and m.name == _distance(kind))
    return [
        Heatmap(
            f"{tap}: use of {kind} by recording",
            usage[:, order],
            np.arange(len(order)),
            np.arange(len(usage)),
            Axis(f"{kind}, most used first"),
            Axis("recording"),
            Axis("share of its frames"),
            note=f"{len(order)} of {usage.shape[1]} {kind}.",
        ),
        Bars(
            f"{tap}: {_distance(kind)}",
            (OWN, *one.controls),
            np.array([one.value, *one.controls.values()]),
            Axis("condition"),
            Axis("Jensen–Shannon distance"),
            note="All but the first are controls.",
        ),
    ]
