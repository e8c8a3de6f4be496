"""Blocks with a sound."""

import math
from dataclasses import dataclass

import numpy as np

from auscult.blocks.axes import Axis, ColourMap
from auscult.core.errors import InvariantError


@dataclass(frozen=True)
class Clip:
    """A stretch of a sound that can be heard, shown as waveform and spectrogram.

    Attributes:
        clip_id: Name in the run's ``clips`` folder.
        start_s: Start in seconds within the clip.
        stop_s: End in seconds within the clip.
        label: What it is, for people and screen readers.
        mark_s: Start and end of what to look at within it, in seconds of the clip.
    """

    clip_id: str
    start_s: float
    stop_s: float
    label: str
    mark_s: tuple[float, float] | None = None


@dataclass(frozen=True)
class ClipGrid:
    """Several clips side by side, for instance top fragments beside random ones."""

    title: str
    clips: tuple[Clip, ...]
    note: str = ""


@dataclass(frozen=True)
class Lanes:
    """Curves over a clip with a cursor that follows the sound: an activation map one can hear.

    Attributes:
        title: Heading.
        clip: The sound.
        times_s: Centre of each frame in seconds of the clip, ascending.
        values: One row per lane.
        lanes: Name of each lane.
        value_axis: What the values are.
        colour_map: Sequential for activations, diverging for signed responses.
    """

    title: str
    clip: Clip
    times_s: np.ndarray
    values: np.ndarray
    lanes: tuple[str, ...]
    value_axis: Axis
    colour_map: ColourMap = "sequential"
    note: str = ""


@dataclass(frozen=True)
class Animation:
    """A point that moves through a plane while a clip plays (a trajectory), with a trail.

    Attributes:
        title: Heading.
        clip: The sound.
        times_s: Centre of each frame in seconds of the clip, ascending.
        x: Where the point is in each frame.
        y: Where the point is in each frame.
        x_axis: What ``x`` is.
        y_axis: What ``y`` is.
        note: What to look at.
        lanes: Name of each row of activity shown under the plane, if any.
        lane_values: ``[lane frame]``, at the same times.
        value_axis: What ``lane_values`` are.
    """

    title: str
    clip: Clip
    times_s: np.ndarray
    x: np.ndarray
    y: np.ndarray
    x_axis: Axis
    y_axis: Axis
    note: str = ""
    lanes: tuple[str, ...] = ()
    lane_values: np.ndarray | None = None
    value_axis: Axis | None = None

    def __post_init__(self) -> None:
        shape = (0, 0) if self.lane_values is None else self.lane_values.shape
        if self.lanes and shape != (len(self.lanes), len(self.times_s)):
            raise InvariantError(
                f"{self.title!r} names {len(self.lanes)} lanes over {len(self.times_s)} frames, "
                f"its values have shape {shape}"
            )


@dataclass(frozen=True)
class Choice:
    """One control of a desk: a name, and what can be chosen.

    Attributes:
        name: What is chosen, for people (``concept``, ``strength``).
        options: Name of each option, unique.
        ordered: Whether the options are steps along one scale; it is then a slider.
        start: Option that is chosen at first.
        against: Options that any other is to be heard against, such as the original. Each gets a
            button of its own, and curves of the first are drawn beside those of what is chosen.
    """

    name: str
    options: tuple[str, ...]
    ordered: bool = False
    start: int = 0
    against: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not self.options or len(set(self.options)) < len(self.options):
            raise InvariantError(f"the options of {self.name!r} are none, or not unique")
        if not all(0 <= place < len(self.options) for place in (self.start, *self.against)):
            raise InvariantError(f"{self.name!r} refers to an option that is not there")


@dataclass(frozen=True)
class Choices:
    """A desk: one sound for every combination of options, with curves drawn over it.

    The sound goes on at the same place when another is chosen. Curves in Hz are drawn on the
    spectrogram's own axis, others in lanes below it, on one scale for all combinations.

    Attributes:
        title: Heading.
        choices: The controls; at most one has options to be heard against.
        clips: A sound for each combination, the last choice varying fastest; None where there is
            none.
        times_s: Centre of each frame of the curves in seconds of the clips, ascending.
        curves: Name of each curve.
        curve_axes: What each curve is.
        values: ``[combination curve frame]``; NaN where a curve has no value.
        note: What to listen to.
    """

    title: str
    choices: tuple[Choice, ...]
    clips: tuple[Clip | None, ...]
    times_s: np.ndarray
    curves: tuple[str, ...]
    curve_axes: tuple[Axis, ...]
    values: np.ndarray
    note: str = ""

    def __post_init__(self) -> None:
        n = math.prod(len(one.options) for one in self.choices)
        if not self.choices or len(self.clips) != n:
            raise InvariantError(
                f"{self.title!r} has {n} combinations of options and {len(self.clips)} clips"
            )
        if sum(bool(one.against) for one in self.choices) > 1:
            raise InvariantError(f"{self.title!r} has two choices to be heard against")
        shape = (n, len(self.curves), len(self.times_s))
        if self.values.shape != shape or len(self.curve_axes) != len(self.curves):
            raise InvariantError(
                f"the curves of {self.title!r} have shape {self.values.shape}, not {shape}"
            )
