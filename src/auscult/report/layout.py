"""Where the nodes of a graph go: a circle, so that no label hides another, in a telling order."""

from dataclasses import replace

import numpy as np
from jaxtyping import Float, Int

from auscult.blocks import Graph

MOST_NODES = 48
MOST_LINKS = 240


def circle(graph: Graph) -> Float[np.ndarray, "node 2"]:
    """Places on the unit circle, clockwise from the top; what is strongly linked lies side by side.

    The order is greedy: the largest node first, then always the one most strongly linked (either
    way) to the last. Ties fall to the earlier node, so that a graph is always drawn alike.
    """
    order = _order(graph)
    angle = np.empty(len(order))
    angle[order] = 2 * np.pi * np.arange(len(order)) / max(len(order), 1)
    return np.stack([np.sin(angle), -np.cos(angle)], axis=1)


def _order(graph: Graph) -> Int[np.ndarray, " node"]:
    n = len(graph.nodes)
    between = np.zeros((n, n))
    np.add.at(between, (graph.sources, graph.targets), np.nan_to_num(graph.weights))
    between += between.T
    left = np.ones(n, dtype=bool)
    order: list[int] = []
    for _ in range(n):
        wanted = between[order[-1]] if order else np.nan_to_num(graph.sizes)
        order.append(int(np.argmax(np.where(left, wanted, -np.inf))))
        left[order[-1]] = False
    return np.array(order, dtype=np.int64)


def drawable(graph: Graph) -> Graph:
    """The largest nodes and the strongest links between them; the note says what was left out."""
    n_nodes, n_links = len(graph.nodes), len(graph.weights)
    kept = np.sort(np.argsort(-np.nan_to_num(graph.sizes), kind="stable")[:MOST_NODES])
    place = np.full(n_nodes, -1)
    place[kept] = np.arange(len(kept))
    sources, targets = place[graph.sources], place[graph.targets]
    there = np.flatnonzero((sources >= 0) & (targets >= 0) & (graph.weights > 0))
    links = there[np.argsort(-graph.weights[there], kind="stable")[:MOST_LINKS]]
    said = []
    if len(kept) < n_nodes:
        said.append(f"The {len(kept)} largest of {n_nodes:,} nodes are drawn.")
    if len(links) < n_links:
        said.append(f"The {len(links)} strongest of {n_links:,} links are drawn.")
    return replace(
        graph,
        nodes=tuple(graph.nodes[i] for i in kept),
        sizes=graph.sizes[kept],
        sources=sources[links],
        targets=targets[links],
        weights=graph.weights[links],
        note=" ".join([graph.note, *said]).strip(),
    )


def links(graph: Graph) -> list[tuple[str, str, float]]:
    """From, to and weight of the strongest links, strongest first, for readers without scripts."""
    shown = drawable(graph)
    ends = zip(shown.sources.tolist(), shown.targets.tolist(), shown.weights.tolist(), strict=True)
    return [(shown.nodes[source], shown.nodes[target], weight) for source, target, weight in ends]
