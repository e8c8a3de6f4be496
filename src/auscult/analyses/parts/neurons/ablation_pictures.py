"""How an ablation is shown: effect matrix, dose and response, random sets, ways of silencing."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from auscult.analyses.base import Result
from auscult.blocks import Axis, Bars, Block, Curve, Heatmap, Histogram, Series, Table

HOW_TO_READ = (
    "A linear head reads the mean embedding of a clip; it is trained once and kept, so that what "
    "changes is what the network says. Silenced neurons are multiplied by 0 in every frame of the "
    "pass; the other ways leave their mean over training clips, or what they said in frames of "
    "other clips. A class can lose accuracy because its neurons mattered, or because any as many "
    "neurons of these layers would have: so read it beside sets drawn at random with the layers "
    "and firing rates of its own. The published random control took each neuron's neighbour in "
    "index instead: one set and no sample, shown beside. McNemar's test asks whether more clips "
    "turned wrong than right. With a head trained anew, what comes back was shifted and not gone."
)


def pictures(result: Result) -> list[Block]:
    """All pictures of one study."""
    facts = result.facts
    classes = tuple(facts["classes"])
    return [
        _classes_table(result),
        *_matrices(result, classes),
        _doses(facts),
        _histogram(result),
        _ways(facts),
    ]


def _classes_table(result: Result) -> Table:
    facts, arrays = result.facts, result.arrays
    rows = []
    for place, name in enumerate(facts["classes"]):
        here = facts["with_random"].index(place) if place in facts["with_random"] else None
        random = arrays["random"][here] if here is not None else np.full((1, 2), np.nan)
        beside = facts["next_share"][here] if here is not None else {}
        rows.append(
            (
                name, facts["sizes"][place], facts["n_test"][place], facts["accuracy"][place],
                _number(arrays["accuracy"][place, place]),
                _number(arrays["p_values"][place, place]),
                _number(random[:, 0].mean()), _number(np.quantile(random[:, 0], 0.05)),
                facts["p_random"][here] if here is not None else None,
                beside.get("accuracy"), beside.get("members"), beside.get("rate"),
                facts["retrained"][place],
            )
        )  # fmt: skip
    columns = (
        "class", "neurons", "test clips", "accuracy", "silenced", "McNemar",
        "random sets (control)", "their 5th percentile", "share of random sets as selective",
        "next indices (published control)", "of these in a class's set", "their rate off by",
        "accuracy, head anew",
    )  # fmt: skip
    units = ("", "", "", "", "pp", "p", "pp", "pp", "", "pp", "share", "share of tokens", "")
    note = (
        "Random sets are tried on some clips only, and compared with the class's own set on the "
        "same clips. The next index matches the layer and not the firing rate."
    )
    return Table(f"{facts['task']}: class by class", columns, tuple(rows), units, note)


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _matrices(result: Result, classes: tuple[str, ...]) -> list[Block]:
    arrays, places = result.arrays, np.arange(len(result.facts["classes"]))
    marks = [
        f"{name} *" if arrays["p_values"][k, k] < 0.05 else name for k, name in enumerate(classes)
    ]
    cells = [
        f"{classes[r]} on {classes[c]} (p = {arrays['p_values'][r, c]:.2g})"
        for r, c in np.argwhere(arrays["p_values"] < 0.05)
    ]
    note = "A star marks a class whose own accuracy changes (McNemar, 5 %, one class at a time). "
    note += f"Of all cells: {', '.join(cells)}." if cells else "No cell reaches 5 %."
    axes = (Axis("measured class"), Axis("silenced class"))
    one = Heatmap(
        "Change of accuracy", arrays["accuracy"], places, places, *axes,
        Axis("change", "pp"), "diverging", note, classes, tuple(marks),
    )  # fmt: skip
    other = Heatmap(
        "Change of the true class's log-probability", arrays["log_p"],
        places, places, *axes, Axis("change", "nat"), "diverging",
        "Finer than accuracy: it moves before an answer does.", classes, classes,
    )  # fmt: skip
    return [one, other]


def _doses(facts: Mapping[str, Any]) -> Block:
    gains = np.array([0.0, 0.5, 1.0, 2.0, 4.0])

    def line(prefix: str, what: int) -> np.ndarray:
        values = {"1": 0.0}
        values |= {
            f"{g:g}": facts["ways"].get(f"{prefix}gain {g:g}", [np.nan, np.nan])[what]
            for g in gains
            if g != 1
        }
        return np.array([values[f"{g:g}"] for g in gains])

    return Curve(
        "Dose and response", gains,
        (
            Series("the class's neurons", line("", 1)),
            Series("next indices (published control)", line("next, ", 1), control=True),
        ),
        Axis("gain"), Axis("own log-probability less others'", "nat"),
        "Mean over classes; gain 1 changes nothing.",
    )  # fmt: skip


def _histogram(result: Result) -> Block:
    random, targeted = result.arrays["random"], result.arrays["targeted"]
    scores = random[:, :, 1]
    ends = np.concatenate([scores.ravel(), targeted])
    low, high = float(ends.min()), float(ends.max())
    edges = np.linspace(low - 1e-6, high + 1e-6, 31)
    return Histogram.of(
        "Against random sets", {"the class's own neurons": targeted, "random sets": scores.ravel()},
        edges, Axis("own log-probability less others'", "nat"), Axis("share of sets"),
    )  # fmt: skip


def _ways(facts: Mapping[str, Any]) -> Bars:
    names = {
        "zero": "zero", "mean": "mean of training clips", "resample": "frames of other clips",
        "first half": "zero, first half of the clip", "second half": "zero, second half",
        "next, gain 0": "next indices, zero (published control)",
    }  # fmt: skip
    others = [way for way in facts["ways"] if way not in names and "gain" not in way]
    ways = [way for way in names if way in facts["ways"]]
    values = np.array([facts["ways"][way][0] for way in [*ways, *others]], dtype=float)
    told = (*(names[way] for way in ways), *(f"zero, chosen by {way}" for way in others))
    return Bars(
        "Ways of silencing", told, values, Axis("way"), Axis("change of own accuracy", "pp"),
        note="Mean over classes; every way silences as many neurons.",
    )  # fmt: skip
