"""What shapes are the first filters, and how narrow can they be?"""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float
from pydantic import Field

from auscult.analyses.base import ANALYSES, Analysis, Condition, Context, Measurement, Result
from auscult.analyses.reading import OWN, verdict_of
from auscult.blocks import (
    Axis,
    Block,
    Curve,
    Finding,
    Histogram,
    Scatter,
    Series,
    SmallMultiples,
    Table,
    Text,
)
from auscult.core.config import Config
from auscult.core.rng import named_rng
from auscult.core.timebase import TimeBase
from auscult.measures.filter_shapes import FilterShapes, filter_shapes
from auscult.measures.spectra import dominant_frequency_hz, frequency_response
from auscult.models.weights import FirstConv, effective_weight, first_conv, folded_conv

_RECTANGLE_3DB = 0.886  # width of a rectangle's main lobe at -3 dB, in units of f_s / K
_GABOR_LIMIT = 1 / (4 * np.pi)


class FilterParams(Config):
    """Settings of the analysis of filters."""

    n_shown: int = Field(64, ge=1)
    """Filters drawn, those of the largest norm first chosen, then sorted by dominant frequency."""
    n_random: int = Field(5, ge=1)
    """Draws of filters with normally distributed taps, a control that asks nothing of the model."""


@ANALYSES.register("filters")
class Filters(Analysis):
    """FilterShapes, frequencies and bandwidths of the first filters, against random weights.

    Weights are taken as they act: weight normalisation multiplied out, and a batch normalisation
    that directly follows folded in beside the unfolded filters.
    """

    Params: ClassVar[type[Config]] = FilterParams
    title: ClassVar[str] = "First filters"
    question: ClassVar[str] = (
        "What shapes are the filters that meet the waveform, and how narrow can they be?"
    )
    source: ClassVar[str] = "METHODS A-1, A-2 (Cosme-Clifford, Post 1, Fig. 1 and §1.1); Gabor 1946"

    @classmethod
    def controls(cls, params: FilterParams) -> tuple[Condition, ...]:  # noqa: ARG003
        """None that has to be recorded: weights alone are compared."""
        return ()

    def run(self, context: Context, params: FilterParams) -> Result:
        """Measure the first convolution under trained, random and shuffled weights.

        And draws of noise.
        """
        trained = context.model()
        found = first_conv(trained)
        filters = _filters(found)
        sets = {
            "random weights": _filters(first_conv(context.model("random"))),
            "shuffled weights": _filters(first_conv(context.model("shuffled"))),
            "normal taps": _normal(filters, params.n_random, context.seed),
        }
        rate = trained.sample_rate
        measured = filter_shapes(filters, rate)
        nulls = {name: filter_shapes(other, rate) for name, other in sets.items()}
        context.advance(0.8)
        kernel = filters.shape[1]
        return Result(
            measurements=_measurements(measured, nulls, rate, kernel, found.path),
            arrays={"filters": filters, "folded": _folded(found), **sets},
            facts={
                "path": found.path,
                "sample_rate": rate,
                "kernel": kernel,
                "n_filters": len(filters),
                "n_zero": int(len(filters) - len(measured.norm)),
                "norm_path": found.norm_path,
                "n_shown": params.n_shown,
                "taps": {tap: context.time(tap).to_json() for tap in context.taps},
                "widths": {tap: int(context.store(tap).d_in) for tap in context.taps},
            },
        )

    def view(self, result: Result) -> list[Block]:
        """Findings, the grid of filters, their spectra.

        And what every recorded tap could tell apart.
        """
        facts, arrays = result.facts, result.arrays
        rate = int(facts["sample_rate"])
        sets = {
            name: arrays[name] for name in ("random weights", "shuffled weights", "normal taps")
        }
        blocks: list[Block] = [*_findings(result), _explanation(facts)]
        blocks += [_grid("Filters as they act", arrays["filters"], rate, int(facts["n_shown"]))]
        if facts["norm_path"]:
            title = f"The same with {facts['norm_path']} folded in"
            blocks.append(_grid(title, arrays["folded"], rate, int(facts["n_shown"])))
        blocks += [
            _grid("Control: the same layer with random weights", sets["random weights"], rate, 16),
            _responses(arrays["filters"], rate),
            *_histograms(arrays["filters"], sets, rate),
            _scatter(arrays["filters"], sets["random weights"], rate),
            _tap_table(facts),
            _filter_table(arrays["filters"], rate),
        ]
        return blocks


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
            },
            published="24,000 / 7 ≈ 3.4 kHz (P1 §1.1)",
            tap=path,
        ),
        each("median bandwidth at -3 dB", "Hz", lambda s: np.median(s.width_3db_hz)),
        each("median distance between nulls", "Hz", lambda s: np.median(s.null_width_hz)),
        each("median Gabor product", "", lambda s: np.median(s.gabor), limit=_GABOR_LIMIT),
        each("mean |symmetry|", "", lambda s: np.mean(np.abs(s.symmetry))),
        each(
            "share of filters with |gain at 0 Hz| below a tenth of the norm",
            "",
            lambda s: np.mean(np.abs(s.dc) < 0.1 * s.norm),
        ),
        each("median dominant frequency", "Hz", lambda s: np.median(s.dominant_hz)),
        each("mean sign changes", "", lambda s: np.mean(s.sign_changes)),
    )


def _findings(result: Result) -> list[Block]:
    by_name = {one.name: one for one in result.measurements}
    bound = by_name["resolution f_s / K"]
    width = by_name["median bandwidth at -3 dB"]
    random = width.controls["random weights"]
    gabor = by_name["median Gabor product"]
    return [
        Finding(
            f"A filter of {result.facts['kernel']} samples at {result.facts['sample_rate']} Hz "
            "cannot tell apart "
            f"what lies closer than about {bound.text()}.",
            bound.text(),
            f"rectangle of that length: {bound.text(bound.controls['rectangle at -3 dB'])} at -3 "
            "dB",
            "holds",
            bound.published,
            "P1-01",
            "It follows from the length alone; trained or not makes no difference.",
        ),
        Finding(
            "Training made the first filters narrower than random ones."
            if width.value < random
            else "Training did not make the first filters narrower than random ones.",
            width.text(),
            f"random weights: {width.text(random)}; normal taps: "
            f"{width.text(width.controls['normal taps'])}",
            verdict_of(width.value, list(width.controls.values()), "less", 0.05 * random),
            reason="Median width of the main lobe at -3 dB; a margin of 5 % counts as equal.",
        ),
        Finding(
            "Training brought the filters closer to the limit of time and frequency."
            if gabor.value < gabor.controls["random weights"] - 0.02
            else "Training did not bring the filters closer to the limit of time and frequency.",
            gabor.text(),
            f"limit: {_GABOR_LIMIT:.3g}; random weights: "
            f"{gabor.text(gabor.controls['random weights'])}",
            verdict_of(gabor.value, [gabor.controls["random weights"]], "less", 0.02),
            reason="Median of σ_t σ_f; it holds when trained filters come closer to 1/(4π) than "
            "random ones.",
        ),
    ]


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
    top = np.nanquantile(np.concatenate(list(values.values())), 0.99)
    return np.linspace(0, 1.05 * max(float(top), 1e-9), 41)


def _scatter(filters: np.ndarray, random: np.ndarray, rate: int) -> Scatter:
    own, null = filter_shapes(filters, rate), filter_shapes(random, rate)
    return Scatter(
        "Dominant frequency and bandwidth",
        np.concatenate([own.dominant_hz, null.dominant_hz]),
        np.concatenate([own.width_3db_hz, null.width_3db_hz]),
        Axis("dominant frequency", "Hz"),
        Axis("bandwidth at -3 dB", "Hz"),
        groups=(OWN,) * len(own.norm) + ("random weights",) * len(null.norm),
    )


def _tap_table(facts: Mapping[str, Any]) -> Table:
    rows = []
    for tap, told in facts["taps"].items():
        time = TimeBase.from_json(told)
        heard = "whole clip" if time.global_ else "all before" if time.unbounded_past else "span"
        rows.append(
            (
                tap,
                int(facts["widths"][tap]),
                float(time.span),
                float(1000 * time.span / time.sample_rate),
                float(time.resolution_hz),
                float(time.frame_rate),
                float(time.frame_rate / 2),
                heard,
            )
        )
    return Table(
        "What the recorded taps could tell apart",
        (
            "tap",
            "channels",
            "receptive field",
            "receptive field",
            "f_s / R",
            "frame rate",
            "Nyquist",
            "hears",
        ),
        tuple(rows),
        ("", "", "samples", "ms", "Hz", "Hz", "Hz", ""),
        "f_s / R bounds the width of what one frame can tell apart; above the Nyquist rate of the "
        "frames, "
        "frequencies fold onto each other along time.",
    )


def _filter_table(filters: np.ndarray, rate: int) -> Table:
    alive = np.flatnonzero(
        np.linalg.norm(filters, axis=1) > 1e-8 * np.abs(filters).max(initial=0.0)
    )
    own = filter_shapes(filters, rate)
    columns = (
        own.dominant_hz,
        own.width_3db_hz,
        own.null_width_hz,
        own.gabor,
        own.norm,
        own.dc,
        own.symmetry,
        own.sign_changes,
    )
    rows = tuple((int(i), *(float(c[j]) for c in columns)) for j, i in enumerate(alive))
    return Table(
        "Every filter",
        (
            "filter",
            "dominant",
            "bandwidth -3 dB",
            "between nulls",
            "σ_t σ_f",
            "norm",
            "gain at 0 Hz",
            "symmetry",
            "sign changes",
        ),
        rows,
        ("", "Hz", "Hz", "Hz", "", "", "", "", ""),
    )
