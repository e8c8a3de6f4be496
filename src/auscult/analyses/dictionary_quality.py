"""How good is each dictionary, and how much of that is owed to what it learned?"""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from auscult.analyses.base import (
    ANALYSES,
    Analysis,
    Condition,
    Context,
    Judgement,
    Measurement,
    Result,
    Spread,
)
from auscult.analyses.parts.answering import DRAWN, Gathered, guided, untested
from auscult.analyses.parts.dictionaries.lineup import (
    AT_L0,
    BASELINES,
    FROZEN,
    KINDS,
    ResampledParams,
    opponent,
    tap_by_tap,
)
from auscult.analyses.parts.dictionaries.quality_pictures import pictures
from auscult.analyses.parts.dictionaries.standing import (
    CONDITIONS,
    FIGURES,
    Asked,
    Controlled,
    Measured,
    fact,
    lines_beside,
    measure_entries,
    scorecard,
)
from auscult.blocks import Block, Verdict
from auscult.core.config import Config
from auscult.measures.null_dictionaries import SHAPED
from auscult.measures.quality import Quality, interval_of

_AUDIOSAE = "> 50 % (AudioSAE, arXiv 2602.05027)"


class DictionaryQualityParams(ResampledParams):
    """Settings of the analysis of dictionaries' quality."""

    most_vectors: int = Field(60_000, ge=100)
    """Vectors of the test side that are looked at, from as many clips as there are."""
    conditions: tuple[Controlled, ...] = ("random weights", "noise")
    """Control conditions under which every learned dictionary is fitted again, by one seed."""
    threshold: float = Field(0.7, gt=0, lt=1)
    """Cosine from which a feature counts as found again under another seed."""


@ANALYSES.register("dictionary-quality")
class DictionaryQuality(Analysis):
    """Fidelity, sparsity, use, dwell time and agreement of every dictionary of the spec.

    Each learned dictionary stands beside sparse dictionaries of its width whose decoder or encoder
    kept its random start, random directions and principal components, all read at its own l0, and
    beside itself fitted to untrained weights and to noise.
    """

    Params: ClassVar[type[Config]] = DictionaryQualityParams
    version: ClassVar[int] = 2
    title: ClassVar[str] = "Quality of the dictionaries"
    question: ClassVar[str] = "How well do dictionaries describe a tap, and what of it is learned?"
    source: ClassVar[str] = "METHODS §8.2 (SAEBench; Korznikov et al. 2026; AudioSAE)"

    @classmethod
    def controls(cls, params: DictionaryQualityParams) -> tuple[Condition, ...]:
        """Untrained weights and noise, as asked for."""
        return tuple(CONDITIONS[name] for name in params.conditions)

    def run(self, context: Context, params: DictionaryQualityParams) -> Result:
        """Measure every dictionary at every tap."""
        asked = Asked(params.most_vectors, params.conditions, params.threshold, params.n_resamples)
        gathered = Gathered()
        rows: list[dict[str, Any]] = []
        for tap, entries in tap_by_tap(context, gathered, KINDS):
            found, missing = measure_entries(context, asked, tap, entries)
            logs = {it.entry.name: context.training_logs(it.entry.name, tap) for it in found}
            gathered.missing += missing
            gathered.judgements += _judgements(params, tap, found)
            gathered.measurements += [
                one for it in found if it.learned for one in _numbers(tap, it, found)
            ]
            gathered.blocks += pictures(tap, found, logs, params.threshold)
            rows += [fact(tap, it) for it in found]
            gathered.cards |= {f"{tap} {it.entry.name}": scorecard(tap, it) for it in found}
        return gathered.result({"dictionaries": rows, "missing": gathered.missing})

    def view(self, result: Result) -> list[Block]:
        """Findings, a warning where baselines lack, pictures tap by tap."""
        return guided(result, _HOW_TO_READ)


_HOW_TO_READ = (
    "A sparse dictionary is good when it leaves little variance unexplained (fvu) with few "
    "features on at once (l0): the lower left of the first picture. Wider dictionaries get there "
    "by themselves, so learned ones are compared with baselines of their width, read at their own "
    "l0 between the two nearest. A decoder that keeps its random start shows what the encoder "
    "alone achieves, a frozen encoder what the decoder does, random directions with a pursuit what "
    "choosing well does. Principal components are the best that few directions can do without "
    "choosing anew for every frame.\n\n"
    "Intervals are bootstraps over recordings, the same draws for every dictionary, so that "
    "differences are paired. A dictionary fitted to untrained weights describes other vectors: its "
    "fvu says how much of the figure the architecture gives, not which of the two is better.\n\n"
    "Dwell time is the mean length of a run of frames in which a feature is on. Frames whose spans "
    "overlap are alike by themselves; read it against the same frames in random order, and against "
    "untrained weights."
)


def _numbers(tap: str, one: Measured, found: Sequence[Measured]) -> list[Measurement]:
    """Every figure of a learned dictionary with the same of its baselines and controls."""
    lines = lines_beside(one, found)
    numbers = []
    for figure, (words, unit) in FIGURES.items():
        controls = {
            AT_L0.format(role): sum(weight * it.value(figure) for it, weight in parts)
            for role, parts in lines.items()
        }
        controls |= {name: quality.value(figure) for name, quality in one.controls.items()}
        if figure == "dwell_s":
            controls["frames in random order"] = one.value("dwell_shuffled_s")
        if not controls:
            controls["no baseline at this l0"] = float("nan")
        name = f"{one.entry.name}: {words}"
        interval = one.interval(figure)
        numbers.append(Measurement(name, one.value(figure), unit, controls, interval, tap=tap))
    if one.agreement:
        numbers.append(_found_again(tap, one, found))
    return numbers


def _found_again(tap: str, one: Measured, found: Sequence[Measured]) -> Measurement:
    controls = {SHAPED: one.chance}
    for role, parts in lines_beside(one, found).items():
        if role in FROZEN and all(it.agreement for it, _ in parts):
            controls[AT_L0.format(role)] = sum(weight * it.found_again for it, weight in parts)
    spread = Spread.over(one.agreement, "pairs of seeds")
    name = f"{one.entry.name}: share of features found again under another seed"
    return Measurement(name, one.found_again, "", controls, None, _AUDIOSAE, tap, spread)


def _judgements(
    params: DictionaryQualityParams, tap: str, found: Sequence[Measured]
) -> list[Judgement]:
    learned = [one for one in found if one.learned]
    told = [_beats(tap, role, learned, found) for role in BASELINES]
    told += [_stable(params, tap, learned, found)]
    if learned:
        told.append(_lasting(tap, learned))
    return told


def _beats(
    tap: str, role: str, learned: Sequence[Measured], found: Sequence[Measured]
) -> Judgement:
    """Does what was learned leave less unexplained than a baseline? Of frozen ones: KO-03."""
    claim = "KO-03" if role in FROZEN else ""
    name = "fraction of variance unexplained, mean over learned dictionaries"
    control = AT_L0.format(role)
    pairs = [
        (one, lines_beside(one, found)[role]) for one in learned if role in lines_beside(one, found)
    ]
    if not pairs:
        why = f"no {role} of the width and l0 of a learned dictionary is in the spec."
        sentence = f"{tap}: whether learned dictionaries beat {opponent(role)} cannot be told."
        return untested(sentence, why, claim, name, tap, [control])
    values = np.array([one.value("fvu") for one, _ in pairs])
    others = np.array([sum(w * it.value("fvu") for it, w in line) for _, line in pairs])
    own = np.mean([one.resampled("fvu") for one, _ in pairs], axis=0)
    theirs = np.mean(
        [np.sum([w * it.resampled("fvu") for it, w in line], axis=0) for _, line in pairs], axis=0
    )
    gain = interval_of(theirs - own)
    measured = Measurement(
        name, float(values.mean()), "", {control: float(others.mean())}, interval_of(own), tap=tap
    )
    verdict: Verdict = "cannot be tested here"
    if gain is not None:
        low, high = gain
        verdict = "holds" if low > 0 else "explained by control" if high >= 0 else "does not hold"
    shown = "" if gain is None else f" (difference {gain[0]:.3g} to {gain[1]:.3g})"
    n_better = int((values < others).sum())
    return Judgement(
        f"{tap}: {n_better} of {len(pairs)} learned dictionaries leave less unexplained than "
        f"{opponent(role)}: {values.mean():.3g} against {others.mean():.3g}{shown}.",
        measured,
        verdict,
        "It holds when the whole interval of the paired difference, over recordings, lies on the "
        "learned side; it is explained by the control when the interval holds 0. The mean over all "
        "learned dictionaries is judged, not the best of them, and a claim must hold beside every "
        "baseline: so there is nothing to correct for their number.",
        claim,
    )


def _stable(
    params: DictionaryQualityParams,
    tap: str,
    learned: Sequence[Measured],
    found: Sequence[Measured],
) -> Judgement:
    """AS-01: are most features found again, and more than chance finds?"""
    pairs = [one for one in learned if one.agreement]
    name = "share of features found again under another seed, mean over dictionaries"
    if not pairs:
        sentence = f"{tap}: whether seeds agree cannot be told."
        why = "one seed was fitted, or no feature is on; give two or more in train.seeds."
        return untested(sentence, why, "AS-01", name, tap, [SHAPED], _AUDIOSAE)
    numbers = [_found_again(tap, one, found) for one in pairs]
    controls = {
        key: float(np.mean([one.controls[key] for one in numbers if key in one.controls]))
        for key in dict.fromkeys(key for one in numbers for key in one.controls)
    }
    value = float(np.mean([one.value for one in numbers]))
    spread = Spread.over([one.value for one in numbers], "dictionaries")
    measured = Measurement(name, value, "", controls, None, _AUDIOSAE, tap, spread)
    chance = max(controls.values())
    verdict: Verdict = "does not hold" if value <= 0.5 else "holds"
    if verdict == "holds" and value <= chance + 0.05:
        verdict = "explained by control"
    return Judgement(
        f"{tap}: {value:.0%} of the features of learned dictionaries are found again under another "
        f"seed at a cosine of {params.threshold:g}.",
        measured,
        verdict,
        "It holds above one half, and 5 points above random vectors of the data's covariance and "
        "above every frozen baseline. Atoms are compared and no sounds, so there is no interval "
        "over recordings. The threshold is ours: how the paper counts is not known to us.",
        "AS-01",
    )


def _lasting(tap: str, learned: Sequence[Measured]) -> Judgement:
    """Do features stay on for longer than frames in random order give, and untrained weights?"""
    shuffled = "frames in random order"
    ratios = [one.resampled("dwell_s") / one.resampled("dwell_shuffled_s") for one in learned]
    interval = interval_of(np.mean(ratios, axis=0))
    value = float(np.mean([_lasts(one.qualities[0]) for one in learned]))
    controls = {shuffled: 1.0}
    for name in dict.fromkeys(name for one in learned for name in one.controls):
        there = [_lasts(one.controls[name]) for one in learned if name in one.controls]
        controls[name] = float(np.mean(there))
    words = "dwell time over that of frames in random order, mean over learned dictionaries"
    verdict: Verdict = "cannot be tested here"
    if interval is not None:
        nulls = [controls.get(name, 1.0) for name in (shuffled, DRAWN)]
        verdict = "does not hold" if interval[1] < 1 else "explained by control"
        verdict = "holds" if interval[0] > np.nanmax(nulls) else verdict
    return Judgement(
        f"{tap}: features stay on {value:.2g} times as long as in frames in random order.",
        Measurement(words, value, "", controls, interval, tap=tap),
        verdict,
        "It holds when the whole interval exceeds 1 and the ratio under untrained weights, whose "
        "frames overlap as much.",
    )


def _lasts(quality: Quality) -> float:
    shuffled = quality.dwell_shuffled_s
    return quality.dwell_s / shuffled if shuffled > 0 else float("nan")
