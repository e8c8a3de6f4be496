"""Does any feature or archetype stand for one narrow band of frequency, whatever else sounds?"""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float
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
    OWN,
    Gathered,
    in_turn,
    missing_blocks,
    page,
    untested,
)
from auscult.analyses.parts.dictionaries.band_pictures import (
    band_pictures,
    strongest_tuning,
    tuning_heatmap,
    tuning_histograms,
)
from auscult.analyses.parts.dictionaries.fragment_bands import (
    BandSettings,
    band_arrays,
    band_measurements,
    unit_bands,
)
from auscult.analyses.parts.reading import KINDS, KindsParams, named_by_kind
from auscult.blocks import Block, Table
from auscult.core.config import Config
from auscult.core.errors import ConfigError, NothingToMeasureError
from auscult.core.rng import named_rng
from auscult.dictionaries.base import Dictionary
from auscult.measures.tones import COMPANY, narrow_bank, stays, tones_in_company, widths_octaves
from auscult.measures.tuning import is_narrow_band, q_factor, tuning_stability

_BANK = "filter bank of 1/6 octave (must pass)"
_MOST_FRAMES = 256


class NarrowBandParams(KindsParams):
    """Settings of the narrow-band test."""

    lowest_hz: float = Field(80.0, gt=0)
    """Lowest tone."""
    per_octave: int = Field(12, ge=4)
    """Tones an octave; they must be closer than the limit."""
    limit_octaves: float = Field(1 / 3, gt=0)
    """A narrow band is below this, at half height of the tuning curve."""
    share: float = Field(0.8, gt=0, le=1)
    """Share of contexts in which it must be narrow."""
    n_spectra: int = Field(64, ge=1)
    """Units of each kind whose fragments' spectra are measured, the most used ones."""
    n_fragments: int = Field(100, ge=2)
    """Strongest fragments of a unit, and as many random ones of the same recordings."""
    spectrum_samples: int = Field(4096, ge=256)
    """Window of these spectra; a fragment itself is too short to resolve anything."""
    most_vectors: int = Field(20_000, ge=100)
    """Vectors that fragments are chosen from."""


@ANALYSES.register("narrow-band")
class NarrowBand(Analysis):
    """Tuning curves of features over the frequency of a tone, alone and in four kinds of company.

    A feature is narrow-band when its tuning curve is narrower than a third of an octave in at least
    80 % of the contexts. A bank of narrow filters must pass the test, or it says nothing; features
    of random weights are shown beside. Archetypes are tested alike, by their activations on
    generators, where the spec fits a dictionary to these.

    Of recorded sounds the spectra around each unit's strongest fragments are shown, with those
    around as many random ones of the same recordings.
    """

    Params: ClassVar[type[Config]] = NarrowBandParams
    title: ClassVar[str] = "Narrow bands"
    question: ClassVar[str] = (
        "Does any feature or archetype stand for one narrow band of frequency, whatever else "
        "sounds?"
    )
    source: ClassVar[str] = "METHODS A-8 (Cosme-Clifford, Post 1, Fig. 3)"
    version: ClassVar[int] = 4

    @classmethod
    def controls(cls, params: NarrowBandParams) -> tuple[Condition, ...]:  # noqa: ARG003
        """Random weights, with features of their own."""
        return (RANDOM,)

    def run(self, context: Context, params: NarrowBandParams) -> Result:
        """Play tones to every recorded tap under both weights, and to the filter bank."""
        names = named_by_kind(context, params)
        if not names:
            raise ConfigError(
                "the narrow-band test needs a dictionary: fit one to response vectors"
            )
        tones_hz = _tones_hz(params, context.model().sample_rate)
        bank = _bank(context, params, tones_hz)
        found = Gathered(arrays={"tones_hz": tones_hz, "bank/tuning": bank[0]})
        rows: list[tuple[Any, ...]] = []
        for tap in in_turn(context, context.taps):
            try:
                own, random = (
                    _curves(context, names, tap, condition, tones_hz)
                    for condition in (BASE, RANDOM)
                )
            except NOTHING_TO_MEASURE as error:
                for kind in KINDS:
                    found.add(_untested(tap, kind, str(error)))
                continue
            for kind in KINDS:
                if kind in names:
                    curves = {"own": own[kind], str(RANDOM): random[kind], _BANK: bank}
                    rows += _judge(params, tap, kind, tones_hz, curves, found)
                    _spectra(context, params, tap, kind, names[kind], found)
                else:
                    why = f"The spec fits no dictionary to {KINDS[kind]}."
                    found.add(_untested(tap, kind, why))
        facts = {"rows": rows, "taps": list(context.taps), "missing": found.missing}
        return found.result(facts)

    def view(self, result: Result) -> list[Block]:
        """A finding a tap, tuning curves, widths and spectra beside the controls'."""
        shown: list[Block] = []
        heard = {"own": OWN, str(RANDOM): str(RANDOM)}
        for tap in result.facts["taps"]:
            for kind in KINDS:
                if f"{tap}/{kind}/tuning" in result.arrays:
                    shown += [
                        picture(result, tap, kind) for picture in (tuning_heatmap, strongest_tuning)
                    ]
                    shown += tuning_histograms(result, tap, kind, {**heard, _BANK: _BANK})
                    shown += band_pictures(result, tap, kind, heard)
        columns = ("tap", "kind", "condition", "unit", "peak", "width alone", "Q alone")
        table = Table(
            "Features and archetypes that respond to tones",
            (*columns, "contexts narrow", "stability"),
            tuple(tuple(row) for row in result.facts["rows"]),
            ("", "", "", "", "Hz", "octaves", "", "share", "correlation"),
        )
        return page(result, _READING, [*shown, *missing_blocks(result), table])


_READING = (
    "Each tone is played alone, with harmonics, with one and with three other tones, and in pink "
    "noise. A unit is narrow-band when its tuning curve is narrower than the limit in most of "
    "these contexts and keeps its peak. P1, Fig. 3 shows spectra of fragments instead; a spectrum "
    "of music is heavy in the bass whatever the unit does, tones are not. Stability is the "
    "correlation of the tuning curve for a tone alone with that for the same tone among three "
    "others: 1 means that company changes nothing. Q is the frequency of the peak over the width "
    "at -3 dB; where a curve does not fall that far in the range of tones it is an upper bound.\n\n"
    "The spectra are those of windows of recorded sound around the fragments that move a unit "
    "most, each brought to one level and weighted by activation. Flatness is the geometric over "
    "the arithmetic mean of power, 0 for one line and 1 for white; as music is heavy in the bass, "
    "read it and the band that holds half of the energy against random fragments of the same "
    "recordings. Divided by the spectrum of all sounds, a narrow-band unit would show one bump "
    "and nothing else; where the strongest fragments are of few recordings, so does a recording. "
    "These figures of spectra carry no verdict and have no interval: a unit's fragments are of the "
    "recordings where it is strongest, and in other recordings it would have others."
)


def _untested(tap: str, kind: str, reason: str) -> Judgement:
    """Say that one kind of unit could not be tested at a tap."""
    sentence, nulls = f"{tap}: whether {kind} are narrow-band cannot be told.", [_BANK, str(RANDOM)]
    return untested(sentence, reason, "P1-03", _share_name(kind), tap, nulls)


def _share_name(kind: str) -> str:
    return f"share of {kind} that are narrow-band"


def _tones_hz(params: NarrowBandParams, sample_rate: int) -> Float[np.ndarray, " tone"]:
    octaves = np.log2(0.45 * sample_rate / params.lowest_hz)
    tones: np.ndarray = params.lowest_hz * 2 ** (
        np.arange(int(octaves * params.per_octave) + 1) / params.per_octave
    )
    return tones


def _curves(
    context: Context,
    names: Mapping[str, str],
    tap: str,
    condition: Condition,
    tones_hz: Float[np.ndarray, " tone"],
) -> dict[str, Float[np.ndarray, "context unit tone"]]:
    """Mean activation of every unit for every tone in every context, edges left out."""
    units = {
        kind: (context.dictionaries(name, tap, condition)[0], context.lag(name))
        for kind, name in names.items()
    }
    time = context.time(tap)
    longest = max(lag for _, lag in units.values())
    n_samples = max(round(0.12 * time.sample_rate), int(2 * time.span + (8 + longest) * time.hop))
    if time.global_ or time.unbounded_past:
        n_samples = max(n_samples, context.model(condition.weights).probe_samples)
    curves: dict[str, list[np.ndarray]] = {kind: [] for kind in units}
    for company in COMPANY:
        rng = named_rng(context.seed, "narrow-band", company)
        waves = tones_in_company(company, tones_hz, time.sample_rate, n_samples, rng)
        heard = _mean_acts(context, units, tap, condition, waves)
        for kind in units:
            curves[kind].append(heard[kind].T)
    return {kind: np.stack(each) for kind, each in curves.items()}


def _mean_acts(
    context: Context,
    units: Mapping[str, tuple[Dictionary, int]],
    tap: str,
    condition: Condition,
    waves: Float[np.ndarray, "tone time"],
) -> dict[str, Float[np.ndarray, "tone unit"]]:
    longest = max(lag for _, lag in units.values())
    rng = named_rng(context.seed, "narrow-band", "frames")
    means: dict[str, list[np.ndarray]] = {kind: [] for kind in units}
    for values, inside in _played(context, tap, condition, waves):
        first, last = max(inside.start, 0), min(inside.stop, len(values))
        kept = values[first:last] if last - first > longest else values
        n_starts = len(kept) - longest
        if n_starts < 1:
            raise NothingToMeasureError(
                f"{tap} answers to a tone with fewer frames than its generators' lag"
            )
        # A few hundred frames at random places: evenly spaced ones would beat with the tone.
        chosen = torch.from_numpy(np.sort(rng.permutation(n_starts)[:_MOST_FRAMES]))
        for kind, (dictionary, lag) in units.items():
            vectors = kept[chosen + lag] - kept[chosen] if lag else kept[chosen]
            if not bool(torch.isfinite(vectors).all()):
                raise NothingToMeasureError(
                    f"{tap} answers to a tone with values that are not finite"
                )
            with torch.no_grad():
                means[kind].append(dictionary.encode(vectors).abs().mean(0).numpy())
    return {kind: np.stack(each) for kind, each in means.items()}


def _played(
    context: Context, tap: str, condition: Condition, waves: Float[np.ndarray, "tone time"]
) -> Iterator[tuple[torch.Tensor, range]]:
    """Frames of a sound, and which of them hear nothing but one tone, tone by tone.

    Where frames hear only their span, tones follow one another in sounds as long as the model
    likes them: one that needs two seconds would else be given two for each tone.
    """
    time, n = context.time(tap), waves.shape[1]
    alone = time.global_ or time.unbounded_past
    together = 1 if alone else max(1, -(-context.model(condition.weights).probe_samples // n))
    for start in range(0, len(waves), 4 * together):
        part = waves[start : start + 4 * together]
        n_sounds = -(-len(part) // together)
        filled = np.zeros((n_sounds * together, n), dtype=np.float32)
        filled[: len(part)] = part
        heard = context.hear(tap, filled.reshape(n_sounds, -1), condition.weights).values.float()
        for i in range(len(part)):
            place = i % together
            yield heard[i // together], time.frames_within(place * n, (place + 1) * n)


def _bank(
    context: Context, params: NarrowBandParams, tones_hz: np.ndarray
) -> Float[np.ndarray, "context unit tone"]:
    """The positive control: a bank of narrow filters hears the same tones in the same company."""
    rate = context.model().sample_rate
    centres = tones_hz[:: max(1, params.per_octave // 3)]
    curves = []
    for company in COMPANY:
        rng = named_rng(context.seed, "narrow-band", company)
        waves = tones_in_company(company, tones_hz, rate, rate // 2, rng)
        curves.append(narrow_bank(waves, centres, rate))
    return np.stack(curves)


def _share_narrow(params: NarrowBandParams, widths: Float[np.ndarray, "context unit"]) -> float:
    narrow = [is_narrow_band(each, params.limit_octaves, params.share) for each in widths.T]
    return float(np.mean(narrow)) if narrow else float("nan")


def _judge(
    params: NarrowBandParams,
    tap: str,
    kind: str,
    tones_hz: np.ndarray,
    curves: Mapping[str, np.ndarray],
    found: Gathered,
) -> list[tuple[Any, ...]]:
    """Measure one kind of unit at a tap under all conditions, and judge it; a row of each unit."""
    rows: list[tuple[Any, ...]] = []
    passed: dict[str, float] = {}
    by_width: dict[str, float] = {}
    stable: dict[str, float] = {}
    sharp: dict[str, float] = {}
    found.arrays[f"{tap}/{kind}/tuning"] = curves["own"][0]
    for name, each in curves.items():
        widths = widths_octaves(tones_hz, each)
        qs = np.array([q_factor(curve, tones_hz) for curve in each[0]])
        found.arrays[f"{tap}/{kind}/{name}/width"] = widths[0]
        found.arrays[f"{tap}/{kind}/{name}/q"] = qs
        moved = np.flatnonzero(np.isfinite(widths[0]))
        steady = np.where(stays(tones_hz, each, params.limit_octaves), widths, np.nan)
        passed[name] = _share_narrow(params, steady[:, moved])
        by_width[name] = _share_narrow(params, widths[:, moved])
        alike = np.array([tuning_stability(each[0, j], each[3, j]) for j in moved])
        known = alike[np.isfinite(alike)]
        stable[name] = float(np.median(known)) if len(known) else float("nan")
        sharp[name] = float(np.median(qs[moved])) if len(moved) else float("nan")
        peaks_hz = tones_hz[each[0].argmax(1)]
        narrow = np.mean(widths < params.limit_octaves, axis=0)
        label = OWN if name == "own" else name
        rows += [
            (
                tap,
                kind,
                label,
                int(j),
                *map(float, (peaks_hz[j], widths[0, j], qs[j], narrow[j], same)),
            )
            for j, same in zip(moved, alike, strict=True)
        ]
    told = (
        (_share_name(kind), passed, "none (P1 §1.3, Fig. 3)"),
        ("the same by width alone, wherever the peak goes", by_width, ""),
        ("median stability of tuning in company", stable, ""),
        ("median Q of tuning to a tone alone", sharp, ""),
    )
    measured = []
    for what, value, published in told:
        controls = {name: value[name] for name in curves if name != "own"}
        whose = what if kind in what else f"{kind}: {what}"
        measured.append(
            Measurement(whose, value["own"], "", controls, published=published, tap=tap)
        )
    found.add(_judgement(kind, measured[0]), *measured[1:])
    return rows


def _spectra(
    context: Context, params: NarrowBandParams, tap: str, kind: str, name: str, found: Gathered
) -> None:
    """Spectra around the fragments of one kind of unit, under both weights."""
    settings = BandSettings(
        params.n_spectra, params.n_fragments, params.spectrum_samples, params.most_vectors
    )
    bands = {}
    try:
        for label, condition in (("own", BASE), (str(RANDOM), RANDOM)):
            dictionary = context.dictionaries(name, tap, condition)[0]
            bands[label] = unit_bands(
                context, tap, condition, dictionary, context.lag(name), settings
            )
    except NOTHING_TO_MEASURE as error:
        found.missing.append((tap, f"spectra of {kind}", str(error)))
        return
    found.measurements += band_measurements(tap, kind, bands, params.limit_octaves)
    found.arrays |= band_arrays(tap, kind, bands)


def _judgement(kind: str, one: Measurement) -> Judgement:
    """Under 5 % pass, where the filter bank does."""
    if not np.isfinite(one.value):
        reason = f"No tone moves any of the {kind}."
        sentence = f"{one.tap}: whether {kind} are narrow-band cannot be told."
        return Judgement(sentence, one, "cannot be tested here", reason, "P1-03")
    works = one.controls[_BANK] > 0.8
    reason = (
        "The filter bank passes, so the test can be passed."
        if works
        else "The filter bank itself does not pass: the test says nothing here."
    )
    amount = f"no {kind} are" if one.value == 0 else f"{one.value:.0%} of the {kind} are"
    return Judgement(
        f"{one.tap}: {amount} narrow-band.",
        one,
        "cannot be tested here" if not works else "holds" if one.value < 0.05 else "does not hold",
        f"{reason} A narrow curve must stay at its frequency in company. The claim is that under "
        "5 % pass; random weights share it, as it concerns the architecture.",
        "P1-03",
    )
