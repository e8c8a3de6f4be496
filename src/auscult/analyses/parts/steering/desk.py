"""The steering desk: every control at every strength, to be heard beside the original."""

from itertools import product

import numpy as np

from auscult.analyses.base import MadeSound
from auscult.analyses.parts.steering.audit import Answer
from auscult.analyses.parts.steering.shown import Made, Shown
from auscult.analyses.parts.steering.trials import measured
from auscult.blocks import Axis, Block, Choice, Choices, Clip, Missing
from auscult.concepts.base import CONCEPTS, Concept
from auscult.interventions.controlled import control
from auscult.interventions.ways import WORDS


def desk_blocks(shown: Shown, made: Made, n_heard: int) -> list[Block]:
    """Every concept, at every strength of its best way and of the published one, on some clips."""
    bench = shown.audit.test
    heard = list(range(min(n_heard, len(bench.clips))))
    columns = {}
    for which, concept in enumerate(shown.concepts):
        best = next((a for a in shown.best if (a.which, a.sign) == (which, "more")), None)
        ways = dict.fromkeys([*([best.way] if best else []), "published"])
        for way in ways:
            more, less = shown.of(which, "more", way), shown.of(which, "less", way)
            if more is not None and less is not None:
                columns[f"{concept}: {WORDS[way]}"] = (more, less)
    if not columns:
        return [Missing("Steering desk", "no concept has vectors towards more and towards less")]
    steps = max(len(more.doses) for more, _ in columns.values())
    names = (
        "original",
        *(f"less, step {i}" for i in range(steps, 0, -1)),
        "round trip",
        *(f"more, step {i}" for i in range(1, steps + 1)),
    )
    labelers = {name: CONCEPTS.get(name)() for name in shown.concepts}
    clips: list[Clip | None] = []
    curves = []
    for name, (more, less) in columns.items():
        options = [_option(shown, {"more": more, "less": less}, option) for option in names]
        for clip, (sounds, told) in product(heard, options):
            if sounds is None:
                clips.append(None)
                curves.append(np.full((len(labelers), _n_frames(shown)), np.nan))
                continue
            label = f"{bench.clips[clip].clip_id}: {told}"
            kept = MadeSound(sounds[clip], bench.time.sample_rate, label)
            made.sounds.append(kept)
            clips.append(kept.clip(f"{name}, {told}"))
            curves.append(_curves(shown, labelers, sounds[clip]))
    start = steps + 2 + next(iter(columns.values()))[0].chosen
    choices = (
        Choice("control", tuple(columns)),
        Choice("sound", tuple(bench.clips[i].clip_id for i in heard)),
        Choice("strength", names, ordered=True, start=start, against=(0, steps + 1)),
    )
    return [_choices(shown, choices, clips, np.array(curves), labelers)]


def _n_frames(shown: Shown) -> int:
    return int(shown.audit.test.original.values.shape[2])


def _option(shown: Shown, sides: dict[str, Answer], option: str) -> tuple[np.ndarray | None, str]:
    """The sounds of the bench under one option, and what it is."""
    bench, audit = shown.audit.test, shown.audit
    if option == "original":
        return bench.original.sounds, "original"
    if option == "round trip":
        return audit.zero("test", sides["more"].way).sounds, "strength 0"
    sign, step = option.split(", step ")
    one = sides[sign]
    if int(step) > len(one.doses):
        return None, option
    dose = one.doses[int(step) - 1]
    chosen = ", chosen" if one.chosen == int(step) - 1 else ""
    return bench.sounds(control(one.vector, dose)), f"{sign}, strength {dose:g}{chosen}"


def _curves(shown: Shown, labelers: dict[str, Concept], sound: np.ndarray) -> np.ndarray:
    values = measured(sound[None], labelers, shown.audit.test.time)[0]
    return np.array([_in_hz(one, v) for one, v in zip(labelers.values(), values, strict=True)])


def _in_hz(concept: Concept, values: np.ndarray) -> np.ndarray:
    return 440 * 2 ** ((values - 69) / 12) if concept.unit == "semitones" else values


def _choices(
    shown: Shown,
    choices: tuple[Choice, ...],
    clips: list[Clip | None],
    curves: np.ndarray,
    labelers: dict[str, Concept],
) -> Choices:
    units = ["Hz" if one.unit == "semitones" else one.unit for one in labelers.values()]
    return Choices(
        "Steering desk",
        choices,
        tuple(clips),
        (np.arange(curves.shape[2]) + 0.5) / 50,
        tuple(labelers),
        tuple(Axis(name, unit) for name, unit in zip(labelers, units, strict=True)),
        curves,
        f"Vectors act at {shown.tap}. Dashed: the original. Each version is as the model decodes "
        "it; all are played at equal loudness.",
    )
