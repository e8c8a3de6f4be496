"""Do real sounds move a layer in fewer directions than noise, and why?"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from pydantic import Field

from auscult.analyses.base import (
    ANALYSES,
    BASE,
    RANDOM,
    Analysis,
    Condition,
    Context,
    Judgement,
    Measurement,
    Result,
)
from auscult.analyses.parts.answering import (
    NOTHING_TO_MEASURE,
    Gathered,
    JudgedBy,
    in_turn,
    missing_blocks,
    page,
)
from auscult.analyses.parts.reading import Moves, chosen_dictionary, drawn_moves
from auscult.blocks import Axis, Bars, Block, Curve, Series, Verdict
from auscult.core.config import Config
from auscult.core.rng import named_rng
from auscult.dictionaries.base import Dictionary
from auscult.measures.concentration import (
    Concentration,
    concentration,
    ratio_interval,
    root_mean_square,
)
from auscult.measures.usage import active_fraction

REAL, WHITE, FLAT, SINE = "real", "noise", "flat", "sine"
PHASES, SHUFFLED = "phase-randomised", "time-shuffled"
_SOUNDS = (WHITE, FLAT, SINE, PHASES, SHUFFLED)
_CONDITIONS = {
    REAL: BASE,
    **{sounds: Condition(sounds=sounds) for sounds in _SOUNDS},
    "real, random weights": RANDOM,
    "noise, random weights": Condition(weights="random", sounds=WHITE),
}
_REAL_RANDOM, _NOISE_RANDOM = "real, random weights", "noise, random weights"
_THRESHOLDS = np.geomspace(1e-4, 1, 61)
_FEWEST = 30
_NAN = float("nan")
OWN, REALS = "own", "real"


class DataControlParams(Config):
    """Settings of the control of data."""

    dictionary: str | None = None
    """Which archetypes; none: the first dictionary fitted to generators."""
    reading: JudgedBy = "sound"
    """Judge each input by archetypes of its own and against every control; or, as published, all
    inputs by the archetypes of the real sounds, and the ratio alone."""
    least_ratio: float = Field(1.5, gt=1)
    """Noise spreads more when it needs this many times as many archetypes."""
    alike: float = Field(1.1, gt=1)
    """A control explains the ratio when its own comes within this factor of it."""
    still_db: float = -40.0
    """An input that moves the layer less than this, in dB re real sounds, does not move it."""
    most_vectors: int = Field(30_000, ge=100)
    """Test generators looked at under each condition."""


@ANALYSES.register("data-control")
class DataControl(Analysis):
    """Concentration of usage for real sounds, noise, constants, sines and scrambled sounds.

    Each input is measured with archetypes of its own and with those of the real sounds; generators
    are first brought to the level of the real ones, so that only their directions count.
    """

    Params: ClassVar[type[Config]] = DataControlParams
    title: ClassVar[str] = "Real sounds, noise and constants"
    question: ClassVar[str] = (
        "Do real sounds move a layer in fewer directions than noise, and what does it take?"
    )
    source: ClassVar[str] = "METHODS A-15 (Cosme-Clifford, Post 1, §1.5.4, Fig. 8)"
    version: ClassVar[int] = 2

    @classmethod
    def controls(cls, params: DataControlParams) -> tuple[Condition, ...]:  # noqa: ARG003
        """Other sounds; and random weights on real sounds and on noise."""
        return tuple(condition for condition in _CONDITIONS.values() if condition != BASE)

    def run(self, context: Context, params: DataControlParams) -> Result:
        """Measure every input at every recorded tap."""
        name = chosen_dictionary(context, params.dictionary, "generators")
        gathered = Gathered(arrays={"thresholds": _THRESHOLDS})
        for tap in in_turn(context, context.taps):
            heard = _every(context, params, name, tap)
            gathered.judgements += [_spread(params, tap, heard), _flat(params, tap, heard)]
            gathered.measurements += _figures(tap, heard)
            for label, one in heard.items():
                if one.reason:
                    gathered.missing.append((tap, label, one.reason))
                for whose, found in one.found.items():
                    usage = found.coded.usage
                    key = f"{tap}/{whose}/{label}"
                    gathered.arrays[f"{key}/rank"] = np.sort(usage.top)[::-1]
                    gathered.arrays[f"{key}/active"] = active_fraction(usage.strong, _THRESHOLDS)
        taps, missing = list(context.taps), gathered.missing
        return gathered.judged_first({"taps": taps, "dictionary": name, "missing": missing})

    def view(self, result: Result) -> list[Block]:
        """Findings, both pictures of figure 8 for both sets of archetypes."""
        pictures = [one for tap in result.facts["taps"] for one in _pictures(result, tap)]
        return page(result, _HOW_TO_READ, [*pictures, *missing_blocks(result)])


_HOW_TO_READ = (
    "The published text describes the share of transitions that each archetype explains, by rank; "
    "the caption of the same figure describes the fraction of archetypes active above a threshold. "
    "Both are shown. An archetype explains a transition when it is on top; it is active in one "
    "when it carries a quarter of its norm.\n\n"
    "Archetypes fitted to real sounds suit real sounds: with them, other inputs spread for that "
    "alone. Archetypes of its own give each input the same chance. Phase-randomised sounds have "
    "the spectrum of the real ones and nothing else; where they are as concentrated, the spectrum "
    "explains it. Under random weights, real sounds and noise show what an untrained layer "
    "makes of them.\n\n"
    "A constant does not move a layer once its first frames have passed: what its archetypes "
    "would show is the edge. See how large its generators are."
)


@dataclass(frozen=True)
class _Heard:
    """One input at one tap, by its own archetypes and by those of real sounds.

    Attributes:
        found: By whose archetypes; empty where there is nothing to measure.
        rms: Root mean square of all its generators, standstill included.
        reason: Why something could not be measured.
    """

    found: Mapping[str, Concentration]
    rms: float
    reason: str = ""

    def n90(self, whose: str) -> float:
        return self.found[whose].n90 if whose in self.found else _NAN


def _every(context: Context, params: DataControlParams, name: str, tap: str) -> dict[str, _Heard]:
    real: Dictionary | None = None
    real_size = _NAN
    heard: dict[str, _Heard] = {}
    for label, condition in _CONDITIONS.items():
        level = heard[REAL].rms if label != REAL else _NAN
        try:
            moves = drawn_moves(context, tap, context.lag(name), params.most_vectors, condition)
            rms = root_mean_square(moves.values, moves.still_share)
            why = _too_still(params, moves, rms, level if condition.weights == "trained" else rms)
            if why:
                heard[label] = _Heard({}, rms, why)
                continue
            dictionary = context.dictionaries(name, tap, condition)[0]
        except NOTHING_TO_MEASURE as error:
            heard[label] = _Heard({}, _NAN, str(error))
            continue
        # Of those that move: standstill has no size that directions could be brought to.
        size = root_mean_square(moves.values)
        if label == REAL:
            real, real_size = dictionary, size
        rng = named_rng(context.seed, "data-control", tap, label)
        found = {OWN: concentration(dictionary, moves.values, moves.recording_ids, rng)}
        if real is not None and condition.weights == "trained":
            levelled = moves.values * np.float32(real_size / size)
            found[REALS] = concentration(real, levelled, moves.recording_ids, rng)
        heard[label] = _Heard(found, rms)
    return heard


def _too_still(params: DataControlParams, moves: Moves, rms: float, level: float) -> str:
    """Why generators are too few or too small to have directions, or nothing."""
    if len(moves.values) < _FEWEST:
        return f"only {len(moves.values)} of the drawn generators move"
    if np.isfinite(level) and rms < level * 10 ** (params.still_db / 20):
        below = 20 * np.log10(rms / level)
        return f"its generators lie {-below:.0f} dB below those of real sounds: rounding, or edges"
    return ""


def _ratio(heard: Mapping[str, _Heard], above: str, below: str, whose: str) -> float:
    one, other = heard[above].n90(whose), heard[below].n90(whose)
    return one / other if other > 0 else _NAN


def _spread(params: DataControlParams, tap: str, heard: Mapping[str, _Heard]) -> Judgement:
    """Noise spreads over more archetypes than real sounds (P1-12)."""
    sound = params.reading == "sound"
    whose, other = (OWN, REALS) if sound else (REALS, OWN)
    value = _ratio(heard, WHITE, REAL, whose)
    nulls = {
        "noise / real, random weights": _ratio(heard, _NOISE_RANDOM, _REAL_RANDOM, OWN),
        "noise / phase-randomised": _ratio(heard, WHITE, PHASES, whose),
        "noise / time-shuffled": _ratio(heard, WHITE, SHUFFLED, whose),
    }
    told = {OWN: "archetypes of their own", REALS: "archetypes of the real sounds"}
    rest = {f"noise / real, {told[other]}": _ratio(heard, WHITE, REAL, other)}
    rest["noise / sine"] = _ratio(heard, WHITE, SINE, whose)
    interval = None
    if np.isfinite(value):
        pair = (heard[name].found[whose].n90_resampled for name in (WHITE, REAL))
        interval = ratio_interval(*pair)
    verdict: Verdict = "holds"
    if not np.isfinite(value):
        verdict = "cannot be tested here"
    elif value < params.least_ratio:
        verdict = "does not hold"
    elif sound and any(null * params.alike >= value for null in nulls.values()):
        verdict = "explained by control"
    numbers = [heard[name].n90(whose) for name in (REAL, WHITE)]
    return Judgement(
        f"{tap}: 90 % of the transitions need {numbers[0]:.0f} {told[whose]} for real sounds, "
        f"{numbers[1]:.0f} for noise."
        if np.isfinite(value)
        else f"{tap}: how far noise and real sounds spread cannot be compared.",
        Measurement(
            f"N90 of noise over N90 of real sounds, {told[whose]}",
            value,
            "",
            nulls | rest,
            interval,
            "about 2.5: 50 against 20 (P1, Fig. 8)",
            tap,
        ),
        verdict,
        heard[REAL].reason
        or heard[WHITE].reason
        or f"It holds when the ratio is at least {params.least_ratio:g}"
        + (
            f"; a control explains it that comes within a factor of {params.alike:g}: random "
            "weights, or what keeps the spectrum or the samples of the real sounds."
            if sound
            else "."
        ),
        "P1-12",
    )


def _flat(params: DataControlParams, tap: str, heard: Mapping[str, _Heard]) -> Judgement:
    """A constant collapses into one direction, if it moves anything (A-15).

    Under no claim: P1-12 is about noise, and that a constant collapses is no finding.
    """
    flat, real = heard[FLAT], heard[REAL]
    value = flat.rms / real.rms if real.rms > 0 and np.isfinite(flat.rms) else _NAN
    n90 = flat.n90(OWN)
    verdict: Verdict = "holds" if n90 <= 1 else "does not hold"
    if not np.isfinite([n90, value]).all():
        verdict = "cannot be tested here"
    sentence = f"a constant moves the layer {value:.2g} times as far as real sounds"
    if not np.isfinite(value):
        sentence = "how far a constant moves the layer is not known"
    if np.isfinite(n90):
        sentence += f", and needs {n90:.0f} archetypes for 90 % of the transitions"
    return Judgement(
        f"{tap}: {sentence}.",
        Measurement(
            "‖g‖ of a constant re real sounds, root mean square",
            value,
            "",
            {
                name: one.rms / real.rms if real.rms > 0 else _NAN
                for name, one in heard.items()
                if name not in (FLAT, REAL)
            },
            published="collapses into one direction (P1, Fig. 8)",
            tap=tap,
        ),
        verdict,
        flat.reason
        or real.reason
        or "It holds when one archetype is on top in 90 % of the transitions; what moves less than "
        f"{params.still_db:g} dB re real sounds has no direction to speak of.",
    )


def _figures(tap: str, heard: Mapping[str, _Heard]) -> list[Measurement]:
    """Every number of real sounds beside those of the other inputs."""
    found = []
    for whose, told in ((OWN, "own archetypes"), (REALS, "archetypes of real sounds")):
        known = {k: one.found[whose].figures() for k, one in heard.items() if whose in one.found}
        for name, value in known.get(REAL, {}).items():
            others = {k: values[name] for k, values in known.items() if k != REAL}
            controls = others or {WHITE: _NAN}
            if whose == OWN or ("dimension" not in name and "rank" not in name):
                found.append(Measurement(f"{name} ({told})", value, "", controls, tap=tap))
    return found


def _pictures(result: Result, tap: str) -> list[Block]:
    blocks: list[Block] = []
    for whose, told in ((OWN, "archetypes of each input"), (REALS, "archetypes of real sounds")):
        start = f"{tap}/{whose}/"
        known = {k.removeprefix(start): v for k, v in result.arrays.items() if k.startswith(start)}
        ranked = {k.removesuffix("/rank"): v for k, v in known.items() if k.endswith("/rank")}
        active = {k.removesuffix("/active"): v for k, v in known.items() if k.endswith("/active")}
        if not ranked:
            continue
        ranks = np.arange(1, 1 + max(len(values) for values in ranked.values()))
        blocks += [
            Curve(
                f"{tap}: transitions explained, by rank, {told} (P1, Fig. 8, text)",
                ranks,
                tuple(
                    Series(label, y, ranks[: len(y)], control=label != REAL)
                    for label, y in ranked.items()
                ),
                Axis("rank of the archetype", "", "log"),
                Axis("share of transitions with it on top"),
            ),
            Curve(
                f"{tap}: archetypes active above a threshold, {told} (P1, Fig. 8, caption)",
                result.arrays["thresholds"],
                tuple(Series(label, y, control=label != REAL) for label, y in active.items()),
                Axis("share of transitions in which it is active", "", "log"),
                Axis("fraction of archetypes above it"),
            ),
        ]
    flat = next(one for one in result.measurements if one.tap == tap and "constant" in one.name)
    levels = {REAL: 1.0, FLAT: flat.value, **flat.controls}
    sizes = Bars(
        f"{tap}: how far each input moves the layer",
        tuple(levels),
        np.array(list(levels.values())),
        Axis("input"),
        Axis("‖g‖ re real sounds, root mean square"),
    )
    return [*blocks, sizes]
