"""Does any feature stand for one narrow band of frequency, whatever else sounds?"""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float
from pydantic import Field

from auscult.analyses.base import ANALYSES, BASE, Analysis, Condition, Context, Measurement, Result
from auscult.analyses.reading import OWN, chosen_dictionary
from auscult.blocks import Axis, Block, Curve, Finding, Heatmap, Histogram, Series, Table, Text
from auscult.core.config import Config
from auscult.core.rng import named_rng
from auscult.measures.fragment_spectra import bandwidth_octaves
from auscult.measures.tuning import is_narrow_band, tuning_stability

_RANDOM = Condition(weights="random")
_BANK = "filter bank of 1/6 octave (must pass)"
_CONTEXTS = (
    "alone",
    "with harmonics",
    "with one other tone",
    "with three other tones",
    "in pink noise",
)
_MOST_FRAMES = 256
_RMS = 0.1  # of the tone that is asked about: -20 dB re full scale


class NarrowBandParams(Config):
    """Settings of the narrow-band test."""

    dictionary: str | None = None
    """Which dictionary; none: the first one fitted to response vectors."""
    lowest_hz: float = Field(80.0, gt=0)
    """Lowest tone."""
    per_octave: int = Field(12, ge=4)
    """Tones an octave; they must be closer than the limit."""
    limit_octaves: float = Field(1 / 3, gt=0)
    """A narrow band is below this, at half height of the tuning curve."""
    share: float = Field(0.8, gt=0, le=1)
    """Share of contexts in which it must be narrow."""


@ANALYSES.register("narrow-band")
class NarrowBand(Analysis):
    """Tuning curves of features over the frequency of a tone, alone and in four kinds of company.

    A feature is narrow-band when its tuning curve is narrower than a third of an octave in at least
    80 % of the contexts. A bank of narrow filters must pass the test and features of random weights
    must not, or the test says nothing.
    """

    Params: ClassVar[type[Config]] = NarrowBandParams
    title: ClassVar[str] = "Narrow bands"
    question: ClassVar[str] = (
        "Does any feature stand for one narrow band of frequency, whatever else sounds?"
    )
    source: ClassVar[str] = "METHODS A-8 (Cosme-Clifford, Post 1, Fig. 3)"

    @classmethod
    def controls(cls, params: NarrowBandParams) -> tuple[Condition, ...]:  # noqa: ARG003
        """Random weights, with features of their own."""
        return (_RANDOM,)

    def run(self, context: Context, params: NarrowBandParams) -> Result:
        """Play tones to every recorded tap under both weights, and to the filter bank."""
        tones_hz = _tones_hz(params, context.model().sample_rate)
        bank = _bank(context, params, tones_hz)
        measurements: list[Measurement] = []
        arrays: dict[str, np.ndarray] = {"tones_hz": tones_hz}
        rows: list[tuple[Any, ...]] = []
        for step, tap in enumerate(context.taps):
            curves = {
                "own": _curves(context, params, tap, BASE, tones_hz),
                str(_RANDOM): _curves(context, params, tap, _RANDOM, tones_hz),
                _BANK: bank,
            }
            measurements += _judge(params, tap, tones_hz, curves, rows)
            arrays[f"{tap}/tuning"] = curves["own"][0]
            for name, each in curves.items():
                arrays[f"{tap}/{name}/width"] = _widths(tones_hz, each)[0]
            context.advance((step + 1) / len(context.taps))
        return Result(tuple(measurements), arrays, {"rows": rows, "taps": list(context.taps)})

    def view(self, result: Result) -> list[Block]:
        """A finding a tap, tuning curves, widths beside the controls'."""
        taps = result.facts["taps"]
        blocks: list[Block] = [_finding(result, tap) for tap in taps]
        for tap in taps:
            blocks += [_heatmap(result, tap), _tuning(result, tap), _histogram(result, tap)]
        blocks += [
            Table(
                "Features that respond to tones",
                (
                    "tap",
                    "condition",
                    "feature",
                    "peak",
                    "width alone",
                    "contexts narrow",
                    "stability",
                ),
                tuple(tuple(row) for row in result.facts["rows"]),
                ("", "", "", "Hz", "octaves", "share", "correlation"),
            ),
            Text(
                "Stability is the correlation of the tuning curve for a tone alone with that for "
                "the same tone among "
                "three others, averaged over nothing else: 1 means that company changes nothing."
            ),
        ]
        return blocks


def _tones_hz(params: NarrowBandParams, sample_rate: int) -> Float[np.ndarray, " tone"]:
    octaves = np.log2(0.45 * sample_rate / params.lowest_hz)
    tones: np.ndarray = params.lowest_hz * 2 ** (
        np.arange(int(octaves * params.per_octave) + 1) / params.per_octave
    )
    return tones


def sounds(
    context_name: str,
    tones_hz: Float[np.ndarray, " tone"],
    sample_rate: int,
    n_samples: int,
    rng: np.random.Generator,
) -> Float[np.ndarray, "tone time"]:
    """One sound for each tone, at a random phase, in one of the five contexts."""
    t = np.arange(n_samples) / sample_rate

    def sine(hz: Float[np.ndarray, " tone"]) -> np.ndarray:
        phase = rng.uniform(0, 2 * np.pi, (len(hz), 1))
        wave: np.ndarray = np.sin(2 * np.pi * hz[:, None] * t + phase) * (
            hz[:, None] < sample_rate / 2
        )
        return wave

    waves = sine(tones_hz)
    if context_name == "with harmonics":
        waves = waves + sum(sine(tones_hz * h) / h for h in range(2, 9))
    elif context_name in ("with one other tone", "with three other tones"):
        for _ in range(1 if "one" in context_name else 3):
            waves = waves + sine(
                np.exp(rng.uniform(np.log(tones_hz[0]), np.log(tones_hz[-1]), len(tones_hz)))
            )
    elif context_name == "in pink noise":
        spectrum = np.fft.rfft(rng.standard_normal((len(tones_hz), n_samples)), axis=1)
        spectrum /= np.sqrt(np.maximum(np.arange(spectrum.shape[1]), 1))
        noise = np.fft.irfft(spectrum, n_samples, axis=1)
        waves = waves + 0.5 * noise / noise.std(1, keepdims=True)
    scaled: np.ndarray = _RMS * np.sqrt(2) * waves
    return scaled.astype(np.float32)


def _curves(
    context: Context, params: NarrowBandParams, tap: str, condition: Condition, tones_hz: np.ndarray
) -> Float[np.ndarray, "context feature tone"]:
    """Mean activation of every feature for every tone in every context, edges left out."""
    name = chosen_dictionary(context, params.dictionary)
    dictionary = context.dictionaries(name, tap, condition)[0]
    time = context.time(tap)
    n_samples = max(
        round(0.12 * time.sample_rate),
        int(2 * time.span + 8 * time.hop),
        context.model(condition.weights).probe_samples,
    )
    curves = []
    for kind in _CONTEXTS:
        rng = named_rng(context.seed, "narrow-band", kind)
        waves = sounds(kind, tones_hz, time.sample_rate, n_samples, rng)
        heard = [
            _mean_acts(context, dictionary, tap, condition, waves[i : i + 16])
            for i in range(0, len(waves), 16)
        ]
        curves.append(np.concatenate(heard).T)
    return np.stack(curves)


def _mean_acts(
    context: Context, dictionary: Any, tap: str, condition: Condition, waves: np.ndarray
) -> np.ndarray:
    time = context.time(tap)
    values = context.hear(tap, waves, condition.weights).values.float()
    inside = time.frames_within(0, waves.shape[1])
    first, last = max(inside.start, 0), min(inside.stop, values.shape[1])
    kept = values[:, first:last] if last > first else values
    # A few hundred frames at random places: evenly spaced ones would beat with the tone.
    rng = named_rng(context.seed, "narrow-band", "frames")
    chosen = np.sort(rng.permutation(kept.shape[1])[:_MOST_FRAMES])
    kept = kept[:, torch.from_numpy(chosen)]
    with torch.no_grad():
        means: np.ndarray = dictionary.encode(kept).abs().mean(1).numpy()
    return means


def _bank(
    context: Context, params: NarrowBandParams, tones_hz: np.ndarray
) -> Float[np.ndarray, "context feature tone"]:
    """The positive control: energy in bands of 1/6 octave, read from the spectrum of each sound."""
    rate = context.model().sample_rate
    n_samples = rate // 2
    hz = np.fft.rfftfreq(n_samples, 1 / rate)
    centres = tones_hz[:: max(1, params.per_octave // 3)]
    bands = np.exp(
        -0.5 * np.square(np.log2(np.maximum(hz, 1e-3) / centres[:, None]) / (1 / 6 / 2.355))
    )
    curves = []
    for kind in _CONTEXTS:
        waves = sounds(
            kind, tones_hz, rate, n_samples, named_rng(context.seed, "narrow-band", kind)
        )
        power = np.square(np.abs(np.fft.rfft(waves * np.hanning(n_samples), axis=1)))
        curves.append(np.sqrt(bands @ power.T))
    return np.stack(curves)


def _widths(
    tones_hz: np.ndarray, curves: Float[np.ndarray, "context feature tone"]
) -> Float[np.ndarray, "context feature"]:
    """Width in octaves at half height of each tuning curve; NaN for features that no tone moves."""
    widths = np.full(curves.shape[:2], np.nan)
    for i, context in enumerate(curves):
        for j, curve in enumerate(context):
            if curve.max() > 0:
                widths[i, j] = bandwidth_octaves(tones_hz, np.square(curve), level_db=-6.02)
    return widths


def _stays(
    tones_hz: np.ndarray, curves: Float[np.ndarray, "context feature tone"], octaves: float
) -> Bool[np.ndarray, "context feature"]:
    """Whether a feature's peak lies where it lies for a tone alone.

    A feature that hardly ever speaks has narrow peaks by accident, elsewhere in each context.
    """
    peaks = np.log2(tones_hz[curves.argmax(2)])
    stays: np.ndarray = np.abs(peaks - peaks[0]) <= octaves
    return stays


def _share_narrow(params: NarrowBandParams, widths: Float[np.ndarray, "context feature"]) -> float:
    narrow = [is_narrow_band(each, params.limit_octaves, params.share) for each in widths.T]
    return float(np.mean(narrow)) if narrow else 0.0


def _judge(
    params: NarrowBandParams,
    tap: str,
    tones_hz: np.ndarray,
    curves: Mapping[str, np.ndarray],
    rows: list[tuple[Any, ...]],
) -> list[Measurement]:
    passed: dict[str, float] = {}
    by_width: dict[str, float] = {}
    stable: dict[str, float] = {}
    for name, each in curves.items():
        widths = _widths(tones_hz, each)
        moved = np.flatnonzero(np.isfinite(widths[0]))
        steady = np.where(_stays(tones_hz, each, params.limit_octaves), widths, np.nan)
        passed[name] = _share_narrow(params, steady[:, moved])
        by_width[name] = _share_narrow(params, widths[:, moved])
        alike = [tuning_stability(each[0, j], each[3, j]) for j in moved]
        stable[name] = (
            float(np.nanmedian(alike)) if len(moved) and np.isfinite(alike).any() else float("nan")
        )
        rows += [
            (
                tap,
                OWN if name == "own" else name,
                int(j),
                float(tones_hz[each[0, j].argmax()]),
                float(widths[0, j]),
                float(np.mean(widths[:, j] < params.limit_octaves)),
                float(alike[place]),
            )
            for place, j in enumerate(moved)
        ]
    others = [name for name in curves if name != "own"]
    return [
        Measurement(
            "share of features that are narrow-band",
            passed["own"],
            "",
            {name: passed[name] for name in others},
            published="none (P1 §1.3, Fig. 3)",
            tap=tap,
        ),
        Measurement(
            "the same by width alone, wherever the peak goes",
            by_width["own"],
            "",
            {name: by_width[name] for name in others},
            tap=tap,
        ),
        Measurement(
            "median stability of tuning in company",
            stable["own"],
            "",
            {name: stable[name] for name in others},
            tap=tap,
        ),
    ]


def _finding(result: Result, tap: str) -> Finding:
    one = next(m for m in result.measurements if m.tap == tap)
    bank, random = one.controls[_BANK], one.controls[str(_RANDOM)]
    none = one.value < 0.05
    works = bank > 0.8
    reason = (
        "The filter bank passes, so the test can be passed."
        if works
        else "The filter bank itself does not pass: the test says nothing here."
    )
    return Finding(
        f"{tap}: "
        + ("no feature is" if one.value == 0 else f"{one.value:.0%} of the features are")
        + " narrow-band.",
        f"{one.value:.1%} of features",
        f"{_BANK}: {bank:.0%}; {_RANDOM}: {random:.1%}",
        "cannot be tested here" if not works else "holds" if none else "does not hold",
        one.published,
        "P1-03",
        f"{reason} A narrow curve must stay at its frequency in company. The claim is that under "
        "5 % pass; random weights share it, as it concerns the "
        "architecture.",
    )


def _heatmap(result: Result, tap: str) -> Heatmap:
    """Every feature's tuning curve, each relative to its own peak, sorted by peak frequency."""
    curves, tones_hz = result.arrays[f"{tap}/tuning"], result.arrays["tones_hz"]
    moved = curves[curves.max(1) > 0]
    order = np.argsort(moved.argmax(1), kind="stable")
    shown = moved[order] / np.maximum(moved[order].max(1, keepdims=True), 1e-12)
    return Heatmap(
        f"{tap}: tuning of features to a tone alone",
        shown,
        tones_hz,
        np.arange(len(shown)),
        Axis("frequency of the tone", "Hz", "log"),
        Axis("feature, sorted by peak"),
        Axis("activation, of its highest"),
    )


def _tuning(result: Result, tap: str) -> Curve:
    curves, tones_hz = result.arrays[f"{tap}/tuning"], result.arrays["tones_hz"]
    strongest = np.argsort(-curves.max(1), kind="stable")[:5]
    series = tuple(
        Series(f"feature {j}", curves[j] / max(float(curves[j].max()), 1e-12))
        for j in strongest.tolist()
    )
    return Curve(
        f"{tap}: the five features that tones move most",
        tones_hz,
        series,
        Axis("frequency of the tone", "Hz", "log"),
        Axis("activation, of its highest"),
    )


def _histogram(result: Result, tap: str) -> Histogram:
    names = {"own": OWN, str(_RANDOM): str(_RANDOM), _BANK: _BANK}
    widths = {name: result.arrays[f"{tap}/{own}/width"].ravel() for own, name in names.items()}
    return Histogram.of(
        f"{tap}: width of tuning curves",
        widths,
        np.linspace(0, 8, 33),
        Axis("width at half height", "octaves"),
        Axis("share of features"),
    )
