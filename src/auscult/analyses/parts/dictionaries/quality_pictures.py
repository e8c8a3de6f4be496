"""Pictures of how good the dictionaries of one tap are."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from auscult.analyses.parts.answering import DRAWN
from auscult.analyses.parts.dictionaries.lineup import BASELINES
from auscult.analyses.parts.dictionaries.standing import Measured
from auscult.blocks import Axis, Block, Curve, Heatmap, Histogram, Series, Table

_MOST_LINES = 6
_MOST_STEPS = 200
_USAGE_EDGES = np.arange(-5.0, 0.26, 0.25)
_L0 = Axis("features on at once (l0)", "per frame", "log")


def pictures(
    tap: str,
    found: Sequence[Measured],
    logs: Mapping[str, Sequence[Sequence[Mapping[str, Any]]]],
    threshold: float,
) -> list[Block]:
    """Everything that is drawn of one tap, those fitted to generators after the others.

    Args:
        tap: Where.
        found: What was measured of each dictionary.
        logs: Training logs of each, one a seed.
        threshold: Cosine from which a feature counts as found again.
    """
    blocks: list[Block] = []
    for of in dict.fromkeys(it.entry.of for it in found):
        some = [it for it in found if it.entry.of == of]
        where = tap if of == "responses" else f"{tap}, generators"
        learned = [it for it in some if it.learned]
        blocks += [front(where, some), _table(where, some)]
        if learned:
            blocks += [
                *_training(where, some, logs),
                _dimensions(where, _spread(learned)),
                _density(where, _spread(learned)),
                _dwell(where, _spread(learned)),
            ]
        if len(some) > 1:
            blocks.append(_matrix(where, some, threshold))
    return blocks


def front(where: str, found: Sequence[Measured]) -> Curve:
    """Fvu over l0, a line for each type and width, baselines dashed."""
    families = dict.fromkeys(it.entry.family for it in found)
    lines = []
    for family in families:
        points = sorted(
            (it for it in found if it.entry.family == family), key=lambda it: it.value("l0")
        )
        lines.append(
            Series(
                family,
                np.array([it.value("fvu") for it in points]),
                np.array([it.value("l0") for it in points]),
                control=points[0].entry.role in BASELINES,
            )
        )
    lines.sort(key=lambda one: one.control)
    everywhere = np.array(sorted({it.value("l0") for it in found}))
    return Curve(
        f"{where}: variance left unexplained over features on at once",
        everywhere,
        tuple(lines),
        _L0,
        Axis("fraction of variance unexplained", ""),
        "Lower left is better. A line for each type and width; dashed: the sanity baselines. "
        "Means over seeds; intervals stand in the table, and those of differences, which are "
        "narrower because recordings are shared, in the answers above.",
    )


def _table(where: str, found: Sequence[Measured]) -> Table:
    """Every dictionary with its figures."""
    rows: list[tuple[Any, ...]] = []
    for place, it in enumerate(found, 1):
        low, high = it.interval("fvu") or (None, None)
        rows.append(
            (
                place,
                it.entry.name,
                it.entry.family,
                *(it.value(name) for name in ("l0", "l0_per_second", "fvu")),
                low,
                high,
                *(
                    it.value(name)
                    for name in (
                        "centred_cosine",
                        "reconstruction_bias",
                        "relative_norm",
                        "hoyer",
                        "dead_fraction",
                        "dense_share",
                        "dwell_s",
                        "dwell_shuffled_s",
                    )
                ),
                _none(it.found_again),
                _none(it.chance),
            )
        )
    columns = (
        "no.",
        "dictionary",
        "type, width",
        "l0",
        "l0",
        "fvu",
        "fvu, low",
        "fvu, high",
        "cosine",
        "bias",
        "length",
        "Hoyer",
        "dead",
        "dense",
        "dwell",
        "dwell, shuffled",
        "found again",
        "by chance",
    )
    units = ("", "", "", "per frame", "per s", *[""] * 3, *[""] * 3, "", "share", "share")
    return Table(
        f"{where}: every dictionary",
        columns,
        tuple(rows),
        (*units, "s", "s", "share", "share"),
        "Means over seeds; fvu with its 95 % interval over recordings. Cosine, bias and length "
        "of the reconstruction are about the mean: a bias below 1 is shrinkage. Dead: never on in "
        "this sample; dense: on in more than a tenth of the frames.",
    )


def _none(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _spread(learned: Sequence[Measured]) -> list[Measured]:
    """As many as a picture can tell apart, evenly from all."""
    chosen = np.linspace(0, len(learned) - 1, _MOST_LINES).astype(np.int64)
    return [learned[i] for i in np.unique(chosen)] if learned else []


def _training(
    where: str,
    found: Sequence[Measured],
    logs: Mapping[str, Sequence[Sequence[Mapping[str, Any]]]],
) -> list[Block]:
    """Loss, l0 and dead features over steps, from the training logs of the first seed."""
    told = [(it, logs[it.entry.name][0]) for it in found if logs[it.entry.name]]
    told = [(it, lines) for it, lines in told if lines]
    few = _spread([it for it, _ in told if it.learned])
    few += [it for it, _ in told if not it.learned][:4]
    names = {it.entry.name for it in few}
    shown = [(it, lines) for it, lines in told if it.entry.name in names]
    if not shown:
        return []
    asked = (
        ("loss", Axis("summed loss", "", "log"), lambda line: sum(line["losses"].values())),
        ("l0", Axis("features on at once (l0)", "per frame", "log"), lambda line: line["l0"]),
        ("dead features", Axis("share of dead features", ""), lambda line: line["dead_fraction"]),
    )
    blocks: list[Block] = []
    for name, axis, take in asked:
        lines = [_over_steps(it, some, take) for it, some in shown]
        lines.sort(key=lambda one: one.control)
        steps = lines[0].x if lines[0].x is not None else np.zeros(0)
        blocks.append(
            Curve(
                f"{where}: {name} while training",
                steps,
                tuple(lines),
                Axis("step"),
                axis,
                "First seed; losses differ between types in what they add up, and are in scaled "
                "units but for dictionaries with scale = false."
                if name == "loss"
                else "First seed, of the batch at that step.",
            )
        )
    return blocks


def _over_steps(it: Measured, lines: Sequence[Mapping[str, Any]], take: Any) -> Series:
    every = -(-len(lines) // _MOST_STEPS)
    some = [*lines[:-1:every], lines[-1]]
    steps = np.array([float(line["step"]) for line in some])
    values = np.array([float(take(line)) for line in some])
    return Series(it.entry.name, values, steps, control=not it.learned)


def _dimensions(where: str, learned: Sequence[Measured]) -> Curve:
    """Explained variance of each channel, the best explained first."""
    lines = []
    for it in learned:
        one = it.qualities[0]
        values = one.metrics.explained_variance
        order = np.argsort(-np.nan_to_num(values, nan=-np.inf), kind="stable")
        lines.append(
            Series(
                it.entry.name,
                values[order],
                None,
                one.explained_low[order],
                one.explained_high[order],
            )
        )
    control = learned[0].controls.get(DRAWN)
    if control is not None:
        untrained = np.sort(control.metrics.explained_variance)[::-1]
        lines.append(Series(f"{learned[0].entry.name}, random weights", untrained, control=True))
    return Curve(
        f"{where}: explained variance of each channel",
        np.arange(1, len(lines[0].y) + 1),
        tuple(lines),
        Axis("channel, best explained first"),
        Axis("explained variance", ""),
        "First seed. Bands: 95 % over recordings. Channels are in the order of each dictionary.",
    )


def _density(where: str, learned: Sequence[Measured]) -> Histogram:
    """How many features are on how often."""
    series = [Series(it.entry.name, _shares(it.qualities[0].metrics.usage)) for it in learned]
    control = learned[0].controls.get(DRAWN)
    if control is not None:
        name = f"{learned[0].entry.name}, random weights"
        series.append(Series(name, _shares(control.metrics.usage), control=True))
    return Histogram(
        f"{where}: how often features are on",
        _USAGE_EDGES,
        tuple(series),
        Axis("usage", "log10 of the share of frames"),
        Axis("share of features"),
        "The leftmost bin holds features that are on in less than one frame in 56,000, dead ones "
        "among them; from -1 on features are dense. First seed.",
    )


def _shares(usage: np.ndarray) -> np.ndarray:
    logs = np.log10(np.maximum(usage, 1e-9))
    return np.histogram(np.clip(logs, _USAGE_EDGES[0], _USAGE_EDGES[-1]), _USAGE_EDGES)[0] / len(
        usage
    )


def _dwell(where: str, learned: Sequence[Measured]) -> Curve:
    """Dwell time of each feature, longest first, and as a whole in random order."""
    lines = []
    for it in learned:
        known = it.qualities[0].dwell_by_feature_s
        lines.append(_by_rank(it.entry.name, known[np.isfinite(known)]))
    control = learned[0].controls.get(DRAWN)
    if control is not None:
        known = control.dwell_by_feature_s
        name = f"{learned[0].entry.name}, random weights"
        lines.append(_by_rank(name, known[np.isfinite(known)], control=True))
    shuffled = learned[0].qualities[0].dwell_shuffled_s
    ends = np.array([0.0, 1.0])
    name = f"{learned[0].entry.name}, frames in random order (mean)"
    lines.append(Series(name, np.full(2, shuffled), ends, control=True))
    return Curve(
        f"{where}: how long features stay on",
        lines[0].x if lines[0].x is not None else ends,
        tuple(lines),
        Axis("share of the features in use, longest first"),
        Axis("mean length of a run of activation", "s", "log"),
        "First seed. Runs that reach the end of a stored stretch are cut there.",
    )


def _by_rank(name: str, values: np.ndarray, control: bool = False) -> Series:
    ordered = np.sort(values)[::-1]
    every = -(-max(len(ordered), 1) // _MOST_STEPS)
    place = (np.arange(len(ordered)) + 0.5) / max(len(ordered), 1)
    return Series(name, ordered[::every], place[::every], control=control)


def _matrix(where: str, found: Sequence[Measured], threshold: float) -> Heatmap:
    """Share of the features of one dictionary that another has too."""
    values = np.array([[a.covered_by(b, threshold) for b in found] for a in found])
    numbers = np.arange(1, len(found) + 1)
    return Heatmap(
        f"{where}: features of one dictionary that are in another",
        values,
        numbers,
        numbers,
        Axis("in dictionary", "no."),
        Axis("features of dictionary", "no."),
        Axis(f"share found at a cosine of {threshold:g}", ""),
        note="Numbers are those of the table. On the diagonal: between seeds of one dictionary. "
        "Only features that are ever on; first seed elsewhere. Chance stands in the table.",
    )
