"""The page of a generation: curves of concepts over steps, their order, films that sound."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from auscult.analyses.base import MadeSound, Result
from auscult.analyses.parts.answering import missing_blocks
from auscult.analyses.parts.generation.course import Course, Taught
from auscult.blocks import (
    Axis,
    Bars,
    Block,
    Choice,
    Choices,
    Clip,
    ClipGrid,
    Curve,
    Series,
    SmallMultiples,
    Table,
)
from auscult.core.rng import named_rng
from auscult.measures.convergence import MEASURES
from auscult.measures.statistics import bootstrap_band

WORDS = {
    "states": "states",
    "estimates": "clean estimates",
    "heard": "sound of clean estimates",
    "straight": "straight line",
}
_STEP = Axis("step")


def pictures(result: Result) -> list[Block]:
    """Everything between the findings and the numbers."""
    blocks: list[Block] = [*missing_blocks(result)]
    if "concepts" not in result.facts:
        return blocks
    concepts: list[str] = result.facts["concepts"]
    blocks += [_course(result, name) for name in concepts]
    blocks += [_when(result), _order(result), _strange(result), *result.blocks]
    return [*blocks, _measures(result, concepts)]


def _course(result: Result, concept: str) -> Curve:
    """Progress of one concept at every place, over steps."""
    arrays = result.arrays
    series = []
    for place, words in WORDS.items():
        rows = arrays[f"{place}/{concept}/s_end"]
        rows = rows[np.isfinite(rows).all(1)]
        if not len(rows):
            continue
        rng = named_rng(0, "generation", "band", place, concept)
        low, high = bootstrap_band(rows, np.arange(len(rows)), rng)
        x = arrays["listened"].astype(float) if place == "heard" else None
        series.append(Series(words, rows.mean(0), x, low, high, control=place == "straight"))
    return Curve(
        f"{concept} over the steps",
        np.arange(len(arrays["progress"]), dtype=float),
        tuple(series),
        _STEP,
        Axis("progress s_end, 1 at the result"),
        f"Mean over {result.facts['n_prompts']} prompts with 95 % bootstrap bands over prompts. "
        "Dashed: read on the straight line from each prompt's noise to its result.",
    )


def _when(result: Result) -> Bars:
    rows = [row for row in result.facts["settled"] if row["n"]]
    return Bars(
        "When each concept settles",
        tuple(f"{row['concept']}, {WORDS[row['place']]}" for row in rows),
        np.array([row["step"] for row in rows]),
        Axis("concept and where it is read"),
        Axis("step from which on s_end stays above the threshold"),
        np.array([row["low"] for row in rows]),
        np.array([row["high"] for row in rows]),
        "Mean over the prompts in which the concept moved, 95 % bootstrap over prompts. Sound is "
        "heard at some steps only, so it settles at one of those.",
    )


def _order(result: Result) -> Table:
    rows = tuple(
        (
            WORDS[row["place"]],
            f"{row['first']} before {row['then']}",
            round(row["lead"], 2),
            f"{row['low']:.2f} to {row['high']:.2f}",
            float(f"{row['p']:.2g}"),
            round(row["null"], 2),
            f"{row['excess low']:.2f} to {row['excess high']:.2f}"
            if np.isfinite(row["null"])
            else "–",
            "beyond the null" if row["beyond"] else "yes" if row["significant"] else "no",
            row["n"],
        )
        for row in result.facts["order"]
    )
    return Table(
        "Order of the concepts",
        (
            "read from",
            "order",
            "lead",
            "95 % interval",
            "p, Holm",
            "lead on the straight line",
            "beyond the line, 95 %",
            "significant",
            "prompts",
        ),
        rows,
        ("", "", "steps", "steps", "", "steps", "steps", "", ""),
        "Paired over prompts: the same prompt's two concepts, Wilcoxon's signed-rank test. The "
        "straight line is read by probes and not decoded, so that what is heard has none.",
    )


def _strange(result: Result) -> Curve:
    steps = np.arange(len(result.arrays["progress"]), dtype=float)
    series = []
    for key, words in (("state", "states"), ("estimate", "clean estimates")):
        rows = result.arrays[f"strange/{key}"]
        rng = named_rng(0, "generation", "strange", key)
        low, high = bootstrap_band(rows, np.arange(len(rows)), rng)
        series.append(Series(words, rows.mean(0), None, low, high))
    edge = np.full(len(steps), result.facts["edge"])
    series.append(Series("95 % of held-out recordings", edge, control=True))
    return Curve(
        "How strange states are to the probes",
        steps,
        tuple(series),
        _STEP,
        Axis("strangeness, of held-out latents'"),
        "Distance to the fifth nearest latent of the probes' training, over what latents have "
        "among themselves there; median over frames, as a ratio to that of held-out latents. Above "
        "the dashed line probes extrapolate.",
    )


def _measures(result: Result, concepts: Sequence[str]) -> SmallMultiples:
    """The printed measure beside the sound ones."""
    steps = np.arange(len(result.arrays["progress"]), dtype=float)
    curves = []
    for concept in concepts:
        series = []
        for name in MEASURES:
            rows = result.arrays[f"states/{concept}/{name}"]
            rows = rows[np.isfinite(rows).all(1)]
            if len(rows):
                label = "s_ratio, as printed" if name == "s_ratio" else name
                series.append(Series(label, rows.mean(0), control=name == "s_ratio"))
        curves.append(Curve(concept, steps, tuple(series), _STEP, Axis("progress of the states")))
    return SmallMultiples(
        "Four ways of counting progress",
        tuple(curves),
        "s_ratio (dashed) is a mean of ratios by class and has no upper bound: a class that hardly "
        "moves swings widely. s_L1 counts overshooting as progress. s_end and s_JS count what is "
        "left to go.",
    )


def sounding(
    course: Course, teaching: Taught, sample_rate: int
) -> tuple[list[MadeSound], list[Block]]:
    """Decoded estimates of the first prompts: a scrubber over steps, and films of the first.

    A film of the estimates, and one of the states that they were made from (METHODS C-8).
    """
    if not course.sounds:
        return [], []
    names = [one.name for one in course.prompts[: len(course.sounds)]]
    steps = [_named(step, course) for step in course.listened]
    sounds: list[MadeSound] = []
    clips: list[Clip] = []
    for name, versions in zip(names, course.sounds, strict=True):
        for step, wave in zip(steps, versions, strict=True):
            made = MadeSound(np.asarray(wave), sample_rate, f"{name}: {step}")
            sounds.append(made)
            clips.append(made.clip(f"{name}, {step}"))
    tracks = np.concatenate(course.tracks)
    labelers = [teaching.concepts[name] for name in teaching.reader.targets]
    drawn = [i for i, one in enumerate(labelers) if not one.classes]
    axes, values = [], np.empty((len(clips), len(drawn), tracks.shape[2]))
    for place, which in enumerate(drawn):
        in_hz = labelers[which].unit == "semitones"
        values[:, place] = _hz(tracks[:, which]) if in_hz else tracks[:, which]
        concept = list(teaching.reader.targets)[which]
        axes.append(Axis(concept, "Hz" if in_hz else labelers[which].unit))
    length_s = course.sounds[0].shape[1] / sample_rate
    last = len(steps) - 1
    desk = Choices(
        "What it would jump to from each step",
        (
            Choice("prompt", tuple(names)),
            Choice("step", tuple(steps), ordered=True, start=last // 2, against=(last,)),
        ),
        tuple(clips),
        (np.arange(tracks.shape[2]) + 0.5) * length_s / tracks.shape[2],
        tuple(one.name for one in axes),
        tuple(axes),
        values,
        "The clean estimate at each step, decoded; the last is the result. Dashed: the result. All "
        "are played at equal loudness.",
    )
    films: list[Block] = []
    for place, name in enumerate(names[:2]):
        estimates = tuple(clips[place * len(steps) : (place + 1) * len(steps)])
        note = "One spectrogram a step: the decoded clean estimate."
        films.append(ClipGrid(f"{name}, step by step", estimates, note))
        states = [
            MadeSound(np.asarray(wave), sample_rate, f"{name}: the state at {step}")
            for step, wave in zip(steps, course.raw[place], strict=True)
        ]
        sounds += states
        films.append(_states(name, [one.clip() for one in states]))
    return sounds, [desk, *films]


def _states(name: str, clips: Sequence[Clip]) -> ClipGrid:
    return ClipGrid(
        f"{name}, the states themselves",
        tuple(clips),
        "What there is at each step, decoded as it is: noise first, the result last. Latents that "
        "are half noise are none that the decoder was trained on; what it makes of them is what "
        "it makes of noise, and the clean estimates above are the fairer reading.",
    )


def _named(step: int, course: Course) -> str:
    return "result" if step == len(course.progress) - 1 else f"step {step}"


def _hz(semitones: np.ndarray) -> np.ndarray:
    return np.asarray(440 * 2 ** ((semitones - 69) / 12))


def rows_of(result: Result, place: str) -> list[dict[str, Any]]:
    """When concepts settle at one place."""
    return [row for row in result.facts["settled"] if row["place"] == place]
