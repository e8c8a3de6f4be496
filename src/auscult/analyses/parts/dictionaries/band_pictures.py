"""What the page of narrow bands shows: tuning to tones, and spectra of fragments (A-8)."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from auscult.analyses.base import Result
from auscult.analyses.parts.answering import OWN
from auscult.analyses.parts.dictionaries.fragment_bands import DRAWN_FRAGMENTS
from auscult.blocks import Axis, Block, Curve, Heatmap, Histogram, Scatter, Series


def tuning_heatmap(result: Result, tap: str, kind: str) -> Heatmap:
    """Every unit's tuning curve, each relative to its own peak, sorted by peak frequency."""
    curves, tones_hz = result.arrays[f"{tap}/{kind}/tuning"], result.arrays["tones_hz"]
    moved = curves[curves.max(1) > 0]
    order = np.argsort(moved.argmax(1), kind="stable")
    shown = moved[order] / np.maximum(moved[order].max(1, keepdims=True), 1e-12)
    return Heatmap(
        f"{tap}: tuning of {kind} to a tone alone (cf. P1, Fig. 3)",
        shown,
        tones_hz,
        np.arange(len(shown)),
        Axis("frequency of the tone", "Hz", "log"),
        Axis("unit, sorted by peak"),
        Axis("activation, of its highest"),
    )


def strongest_tuning(result: Result, tap: str, kind: str) -> Curve:
    """Tuning curves of the five units that tones move most."""
    curves, tones_hz = result.arrays[f"{tap}/{kind}/tuning"], result.arrays["tones_hz"]
    strongest = np.argsort(-curves.max(1), kind="stable")[:5]
    series = tuple(
        Series(f"{kind[:-1]} {j}", curves[j] / max(float(curves[j].max()), 1e-12))
        for j in strongest.tolist()
    )
    bank = result.arrays["bank/tuning"]
    middle = bank[len(bank) // 2]
    beside = Series("a filter of the bank (must pass)", middle / middle.max(), control=True)
    return Curve(
        f"{tap}: the five {kind} that tones move most",
        tones_hz,
        (*series, beside),
        Axis("frequency of the tone", "Hz", "log"),
        Axis("activation, of its highest"),
    )


def tuning_histograms(
    result: Result, tap: str, kind: str, conditions: Mapping[str, str]
) -> list[Histogram]:
    """Width and Q of the tuning curves to a tone alone, beside the controls'."""

    def each(name: str) -> dict[str, np.ndarray]:
        return {
            shown: result.arrays[f"{tap}/{kind}/{k}/{name}"].ravel()
            for k, shown in conditions.items()
        }

    share = Axis("share of units")
    return [
        Histogram.of(
            f"{tap}: width of tuning curves of {kind}",
            each("width"),
            np.linspace(0, 8, 33),
            Axis("width at half height", "octaves"),
            share,
        ),
        Histogram.of(
            f"{tap}: Q of tuning curves of {kind}",
            each("q"),
            np.linspace(0, 16, 33),
            Axis("frequency of the peak over width at -3 dB"),
            share,
        ),
    ]


def band_pictures(
    result: Result, tap: str, kind: str, conditions: Mapping[str, str]
) -> list[Block]:
    """Flatness over half-energy width, widths over the corpus, and the narrowest spectrum.

    Args:
        result: Holds the arrays.
        tap: Where.
        kind: Of unit.
        conditions: Names for people, by the names of the arrays; the first is no control.
    """
    start, arrays = f"{tap}/{kind}/spectra", result.arrays
    if f"{start}/hz" not in arrays:
        return []
    named = {**conditions, DRAWN_FRAGMENTS: DRAWN_FRAGMENTS}
    told = {shown: k for k, shown in named.items() if f"{start}/{k}/flatness" in arrays}

    def each(name: str) -> dict[str, np.ndarray]:
        return {shown: arrays[f"{start}/{k}/{name}"] for shown, k in told.items()}

    flatness, half = each("flatness"), each("half_energy_hz")
    widths = each("width_octaves")
    lines = ((OWN, "narrowest"), (DRAWN_FRAGMENTS, "beside"))
    return [
        Curve(
            f"{tap}: the narrowest spectrum of {kind} (P1, Fig. 3)",
            arrays[f"{start}/hz"],
            tuple(
                Series(shown, _decibels(arrays[f"{start}/{key}"]), control=key == "beside")
                for shown, key in lines
            ),
            Axis("frequency", "Hz", "log"),
            Axis("power over the corpus'", "dB"),
            "Around the strongest fragments of one unit, and around random ones of the same "
            "recordings.",
        ),
        Histogram.of(
            f"{tap}: width of the spectra of {kind}",
            widths,
            np.linspace(0, 8, 33),
            Axis("width at -10 dB, over the corpus", "octaves"),
            Axis("share of units"),
        ),
        Scatter(
            f"{tap}: flatness and half-energy width of the spectra of {kind}",
            np.concatenate(list(half.values())),
            np.maximum(np.concatenate(list(flatness.values())), 1e-12),
            Axis("band that holds half the energy", "Hz", "log"),
            Axis("spectral flatness (1 is white)", "", "log"),
            groups=tuple(shown for shown, values in half.items() for _ in values),
            note="A unit of one narrow band lies far to the left of random fragments, and low. "
            "All but the first group are controls.",
        ),
    ]


def _decibels(power: Float[np.ndarray, " f"]) -> Float[np.ndarray, " f"]:
    return np.asarray(10 * np.log10(np.maximum(power, 1e-6)))
