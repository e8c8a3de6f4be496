"""The blocks of a made-up run: plausible shapes of every kind, from named random generators."""

from collections.abc import Sequence

import numpy as np

from auscult.blocks import (
    Animation,
    Axis,
    Bars,
    Block,
    Choice,
    Choices,
    Clip,
    Curve,
    Finding,
    Graph,
    Heatmap,
    Histogram,
    Lanes,
    Missing,
    Ruler,
    Rulers,
    Scatter,
    Series,
    SmallMultiples,
    Table,
    Text,
)
from auscult.core.rng import named_rng

_FREQUENCY = Axis("frequency", "Hz", "log")
_GAIN = Axis("gain", "dB re the largest")
_ACROSS = Axis("component 1")
_UP = Axis("component 2")
_N_CHANNELS = 32
_FRAME_RATE = 75.0
_HOW_TO_READ = (
    "Each filter was measured with sines, not read off its weights.\n\n"
    "Dashed lines are the same measurement with weights drawn afresh."
)


def filter_blocks() -> list[Block]:
    """Findings, curves, a heatmap, small multiples, bars and a table."""
    rng = named_rng(0, "fabricated", "filters")
    hz = np.geomspace(50, 8000, 160)
    centres = np.sort(np.geomspace(120, 6500, _N_CHANNELS) * rng.uniform(0.8, 1.25, _N_CHANNELS))
    widths = np.clip(rng.normal(0.35, 0.12, _N_CHANNELS), 0.12, 0.8)
    gains = -12 * (np.log2(hz[None] / centres[:, None]) / widths[:, None] / 2) ** 2
    gains = np.maximum(gains, -60) + rng.normal(0, 0.8, gains.shape)
    filters = np.arange(float(_N_CHANNELS))
    names = [f"filter {i}, {centre:.0f} Hz" for i, centre in enumerate(centres)]
    each = [
        Curve(name, hz, (Series("", gain),), _FREQUENCY, _GAIN)
        for name, gain in zip(names[:24], gains[:24], strict=True)
    ]
    return [
        *_filter_findings(),
        Text(_HOW_TO_READ, "How to read this page"),
        _mean_response(hz, gains.max(axis=0), rng),
        Heatmap("Response of every filter", gains, hz, filters, _FREQUENCY, Axis("filter"), _GAIN),
        SmallMultiples("Filters one by one", tuple(each)),
        _scales(),
        _bandwidths(),
        *_narrowest(centres, widths),
        Missing("Phase response", "The tap gives magnitudes only: phase cannot be measured here."),
    ]


def _filter_findings() -> list[Block]:
    return [
        Finding(
            "Half of the filters pass less than a third of an octave.",
            value="median bandwidth 0.31 octaves",
            control="1.92 octaves with random weights",
            verdict="holds",
            published="0.3 octaves (a made-up paper, figure 3)",
            claim="F-1",
            reason="No random filter bank of 20 came below 1.4 octaves.",
        ),
        Finding(
            "The filters tile the frequency axis no more evenly than random ones do.",
            value="coverage ripple 6.1 dB",
            control="5.8 dB with random weights",
            verdict="explained by control",
            claim="F-2",
            reason="The difference lies within the spread of three seeds.",
        ),
    ]


def _mean_response(hz: np.ndarray, largest: np.ndarray, rng: np.random.Generator) -> Curve:
    flat = -8 - 6 * np.log10(hz / 50) + rng.normal(0, 0.4, hz.size)
    low = largest - 3
    low[-len(low) // 8 :] = np.nan  # where nothing could be measured
    trained = Series("trained", largest, low=low, high=largest + 2)
    note = "Largest response of any filter at each frequency; the band holds nine seeds in ten."
    both = (trained, Series("random weights", flat, control=True))
    return Curve("Mean response of the filter bank", hz, both, _FREQUENCY, _GAIN, note)


def _scales() -> Rulers:
    """Frequencies folded at two rates; one measured tone, and a stretch that lands nowhere."""
    hz = np.linspace(0, 12_000, 241)
    tried = np.array([7_000.0])

    def at(name: str, rate: float, width: float) -> Ruler:
        landing = np.abs((hz + rate / 2) % rate - rate / 2)
        seen = np.abs((tried + rate / 2) % rate - rate / 2)
        landing[hz > 11_500] = np.nan
        return Ruler(name, rate / 2, landing, width, f"frames at {rate:.0f} Hz", tried, seen)

    return Rulers(
        "Where frequencies go",
        hz,
        Axis("frequency of the sound", "Hz"),
        (at("stage 1", 12_000.0, 2_000.0), at("stage 2", 3_000.0, 400.0)),
        7_000.0,
    )


def _bandwidths() -> Bars:
    middle = np.array([0.62, 0.41, 0.33, 0.3, 0.27, 0.29])
    octaves = ("125 Hz", "250 Hz", "500 Hz", "1 kHz", "2 kHz", "4 kHz")
    width = Axis("bandwidth", "octaves")
    return Bars(
        "Bandwidth by octave", octaves, middle, Axis("octave"), width, middle * 0.85, middle * 1.2
    )


def _narrowest(centres: np.ndarray, widths: np.ndarray) -> list[Table]:
    rows = tuple(
        (f"filter {i}", float(centres[i]), float(widths[i]), float(1 / widths[i]), i % 2 == 0)
        for i in np.argsort(widths).tolist()
    )
    columns, units = ("filter", "centre", "bandwidth", "Q", "tuned"), ("", "Hz", "octaves", "", "")
    note = "Q is centre over bandwidth."
    return [
        Table("The five narrowest", columns, rows[:5], units, note),
        Table("The others", columns, rows[5:], units, note, folded=True),
    ]


def motion_blocks(clip_ids: Sequence[str], seconds: float) -> list[Block]:
    """A trajectory, a diverging heatmap, a scatter, a wide clip and many lanes."""
    rng = named_rng(0, "fabricated", "motion")
    clip = Clip(clip_ids[0], 0.0, seconds, "whole clip")
    steps = rng.normal(0, 1, (24, 24))
    order = np.arange(24.0)
    chance = Axis("log ratio to chance")
    edges = np.linspace(0, 3, 31)
    lengths = (Series("music", _bell(1.1, 0.4)), Series("noise", _bell(1.9, 0.3), control=True))
    return [
        *_motion_findings(),
        _path(clip, rng),
        *_paths_with_activity(clip),
        _successors(),
        _plane(rng),
        Heatmap(
            "Which archetype follows which",
            steps - steps.mean(),
            order,
            order,
            Axis("next archetype"),
            Axis("archetype"),
            chance,
            "diverging",
        ),
        *_lanes(clip, rng),
        Histogram("How far responses move", edges, lengths, Axis("step", "standard deviations")),
        Clip(clip_ids[min(1, len(clip_ids) - 1)], 0.3, 1.7, "the largest steps", (0.8, 1.1)),
        _desk(clip_ids, seconds),
        Heatmap(
            "What moved when something was moved",
            np.array([[1.2, -0.1, 0.02], [0.3, -0.9, np.nan]]),
            np.arange(3.0),
            np.arange(2.0),
            Axis("measured"),
            Axis("moved"),
            Axis("effect", "s.d."),
            "diverging",
            x_names=("loudness", "brightness", "pitch"),
            y_names=("loudness", "brightness"),
        ),
    ]


def _desk(clip_ids: Sequence[str], seconds: float) -> Choices:
    """Two voices at four strengths, the last of which nobody made for the second."""
    strengths = ("original", "α = 0", "α = 1", "α = 2")
    clips = tuple(
        None
        if (voice, step) == (1, 3)
        else Clip(clip_ids[step % len(clip_ids)], 0.0, seconds, name)
        for voice in range(2)
        for step, name in enumerate(strengths)
    )
    times = _times(seconds)
    rising = 220 + 120 * np.arange(8)[:, None] * (times / seconds)
    level = -30 + 3 * np.arange(8)[:, None] + 6 * np.sin(6 * times)
    values = np.stack([np.where(times < 0.3, np.nan, rising), level], axis=1)
    choices = (
        Choice("voice", ("first", "second")),
        Choice("strength", strengths, ordered=True, start=2, against=(0, 1)),
    )
    axes = (Axis("pitch", "Hz", "log"), Axis("loudness", "dB re full scale"))
    return Choices(
        "A desk", choices, clips, times, ("pitch", "loudness"), axes, values, "Dashed: original."
    )


def _motion_findings() -> list[Block]:
    return [
        Finding(
            "Motion comes no closer to the data's own directions than time-shuffled sound does.",
            value="cosine 0.48",
            control="0.55 with frames shuffled",
            verdict="does not hold",
            published="0.71 (a made-up paper)",
            claim="D-1",
            reason="The control does better in all three seeds.",
        ),
        Finding(
            "Whether the motion is the same in another model was not asked.",
            value="–",
            control="one model only",
            verdict="cannot be tested here",
        ),
    ]


def _times(seconds: float) -> np.ndarray:
    return np.asarray((np.arange(round(seconds * _FRAME_RATE)) + 0.5) / _FRAME_RATE)


def _path(clip: Clip, rng: np.random.Generator) -> Animation:
    times = _times(clip.stop_s)
    angle = np.cumsum(rng.normal(0.18, 0.12, times.size))
    radius = 1 + 0.3 * np.sin(np.arange(times.size) / 9)
    x, y = radius * np.cos(angle), radius * np.sin(angle)
    return Animation("A path through the first two components", clip, times, x, y, _ACROSS, _UP)


def _paths_with_activity(clip: Clip) -> list[Block]:
    """Two paths in one plane, the second four times as wide, with the activity of sixteen units."""
    rng = named_rng(0, "fabricated", "paths")
    times = _times(clip.stop_s)
    across, up = Axis("component 1 of all sounds"), Axis("component 2 of all sounds")
    made = []
    for title, size, shake in (("A smooth path", 1.0, 0.02), ("A rough path", 4.0, 0.5)):
        turn = 2 * np.pi * np.arange(times.size) / 40
        x = size * (np.cos(turn) + rng.normal(0, shake, times.size))
        y = size * (np.sin(turn) + rng.normal(0, shake, times.size))
        waves = np.sin(turn[None] + np.linspace(0, 2 * np.pi, 16)[:, None])
        names = tuple(f"filter {i}" for i in range(16))
        note = "Activity is half-wave rectified."
        axis = Axis("activity")
        made.append(
            Animation(title, clip, times, x, y, across, up, note, names, np.maximum(waves, 0), axis)
        )
    return list(made)


def _successors() -> Graph:
    """Twelve archetypes, each followed mostly by the next or by itself."""
    rng = named_rng(0, "fabricated", "successors")
    n = 12
    chances = rng.random((n, n)) ** 6 + 2.5 * np.eye(n, k=1) + 1.5 * np.diag(rng.random(n) > 0.6)
    chances /= chances.sum(axis=1, keepdims=True)
    sources, targets = np.nonzero(chances > 0.04)
    shares = np.sort(rng.dirichlet(np.full(n, 2.0)))[::-1]
    names = tuple(f"archetype {i}" for i in range(n))
    return Graph(
        "Which archetype leads to which",
        names,
        shares,
        sources,
        targets,
        chances[sources, targets],
        Axis("share of the transitions that leave it"),
        "Links below 4 % are left out.",
    )


def _plane(rng: np.random.Generator) -> Scatter:
    groups = tuple(np.repeat(["piano", "organ", "marimba", "drum"], 60).tolist())
    labels = tuple(f"{group} {i}" for i, group in enumerate(groups))
    spots = np.repeat(rng.normal(0, 2, (4, 2)), 60, axis=0) + rng.normal(0, 0.55, (240, 2))
    return Scatter("Clips in a plane", spots[:, 0], spots[:, 1], _ACROSS, _UP, labels, groups)


def _lanes(clip: Clip, rng: np.random.Generator) -> list[Block]:
    times = _times(clip.stop_s)
    sparse = np.abs(rng.standard_normal((20, times.size))) ** 3
    sparse *= rng.random(sparse.shape) < 0.2
    names = tuple(f"archetype {i}" for i in range(20))
    walks = np.cumsum(rng.normal(0, 1, (2, times.size)), axis=1)
    ways = ("along component 1", "along component 2")
    return [
        Lanes("Twenty archetypes over one clip", clip, times, sparse, names, Axis("activation")),
        Lanes("Signed motion", clip, times, walks, ways, Axis("displacement"), "diverging"),
    ]


def _bell(centre: float, width: float) -> np.ndarray:
    middles = np.linspace(0.05, 2.95, 30)
    height = np.exp(-(((middles - centre) / width) ** 2) / 2)
    return np.asarray(height / height.sum())
