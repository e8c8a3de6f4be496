"""What every model card needs: intervals over recordings, tables, and a file."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
from jaxtyping import Num

BUNDLED = Path(__file__).resolve().parents[1] / "src" / "auscult" / "models" / "bundled"
N_RESAMPLES = 2_000


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95 % percentile bootstrap interval."""

    mean: float
    low: float
    high: float

    def percent(self) -> str:
        """As a share: `54.2 % (50.1 - 58.0)`."""
        return f"{100 * self.mean:.1f} % ({100 * self.low:.1f} - {100 * self.high:.1f})"

    def number(self, digits: int = 2) -> str:
        """As a plain number with its interval."""
        return f"{self.mean:.{digits}f} ({self.low:.{digits}f} - {self.high:.{digits}f})"


def bootstrap_mean(
    values: Num[np.ndarray, " n"], *, groups: Sequence[object] | None = None, seed: int = 0
) -> Estimate:
    """Mean of `values` with a 95 % percentile bootstrap interval over recordings.

    With `groups` (one label a value) whole groups are drawn instead of single values: the interval
    for another draw of programs, where the plain one holds for other recordings of these programs.
    """
    values = np.asarray(values, dtype=np.float64)
    labels = np.arange(len(values)) if groups is None else np.asarray(groups)
    names, member = np.unique(labels, return_inverse=True)
    sums = np.bincount(member, weights=values)
    counts = np.bincount(member)
    rng = np.random.default_rng(seed)
    drawn = rng.integers(len(names), size=(N_RESAMPLES, len(names)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return Estimate(float(values.mean()), float(low), float(high))


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def versions(*packages: str) -> str:
    """`torch 2.x, numpy 2.y`: what a run used."""
    return ", ".join(f"{name} {version(name)}" for name in packages)


def stamp(path: Path) -> str:
    """Size in units of a million bytes, and the hash by which a card is that of its file."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return f"{path.stat().st_size / 1e6:.2f} MB, SHA-256 `{digest}`"


def write_card(path: Path, text: str) -> None:
    """Write a card, one newline at its end."""
    path.write_text(text.strip() + "\n", encoding="utf-8")
