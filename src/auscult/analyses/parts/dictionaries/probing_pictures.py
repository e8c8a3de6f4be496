"""Pictures of the probes of one tap's dictionaries."""

from collections.abc import Sequence

import numpy as np

from auscult.analyses.parts.dictionaries.lineup import LEARNED, Entry
from auscult.analyses.parts.dictionaries.probed import (
    ACCURACY,
    BALANCED,
    CHANNELS,
    FIGURES,
    LEVELS,
    TapProbes,
)
from auscult.analyses.parts.dictionaries.standing import card_config
from auscult.blocks import Axis, Block, Curve, Series, Table
from auscult.measures.discrimination import AUC
from auscult.measures.probes import MAJORITY, SHUFFLED
from auscult.measures.scorecards import Scorecard


def pictures(there: TapProbes, ks: Sequence[int]) -> list[Block]:
    """Accuracy over the number of features for each label, and every probe."""
    blocks: list[Block] = []
    for label in there.labels:
        blocks += [_over_k(ks, there, label, level) for level in LEVELS]
    return [*blocks, *(_table(there, figure) for figure in FIGURES)]


def _over_k(ks: Sequence[int], there: TapProbes, label: str, level: str) -> Curve:
    """Accuracy over the number of features, the best of each type and width."""
    most = (label, level, max(ks))
    best: dict[str, Entry] = {}
    for one in sorted(there.entries.values(), key=lambda o: -there.found[o.name].value(most)):
        best.setdefault(one.family, one)
    lines = []
    for family, one in best.items():
        own = there.found[one.name]
        accuracies = np.array([own.value((label, level, k)) for k in ks])
        lines.append(Series(family, accuracies, control=one.role != LEARNED))
    lines.sort(key=lambda one: one.control)
    channels = there.found[CHANNELS]
    told = {CHANNELS: [channels.value((label, level, k)) for k in ks]}
    for null in (MAJORITY, SHUFFLED):
        told[null] = [channels.nulls[label, level, k][null][ACCURACY] for k in ks]
    lines += [Series(name, np.array(values), control=True) for name, values in told.items()]
    return Curve(
        f"{there.tap}: {label} of {LEVELS[level]}, from few features",
        np.array(ks, dtype=np.float64),
        tuple(lines),
        Axis("features that the probe may use"),
        Axis("accuracy", ""),
        "Test recordings. Of each type and width the dictionary that is best at the most features.",
    )


_NOTES = {
    ACCURACY: "Accuracy on test recordings: label, level, number of features.",
    BALANCED: "Mean over classes of the share of their rows answered rightly: rare classes count "
    "as much as frequent ones, and always answering the same gives 1 over the number of classes.",
    AUC: "Probability that a row of a class gets a higher score for it than a row of another, "
    "mean over classes: 0.5 says nothing, whatever the shares of the classes and the threshold.",
}


def _table(there: TapProbes, figure: str) -> Table:
    tasks, first = there.tasks, figure == ACCURACY
    rows = []
    for name, own in there.found.items():
        entry = there.entries.get(name)
        rows.append(
            (
                name,
                entry.role if entry else "",
                own.l0,
                *(_none(own.value(task, figure)) for task in tasks),
                *((_none(own.completeness), _none(own.disentanglement)) if first else ()),
            )
        )
    heads = (f"{label}, {level}, {k}" for label, level, k in tasks)
    told = ("completeness", "disentanglement") if first else ()
    columns = ("columns", "what they are", "l0", *heads, *told)
    title = f"{there.tap}: {figure} of every probe"
    return Table(title, columns, tuple(rows), note=_NOTES[figure])


def _none(value: float) -> float | None:
    return value if np.isfinite(value) else None


def card(there: TapProbes, name: str) -> Scorecard:
    """In SAEBench's shape."""
    own, channels = there.found[name], there.found[CHANNELS]
    sae, llm = {}, {}
    for k in sorted({task[2] for task in own.answered}):
        tasks = [task for task in own.answered if task[1:] == ("clip", k)]
        sae[f"sae_top_{k}_test_accuracy"] = float(np.mean([own.value(t) for t in tasks]))
        llm[f"llm_top_{k}_test_accuracy"] = float(np.mean([channels.value(t) for t in tasks]))
    details = [
        {
            "dataset_name": f"{label}, {level}",
            "k": k,
            "sae_test_accuracy": own.value((label, level, k)),
            "sae_test_balanced_accuracy": own.value((label, level, k), BALANCED),
            "sae_test_auc": _none(own.value((label, level, k), AUC)),
        }
        for label, level, k in own.answered
    ]
    audio = {"completeness": own.completeness, "disentanglement": own.disentanglement}
    metrics = {"sae": sae, "llm": llm, "audio": audio}
    return Scorecard(
        "sparse_probing", card_config(there.tap, there.entries[name]), metrics, details
    )
