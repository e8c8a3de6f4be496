"""How claims about concepts are judged, whoever has read them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from auscult.analyses.base import Judgement, Measurement
from auscult.analyses.parts.answering import untested
from auscult.analyses.parts.concepts.labelling import PUBLISHED
from auscult.blocks import Verdict
from auscult.measures.probe_scores import joint_accuracies
from auscult.measures.probes import MAJORITY, SHUFFLED

RANGES = {"pitch": "0.75 to 0.87", "loudness": "0.17 to 0.63", "centroid": "0.17 to 0.46"}
"""Published accuracies over encoders and sparsities (METHODS C-5)."""

UNTRAINED = "features of the untrained dictionary"
RANDOM_TWIN = "the same, random weights"


@dataclass(frozen=True)
class Read:
    """How accurately a concept is read.

    Attributes:
        accuracy: Share of test frames.
        majority: Of its majority class.
        shuffled: Of a probe of shuffled labels.
        untrained: From an untrained dictionary; NaN where there is none.
        interval: Bootstrap interval of the accuracy over recordings, where there is one.
        tallies: Rows and rows read rightly, by recording.
    """

    accuracy: float
    majority: float
    shuffled: float
    untrained: float = float("nan")
    interval: tuple[float, float] | None = None
    tallies: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def skill(self) -> float:
        """Of what the majority class leaves, the share that is read."""
        return (self.accuracy - self.majority) / max(1 - self.majority, 1e-9)

    @property
    def highest_null(self) -> float:
        """What must be exceeded; NaN where there is no untrained dictionary."""
        nulls = (self.majority, self.shuffled, self.untrained)
        return math.nan if any(map(math.isnan, nulls)) else max(nulls)


def pitch_first(tap: str, seen: str, scores: Mapping[str, Read]) -> Judgement:
    """PK-01: is pitch read best, and still above its own majority class?"""
    known = {name: scores[name] for name in PUBLISHED if name in scores}
    if len(known) < len(PUBLISHED):
        return untold(tap, "PK-01", "pitch, loudness and centroid were not all there to be read")
    pitch, others = known["pitch"], [known["loudness"], known["centroid"]]
    first = all(pitch.accuracy > one.accuracy for one in others)
    above = all(pitch.skill > one.skill for one in others)
    verdict: Verdict = "holds" if first and above else "does not hold"
    if first and not above:
        verdict = "explained by control"
    nulls = {f"majority class, {name}": one.majority for name, one in known.items()}
    nulls |= {name: known[name].accuracy for name in ("loudness", "centroid")}
    measured = Measurement(
        f"pitch from {seen}: accuracy",
        pitch.accuracy,
        "",
        nulls,
        pitch.interval,
        "0.75 to 0.87, above amplitude and timbre (arXiv 2510.23802)",
        tap,
    )
    told = ", ".join(
        f"{name} {one.accuracy:.2f} (majority {one.majority:.2f})" for name, one in known.items()
    )
    reason = (
        "Pitch must have the highest accuracy, and the highest share of what its own majority "
        "class leaves."
    )
    return Judgement(f"{tap}: from {seen}, {told}.", measured, verdict, reason, "PK-01")


def aligned(
    tap: str, candidates: Sequence[tuple[str, str, Read]], rng: np.random.Generator
) -> Judgement:
    """PK-01b: do trained features give away more than untrained ones?

    As the best of several readings is told, intervals hold for all of them at once.

    Args:
        tap: Where.
        candidates: Name of the dictionary, published concept, and how it is read.
        rng: Draws the test recordings.
    """
    if not candidates:
        return untold(tap, "PK-01b", "no published concept was read from a dictionary")
    reads = [one for _, _, one in candidates]
    lows, highs = joint_accuracies([one.tallies for one in reads], rng)
    gains = lows - np.array([one.highest_null for one in reads])
    told = np.flatnonzero(np.isfinite(gains))
    if not len(told):
        return untold(tap, "PK-01b", "one test recording leaves no interval: give more sounds")
    place = int(max(told, key=lambda i: gains[i]))
    if gains[place] <= 0:  # none gains: show what is read best
        place = int(max(told, key=lambda i: reads[i].skill))
    name, concept, best = candidates[place]
    verdict: Verdict = "holds" if gains[place] > 0 else "explained by control"
    if best.accuracy <= max(best.majority, best.shuffled):
        verdict = "does not hold"
    measured = Measurement(
        f"{concept} from {name}: accuracy",
        best.accuracy,
        "",
        {UNTRAINED: best.untrained, MAJORITY: best.majority, SHUFFLED: best.shuffled},
        (float(lows[place]), float(highs[place])),
        f"{RANGES[concept]} (arXiv 2510.23802)",
        tap,
    )
    return Judgement(
        f"{tap}: {concept} is read from {name} at {best.accuracy:.2f}, untrained at "
        f"{best.untrained:.2f}.",
        measured,
        verdict,
        "Some published concept must be read from trained features more accurately, with the "
        "whole interval, than from the untrained dictionary, the majority class and a probe of "
        f"shuffled labels. {_looked_at(len(told))}",
        "PK-01b",
    )


def _looked_at(n: int) -> str:
    if n == 1:
        return "One reading was looked at."
    return (
        f"The best of {n} readings is told, and the interval is one that holds for all {n} at once "
        "(largest deviation of any under the same draws of the recordings)."
    )


def of_its_own(tap: str, trained: Read, random: Read) -> Judgement:
    """PK-05: is how well amplitude is read from latents a character that training gave?

    Args:
        tap: A latent.
        trained: Loudness, read from its response vectors.
        random: The same under random weights.
    """
    ends = (*(trained.interval or (math.nan,)), *(random.interval or (math.nan,)))
    if trained.interval is None or random.interval is None or not all(map(math.isfinite, ends)):
        return untold(tap, "PK-05", "loudness was not read under both weights")
    above = trained.interval[0] > random.interval[1]
    below = trained.interval[1] < random.interval[0]
    verdict: Verdict = "holds" if above or below else "explained by control"
    if trained.interval[0] <= max(trained.majority, trained.shuffled):
        verdict = "does not hold"
    side = "better" if above else "worse" if below else "no differently"
    measured = Measurement(
        "loudness from response vectors: accuracy",
        trained.accuracy,
        "",
        {
            RANDOM_TWIN: random.accuracy,
            MAJORITY: trained.majority,
            SHUFFLED: trained.shuffled,
        },
        trained.interval,
        "amplitude: EnCodec 0.56 to 0.63, DiffRhythm-VAE 0.17 to 0.40, WavTokenizer 0.17 to 0.30",
        tap,
    )
    return Judgement(
        f"{tap}: amplitude is read {side} than from the same encoder under random weights.",
        measured,
        verdict,
        "Amplitude must be read, and the intervals of trained and random weights must not meet; "
        "else the architecture has that character without training.",
        "PK-05",
    )


_UNTOLD = {
    "PK-01": ("what is read best cannot be told", "pitch: accuracy", MAJORITY),
    "PK-01b": ("features were not compared", "gain over untrained features", UNTRAINED),
    "PK-05": ("the encoder's character cannot be told", "loudness: accuracy", RANDOM_TWIN),
    "PK-02": ("widths were not compared", "fall per step of width", UNTRAINED),
}


def untold(tap: str, claim: str, reason: str) -> Judgement:
    """Say that a claim about concepts cannot be tested at a tap, and why."""
    sentence, name, null = _UNTOLD[claim]
    return untested(f"{tap}: {sentence}.", reason, claim, name, tap, [null])
