"""How the course of a generation is judged, and its numbers."""

from collections.abc import Mapping, Sequence

import numpy as np

from auscult.analyses.base import Judgement, Measurement
from auscult.analyses.parts.answering import untested
from auscult.analyses.parts.generation.course import Course, Taught
from auscult.blocks import Verdict
from auscult.core.numbers import number
from auscult.core.rng import named_rng
from auscult.measures.convergence import Lead, settled
from auscult.measures.course import expected
from auscult.measures.probes import MAJORITY, SHUFFLED

STRAIGHT = "straight line from noise to result"
SHUFFLED_PROMPTS = "prompts shuffled"
PLACES = {"states": "states", "estimates": "clean estimates", "heard": "sound of clean estimates"}
PK_04 = ("pitch", "centroid", "loudness")
"""The published order (arXiv 2510.23802): pitch, timbre, amplitude."""

_WANTED = ((PK_04[0], PK_04[1]), (PK_04[1], PK_04[2]), (PK_04[0], PK_04[2]))
_ORDER_RULE = (
    "Pitch must settle before centroid and centroid before loudness, each significantly over "
    "prompts (Wilcoxon's signed-rank test, Holm-adjusted over all pairs of concepts) and by more "
    "than on the straight line; and by the same test in what is heard of decoded estimates, at the "
    "steps that are decoded."
)
_PUBLISHED = "pitch by step 21, timbre by 25 of 32, amplitude not by the end (arXiv 2510.23802)"
_FEWEST_PROMPTS = 8
_READ_BY = "balanced accuracy"
"""Whether a concept is read: classes are uneven (silence, the loudest bin), and must not decide."""


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
    tap: str,
    teaching: Taught,
    steps: Mapping[str, Mapping[str, np.ndarray]],
    order: Mapping[str, list[Lead]],
) -> Judgement:
    """PK-04: pitch, then timbre, then amplitude, in states and in decoded estimates.

    Args:
        tap: Of the latents.
        teaching: The probes.
        steps: When each concept settles, by place, concept and prompt.
        order: Every pair of concepts, by place; p-values are Holm-adjusted within a place.
    """
    unread = _unread(teaching)
    if unread:
        return untold(tap, f"no probe reads {', '.join(unread)} better than its nulls")
    (first, second, whole), (ears_first, ears_second, _) = (
        [_lead(order[place], *pair) for pair in _WANTED] for place in ("states", "heard")
    )
    if any(one is None or one.n_prompts < _FEWEST_PROMPTS for one in (first, second, whole)):
        return untold(tap, f"fewer than {_FEWEST_PROMPTS} prompts moved in both concepts of a pair")
    if whole is None:
        return untold(tap, "pitch and loudness never moved together")
    beyond = all(one is not None and one.beyond_null for one in (first, second))
    verdict: Verdict = "does not hold"
    if _led_by(first, PK_04[0]) and _led_by(second, PK_04[1]):
        verdict = "does not hold" if beyond else "explained by control"
        if beyond and _led_by(ears_first, PK_04[0]) and _led_by(ears_second, PK_04[1]):
            verdict = "holds"
    sign = 1.0 if whole.first == PK_04[0] else -1.0
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
    told = ", ".join(f"{k} at step {float(np.nanmean(steps['states'][k])):.1f}" for k in PK_04)
    heard = "; ".join(
        f"{pair[0]} before {pair[1]}: {_by(one, pair[0])}"
        for one, pair in ((ears_first, _WANTED[0]), (ears_second, _WANTED[1]))
    )
    sentence = f"In states {told}; heard in decoded estimates, {heard}."
    return Judgement(sentence, measured, verdict, _ORDER_RULE, "PK-04")


def _unread(teaching: Taught) -> list[str]:
    """Concepts of the claim that no probe reads, or none better than its nulls."""
    lacking = [name for name in PK_04 if name not in teaching.readings]
    blind = [
        name
        for name in PK_04
        if name not in lacking
        and not teaching.readings[name].scores.intervals[_READ_BY][0]
        > max(teaching.readings[name].controls[k][_READ_BY] for k in (MAJORITY, SHUFFLED))
    ]
    return lacking + blind


def _lead(order: Sequence[Lead], first: str, then: str) -> Lead | None:
    """A pair of concepts, whichever of them leads."""
    return next((one for one in order if {one.first, one.then} == {first, then}), None)


def _led_by(one: Lead | None, first: str) -> bool:
    return one is not None and one.first == first and one.is_significant


def _by(one: Lead | None, first: str) -> str:
    """By how many steps a concept led, with its test."""
    if one is None:
        return "never both heard to move"
    lead = one.lead if one.first == first else -one.lead
    return f"by {lead:z.1f} steps (p = {number(one.p, 2)})"


def trusted(tap: str, course: Course, edge: float) -> Judgement:
    """Are the states on the way like what probes were trained on?

    Args:
        tap: Of the latents.
        course: What was seen.
        edge: Ratio of distances below which 95 % of held-out recordings lie.
    """
    state, estimate = (course.strange[place].mean(0) for place in ("state", "estimate"))
    n_steps = len(state) - 1
    beyond = np.flatnonzero(state > edge)
    last = int(beyond[-1]) if len(beyond) else -1
    measurement = Measurement(
        "distance of states from the probes' training, mean over the steps before the result",
        float(state[:-1].mean()),
        "times that of held-out latents",
        {
            "95 % of held-out recordings": edge,
            "clean estimates": float(estimate[:-1].mean()),
            "the result itself": float(state[-1]),
        },
        tap=tap,
    )
    told = f"States are {state[0]:.1f} times as far from the probes' training as held-out latents "
    told += f"at first and {state[-1]:.1f} times at the result; "
    told += (
        f"up to step {last} they are beyond the edge." if last >= 0 else "never beyond the edge."
    )
    return Judgement(
        told,
        measurement,
        "holds" if last < n_steps // 2 else "does not hold",
        "A probe is believed where states lie, on average over prompts, within the distance of "
        "95 % of held-out recordings; that must be so from half-way on, at the latest.",
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
        nulls = {key: scores[_READ_BY] for key, scores in reading.controls.items()}
        scores = reading.scores
        found.append(
            Measurement(
                f"{name} from clean latents: balanced accuracy of its probe",
                scores.values[_READ_BY],
                "",
                nulls,
                scores.intervals[_READ_BY],
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
