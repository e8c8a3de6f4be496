"""How class-specific neurons are shown: numbers by selector, classes, layers, probabilities."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from auscult.analyses.base import Result
from auscult.blocks import Axis, Bars, Block, Heatmap, Missing, Table

HOW_TO_READ = (
    "A neuron is on where its activation is positive. Its entropy over the classes is 0 when it "
    "is on in one class alone and ln C when it is on alike in all of C. The published rule keeps "
    "the share of neurons with the lowest entropies and gives each to the classes in which it is "
    "on more often than 95 % of all pairs of neuron and class. It keeps as many neurons in any "
    "network and under any labels, so that coverage says nothing by itself; and where the neurons "
    "of lowest entropy are rarely on, none of them may exceed that bar and no class gets any. "
    "Read it beside labels dealt out anew among recordings, and beside the neurons that are found "
    "at a false-discovery rate of 5 %, which may be none."
)


def coverage_pictures(result: Result, title: str, known: Mapping[str, Any]) -> list[Block]:
    """Numbers by selector, classes, layers, and when the neurons taken are on."""
    arrays = {
        key.removeprefix(f"{title}/"): values
        for key, values in result.arrays.items()
        if key.startswith(f"{title}/")
    }
    classes = known["classes"]
    columns = (
        "selector", "neurons taken", "per class", "per class, dealt (control)", "coverage",
        "coverage, dealt (control)", "its 95th percentile", "neurons found (FDR 5 %)",
        "classes with one found",
    )  # fmt: skip
    note = (
        f"{known['n_neurons']} neurons; {len(classes)} classes of {min(known['n_clips'])} to "
        f"{max(known['n_clips'])} training clips. The published rule keeps entropies up to "
        f"{known['threshold']:.3f} ln C."
    )
    shown, rows = arrays["shown"], tuple(map(tuple, known["rows"]))
    return [
        Table(f"{title}: how many, by selector", columns, rows, note=note),
        Bars(
            f"{title}: neurons of each class", tuple(classes),
            arrays["per_class"].astype(float), Axis("class"), Axis("neurons"),
            note=f"By {result.facts['selector']}.",
        ),
        Bars(
            f"{title}: in which layers", tuple(known["layers"]),
            arrays["by_layer"] / np.array(known["layer_sizes"]), Axis("layer"),
            Axis("share of its neurons taken"),
            note="Alike everywhere if neurons were drawn at random.",
        ),
        Heatmap(
            f"{title}: when the neurons taken are on", shown,
            np.arange(len(classes)), np.arange(len(shown)), Axis("class"), Axis("neuron"),
            Axis("probability of being on"), note="Ordered by the class they prefer.",
            x_names=tuple(classes),
        ) if len(shown) else Missing(f"{title}: when neurons are on", "the rule takes no neuron"),
    ]  # fmt: skip
