"""The feature browser of a made-up run, and a page of names that try to be more than names."""

from collections.abc import Sequence

import numpy as np

from auscult.blocks import (
    Axis,
    Bars,
    Block,
    Clip,
    ClipGrid,
    Curve,
    Finding,
    Gallery,
    GalleryItem,
    Histogram,
    Lanes,
    Missing,
    Scatter,
    Series,
    Table,
    Text,
)
from auscult.core.rng import named_rng

_FREQUENCY = Axis("frequency", "Hz", "log")
_N_CHANNELS = 32
_FRAME_RATE = 75.0
_FRAGMENT_S = 0.5


def _rng(*names: str | int) -> np.random.Generator:
    return named_rng(0, "fabricated", *names)


def feature_blocks(clip_ids: Sequence[str], n_features: int, seconds: float) -> list[Block]:
    """A finding, a histogram and a gallery of features; every sixteenth feature is dead."""
    usage = np.sort(_rng("usage").lognormal(-4.5, 1.4, n_features))[::-1].clip(max=0.6)
    usage[15::16] = 0.0
    edges = np.linspace(-6, 0, 25)
    shares = np.histogram(np.log10(usage[usage > 0]), edges)[0] / n_features
    items = tuple(_feature(i, float(usage[i]), clip_ids, seconds) for i in range(n_features))
    return [
        Finding(
            "Features are sparser than those of a random network.",
            "usage 1.4 % (median)",
            "6.3 % with random weights",
            "holds",
            "",
            "A-3",
        ),
        Histogram(
            "How often features are on",
            edges,
            (Series("trained", shares), Series("random weights", np.roll(shares, 3), control=True)),
            Axis("log10 of usage"),
            Axis("share of features"),
        ),
        Gallery(
            "Features",
            items,
            {
                "usage": "",
                "centroid": "Hz",
                "selectivity": "bits",
                "band_low_hz": "Hz",
                "band_high_hz": "Hz",
            },
            "usage",
            "Beside the fragments where it is strongest: some drawn at random from where it is on.",
        ),
    ]


def _feature(i: int, usage: float, clip_ids: Sequence[str], seconds: float) -> GalleryItem:
    rng = _rng("feature", i)
    centre = float(np.exp(rng.uniform(np.log(150), np.log(5000))))
    measures = {
        "usage": usage,
        "centroid": centre,
        "selectivity": float(rng.gamma(2, 0.6)),
        "band_low_hz": centre / 1.3,
        "band_high_hz": centre * 1.3,
    }
    if usage == 0:
        return GalleryItem(
            f"feature {i}",
            measures,
            (Missing("Nothing to hear", "This feature is never on in the evaluation set."),),
        )
    hz = np.geomspace(50, 8000, 64)
    spectrum = -20 * np.abs(np.log2(hz / centre)) + rng.normal(0, 1.5, hz.size)
    direction = rng.standard_normal(_N_CHANNELS) * (rng.random(_N_CHANNELS) < 0.5)
    return GalleryItem(
        f"feature {i}",
        measures,
        (
            Bars(
                "Direction",
                tuple(f"channel {c}" for c in range(_N_CHANNELS)),
                direction,
                Axis("channel"),
                Axis("weight"),
            ),
            Curve(
                "Spectrum where it is on",
                hz,
                (
                    Series("on", np.maximum(spectrum, -60)),
                    Series("all frames", -12 * np.log10(hz / 50) - 10, control=True),
                ),
                _FREQUENCY,
                Axis("level", "dB re max"),
            ),
            _fragments(f"feature {i}", "top", clip_ids, seconds, rng),
            _fragments(f"feature {i}", "random", clip_ids, seconds, rng),
            _map(i, clip_ids, seconds, rng),
        ),
    )


def _fragments(
    owner: str, kind: str, clip_ids: Sequence[str], seconds: float, rng: np.random.Generator
) -> ClipGrid:
    clips = []
    for rank in range(1, 6):
        start = float(np.round(rng.uniform(0, seconds - _FRAGMENT_S), 4))
        mark = (start + 0.2, start + 0.3)
        clip_id = str(rng.choice(list(clip_ids)))
        clips.append(
            Clip(clip_id, start, start + _FRAGMENT_S, f"{kind} fragment {rank} of {owner}", mark)
        )
    return ClipGrid(
        "Where it is strongest" if kind == "top" else "Where it is on, at random", tuple(clips)
    )


def _map(i: int, clip_ids: Sequence[str], seconds: float, rng: np.random.Generator) -> Lanes:
    times = (np.arange(round(seconds * _FRAME_RATE)) + 0.5) / _FRAME_RATE
    pulses = np.convolve(rng.random(times.size) < 0.05, np.exp(-np.arange(12) / 4))[: times.size]
    clip_id = str(rng.choice(list(clip_ids)))
    clip = Clip(clip_id, 0.0, seconds, f"activation of feature {i}")
    return Lanes(
        "Over a clip", clip, times, pulses[None] * 3.1, (f"feature {i}",), Axis("activation")
    )


def hostile_blocks(clip_ids: Sequence[str], names: Sequence[str]) -> list[Block]:
    """Every place that shows a name, with a name that tries to be more."""
    bad = tuple(names)
    x = np.arange(4.0)
    axis = Axis(bad[0], bad[1])
    clip = Clip(clip_ids[0], 0.2, 0.7, bad[0])
    items = tuple(
        GalleryItem(
            f"{name} {i}",
            {bad[6]: float(i), "usage": 0.1 * i},
            (
                Text(bad[1], bad[0]),
                Table(bad[0], bad[:2], ((bad[0], bad[1]),)),
                Bars(bad[0], bad[:4], x - 1, axis, axis),
                ClipGrid(bad[1], (clip,)),
            ),
        )
        for i, name in enumerate(bad)
    )
    return [
        Finding(bad[0], bad[1], bad[3], "holds", bad[4], bad[5], bad[6]),
        Text(bad[6], bad[0], "warning"),
        Table(bad[1], bad[:2], ((bad[6], bad[4]), (bad[2], bad[3])), ("", ""), bad[0]),
        Curve(
            bad[0], x, (Series(bad[1], x), Series(bad[6], x**2, control=True)), axis, axis, bad[1]
        ),
        Scatter(bad[0], x, x, axis, axis, bad[:4], bad[4:8], bad[1]),
        Bars(bad[0], bad[:4], x, axis, axis, note=bad[6]),
        ClipGrid(
            bad[0],
            (
                clip,
                Clip("thief#0", 0.0, 1.0, bad[1]),
                Clip("traveller#0", 0.0, 1.0, bad[6]),
                Clip("../../nowhere", 0.0, 1.0, bad[2]),
            ),
        ),
        Lanes(bad[0], clip, np.linspace(0.2, 0.7, 10), np.ones((1, 10)), (bad[6],), axis),
        Missing(bad[0], bad[1]),
        Gallery(bad[0], items, {bad[6]: bad[1]}, "usage", bad[6]),
    ]
