"""Does any filter, feature or archetype follow one partial of a mixture, whatever else sounds?"""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from pydantic import Field, model_validator

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
    OWN,
    Gathered,
    in_turn,
    page,
    untested,
)
from auscult.analyses.parts.reading import KINDS, KindsParams, named_by_kind
from auscult.blocks import Axis, Block, Heatmap, Histogram, Lanes, Missing, Scatter, Verdict
from auscult.core.config import Config
from auscult.core.errors import ConfigError, NothingToMeasureError
from auscult.core.rng import named_rng
from auscult.core.timebase import TimeBase
from auscult.measures.mixture_hearing import (
    BANK_READERS,
    Heard,
    Layer,
    Readers,
    activations,
    bin_edges_s,
    binned_envelopes,
    dictionary_reader,
    draw_mixtures,
    gammatone_layer,
    hear_mixtures,
)
from auscult.measures.partials import Following, explained_by_band, fit_mixture
from auscult.measures.tones import gammatone_centres_hz
from auscult.sounds.synthetic import HIGHEST, from_list

_UNITS = ("filters", *KINDS)
_MIXTURES = Condition(sounds="mixtures")
_BANK = "gammatone filters (must pass)"
_SHUFFLED = "envelopes of another mixture"


class MixtureParams(KindsParams):
    """Settings of the mixture test."""

    n_mixtures: int = Field(48, ge=8)
    """Mixtures of three to five partials."""
    seconds: float = Field(2.0, ge=1.0)
    """Length of each mixture."""
    lowest_hz: float = Field(200.0, gt=0)
    """Lowest partial; below, gammatone filters are too wide to tell neighbours apart."""
    highest_hz: float = Field(6000.0, gt=0)
    """Highest partial, or 0.45 of the sample rate where this is lower."""
    selective: float = Field(0.5, gt=0, lt=1)
    """A unit follows a partial that explains so much more of its variance than any other one."""
    share: float = Field(0.8, gt=0, le=1)
    """Share of mixtures in which a consistent unit follows the partial in its band."""
    n_gammatones: int = Field(24, ge=4)
    """Filters of the positive control."""

    @model_validator(mode="after")
    def _partials_fit(self) -> "MixtureParams":
        if self.highest_hz < 8 * self.lowest_hz:
            raise ConfigError("five partials apart need three octaves: raise highest_hz")
        return self


@ANALYSES.register("mixtures")
class MixtureTest(Analysis):
    """Activations against the exact envelopes of partials that are modulated independently.

    A filter, feature or archetype follows a partial when this partial's envelope explains at least
    half of its variance more than any other partial's. It is consistent when it does so for the
    partials of one band (a third of an octave) in at least 80 % of the mixtures. A bank of
    gammatone filters, read in the same way, must be consistent, or the test says nothing.
    """

    Params: ClassVar[type[Config]] = MixtureParams
    title: ClassVar[str] = "Mixtures"
    question: ClassVar[str] = (
        "Does any filter, feature or archetype follow one partial of a mixture, whatever else "
        "sounds?"
    )
    source: ClassVar[str] = "METHODS A-20 (Cosme-Clifford, Post 1, §1.6)"

    @classmethod
    def controls(cls, params: MixtureParams) -> tuple[Condition, ...]:  # noqa: ARG003
        """Random weights with dictionaries of their own, and mixtures to be shown and heard."""
        return RANDOM, _MIXTURES

    def run(self, context: Context, params: MixtureParams) -> Result:
        """Play mixtures to every recorded tap under both weights, and to gammatone filters."""
        names = named_by_kind(context, params)
        found = Gathered()
        kinds: dict[str, list[str]] = {}
        banks: dict[float, Heard] = {}
        for tap in in_turn(context, context.taps):
            try:
                kinds[tap] = _tap(context, params, names, tap, banks, found)
            except NOTHING_TO_MEASURE as error:
                for kind in _UNITS:
                    found.add(_untested(tap, kind, str(error)))
        facts = {"taps": list(context.taps), "kinds": kinds, "n_mixtures": params.n_mixtures}
        return found.result(facts)

    def view(self, result: Result) -> list[Block]:
        """A finding a kind of unit, one mixture to hear, what units follow, selectivity."""
        shown: list[Block] = [*result.blocks]
        for tap in result.facts["taps"]:
            for kind in result.facts["kinds"].get(tap, ()):
                pictures = (_bands_picture, _selectivity_picture, _scatter)
                shown += [picture(result, tap, kind) for picture in pictures]
        return page(result, _READING, shown)


_READING = (
    "Each mixture sums three to five partials at random frequencies, a factor of 1.5 or more "
    "apart, whose amplitudes move independently along known envelopes. The activation of a unit "
    "is averaged over 25 ms and explained by one envelope at a time; channels are read as their "
    "distance from what they say in silence. What is explained is judged on stretches that the "
    "line was not fitted to.\n\nA unit that follows a partial now and then proves little: partials "
    "differ in level, and a broad unit follows the loudest. A consistent one follows the partials "
    "of its band in whatever company, and hardly anything else. Gammatone filters show what that "
    "looks like. P1 states the claim in §1.6 and shows no picture of it."
)


def _untested(tap: str, kind: str, reason: str) -> Judgement:
    """Say that one kind of unit could not be tested at a tap."""
    sentence = f"{tap}: whether {kind} follow single partials cannot be told."
    nulls = (_BANK, str(RANDOM), _SHUFFLED)
    return untested(sentence, reason, "P1-18", _share_name(kind), tap, nulls)


def _tap(
    context: Context,
    params: MixtureParams,
    names: Mapping[str, str],
    tap: str,
    banks: dict[float, Heard],
    found: Gathered,
) -> list[str]:
    """Measure and judge every kind of unit at a tap; the kinds that there are."""
    rate, frame_rate = context.model().sample_rate, float(context.time(tap).frame_rate)
    ends = (params.lowest_hz, params.highest_hz)
    material = draw_mixtures(
        params.n_mixtures, params.seconds, ends, rate, frame_rate, context.seed
    )

    def heard_by(layer: Layer, readers: Readers) -> dict[str, Heard]:
        rule = (params.share, params.selective)
        return hear_mixtures(layer, readers, material, *rule, seed=context.seed)

    if frame_rate not in banks:
        bank = gammatone_layer(_centres_hz(context, params), rate)
        banks[frame_rate] = heard_by(bank, BANK_READERS)["filters"]
    heard = {
        condition: heard_by(*_layer(context, names, tap, condition)) for condition in (BASE, RANDOM)
    }
    found.blocks.append(_shown(context, params, names, tap))
    for kind in _UNITS:
        if kind in heard[BASE]:
            trio = (heard[BASE][kind], heard[RANDOM][kind], banks[frame_rate])
            _judge(params, tap, kind, trio, found)
        else:
            why = f"The spec fits no dictionary to {KINDS[kind]}."
            found.add(_untested(tap, kind, why))
    return [kind for kind in _UNITS if kind in heard[BASE]]


def _centres_hz(context: Context, params: MixtureParams) -> np.ndarray:
    highest_hz = min(params.highest_hz, HIGHEST * context.model().sample_rate)
    return gammatone_centres_hz(params.lowest_hz, highest_hz, params.n_gammatones)


def _layer(
    context: Context, names: Mapping[str, str], tap: str, condition: Condition
) -> tuple[Layer, Readers]:
    """A tap under some weights, and how its units are read."""
    time = context.time(tap)

    def hear(waves: np.ndarray) -> tuple[np.ndarray, TimeBase]:
        values = context.hear(tap, waves, condition.weights).values.float().numpy()
        if not np.isfinite(values).all():
            raise NothingToMeasureError(
                f"{tap} answers to a mixture with values that are not finite"
            )
        return values, time

    n_silent = max(context.model().sample_rate, context.model().probe_samples)
    silent = np.zeros((1, n_silent), dtype=np.float32)
    # Silence itself may be undefined for a layer that divides by its level.
    silence = context.hear(tap, silent, condition.weights).values[0].float().numpy()
    rest = np.nan_to_num(silence[len(silence) // 2])
    readers = {"filters": lambda values, frames: np.abs(values[frames] - rest)}
    for kind, name in names.items():
        dictionary = context.dictionaries(name, tap, condition)[0]
        readers[kind] = dictionary_reader(dictionary, context.lag(name))
    return hear, readers


def _share_name(kind: str) -> str:
    return f"share of {kind} that follow one band of partials in most mixtures"


def _judge(
    params: MixtureParams, tap: str, kind: str, trio: tuple[Heard, Heard, Heard], found: Gathered
) -> None:
    own, random, bank = trio
    sources = {
        "own": own.own,
        _BANK: bank.own,
        str(RANDOM): random.own,
        _SHUFFLED: own.shuffled,
    }
    told = (
        (_share_name(kind), lambda one: one.consistent_share, "none (P1 §1.6)"),
        (f"{kind}: share that enough mixtures move", lambda one: np.mean(one.judged), ""),
        (f"{kind}: median selectivity", lambda one: np.median(one.selectivity), ""),
        (f"{kind}: share of mixtures that a band's usual winner wins", _winners, ""),
    )
    measured = []
    for name, of, published in told:
        numbers = {source: float(of(one)) for source, one in sources.items()}
        value = numbers.pop("own")
        measured.append(Measurement(name, value, "", numbers, published=published, tap=tap))
    found.add(_judgement(params, kind, measured[0], measured[1].value), *measured[1:])
    for source, one in sources.items():
        found.arrays[f"{tap}/{kind}/{source}/selectivity"] = one.selectivity
        found.arrays[f"{tap}/{kind}/{source}/recall"] = one.recall
        found.arrays[f"{tap}/{kind}/{source}/precision"] = one.precision
    centres_hz = np.geomspace(params.lowest_hz, params.highest_hz, 25)
    found.arrays["bands_hz"] = centres_hz
    found.arrays[f"{tap}/{kind}/bands"] = explained_by_band(own.fits, centres_hz)
    found.arrays["gammatone/bands"] = explained_by_band(bank.fits, centres_hz)


def _winners(one: Following) -> float:
    return one.winner_share


def _judgement(params: MixtureParams, kind: str, one: Measurement, judged: float) -> Judgement:
    """Under 5 % consistent units, where gammatone filters pass and most units could be judged."""
    works = one.controls[_BANK] > 0.5
    known = judged >= 0.5
    verdict: Verdict = "holds" if one.value < 0.05 else "does not hold"
    rule = (
        f"{params.n_mixtures} mixtures move {judged:.0%} of the {kind} often enough to be judged. "
        + (
            "Most gammatone filters pass, so the test can be passed."
            if works
            else "Gammatone filters themselves do not pass: the test says nothing here."
        )
        + f" A consistent unit follows the partials of its band in {params.share:.0%} of the "
        "mixtures. The claim is that under 5 % do; random weights share it where it concerns the "
        "architecture."
    )
    amount = f"no {kind} follow" if one.value == 0 else f"{one.value:.0%} of the {kind} follow"
    if not np.isfinite(one.value):
        amount = f"it cannot be told whether {kind} follow"
    return Judgement(
        f"{one.tap}: {amount} a partial of one band whatever else sounds.",
        one,
        verdict if works and known else "cannot be tested here",
        rule,
        "P1-18",
    )


def _shown(
    context: Context, params: MixtureParams, names: Mapping[str, str], tap: str
) -> Lanes | Missing:
    """One recorded mixture: its envelopes, the units that follow one best, and a gammatone's."""
    title = f"{tap}: one mixture, its partials and the units that follow one of them best"
    clip_id = context.clip_ids("test", _MIXTURES)[0]
    sound = context.sound(clip_id, _MIXTURES)
    rate, n_samples = context.model().sample_rate, len(sound.waveform)
    edges_s = bin_edges_s(n_samples / rate, float(context.time(tap).frame_rate))
    told = binned_envelopes(sound.labels, n_samples, rate, edges_s)
    f_hz = from_list(sound.labels["f_hz"])
    layer, readers = _layer(context, names, tap, BASE)
    bank = gammatone_layer(_centres_hz(context, params), rate)
    rows = [
        (f"partial of {hz:.0f} Hz: its envelope", e) for hz, e in zip(f_hz, told.T, strict=True)
    ]
    every = np.ones(len(told), dtype=np.bool_)
    for part, how, suffix in ((layer, readers, ""), (bank, BANK_READERS, "gammatone (control)")):
        values, time = part(sound.waveform[None])
        rng = named_rng(context.seed, "mixtures", "shown")
        for kind, acts, counts in activations(values[0], time, n_samples, how, edges_s, rng):
            known = (counts > 0) & np.isfinite(told).all(1)
            every &= known
            if known.sum() < 8:
                return Missing(title, "the tap has too few frames in a mixture")
            held_out = np.arange(known.sum()) % 2 == 1
            fitted = fit_mixture(acts[known], told[known], f_hz, held_out).r_squared
            unit, partial = np.unravel_index(int(fitted.argmax()), fitted.shape)
            told_of = f"explained to {fitted[unit, partial]:.0%} by {f_hz[partial]:.0f} Hz"
            rows.append((f"{suffix or kind[:-1]} {unit}: {told_of}", acts[:, unit]))
    clip = context.clip(clip_id, 0.0, float("inf"), f"mixture {clip_id}", _MIXTURES)
    lanes = np.stack([row[every] / max(np.abs(row[every]).max(), 1e-12) for _, row in rows])
    middles = (edges_s[:-1] + edges_s[1:]) / 2
    names_shown = tuple(name for name, _ in rows)
    note = "What explains best in one mixture need not do so in another (P1, §1.6, in words)."
    height = Axis("level, of its highest")
    shown = lanes.astype(np.float32)
    return Lanes(title, clip, middles[every], shown, names_shown, height, note=note)


def _bands_picture(result: Result, tap: str, kind: str) -> Heatmap:
    """What partials explain of each unit, gammatone filters below as a diagonal to compare with."""
    own, bank = result.arrays[f"{tap}/{kind}/bands"], result.arrays["gammatone/bands"]
    own = own[np.argsort(own.argmax(1), kind="stable")]
    gap = np.full((1, own.shape[1]), np.nan)
    return Heatmap(
        f"{tap}: what partials of each band explain of {kind}",
        np.concatenate([bank, gap, own]),
        result.arrays["bands_hz"],
        np.arange(len(bank) + 1 + len(own)) - len(bank) - 1,
        Axis("frequency of the partial", "Hz", "log"),
        Axis("unit, sorted by best band"),
        Axis("share of variance"),
        note=f"Below -1: the {len(bank)} gammatone filters (control), by their centres.",
    )


def _selectivity_picture(result: Result, tap: str, kind: str) -> Histogram:
    names = {"own": OWN, _BANK: _BANK, str(RANDOM): str(RANDOM), _SHUFFLED: _SHUFFLED}
    values = {
        name: result.arrays[f"{tap}/{kind}/{source}/selectivity"].ravel()
        for source, name in names.items()
    }
    edges = np.linspace(0, 1, 41)
    axis = Axis("best minus second best share of variance")
    share = Axis("share of units and mixtures")
    return Histogram.of(f"{tap}: selectivity of {kind}", values, edges, axis, share)


def _scatter(result: Result, tap: str, kind: str) -> Scatter:
    sources = {"own": OWN, str(RANDOM): str(RANDOM), _BANK: _BANK}
    parts = {name: f"{tap}/{kind}/{source}" for source, name in sources.items()}
    recall = [result.arrays[f"{part}/recall"] for part in parts.values()]
    precision = [result.arrays[f"{part}/precision"] for part in parts.values()]
    return Scatter(
        f"{tap}: how faithfully {kind} follow a band",
        np.concatenate(recall),
        np.concatenate(precision),
        Axis("mixtures with a partial in its band in which it is followed", "share"),
        Axis("followed partials that lie near this band", "share"),
        groups=tuple(name for name, x in zip(parts, recall, strict=True) for _ in x),
        note="Consistent units lie in the upper right corner.",
    )
