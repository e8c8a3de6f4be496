"""What shapes are the first filters, and how narrow can they be?"""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float
from pydantic import Field

from auscult.analyses.base import (
    ANALYSES,
    Analysis,
    Condition,
    Context,
    Judgement,
    Measurement,
    Result,
)
from auscult.analyses.parts.answering import DRAWN, OWN, unmeasured, verdict_of
from auscult.blocks import (
    Axis,
    Block,
    Curve,
    Histogram,
    Scatter,
    Series,
    SmallMultiples,
    Table,
    Text,
    Verdict,
)
from auscult.core.config import Config
from auscult.core.errors import TapError
from auscult.core.rng import named_rng
from auscult.core.timebase import TimeBase
from auscult.measures.filter_shapes import FilterShapes, filter_shapes
from auscult.measures.spectra import dominant_frequency_hz, frequency_response
from auscult.models.weights import FirstConv, effective_weight, first_conv, folded_conv

_RECTANGLE_3DB = 0.886  # width of a rectangle's main lobe at -3 dB, in units of f_s / K
_GABOR_LIMIT = 1 / (4 * np.pi)
_NULLS = (DRAWN, "shuffled weights", "normal taps")


class FilterParams(Config):
    """Settings of the analysis of filters."""

    n_shown: int = Field(64, ge=1)
    """Filters drawn, those of the largest norm first chosen, then sorted by dominant frequency."""
    n_random: int = Field(5, ge=1)
    """Draws of filters with normally distributed taps, a control that asks nothing of the model."""


@ANALYSES.register("filters")
class Filters(Analysis):
    """Shapes, frequencies and bandwidths of the first filters, against random weights.

    Weights are taken as they act: weight normalisation multiplied out, and a batch normalisation
    that directly follows folded in beside the unfolded filters.
    """

    Params: ClassVar[type[Config]] = FilterParams
    title: ClassVar[str] = "First filters"
    question: ClassVar[str] = (
        "What shapes are the filters that meet the waveform, and how narrow can they be?"
    )
    source: ClassVar[str] = "METHODS A-1, A-2 (Cosme-Clifford, Post 1, Fig. 1 and §1.1); Gabor 1946"
    version: ClassVar[int] = 2

    @classmethod
    def controls(cls, params: FilterParams) -> tuple[Condition, ...]:  # noqa: ARG003
        """None that has to be recorded: weights alone are compared."""
        return ()

    def run(self, context: Context, params: FilterParams) -> Result:
        """Measure the first convolution under trained, random and shuffled weights.

        And draws of noise.
        """
        trained = context.model()
        try:
            found = first_conv(trained)
        except TapError as error:
            return _no_filters(context, str(error))
        filters = _filters(found)
        sets = {
            DRAWN: _filters(first_conv(context.model("random"))),
            "shuffled weights": _filters(first_conv(context.model("shuffled"))),
            "normal taps": _normal(filters, params.n_random, context.seed),
        }
        rate = trained.sample_rate
        measured = filter_shapes(filters, rate)
        nulls = {name: filter_shapes(other, rate) for name, other in sets.items()}
        context.advance(0.8)
        kernel = filters.shape[1]
        measurements = _measurements(measured, nulls, rate, kernel, found.path)
        return Result(
            measurements=measurements,
            judgements=_judgements(measurements, kernel, rate),
            arrays={"filters": filters, "folded": _folded(found), **sets},
            facts={
                "path": found.path,
                "sample_rate": rate,
                "kernel": kernel,
                "n_filters": len(filters),
                "n_zero": int(len(filters) - len(measured.norm)),
                "norm_path": found.norm_path,
                "n_shown": params.n_shown,
                **_tap_facts(context),
            },
        )

    def view(self, result: Result) -> list[Block]:
        """Findings, the grid of filters, their spectra.

        And what every recorded tap could tell apart.
        """
        facts, arrays = result.facts, result.arrays
        blocks: list[Block] = [judged.finding() for judged in result.judgements]
        if "filters" not in arrays:
            return [*blocks, _tap_table(facts)]
        rate = int(facts["sample_rate"])
        sets = {name: arrays[name] for name in _NULLS}
        blocks += [_explanation(facts)]
        title = "Filters as they act (P1, Fig. 1)"
        blocks += [_grid(title, arrays["filters"], rate, int(facts["n_shown"]))]
        if facts["norm_path"]:
            title = f"The same with {facts['norm_path']} folded in"
            blocks.append(_grid(title, arrays["folded"], rate, int(facts["n_shown"])))
        blocks += [
            _grid("Control: the same layer with random weights", sets[DRAWN], rate, 16),
            _responses(arrays["filters"], rate),
            *_histograms(arrays["filters"], sets, rate),
            _scatter(arrays["filters"], sets[DRAWN], rate),
            _tap_table(facts),
            _filter_table(arrays["filters"], rate),
        ]
        return blocks


def _no_filters(context: Context, reason: str) -> Result:
    """What can be said of a model whose first layer does not meet the waveform."""
    where = ", ".join(context.taps)
    one = unmeasured("resolution f_s / K", where, [DRAWN], "Hz")
    sentence = "The model has no filters on the waveform whose resolution could be told."
    judged = Judgement(sentence, one, "cannot be tested here", reason, "P1-01")
    return Result((one,), facts=_tap_facts(context), judgements=(judged,))


def _tap_facts(context: Context) -> dict[str, Any]:
    return {
        "taps": {tap: context.time(tap).to_json() for tap in context.taps},
        "widths": {tap: int(context.store(tap).d_in) for tap in context.taps},
    }


def _filters(found: FirstConv) -> Float[np.ndarray, "n k"]:
    """Filters of the first convolution.

    Several input channels are averaged (stereo heard as mono).
    """
    return effective_weight(found.conv).mean(1).numpy().astype(np.float64)


def _folded(found: FirstConv) -> Float[np.ndarray, "n k"]:
    if found.norm is None:
        return _filters(found)
    return folded_conv(found.conv, found.norm)[0].mean(1).numpy().astype(np.float64)


def _normal(filters: Float[np.ndarray, "n k"], n_draws: int, seed: int) -> Float[np.ndarray, "m k"]:
    rng = named_rng(seed, "filters", "normal taps")
    return rng.normal(size=(n_draws * len(filters), filters.shape[1]))


def _measurements(
    own: FilterShapes, nulls: Mapping[str, FilterShapes], rate: int, kernel: int, path: str
) -> tuple[Measurement, ...]:
    def each(name: str, unit: str, of: Any, published: str = "", **fixed: float) -> Measurement:
        controls = {null: float(of(shape)) for null, shape in nulls.items()} | fixed
        return Measurement(name, float(of(own)), unit, controls, published=published, tap=path)

    return (
        Measurement(
            "resolution f_s / K",
            rate / kernel,
            "Hz",
            {
                "rectangle at -3 dB": _RECTANGLE_3DB * rate / kernel,
                "rectangle, null to null": 2 * rate / kernel,
                "these filters' median bandwidth at -3 dB": _median(own.width_3db_hz),
                **{f"{name}, median": _median(null.width_3db_hz) for name, null in nulls.items()},
            },
            published="24,000 / 7 ≈ 3.4 kHz (P1 §1.1)",
            tap=path,
        ),
        each("median bandwidth at -3 dB", "Hz", lambda s: _median(s.width_3db_hz)),
        each("median distance between nulls", "Hz", lambda s: _median(s.null_width_hz)),
        each("median Gabor product", "", lambda s: _median(s.gabor), limit=_GABOR_LIMIT),
        each("mean |symmetry|", "", lambda s: _mean(np.abs(s.symmetry))),
        each(
            "share of filters with |gain at 0 Hz| below a tenth of the norm",
            "",
            lambda s: _mean(np.abs(s.dc) < 0.1 * s.norm),
        ),
        each("median dominant frequency", "Hz", lambda s: _median(s.dominant_hz)),
        each("mean sign changes", "", lambda s: _mean(s.sign_changes)),
    )


def _median(values: np.ndarray) -> float:
    """Median; NaN for none, as when every filter is zero."""
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else float("nan")


def _mean(values: np.ndarray) -> float:
    return float(np.mean(values)) if len(values) else float("nan")


def _judgements(
    measurements: tuple[Measurement, ...], kernel: int, rate: int
) -> tuple[Judgement, ...]:
    by_name = {one.name: one for one in measurements}
    bound = by_name["resolution f_s / K"]
    width = by_name["median bandwidth at -3 dB"]
    gabor = by_name["median Gabor product"]
    random = width.controls[DRAWN]
    narrow = verdict_of(width.value, list(width.controls.values()), "less", 0.05 * random)
    close = verdict_of(gabor.value, [gabor.controls[DRAWN]], "less", 0.02)
    return (
        Judgement(
            f"A filter of {kernel} samples at {rate:,} Hz cannot tell apart what lies closer than "
            f"about {bound.text()}.",
            bound,
            _bound_verdict(bound),
            "The rule holds when neither trained nor random filters are, in the median, narrower "
            "than half of f_s / K: two equal taps at both ends reach this half, and nothing much "
            "less. It follows from the length alone, so that random weights share it.",
            "P1-01",
        ),
        Judgement(
            "Training made the first filters narrower than those of every control."
            if narrow == "holds"
            else "Training did not make the first filters narrower than those of every control.",
            width,
            narrow,
            "Median width of the main lobe at -3 dB; a margin of 5 % counts as equal.",
        ),
        Judgement(
            "Training brought the filters closer to the limit of time and frequency."
            if close == "holds"
            else "Training did not bring the filters closer to the limit of time and frequency.",
            gabor,
            close,
            "Median of σ_t σ_f; it holds when trained filters come closer to 1/(4π) than random "
            "ones.",
        ),
    )


def _bound_verdict(bound: Measurement) -> Verdict:
    measured = [
        bound.controls["these filters' median bandwidth at -3 dB"],
        bound.controls["random weights, median"],
    ]
    if not np.isfinite(measured).all():
        return "cannot be tested here"
    return "holds" if min(measured) >= 0.5 * bound.value else "does not hold"


def _explanation(facts: Mapping[str, Any]) -> Text:
    zero = f" {facts['n_zero']} of them are all zeros and are left out." if facts["n_zero"] else ""
    return Text(
        f"{facts['path']} has {facts['n_filters']} filters of {facts['kernel']} samples "
        f"({1000 * facts['kernel'] / facts['sample_rate']:.2f} ms).{zero} Each picture has its "
        "own filter scaled to its "
        "largest tap; they are sorted by the frequency of their highest gain."
    )


def _sorted(filters: np.ndarray, rate: int, n_shown: int) -> tuple[np.ndarray, np.ndarray]:
    """The loudest filters in the order of their dominant frequency."""
    chosen = np.argsort(-np.linalg.norm(filters, axis=1), kind="stable")[:n_shown]
    dominant = dominant_frequency_hz(filters[chosen], rate)
    order = np.argsort(dominant, kind="stable")
    return chosen[order], dominant[order]


def _grid(title: str, filters: np.ndarray, rate: int, n_shown: int) -> SmallMultiples:
    chosen, dominant = _sorted(filters, rate, n_shown)
    times = 1000 * np.arange(filters.shape[1]) / rate
    curves = tuple(
        Curve(
            f"{index}: {hz:.0f} Hz",
            times,
            (Series("weight", filters[index] / max(np.abs(filters[index]).max(), 1e-12)),),
            Axis("time", "ms"),
            Axis("weight, of its largest"),
        )
        for index, hz in zip(chosen, dominant, strict=True)
    )
    return SmallMultiples(title, curves, f"{len(chosen)} of {len(filters)} filters.")


def _responses(filters: np.ndarray, rate: int) -> Curve:
    """Mean response and its spread: how the layer as a whole treats frequency."""
    frequencies_hz, gain = frequency_response(filters, rate)
    step = max(1, len(frequencies_hz) // 512)
    decibels = 20 * np.log10(np.maximum(gain, 1e-6 * gain.max()))
    low, middle, high = np.quantile(decibels, [0.25, 0.5, 0.75], axis=0)
    return Curve(
        "Gain over frequency",
        frequencies_hz[::step],
        (Series("median of the filters", middle[::step], low=low[::step], high=high[::step]),),
        Axis("frequency", "Hz"),
        Axis("gain", "dB re 1"),
        "The band holds the middle half of the filters.",
    )


def _histograms(filters: np.ndarray, sets: Mapping[str, np.ndarray], rate: int) -> list[Block]:
    measured = {OWN: filter_shapes(filters, rate)}
    measured |= {name: filter_shapes(other, rate) for name, other in sets.items()}
    share = Axis("share of filters")
    widths = {name: one.width_3db_hz for name, one in measured.items()}
    products = {name: one.gabor for name, one in measured.items()}
    hz = Axis("bandwidth", "Hz")
    return [
        Histogram.of("Bandwidth at -3 dB", widths, _edges(widths), hz, share),
        Histogram.of("Gabor product", products, _edges(products), Axis("σ_t σ_f"), share),
    ]


def _edges(values: Mapping[str, np.ndarray]) -> np.ndarray:
    """Bins from 0 to what nearly all filters of any set stay below."""
    every = np.concatenate(list(values.values()))
    every = every[np.isfinite(every)]
    top = float(np.quantile(every, 0.99)) if len(every) else 1.0
    return np.linspace(0, 1.05 * max(top, 1e-9), 41)


def _scatter(filters: np.ndarray, random: np.ndarray, rate: int) -> Scatter:
    own, null = filter_shapes(filters, rate), filter_shapes(random, rate)
    return Scatter(
        "Dominant frequency and bandwidth",
        np.concatenate([own.dominant_hz, null.dominant_hz]),
        np.concatenate([own.width_3db_hz, null.width_3db_hz]),
        Axis("dominant frequency", "Hz"),
        Axis("bandwidth at -3 dB", "Hz"),
        groups=(OWN,) * len(own.norm) + (DRAWN,) * len(null.norm),
    )


def _tap_table(facts: Mapping[str, Any]) -> Table:
    rows = []
    for tap, told in facts["taps"].items():
        time = TimeBase.from_json(told)
        heard = "whole clip" if time.global_ else "all before" if time.unbounded_past else "span"
        span_ms = float(1000 * time.span / time.sample_rate)
        rate = float(time.frame_rate)
        bound = float(time.resolution_hz)
        width = int(facts["widths"][tap])
        rows.append((tap, width, float(time.span), span_ms, bound, rate, rate / 2, heard))
    field = "receptive field"
    return Table(
        "What the recorded taps could tell apart",
        ("tap", "channels", field, field, "f_s / R", "frame rate", "Nyquist", "hears"),
        tuple(rows),
        ("", "", "samples", "ms", "Hz", "Hz", "Hz", ""),
        "f_s / R bounds the width of what one frame can tell apart; above the Nyquist rate of the "
        "frames, frequencies fold onto each other along time.",
    )


def _filter_table(filters: np.ndarray, rate: int) -> Table:
    norms = np.linalg.norm(filters, axis=1)
    alive = np.flatnonzero(norms > 1e-8 * np.abs(filters).max(initial=0.0))
    own = filter_shapes(filters, rate)
    columns = {
        "dominant": own.dominant_hz,
        "bandwidth -3 dB": own.width_3db_hz,
        "between nulls": own.null_width_hz,
        "σ_t σ_f": own.gabor,
        "norm": own.norm,
        "gain at 0 Hz": own.dc,
        "symmetry": own.symmetry,
        "sign changes": own.sign_changes,
    }
    rows = tuple((int(i), *(float(c[j]) for c in columns.values())) for j, i in enumerate(alive))
    units = ("", "Hz", "Hz", "Hz", "", "", "", "", "")
    return Table("Every filter", ("filter", *columns), rows, units)
