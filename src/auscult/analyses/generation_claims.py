"""How the course of a generation is judged, and its numbers."""

from collections.abc import Mapping

import numpy as np

from auscult.analyses.base import Judgement, Measurement
from auscult.analyses.generation_course import Course, Taught
from auscult.analyses.reading import untested
from auscult.blocks import Verdict
from auscult.core.rng import named_rng
from auscult.measures.convergence import Lead, settled
from auscult.measures.course import expected
from auscult.measures.familiarity import LEVEL
from auscult.measures.probes import MAJORITY, SHUFFLED

STRAIGHT = "straight line from noise to result"
SHUFFLED_PROMPTS = "prompts shuffled"
PLACES = {"states": "states", "estimates": "clean estimates", "heard": "sound of clean estimates"}
PK_04 = ("pitch", "centroid", "loudness")
"""The published order (arXiv 2510.23802): pitch, timbre, amplitude."""

_PUBLISHED = "pitch by step 21, timbre by 25 of 32, amplitude not by the end (arXiv 2510.23802)"
_FEWEST_PROMPTS = 8


def untold(tap: str, reason: str) -> Judgement:
    """PK-04 where it cannot be tested, and why."""
    return untested(
        f"{tap}: no order of concepts can be told.",
        reason,
        "PK-04",
        "steps from pitch to loudness",
        tap,
        [STRAIGHT],
        _PUBLISHED,
    )


def order_judged(
    tap: str, teaching: Taught, steps: Mapping[str, Mapping[str, np.ndarray]], order: list[Lead]
) -> Judgement:
    """PK-04: pitch, then timbre, then amplitude, in states and in decoded estimates."""
    lacking = [name for name in PK_04 if name not in teaching.readings]
    blind = [
        name
        for name in PK_04
        if name not in lacking
        and teaching.readings[name].scores.intervals["accuracy"][0]
        <= max(teaching.readings[name].controls[k]["accuracy"] for k in (MAJORITY, SHUFFLED))
    ]
    if lacking or blind:
        why = f"no probe reads {', '.join(lacking + blind)} better than its nulls"
        return untold(tap, why)
    pairs = {frozenset((one.first, one.then)): one for one in order}
    wanted = [(PK_04[0], PK_04[1]), (PK_04[1], PK_04[2]), (PK_04[0], PK_04[2])]
    found = [pairs.get(frozenset(pair)) for pair in wanted]
    if any(one is None or one.n_prompts < _FEWEST_PROMPTS for one in found):
        return untold(tap, f"fewer than {_FEWEST_PROMPTS} prompts moved in both concepts of a pair")
    as_said = [
        one is not None and one.first == first and one.is_significant
        for one, (first, _) in zip(found, wanted, strict=True)
    ]
    beyond = all(one is not None and one.beyond_null for one in found[:2])
    heard = [float(np.nanmean(steps["heard"][name])) for name in PK_04]
    audible = heard[0] <= heard[1] <= heard[2]
    verdict: Verdict = "does not hold"
    if all(as_said[:2]):
        verdict = "explained by control" if not beyond else "does not hold"
        if beyond and audible:
            verdict = "holds"
    means = {name: float(np.nanmean(steps["states"][name])) for name in PK_04}
    whole = found[2]
    sign = 1.0 if whole is not None and whole.first == PK_04[0] else -1.0
    if whole is None:
        return untold(tap, "pitch and loudness never moved together")
    ends = sorted((sign * whole.interval[0], sign * whole.interval[1]))
    measured = Measurement(
        "steps from when pitch settles to when loudness does, in states",
        sign * whole.lead,
        "steps",
        {STRAIGHT: sign * whole.null},
        (ends[0], ends[1]),
        _PUBLISHED,
        tap,
    )
    told = ", ".join(f"{name} at step {means[name]:.1f}" for name in PK_04)
    listened = ", ".join(f"{name} {at:.1f}" for name, at in zip(PK_04, heard, strict=True))
    return Judgement(
        f"In states {told}; heard in decoded estimates: {listened}.",
        measured,
        verdict,
        "Pitch must settle before centroid and centroid before loudness, each significantly over "
        "prompts and by more than on the straight line, and decoded estimates must have the order.",
        "PK-04",
    )


def trusted(tap: str, course: Course) -> Judgement:
    """Are the states on the way like what probes were trained on?"""
    n_steps = len(course.progress) - 1
    strange = {place: values.mean(0) for place, values in course.strange.items()}
    state = strange["state"]
    familiar = np.flatnonzero(state > 0.5)
    last = int(familiar[-1]) if len(familiar) else -1
    measured = Measurement(
        "strange frames, mean over the states before the result",
        float(state[:-1].mean()),
        "",
        {
            "held-out latents": 1 - LEVEL,
            "clean estimates": float(strange["estimate"][:-1].mean()),
            "the result itself": float(state[-1]),
        },
        tap=tap,
    )
    within = last < n_steps // 2 and state[-1] < 0.5
    return Judgement(
        f"Up to step {last} more than half of all frames are unlike the probes' training."
        if last >= 0
        else "At every step most frames are like the probes' training.",
        measured,
        "holds" if within else "does not hold",
        "A probe is believed where most frames lie within the distance of 95 % of held-out "
        "latents; that must be so from half-way on, at the latest.",
    )


def measured(
    tap: str,
    course: Course,
    teaching: Taught,
    steps: Mapping[str, Mapping[str, np.ndarray]],
    names: np.ndarray,
    seed: int,
) -> list[Measurement]:
    """When each concept settles at each place, whether probes and ears agree, and the probes."""
    found = []
    for place, words in PLACES.items():
        for name, values in steps[place].items():
            rng = named_rng(seed, "generation", place, name)
            one, null = settled(values, names, rng), steps["straight"][name]
            found.append(
                Measurement(
                    f"{name} settles, in {words}",
                    one.step,
                    "steps",
                    {STRAIGHT: settled(null, names, rng).step},
                    one.interval,
                    _PUBLISHED if name in PK_04 and place == "states" else "",
                    tap,
                )
            )
    for which, name in enumerate(teaching.reader.targets):
        rng = named_rng(seed, "generation", "agreement", name)
        seen = expected(course.estimates.p[name], teaching.reader.targets[name])
        said, heard = seen[:, list(course.listened)], course.values[:, :, which]
        mixed = heard[rng.permutation(len(heard))]
        found.append(
            Measurement(
                f"{name}: probes of clean estimates against estimators of their sound, correlation",
                correlation(said, heard),
                "",
                {SHUFFLED_PROMPTS: correlation(said, mixed)},
                tap=tap,
            )
        )
    for name, reading in teaching.readings.items():
        nulls = {key: scores["accuracy"] for key, scores in reading.controls.items()}
        scores = reading.scores
        found.append(
            Measurement(
                f"{name} from clean latents: accuracy of its probe",
                scores.values["accuracy"],
                "",
                nulls,
                scores.intervals["accuracy"],
                tap=tap,
            )
        )
    return found


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's correlation over what is known in both; NaN with fewer than ten."""
    from scipy.stats import spearmanr

    known = np.isfinite(a) & np.isfinite(b)
    if known.sum() < 10 or np.ptp(a[known]) == 0 or np.ptp(b[known]) == 0:
        return float("nan")
    return float(spearmanr(a[known], b[known]).statistic)
