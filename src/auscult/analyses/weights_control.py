"""Is the movement of a trained layer sparser than that of layers which nobody trained?"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from pydantic import Field

from auscult.analyses.base import (
    ANALYSES,
    NOISE,
    Analysis,
    Condition,
    Context,
    ControlWeights,
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
from auscult.analyses.parts.reading import (
    chosen_dictionary,
    drawn_moves,
    spread_over_recordings,
)
from auscult.blocks import Axis, Bars, Block, Curve, Series, Verdict
from auscult.core.config import Config
from auscult.core.rng import named_rng
from auscult.measures.concentration import (
    Concentration,
    concentration,
    ratio_interval,
    root_mean_square,
)
from auscult.measures.dynamics import generator_autocorrelation

TRAINED, DRAWN, SHUFFLED = "trained", "random", "shuffled"
RANDOM_MATCHED, RARE, RARE_MATCHED, TAIL = "random-matched", "rare", "rare-matched", "tail"
_WEIGHTS: tuple[ControlWeights, ...] = (
    "random",
    "shuffled",
    "random-matched",
    "rare",
    "rare-matched",
    "tail",
)
_TOLD = {
    TRAINED: "trained",
    DRAWN: "random",
    SHUFFLED: "shuffled",
    RANDOM_MATCHED: "random, singular values matched",
    RARE: "handcrafted for rare shapes",
    RARE_MATCHED: "handcrafted, singular values matched",
    TAIL: "patches from the tail of the sounds",
}
_SEED = "trained, another seed"
_ON_NOISE = "trained, white noise"
_FEWEST = 30
_NAN = float("nan")


class WeightsControlParams(Config):
    """Settings of the control of weights."""

    dictionary: str | None = None
    """Which archetypes; none: the first dictionary fitted to generators."""
    reading: JudgedBy = "sound"
    """Compare layers at the trained one's singular values, or, as published, as they come."""
    alike: float = Field(1.25, gt=1)
    """Numbers of archetypes within this factor of one another count as alike, beyond it as more."""
    margin: float = Field(0.05, ge=0)
    """A motion is less coherent when its autocorrelation is lower by this."""
    most_vectors: int = Field(30_000, ge=100)
    """Test generators looked at under each condition."""
    n_clips: int = Field(6, ge=1)
    """Test clips whose every frame is computed for the autocorrelation of generators."""
    most_frames: int = Field(8_000, ge=10)
    """Frames taken from each of them."""


@ANALYSES.register("weights-control")
class WeightsControl(Analysis):
    """The same pipeline with first layers that were trained, drawn, shuffled and handcrafted.

    Each condition has archetypes of its own. Handcrafted filters stand for waveform shapes that are
    rare in the sounds. Where only the first layer is replaced, two of the replacements also have
    the trained layer's singular values: without that, how well conditioned the layers are would be
    compared. Below the first layer's tap the rest of the network is the trained one's.
    """

    Params: ClassVar[type[Config]] = WeightsControlParams
    title: ClassVar[str] = "Trained, random and handcrafted weights"
    question: ClassVar[str] = (
        "Is the movement of a trained layer sparser than that of layers which nobody trained?"
    )
    source: ClassVar[str] = "METHODS A-14 (Cosme-Clifford, Post 1, §1.5.3)"
    version: ClassVar[int] = 2

    @classmethod
    def controls(cls, params: WeightsControlParams) -> tuple[Condition, ...]:  # noqa: ARG003
        """Other weights on the same sounds; and white noise, for coherence."""
        return (*(Condition(weights=weights) for weights in _WEIGHTS), NOISE)

    def run(self, context: Context, params: WeightsControlParams) -> Result:
        """Measure every condition at every recorded tap."""
        name = chosen_dictionary(context, params.dictionary, "generators")
        gathered = Gathered()
        for tap in in_turn(context, context.taps):
            heard = {w: _heard(context, params, name, tap, w) for w in (TRAINED, *_WEIGHTS)}
            seeds = _seeds(context, params, name, tap)
            gathered.judgements += [
                _concentrated(params, tap, heard, seeds),
                _coherent(context, params, tap, heard),
            ]
            gathered.measurements += _figures(tap, heard)
            for weights, one in heard.items():
                if one.found is None:
                    gathered.missing.append((tap, _TOLD[weights], one.reason))
                else:
                    shares = np.sort(one.found.coded.usage.top)[::-1]
                    gathered.arrays[f"{tap}/{_TOLD[weights]}"] = np.cumsum(shares)
        taps, missing = list(context.taps), gathered.missing
        return gathered.judged_first({"taps": taps, "dictionary": name, "missing": missing})

    def view(self, result: Result) -> list[Block]:
        """Findings, usage of every condition."""
        pictures = [one for tap in result.facts["taps"] for one in _pictures(result, tap)]
        return page(result, _HOW_TO_READ, [*pictures, *missing_blocks(result)])


_HOW_TO_READ = (
    "N90 is the number of archetypes on top in 90 % of the transitions; each condition has "
    "archetypes of its own, as many. A layer whose filters are nearly alike moves in few "
    "directions whatever they are filters for: read handcrafted against trained filters where both "
    "have the same singular values. The effective dimension of the generators says how much of the "
    "difference is a matter of dimensions.\n\n"
    "Coherence is the mean cosine of successive generators. Neighbouring frames share samples, so "
    "it is not 0 for white noise: the value there is what the filters alone give. Published "
    "without numbers or definitions of the filters."
)


@dataclass(frozen=True)
class _Heard:
    """One condition at one tap; where there is nothing to measure, only the reason."""

    reason: str = ""
    found: Concentration | None = None
    coherence: float = _NAN
    rms: float = _NAN

    @property
    def n90(self) -> float:
        return self.found.n90 if self.found else _NAN


def _heard(
    context: Context, params: WeightsControlParams, name: str, tap: str, weights: str
) -> _Heard:
    condition = Condition(weights=weights)  # type: ignore[arg-type]
    try:
        lag, most, told = context.lag(name), params.most_vectors, "of the drawn generators"
        moves = drawn_moves(context, tap, lag, most, condition, fewest=_FEWEST, told=told)
        dictionary = context.dictionaries(name, tap, condition)[0]
        coherence = _coherence(context, params, tap, condition)
    except NOTHING_TO_MEASURE as error:
        return _Heard(str(error))
    rms = root_mean_square(moves.values, moves.still_share)
    rng = named_rng(context.seed, "weights-control", tap, weights)
    found = concentration(dictionary, moves.values, moves.recording_ids, rng)
    return _Heard("", found, coherence, rms)


def _coherence(
    context: Context, params: WeightsControlParams, tap: str, condition: Condition
) -> float:
    """Autocorrelation of unit generators over whole stretches of some clips."""
    paths = [
        context.responses(tap, clip_id, condition).values[0, : params.most_frames].numpy()
        for clip_id in spread_over_recordings(context.clip_ids("test", condition), params.n_clips)
    ]
    return generator_autocorrelation(paths) if paths else _NAN


def _seeds(context: Context, params: WeightsControlParams, name: str, tap: str) -> dict[str, float]:
    """N90 of the trained layer's archetypes under the other seeds."""
    try:
        moves = drawn_moves(context, tap, context.lag(name), params.most_vectors, fewest=_FEWEST)
        others = context.dictionaries(name, tap)[1:]
    except NOTHING_TO_MEASURE:
        return {}
    rng = named_rng(context.seed, "weights-control", tap, "seeds")
    return {
        f"{_SEED} ({place})": concentration(one, moves.values, moves.recording_ids, rng).n90
        for place, one in enumerate(others, 1)
    }


def _concentrated(
    params: WeightsControlParams,
    tap: str,
    heard: Mapping[str, _Heard],
    seeds: Mapping[str, float],
) -> Judgement:
    """Trained and random use as few archetypes, handcrafted filters more (P1-11)."""
    matched, plain = (
        _ordered(params, heard, RANDOM_MATCHED, RARE_MATCHED),
        _ordered(params, heard, DRAWN, RARE),
    )
    sound = params.reading == "sound"
    random, rare = (RANDOM_MATCHED, RARE_MATCHED) if sound else (DRAWN, RARE)
    verdict: Verdict = "does not hold"
    if (matched if sound else plain) is None:
        verdict = "cannot be tested here"
    elif matched if sound else plain:
        verdict = "holds"
    elif sound and plain:
        verdict = "explained by control"
    own = heard[TRAINED].found
    controls = {_TOLD[w]: one.n90 for w, one in heard.items() if w != TRAINED} | dict(seeds)
    numbers = [f"{heard[w].n90:.0f} with {_TOLD[w]}" for w in (TRAINED, random, rare)]
    sentence = (
        f"{tap}: 90 % of the transitions need {numbers[0]} weights, {numbers[1]}, {numbers[2]}."
    )
    if verdict == "cannot be tested here":
        sentence = f"{tap}: trained and handcrafted layers cannot be compared."
    return Judgement(
        sentence,
        Measurement(
            "archetypes on top in 90 % of the transitions (N90)",
            heard[TRAINED].n90,
            "",
            controls,
            own.n90_interval if own else None,
            "trained ≈ random, handcrafted denser (P1 §1.5.3, no numbers)",
            tap,
        ),
        verdict,
        _why(heard, random, rare)
        or f"It holds when trained and random lie within a factor of {params.alike:g} and "
        "handcrafted lies beyond it, 95 % of resampled recordings agreeing"
        + (
            ", at equal singular values; a layer as it comes explains it where only that one does."
            if sound
            else "."
        ),
        "P1-11",
    )


def _ordered(
    params: WeightsControlParams, heard: Mapping[str, _Heard], random: str, rare: str
) -> bool | None:
    """Whether trained ≈ random ≪ handcrafted; None where one of them could not be measured."""
    trained, drawn, made = (heard[weights].found for weights in (TRAINED, random, rare))
    if trained is None or drawn is None or made is None or not min(trained.n90, drawn.n90) > 0:
        return None
    ratio = trained.n90 / drawn.n90
    most = np.maximum(trained.n90_resampled, drawn.n90_resampled)
    interval = ratio_interval(made.n90_resampled, most)
    return (
        1 / params.alike <= ratio <= params.alike
        and made.n90 >= params.alike * max(trained.n90, drawn.n90)
        and interval is not None
        and interval[0] > 1
    )


def _coherent(
    context: Context, params: WeightsControlParams, tap: str, heard: Mapping[str, _Heard]
) -> Judgement:
    """Handcrafted filters move less coherently (A-14); P1-11 is about sparseness alone."""
    sound = params.reading == "sound"
    random, rare = (RANDOM_MATCHED, RARE_MATCHED) if sound else (DRAWN, RARE)
    trained, drawn, made = (heard[weights].coherence for weights in (TRAINED, random, rare))
    plain = min(trained, heard[DRAWN].coherence) - heard[RARE].coherence > params.margin
    verdict: Verdict = "does not hold"
    if not np.isfinite([trained, drawn, made]).all():
        verdict = "cannot be tested here"
    elif min(trained, drawn) - made > params.margin:
        verdict = "holds"
    elif sound and plain:
        verdict = "explained by control"
    controls = {_TOLD[w]: one.coherence for w, one in heard.items() if w != TRAINED}
    try:
        controls[_ON_NOISE] = _coherence(context, params, tap, NOISE)
    except NOTHING_TO_MEASURE:
        controls[_ON_NOISE] = _NAN
    return Judgement(
        f"{tap}: successive generators have a mean cosine of {trained:.2f} with trained weights, "
        f"{made:.2f} with {_TOLD[rare]}."
        if verdict != "cannot be tested here"
        else f"{tap}: how coherent the motion of handcrafted layers is cannot be told.",
        Measurement(
            "coherence of motion, cosine of successive generators",
            trained,
            "",
            controls,
            published="handcrafted less coherent (P1 §1.5.3, no numbers)",
            tap=tap,
        ),
        verdict,
        _why(heard, random, rare)
        or f"It holds when handcrafted filters lie {params.margin:g} below trained and random ones"
        + (" at equal singular values." if sound else "."),
    )


def _why(heard: Mapping[str, _Heard], random: str, rare: str) -> str:
    """Why the layers cannot be compared, or nothing."""
    reasons = {_TOLD[w]: heard[w].reason for w in (TRAINED, random, rare) if heard[w].reason}
    return "; ".join(f"{what}: {reason}" for what, reason in reasons.items())


def _figures(tap: str, heard: Mapping[str, _Heard]) -> list[Measurement]:
    """Every further number of the trained layer beside those of the others."""
    known = {w: one.found.figures() for w, one in heard.items() if one.found is not None}
    if TRAINED not in known:
        return []
    for weights, values in known.items():
        values["‖g‖, root mean square re trained"] = heard[weights].rms / heard[TRAINED].rms
    return [
        Measurement(
            name,
            value,
            "",
            {_TOLD[w]: values[name] for w, values in known.items() if w != TRAINED}
            or {_TOLD[DRAWN]: _NAN},
            tap=tap,
        )
        for name, value in known[TRAINED].items()
        if name != "N90, archetype on top"
    ]


def _pictures(result: Result, tap: str) -> list[Block]:
    start = f"{tap}/"
    shares = {k.removeprefix(start): v for k, v in result.arrays.items() if k.startswith(start)}
    if not shares:
        return []
    ranks = np.arange(1, 1 + max(len(values) for values in shares.values()))
    n90 = next(one for one in result.measurements if one.tap == tap and "(N90)" in one.name)
    values = {_TOLD[TRAINED]: n90.value, **n90.controls}
    return [
        Curve(
            f"{tap}: transitions carried by the most used archetypes (P1 §1.5.3)",
            ranks,
            tuple(
                Series(label, values, ranks[: len(values)], control=label != _TOLD[TRAINED])
                for label, values in shares.items()
            ),
            Axis("archetypes, most used first", "", "log"),
            Axis("share of transitions with one of them on top"),
        ),
        Bars(
            f"{tap}: archetypes for 90 % of the transitions",
            tuple(values),
            np.array(list(values.values())),
            Axis("weights"),
            Axis("N90"),
        ),
    ]
