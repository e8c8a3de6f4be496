"""Steering within a span of time, and two concepts at once."""

from dataclasses import dataclass

import numpy as np

from auscult.analyses.base import Judgement, Measurement
from auscult.analyses.parts.steering.audit import Answer
from auscult.analyses.parts.steering.shown import Made, Shown
from auscult.analyses.parts.steering.trials import Version, measured
from auscult.blocks import Axis, Block, Curve, Missing, Series, SmallMultiples, Table, Verdict
from auscult.concepts.base import CONCEPTS, Concept
from auscult.measures.statistics import bootstrap_interval
from auscult.measures.steering import mean_over_clips, share_inside

_LOCAL = 0.9


def local_blocks(shown: Shown, made: Made) -> list[Block]:
    """Change over time of controls that act within a span only, beside the same everywhere."""
    curves: list[Curve] = []
    rows: list[tuple[str | float, ...]] = []
    for one in [a for a in shown.best if a.sign == "more"]:
        told = _locally(shown, one)
        curves.append(told.curve)
        rows.append(
            (one.vector.name, one.dose, told.share, *told.interval, told.everywhere, told.energy)
        )
        made.judgements.append(told.judged)
        made.arrays[f"local/{shown.concepts[one.which]}"] = told.curve.series[0].y
    columns = (
        "control",
        "strength",
        "inside",
        "from",
        "to",
        "same control everywhere",
        "energy inside",
    )
    if not rows:
        return []
    start, stop = _span(shown)
    note = "Share of the change of the concept, and of the energy of the difference, in the span."
    return [
        SmallMultiples(f"Local steering, from {start:.2f} to {stop:.2f} s", tuple(curves)),
        Table("How much stays in the span", columns, tuple(rows), (), note),
    ]


def _span(shown: Shown) -> tuple[float, float]:
    """The middle of each clip, in seconds."""
    bench = shown.audit.test
    seconds = bench.original.sounds.shape[1] / bench.time.sample_rate
    return (seconds - shown.span_s) / 2, (seconds + shown.span_s) / 2


@dataclass(frozen=True)
class _Local:
    share: float
    interval: tuple[float, float]
    everywhere: float
    energy: float
    curve: Curve
    judged: Judgement


def _locally(shown: Shown, one: Answer) -> _Local:
    audit, bench = shown.audit, shown.audit.test
    start, stop = _span(shown)
    zero = audit.zero("test", one.way if one.way != "published" else "published-kept")
    span = {"start_s": start, "stop_s": stop, "fade_s": shown.fade_s}
    local = bench.steered(one.vector, one.dose, **span)
    everywhere = bench.steered(one.vector, one.dose)
    concept = CONCEPTS.get(shown.concepts[one.which])()
    times = (np.arange(bench.original.values.shape[2]) + 0.5) / 50
    inside = (times >= start) & (times < stop)
    change = _own_change(shown, concept, local, zero)
    whole = _own_change(shown, concept, everywhere, zero)
    shares = share_inside(change, inside)
    known = np.isfinite(shares)
    share = float(np.mean(shares[known])) if known.any() else float("nan")
    interval = (
        bootstrap_interval(shares[known], bench.recordings[known], audit.rng("local", one.which))
        if known.any()
        else (float("nan"), float("nan"))
    )
    null = float(np.nanmean(share_inside(whole, inside)))
    apart = np.square(local.sounds - zero.sounds, dtype=np.float64)
    rate = bench.time.sample_rate
    within = apart[:, round(start * rate) : round(stop * rate)].sum()
    energy = float(within / max(apart.sum(), 1e-30))
    size = [mean_over_clips(np.abs(x)[:, :, None].swapaxes(1, 2))[0] for x in (change, whole)]
    curve = Curve(
        one.vector.name,
        times,
        (Series("within the span", size[0]), Series("the same everywhere", size[1], control=True)),
        Axis("time", "s"),
        Axis(f"mean |change| of {shown.concepts[one.which]}", concept.unit),
        f"{share:.1%} of the change lies inside the span.",
    )
    verdict: Verdict = "cannot be tested here"
    if np.isfinite(share):
        verdict = "holds" if share >= _LOCAL and share > null else "does not hold"
    measured = Measurement(
        f"share of a local change inside its span: {one.vector.name}",
        share, "", {"the same control everywhere": null}, interval, "", shown.tap,
    )  # fmt: skip
    sentence = (
        f"{shown.tap}: {one.vector.name} within a span keeps {share:.1%} of its change there."
    )
    reason = "It holds when at least 90 % of the change lies inside the span."
    return _Local(
        share, interval, null, energy, curve, Judgement(sentence, measured, verdict, reason)
    )


def _own_change(shown: Shown, concept: Concept, version: Version, zero: Version) -> np.ndarray:
    """Change over time by the concept's own estimator, frame by frame: others smooth over 0.4 s."""
    bench = shown.audit.test
    now, before = (measured(one.sounds, {"": concept}, bench.time) for one in (version, zero))
    return np.where(bench.active, (now - before)[:, 0], np.nan)


def composed_blocks(shown: Shown) -> list[Block]:
    """Two concepts at once, where two of the best vectors follow one rule."""
    best = [one for one in shown.best if one.sign == "more"]
    pairs = [
        (a, b)
        for i, a in enumerate(best)
        for b in best[i + 1 :]
        if a.vector.rule == b.vector.rule and a.vector.space == "responses"
    ]
    if not pairs:
        return [Missing("Two concepts at once", "no two of the best ways follow the same rule")]
    rows: list[tuple[str | float, ...]] = []
    bench, zero = shown.audit.test, shown.audit.zero("test", "means")
    for a, b in pairs:
        both = a.dose * a.vector + b.dose * b.vector
        moved = mean_over_clips(bench.moved(bench.steered(both, 1.0), zero))
        alone = a.effects[a.chosen] + b.effects[b.chosen]
        pair = f"{shown.concepts[a.which]} and {shown.concepts[b.which]}"
        rows.append((pair, "together", *moved.tolist()))
        rows.append((pair, "sum of each alone", *alone.tolist()))
    columns = ("moved", "how", *shown.concepts)
    units = ("", "", *["s.d."] * len(shown.concepts))
    return [
        Table("Two concepts at once", columns, tuple(rows), units, "The best ways, towards more.")
    ]
