"""Where the frames of an activation lie in the sound, in exact rational numbers.

Frame ``i`` of a tap hears the samples whose distance from its centre ``offset + i * hop`` is at
most ``(span - 1) / 2``. Every layer that moves along time maps one time base to the next; composing
these maps gives hop (cumulative stride), offset (centre of frame 0) and span (receptive field) of
any tap. The input gradient is the oracle: see ``auscult.taps.probe``.
"""

import math
from dataclasses import dataclass, replace
from fractions import Fraction

from auscult.core.errors import ConfigError

_HALF = Fraction(1, 2)


@dataclass(frozen=True)
class TimeBase:
    """The position of frames in samples of the model's input.

    Attributes:
        sample_rate: Of the model's input, in Hz.
        hop: Samples between the centres of neighbouring frames.
        offset: Centre of frame 0 in samples; sample ``n`` has its centre at ``n``.
        span: Receptive field in samples; after a transposed convolution the smallest interval that
            holds the receptive field of every phase.
        unbounded_past: A recurrence lets a frame hear everything before it as well.
        global_: Every frame hears the whole clip (attention, normalisation over time); ``span``
            then is the extent of the convolutions alone.
    """

    sample_rate: int
    hop: Fraction = Fraction(1)
    offset: Fraction = Fraction(0)
    span: Fraction = Fraction(1)
    unbounded_past: bool = False
    global_: bool = False

    def __post_init__(self) -> None:
        if self.hop <= 0 or self.span < 1 or self.sample_rate <= 0:
            raise ConfigError(f"impossible time base: {self}")

    @property
    def frame_rate(self) -> Fraction:
        """Frames per second."""
        return self.sample_rate / self.hop

    @property
    def causal(self) -> bool:
        """Whether no frame hears a sample later than its own hop, [i * hop, (i + 1) * hop)."""
        return not self.global_ and self.offset + (self.span - 1) / 2 <= self.hop - 1

    @property
    def resolution_hz(self) -> Fraction:
        """The width f_s / span of the narrowest band that a frame can tell apart (METHODS B-1)."""
        return self.sample_rate / self.span

    def centre(self, frame: int) -> Fraction:
        """Centre of a frame in samples."""
        return self.offset + frame * self.hop

    def seconds(self, frame: int) -> float:
        """Centre of a frame in seconds; the first sample's own centre is half a sample in.

        >>> TimeBase(24_000, hop=Fraction(320)).seconds(75)
        1.0000208333333334
        """
        return float((self.centre(frame) + _HALF) / self.sample_rate)

    def samples(self, frame: int) -> range:
        """The samples that a frame hears; it may begin before 0 or end after the clip (padding).

        >>> TimeBase(24_000).after_conv(7, padding=6).samples(10)
        range(4, 11)
        """
        reach = (self.span - 1) / 2
        centre = self.centre(frame)
        return range(math.ceil(centre - reach), math.floor(centre + reach) + 1)

    def frames_within(self, start: int, stop: int) -> range:
        """The frames whose every heard sample lies in [start, stop)."""
        reach = (self.span - 1) / 2
        first = math.ceil((start + reach - self.offset) / self.hop)
        last = math.floor((stop - 1 - reach - self.offset) / self.hop)
        return range(first, max(first, last + 1))

    def frames_of(self, start: int, stop: int) -> range:
        """The frames that stand for samples [start, stop): those whose hop begins there."""
        first = math.ceil(Fraction(start) / self.hop)
        return range(first, max(first, math.ceil(Fraction(stop) / self.hop)))

    def after_conv(
        self, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1
    ) -> "TimeBase":
        """Compose with a convolution; ``padding`` is what stands on its left.

        Output ``j`` reads input frames ``j * stride - padding + dilation * m`` for m = 0 … kernel -
        1; their centres average to ``j * stride - padding + dilation * (kernel - 1) / 2``.
        """
        reach = dilation * (kernel - 1)
        return replace(
            self,
            hop=self.hop * stride,
            offset=self.offset + self.hop * (Fraction(reach, 2) - padding),
            span=self.span + self.hop * reach,
        )

    def after_pool(self, kernel: int, stride: int | None = None, padding: int = 0) -> "TimeBase":
        """Compose with average or maximum pooling; the stride is the kernel unless given."""
        return self.after_conv(kernel, stride or kernel, padding)

    def after_transposed_conv(
        self, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1
    ) -> "TimeBase":
        """Compose with a transposed convolution of which ``padding`` outputs are cut on the left.

        Output ``j`` hears the input frames ``i`` with ``i * stride + dilation * m = j + padding``
        for some m = 0 … kernel - 1, that is ``(j + padding - reach) / stride ≤ i ≤ (j + padding) /
        stride``: an interval of real numbers whose integers depend on the phase of ``j``. We keep
        the interval.
        """
        reach = dilation * (kernel - 1)
        return replace(
            self,
            hop=self.hop / stride,
            offset=self.offset + self.hop * (padding - Fraction(reach, 2)) / stride,
            span=self.span + self.hop * Fraction(reach, stride),
        )

    def split_into(self, n_rows: int) -> "TimeBase":
        """Give every frame's place to ``n_rows`` frames in a row: the bands of a column of patches.

        The frames of a column hear the same samples, while their declared centres move by a hop
        from one to the next; the span is the smallest interval that holds the samples of each.
        """
        hop = self.hop / n_rows
        spread = (n_rows - 1) * hop
        return replace(self, hop=hop, offset=self.offset - spread / 2, span=self.span + spread)

    def after_recurrence(self, bidirectional: bool = False) -> "TimeBase":
        """Compose with a recurrent layer: all the past, or the whole clip."""
        return replace(self, unbounded_past=True, global_=self.global_ or bidirectional)

    def after_global(self) -> "TimeBase":
        """Compose with something that mixes the whole clip (attention, statistics over time)."""
        return replace(self, global_=True)

    def to_json(self) -> dict[str, str | int | bool]:
        """Plain data; rationals as text such as ``"320"`` or ``"1/2"``."""
        return {
            "sample_rate": self.sample_rate,
            "hop": str(self.hop),
            "offset": str(self.offset),
            "span": str(self.span),
            "unbounded_past": self.unbounded_past,
            "global": self.global_,
        }

    @classmethod
    def from_json(cls, data: dict[str, str | int | bool]) -> "TimeBase":
        """The inverse of :meth:`to_json`."""
        return cls(
            sample_rate=int(data["sample_rate"]),
            hop=Fraction(str(data["hop"])),
            offset=Fraction(str(data["offset"])),
            span=Fraction(str(data["span"])),
            unbounded_past=bool(data["unbounded_past"]),
            global_=bool(data["global"]),
        )
