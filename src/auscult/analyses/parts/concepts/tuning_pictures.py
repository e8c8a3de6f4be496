"""Pictures of what units answer to: shares by tap and parameter, and a card for each."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from auscult.analyses.base import Result
from auscult.blocks import (
    Axis,
    Block,
    Clip,
    ClipGrid,
    Curve,
    Gallery,
    GalleryItem,
    Heatmap,
    Series,
    SmallMultiples,
    Table,
)

_NOTE = (
    "One card for each tap and parameter, the one that training adds most to first. Curves are of "
    "the units that the parameter moves most, each as a share of its own greatest response."
)


def tuning_pictures(result: Result) -> list[Block]:
    """Where training adds tuned units, the stimuli, and the curves.

    Args:
        result: Its facts are ``taps`` (by tap and sweep) and ``clips``; its arrays are
            ``TAP/SWEEP/curves`` and the like.
    """
    known: dict[str, dict[str, Any]] = {t: s for t, s in result.facts["taps"].items() if s}
    clips = tuple(Clip(name, 0.0, float(s), label) for name, s, label in _clips(result))
    stimuli = [ClipGrid("The sounds: first, middle and last of each sweep", clips)] if clips else []
    if not known:
        return [*stimuli]
    items = [
        _card(result, tap, name, told)
        for tap, sweeps in known.items()
        for name, told in sweeps.items()
    ]
    units = {"tuned": "%", "under random weights": "%", "training adds": "points"}
    gallery = Gallery("Tuning curves", tuple(items), units, "training adds", _NOTE)
    return [*_shares(known), *stimuli, gallery]


def _clips(result: Result) -> list[tuple[str, float, str]]:
    return [(clip_id, seconds, label) for clip_id, label, seconds in result.facts["clips"]]


def _shares(known: Mapping[str, Mapping[str, Any]]) -> list[Block]:
    """Shares of tuned units under trained weights, and what training adds to them."""
    names = tuple(dict.fromkeys(name for sweeps in known.values() for name in sweeps))

    def grid(of: str) -> np.ndarray:
        nothing = {"tuned": {of: float("nan")}}
        return np.array(
            [[100 * s.get(name, nothing)["tuned"][of] for name in names] for s in known.values()]
        )

    def picture(title: str, values: np.ndarray, what: Axis, colours: Any, note: str) -> Heatmap:
        x, y = np.arange(len(names)), np.arange(len(known))
        axes = (Axis("parameter"), Axis("tap"), what)
        return Heatmap(title, values, x, y, *axes, colours, note, names, tuple(known))

    own, permuted = grid("trained"), grid("permuted")
    return [
        picture(
            "What training adds: tuned units, trained minus random weights",
            own - grid("random"),
            Axis("difference of shares", "points"),
            "diverging",
            "0: a network that nobody trained has as many.",
        ),
        picture(
            "Share of units that are tuned",
            own,
            Axis("share of units", "%"),
            "sequential",
            f"With steps permuted it is {np.nanmean(permuted):.1f} % on average.",
        ),
    ]


def _card(result: Result, tap: str, name: str, told: Mapping[str, Any]) -> GalleryItem:
    shares = told["tuned"]
    measures = {
        "training adds": 100 * (shares["trained"] - shares["random"]),
        "tuned": 100 * shares["trained"],
        "under random weights": 100 * shares["random"],
    }
    blocks: list[Block] = [_curves(result, tap, name, told)]
    if name == "pitch" and f"{tap}/contour/hz" in result.arrays:
        blocks.append(_contours(result, tap, told["best"]))
    blocks.append(_table(told))
    return GalleryItem(f"{tap}: {name}", measures, tuple(blocks))


def _curves(result: Result, tap: str, name: str, known: Mapping[str, Any]) -> SmallMultiples:
    start = f"{tap}/{name}"
    steps, curves = result.arrays[f"{start}/steps"], result.arrays[f"{start}/curves"]
    # Units differ in scale by orders of magnitude, and so do two networks: shapes are compared.
    top = _greatest(curves)
    curves, deviation = curves / top, result.arrays[f"{start}/deviation"] / top
    random = result.arrays[f"{start}/random"]
    random = random / _greatest(random)
    x = Axis(name, known["unit"], "log" if known["log"] else "linear")
    y = Axis("share of its greatest response")

    def lines(i: int) -> tuple[Series, ...]:
        own, apart = curves[:, i], deviation[i]
        return (
            Series("response", own, low=own - apart, high=own + apart),
            Series("random weights, same channel", random[:, i], control=True),
        )

    return SmallMultiples(
        "Response of the units that it moves most",
        tuple(Curve(f"channel {u}", steps, lines(i), x, y) for i, u in enumerate(known["best"])),
        "Mean magnitude. Band: one standard deviation between repeats.",
    )


def _greatest(curves: np.ndarray) -> np.ndarray:
    return np.asarray(np.maximum(np.abs(curves).max(axis=0), 1e-30))


def _contours(result: Result, tap: str, best: list[int]) -> Curve:
    hz, lines = result.arrays[f"{tap}/contour/hz"], result.arrays[f"{tap}/contour/levels"]
    return Curve(
        "Level that brings a unit to half of its range, over pitch",
        hz,
        tuple(Series(f"channel {unit}", lines[i]) for i, unit in enumerate(best)),
        Axis("pitch", "Hz", "log"),
        Axis("level", "dB re full scale"),
        "Contours of equal response; a gap where no level from -50 to -10 dB reaches it.",
    )


def _table(known: Mapping[str, Any]) -> Table:
    rows = tuple(
        (unit, 100 * known["explained"][i], known["thresholds"][i])
        for i, unit in enumerate(known["best"])
    )
    columns = ("channel", "variance explained", "threshold")
    return Table("", columns, rows, ("", "%", known["unit"]))
