"""The kinds of blocks, one dataclass each; :mod:`auscult.blocks.sounding` has those that sound."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from auscult.blocks.axes import Axis, ColourMap
from auscult.blocks.sounding import Animation, Choices, Clip, ClipGrid, Lanes
from auscult.core.errors import InvariantError

Verdict = Literal["holds", "explained by control", "does not hold", "cannot be tested here"]


@dataclass(frozen=True)
class Text:
    """A paragraph (plain text, blank lines separate paragraphs); ``tone`` says what it is for."""

    text: str
    title: str = ""
    tone: Literal["plain", "finding", "warning"] = "plain"


@dataclass(frozen=True)
class Finding:
    """One answer with its control: the unit of the overview page.

    Attributes:
        sentence: The answer in plain words.
        value: What was measured, as text with its unit.
        control: What the control gave, as text with its unit; never empty.
        published: The published value, or "" when there is none.
        verdict: How the finding stands against its control.
        claim: Id in the claims ledger (``METHODS`` §10), or "".
        reason: Why this verdict.
    """

    sentence: str
    value: str
    control: str
    verdict: Verdict
    published: str = ""
    claim: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Table:
    """Rows of text and numbers; ``units`` (one per column) may be empty.

    A ``folded`` one is behind a click: what goes on from a table that stands open.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | int | float | bool | None, ...], ...]
    units: tuple[str, ...] = ()
    note: str = ""
    folded: bool = False


@dataclass(frozen=True)
class Series:
    """One line of a curve, with an optional band (same length) around it.

    Controls are drawn dashed.
    """

    name: str
    y: np.ndarray
    x: np.ndarray | None = None
    low: np.ndarray | None = None
    high: np.ndarray | None = None
    control: bool = False


@dataclass(frozen=True)
class Curve:
    """Lines over one axis. A series without its own ``x`` uses the curve's.

    Where places are things in an order (stages, taps), ``x_names`` names them, and ``x`` numbers
    them from 0.
    """

    title: str
    x: np.ndarray
    series: tuple[Series, ...]
    x_axis: Axis
    y_axis: Axis
    note: str = ""
    x_names: tuple[str, ...] = ()


@dataclass(frozen=True)
class SmallMultiples:
    """Curves beside one another (filter shapes, fragments).

    Many are small pictures on one scale, without ticks; up to four are charts with axes of their
    own, on one scale where they have one unit.
    """

    title: str
    curves: tuple[Curve, ...]
    note: str = ""


@dataclass(frozen=True)
class Heatmap:
    """A matrix; rows run along ``y``. Diverging maps are centred on 0.

    Where rows or columns are things and not places on a scale, ``x_names`` and ``y_names`` name
    them, and ``x`` and ``y`` number them.
    """

    title: str
    values: np.ndarray
    x: np.ndarray
    y: np.ndarray
    x_axis: Axis
    y_axis: Axis
    value_axis: Axis
    colour_map: ColourMap = "sequential"
    note: str = ""
    x_names: tuple[str, ...] = ()
    y_names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Scatter:
    """Points, optionally labelled and grouped.

    With ``diagonal`` both axes are of one quantity (foretold and observed): they share a scale, and
    the line of equality is drawn.
    """

    title: str
    x: np.ndarray
    y: np.ndarray
    x_axis: Axis
    y_axis: Axis
    labels: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    note: str = ""
    diagonal: bool = False


@dataclass(frozen=True)
class Histogram:
    """Shares over common bin edges, one series per condition; controls are drawn dashed."""

    title: str
    edges: np.ndarray
    series: tuple[Series, ...]
    x_axis: Axis
    y_axis: Axis = field(default_factory=lambda: Axis("share of frames"))
    note: str = ""

    @classmethod
    def of(
        cls,
        title: str,
        conditions: Mapping[str, np.ndarray],
        edges: np.ndarray,
        x_axis: Axis,
        y_axis: Axis | None = None,
    ) -> "Histogram":
        """Count values under several conditions, the first of which is no control.

        What lies beyond the edges is counted in the outermost bins; NaN is left out.
        """
        series = []
        for place, (name, values) in enumerate(conditions.items()):
            kept = np.clip(values[~np.isnan(values)], edges[0], edges[-1])
            shares = np.histogram(kept, edges)[0] / max(len(kept), 1)
            series.append(Series(name, shares, control=place > 0))
        return cls(title, edges, tuple(series), x_axis, y_axis or Axis("share of frames"))


@dataclass(frozen=True)
class Bars:
    """One bar per name, with optional intervals."""

    title: str
    names: tuple[str, ...]
    values: np.ndarray
    x_axis: Axis
    y_axis: Axis
    low: np.ndarray | None = None
    high: np.ndarray | None = None
    note: str = ""


@dataclass(frozen=True)
class Graph:
    """Things and what leads from one to another, each link with its weight.

    Attributes:
        title: Heading.
        nodes: Name of each node.
        sizes: Share of each node.
        sources: Node that each link leaves, by its place in ``nodes``.
        targets: Node that each link enters; a link may lead back to its own node.
        weights: Of each link, not negative.
        value_axis: What the weights are.
        note: What to look at.
    """

    title: str
    nodes: tuple[str, ...]
    sizes: np.ndarray
    sources: np.ndarray
    targets: np.ndarray
    weights: np.ndarray
    value_axis: Axis
    note: str = ""

    def __post_init__(self) -> None:
        n_links = len(self.weights)
        if len(self.sizes) != len(self.nodes) or not (
            len(self.sources) == len(self.targets) == n_links
        ):
            raise InvariantError(f"the arrays of {self.title!r} do not fit its nodes and links")
        ends = np.concatenate([self.sources, self.targets])
        if n_links and (ends.min() < 0 or ends.max() >= len(self.nodes)):
            raise InvariantError(f"a link of {self.title!r} leads to a node that is not there")


@dataclass(frozen=True)
class Ruler:
    """One of the scales that a quantity passes through.

    Attributes:
        name: Of the scale.
        high: Where it ends; every scale begins at 0.
        landing: Where each place of the first scale lands on this one; NaN where nowhere.
        width: What lies closer than this on this scale cannot be told apart.
        facts: What else is to be known of it, in a few words.
        seen_x: Places of the first scale that were tried.
        seen_y: Where each was seen to land.
    """

    name: str
    high: float
    landing: np.ndarray
    width: float
    facts: str = ""
    seen_x: np.ndarray | None = None
    seen_y: np.ndarray | None = None


@dataclass(frozen=True)
class Rulers:
    """Scales below one another with one cursor: where does each place of the first one go?

    Attributes:
        title: Heading.
        x: Places of the first scale, ascending; the cursor goes from one to the next.
        x_axis: What they are; the other scales are of the same unit.
        rulers: The scales, in the order in which they are passed.
        start: Where the cursor begins.
        note: What to look at.
    """

    title: str
    x: np.ndarray
    x_axis: Axis
    rulers: tuple[Ruler, ...]
    start: float
    note: str = ""


@dataclass(frozen=True)
class Missing:
    """What could not be computed, and why: an empty place never goes unexplained."""

    title: str
    reason: str


@dataclass(frozen=True)
class GalleryItem:
    """One thing of a gallery (a feature, an archetype, a neuron).

    Attributes:
        name: Shown as its heading; unique within the gallery.
        measures: Numbers to sort and filter by; the same keys in every item.
        blocks: What its card shows.
    """

    name: str
    measures: Mapping[str, float]
    blocks: tuple["Block", ...]


@dataclass(frozen=True)
class Gallery:
    """A browser over many items: sortable by measure, filterable, one card each."""

    title: str
    items: tuple[GalleryItem, ...]
    units: Mapping[str, str]
    sort_by: str
    note: str = ""


Block = (
    Text
    | Finding
    | Table
    | Curve
    | SmallMultiples
    | Heatmap
    | Scatter
    | Histogram
    | Bars
    | Clip
    | ClipGrid
    | Lanes
    | Animation
    | Choices
    | Graph
    | Rulers
    | Missing
    | Gallery
)
