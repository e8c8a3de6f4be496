"""Pictures of concepts in dictionaries: accuracy over sparsity, the published table, carriers."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from auscult.analyses.base import Result
from auscult.analyses.parts.answering import missing_blocks
from auscult.blocks import Axis, Block, Heatmap, Scatter, Table

PUBLISHED_TABLE = (
    ("DiffRhythm-VAE", "0.65 to 0.98", "0.75 to 0.87", "0.17 to 0.40", "0.17 to 0.35"),
    ("WavTokenizer", "0.993 to 0.999", "0.75 to 0.82", "0.17 to 0.30", "0.17 to 0.25"),
    ("EnCodec", "0.55 to 0.95", "0.78 to 0.87", "0.56 to 0.63", "0.30 to 0.46"),
)
"""Encoder, sparsity, pitch, amplitude, timbre (arXiv 2510.23802)."""

_COLUMNS = ("pitch", "loudness", "centroid")
Entries = Sequence[Mapping[str, Any]]


def pictures(result: Result) -> list[Block]:
    """Everything between the findings and the numbers."""
    blocks: list[Block] = [*missing_blocks(result)]
    for tap, known in result.facts["taps"].items():
        entries: Entries = known["entries"]
        if not entries:
            continue
        concepts = list(entries[0]["accuracy"])
        blocks += [beside_published(tap, entries), _over_sparsity(tap, entries, concepts)]
        blocks += [_pareto(tap, entries), _dictionaries(tap, entries, concepts)]
        blocks += [
            _carriers(tap, concept, known["shown"], one, result)
            for concept, one in known["carriers"].items()
        ]
    return blocks


def beside_published(tap: str, entries: Entries) -> Table:
    """The published table, and under it the same ranges here with their nulls."""

    def span(values: Sequence[float]) -> str:
        return f"{min(values):.2f} to {max(values):.2f}" if values else "–"

    def ours(name: str, key: str) -> tuple[str, ...]:
        cells = [
            span([one[key][c] for one in entries if c in one[key]])
            if any(c in one[key] for one in entries)
            else "–"
            for c in _COLUMNS
        ]
        zeros = [one["zeros"] for one in entries]
        sparsity = f"{min(zeros):.3f} to {max(zeros):.3f}" if key == "accuracy" else ""
        return (name, sparsity, *cells)

    rows = (
        *PUBLISHED_TABLE,
        ours(f"here, {len(entries)} dictionaries of {tap}", "accuracy"),
        ours("here, untrained dictionaries", "untrained"),
        ours("here, majority class", "majority"),
        ours("here, shuffled labels", "shuffled"),
    )
    return Table(
        f"{tap}: the published table and this one (arXiv 2510.23802)",
        ("encoder", "share of zeros", "pitch", "amplitude (loudness)", "timbre (centroid)"),
        rows,
        note="Ranges over dictionaries; accuracies of linear probes, shares of frames. The "
        "published ranges come without a majority class.",
    )


def _over_sparsity(tap: str, entries: Entries, concepts: Sequence[str]) -> Scatter:
    x, y, labels, groups = [], [], [], []
    for one in entries:
        for concept in concepts:
            for key, told in (("accuracy", ""), ("untrained", ", untrained")):
                x.append(one["zeros"])
                y.append(one[key][concept])
                labels.append(f"{one['dictionary']}{told}")
                groups.append(f"{concept}{told}")
    levels = ", ".join(f"{c} {entries[0]['majority'][c]:.2f}" for c in concepts)
    return Scatter(
        f"{tap}: accuracy over sparsity",
        np.array(x),
        np.array(y),
        Axis("share of zeros"),
        Axis("accuracy, share of frames"),
        tuple(labels),
        tuple(groups),
        f"Majority class: {levels}.",
    )


def _pareto(tap: str, entries: Entries) -> Scatter:
    return Scatter(
        f"{tap}: what is left over what is on",
        np.array([one["l0"] for one in entries]),
        np.array([one["fvu"] for one in entries]),
        Axis("features on at once", "", "log"),
        Axis("variance unexplained"),
        tuple(one["dictionary"] for one in entries),
        tuple(f"{one['n_features']} features" for one in entries),
        "One point a dictionary, coloured by width.",
    )


def _dictionaries(tap: str, entries: Entries, concepts: Sequence[str]) -> Table:
    nulls = ("", ", untrained", ", majority", ", shuffled")
    columns = (
        "dictionary", "times wider", "share of zeros", "on at once", "on per second", "alive",
        "variance unexplained", "the same, untrained and decoder fitted",
        *(f"{c}{told}" for c in concepts for told in nulls),
    )  # fmt: skip
    rows = tuple(
        (
            one["dictionary"],
            one["times wider"],
            one["zeros"],
            one["l0"],
            one["l0 per second"],
            one["alive"],
            one["fvu"],
            one["fvu untrained"],
            *(
                one[key][c]
                for c in concepts
                for key in ("accuracy", "untrained", "majority", "shuffled")
            ),
        )
        for one in entries
    )
    return Table(f"{tap}: every dictionary", columns, rows)


def _carriers(
    tap: str, concept: str, dictionary: str, known: Mapping[str, Any], result: Result
) -> Heatmap:
    contributions = result.arrays[f"{tap}/contributions/{concept}"]
    kept = np.flatnonzero(np.isfinite(contributions).all(axis=1))
    features = [f"{j}" for j in known["features"]]
    spoken = ", ".join(
        f"{name} {value:.1f}" if np.isfinite(value or np.nan) else f"{name} –"
        for name, value in zip(features, known["classes"], strict=True)
    )
    return Heatmap(
        f"{tap}: the features of {dictionary} that carry {concept}",
        contributions[kept],
        np.arange(len(features), dtype=float),
        np.arange(len(kept), dtype=float),
        Axis("feature, by importance"),
        Axis("class"),
        Axis("mean contribution to the logit of the class"),
        "diverging",
        f"Classes that each speaks for (exp of entropy): {spoken}.",
        x_names=tuple(features),
        y_names=tuple(known["names"][i] for i in kept),
    )
