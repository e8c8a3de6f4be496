"""Chance of random directions by dimension, recomputed beside the published table."""

from typing import Literal

from auscult.blocks import Table
from auscult.core.rng import named_rng
from auscult.measures.matching import chance_cosine

_TABLE = {
    3: (0.80, 0.96, 0.90, 0.98),
    7: (0.59, 0.79, 0.67, 0.83),
    12: (0.46, 0.65, 0.51, 0.68),
    20: (0.36, 0.52, 0.41, 0.55),
    32: (0.29, 0.42, 0.33, 0.44),
}
"""METHODS A-10: chance of isotropic directions by dimension."""
_COLUMNS: tuple[tuple[int, int, Literal["matched", "top"]], ...] = (
    (20, 20, "matched"),
    (128, 128, "matched"),
    (20, 20, "top"),
    (20, 128, "top"),
)


def chance_table(seed: int) -> Table:
    """Mean cosine of random directions: what few dimensions alone give (METHODS A-10)."""
    rows = []
    for d, published in _TABLE.items():
        row: list[float | int] = [d]
        for (n_a, n_b, kind), value in zip(_COLUMNS, published, strict=True):
            rng = named_rng(seed, "stability", "chance", d, n_a, n_b, kind)
            repeats = 40 if n_b == 20 else 3
            found = chance_cosine(d, n_a, n_b, kind, rng=rng, repeats=repeats)
            row += [round(found, 3), value]
        rows.append(tuple(row))
    heads = [
        f"{'one to one' if kind == 'matched' else 'nearest'}, {n_a} and {n_b}"
        for n_a, n_b, kind in _COLUMNS
    ]
    columns = tuple(name for head in heads for name in (head, f"{head} (published)"))
    return Table(
        "Chance: mean cosine of random directions",
        ("dimension", *columns),
        tuple(rows),
        note="METHODS A-10. Recomputed from a few draws; the last digit varies.",
    )
